//! What a `User-Agent` text says of the device, the operating system and the browser.
//!
//! The patterns are those of uap-core (`data/regexes.yaml`, with its licence beside it), the ones that most analytics
//! share. They are compiled once a process, when the first text is read or by [`warm_up`]. Results are kept in a bounded
//! cache, since a service sees few different texts: what is found there costs a look-up in place of a search.

mod kind;
mod patterns;

use std::sync::{Arc, LazyLock};

use mercurio_domain::enrichment::{Device, Enrichment, Software};
use quick_cache::sync::Cache;
use ua_parser::Extractor;

/// Bytes of a text that are looked at. Real ones have 60 to 350; what is longer is cut, so that nobody pays for it.
const MAX_BYTES: usize = 512;
/// Texts that are remembered: with the longest texts about 4 MB.
const CACHED_TEXTS: usize = 4096;

static PATTERNS: LazyLock<Option<Extractor<'static>>> = LazyLock::new(|| {
    // The data is part of the program, and a test compiles it: in a program that passed its tests this does not fail.
    Extractor::try_from(patterns::read(patterns::UAP_CORE).ok()?).ok()
});

/// Compiles the patterns, unless that is done: blocks for some tenths of a second, once a process.
pub fn warm_up() {
    LazyLock::force(&PATTERNS);
}

/// What a text says. What is unknown is left out.
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
        // A NUL fits into no database, and stands in no header.
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
        let device = device.map(|found| kind::Found {
            family: found.device.into_owned(),
            brand: found.brand.map(Into::into),
            model: found.model.map(Into::into),
        });
        Self { device: kind::device(text, device, os.as_ref(), browser.as_ref()), os, browser }
    }

    /// Puts what was found into an enrichment, in place of what is there.
    pub(crate) fn describe(&self, enrichment: &mut Enrichment) {
        enrichment.device.clone_from(&self.device);
        enrichment.os.clone_from(&self.os);
        enrichment.browser.clone_from(&self.browser);
    }
}

/// A cache of texts and what they say. A clone shares it.
#[derive(Debug, Clone)]
pub(crate) struct UserAgents(Arc<Cache<Box<str>, Arc<Agent>>>);

impl Default for UserAgents {
    fn default() -> Self {
        Self(Arc::new(Cache::new(CACHED_TEXTS)))
    }
}

impl UserAgents {
    /// What `text` says.
    pub(crate) fn parse(&self, text: &str) -> Arc<Agent> {
        let text = cut(text);
        if let Some(known) = self.0.get(text) {
            return known;
        }
        let agent = Arc::new(Agent::parse(text));
        self.0.insert(text.into(), Arc::clone(&agent));
        agent
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_BYTES)]
}

/// A name with a version of as many parts as are known. uap-core calls what it does not know `Other`.
fn software(name: &str, version: [Option<&str>; 4]) -> Option<Software> {
    if name.is_empty() || name == "Other" {
        return None;
    }
    let parts: Vec<&str> =
        version.into_iter().map_while(|part| part.filter(|part| !part.is_empty())).collect();
    Some(Software { name: name.to_owned(), version: (!parts.is_empty()).then(|| parts.join(".")) })
}

#[cfg(test)]
mod tests;
