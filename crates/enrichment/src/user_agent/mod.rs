//! Device, operating system and browser from a `User-Agent` text.
//!
//! The patterns are those of uap-core (`data/regexes.yaml`), shared by most analytics. They are compiled once a process, by
//! [`warm_up`] or for the first text. A bounded cache keeps results, because a service sees few different texts.

mod kind;
mod patterns;

use std::sync::{Arc, LazyLock};

use mercurio_domain::enrichment::{Device, Enrichment, Software};
use quick_cache::sync::Cache;
use ua_parser::Extractor;

/// Maximum bytes of a text to search. Real texts have 60 to 350; the rest of a longer one is ignored.
const MAX_BYTES: usize = 512;
/// Maximum texts in the cache: about 4 MB of the longest ones.
const CACHED_TEXTS: usize = 4096;

static PATTERNS: LazyLock<Option<Extractor<'static>>> = LazyLock::new(|| {
    // The data is part of the program and a test compiles it, so this cannot fail.
    let extractor = Extractor::try_from(patterns::read(patterns::UAP_CORE).ok()?);
    debug_assert!(extractor.is_ok(), "the patterns compile");
    extractor.ok()
});

/// Compiles the patterns if needed. Blocks for some tenths of a second, once a process.
pub fn warm_up() {
    LazyLock::force(&PATTERNS);
}

/// The facts in a `User-Agent` text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agent {
    /// The device.
    pub device: Option<Device>,
    /// The operating system.
    pub os: Option<Software>,
    /// The browser or program.
    pub browser: Option<Software>,
}

impl Agent {
    /// Reads a text, without a cache.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = cut(text).trim();
        // No database stores a NUL. A header has none, but a context can.
        if text.is_empty() || text.contains('\0') {
            return Self::default();
        }
        let Some(patterns) = &*PATTERNS else {
            return Self::default();
        };
        let (browser, os, device) = patterns.extract(text);
        let browser = browser.and_then(|found| {
            software(&found.family, [found.major, found.minor, found.patch, found.patch_minor])
        });
        let os = os.and_then(|found| {
            let version = [&found.major, &found.minor, &found.patch, &found.patch_minor]
                .map(Option::as_deref);
            software(&found.os, version)
        });
        let device = device.map(|found| kind::MatchedDevice {
            family: found.device.into_owned(),
            brand: found.brand.map(Into::into),
            model: found.model.map(Into::into),
        });
        Self { device: kind::device(text, device, os.as_ref(), browser.as_ref()), os, browser }
    }

    /// Overwrites device, operating system and browser of an enrichment.
    pub(crate) fn describe(&self, enrichment: &mut Enrichment) {
        enrichment.device.clone_from(&self.device);
        enrichment.os.clone_from(&self.os);
        enrichment.browser.clone_from(&self.browser);
    }
}

/// A cache of parsed texts. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct UserAgents(Arc<Cache<Box<str>, Arc<Agent>>>);

impl Default for UserAgents {
    fn default() -> Self {
        Self(Arc::new(Cache::new(CACHED_TEXTS)))
    }
}

impl UserAgents {
    /// Parses `text`, or returns the cached result.
    pub(crate) fn parse(&self, text: &str) -> Arc<Agent> {
        // Cut first, so that no client can fill the cache with long keys.
        let text = cut(text);
        if let Some(known) = self.0.get(text) {
            return known;
        }
        // Two threads may parse one text at once, with equal results.
        let agent = Arc::new(Agent::parse(text));
        self.0.insert(text.into(), Arc::clone(&agent));
        agent
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_BYTES)]
}

/// Joins the known parts of a version. uap-core names unknown software `Other`.
fn software(name: &str, version: [Option<&str>; 4]) -> Option<Software> {
    if name.is_empty() || name == "Other" {
        return None;
    }
    // A missing part ends the version: a patch without a minor has no meaning.
    let parts: Vec<&str> =
        version.into_iter().map_while(|part| part.filter(|part| !part.is_empty())).collect();
    Some(Software { name: name.to_owned(), version: (!parts.is_empty()).then(|| parts.join(".")) })
}

#[cfg(test)]
mod tests;
