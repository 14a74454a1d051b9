//! The web pages that may use an API key, by their origins.
//!
//! Everyone who opens a page can read its key. A bound key is of no use in other people's pages:
//! browsers send the page's origin with every event, and no script can change it. Programs can send
//! any origin, so this is no secret.

use std::fmt;

use serde::{Serialize, Serializer};
use url::{Host, Url};

/// Maximum number of origins of a key.
pub const MAX_ORIGINS: usize = 32;
/// Maximum length of an origin, in characters.
pub const MAX_ORIGIN_CHARS: usize = 255;

/// The beginning of a host with any subdomain.
const ANY_SUBDOMAIN: &str = "*.";
/// Maximum length of an origin in an error, in characters.
const MAX_EXCERPT_CHARS: usize = 64;

/// The origins of a key: at least one, as browsers write them in the `Origin` header.
///
/// `https://*.shop.example` allows every subdomain, at any depth, but not the domain itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// Separated by commas, as in SQL. Keys are cached, and one text takes less memory than a list.
    list: Box<str>,
}

/// The reason a text is not a list of origins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginsError {
    /// The list is empty, as from a variable without a value.
    #[error("at least one origin is needed, such as https://shop.example")]
    Empty,
    /// The list is too long.
    #[error(
        "there are {actual} origins; the limit is {MAX_ORIGINS}: use https://*.shop.example for all \
         subdomains, or a second key"
    )]
    TooMany {
        /// Number of origins.
        actual: usize,
    },
    /// One of them is not an origin.
    #[error("{origin:?} {reason}")]
    Invalid {
        /// The beginning of its text.
        origin: String,
        /// Its mistake.
        reason: InvalidOrigin,
    },
}

/// The reason a text is not an origin. Completes the sentence "The text …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigin {
    /// `*` alone.
    #[error("allows every page: list the origins, or make a key without any")]
    Any,
    /// `null`, which sandboxed frames and local files send.
    #[error("is the origin of no page: anyone's sandboxed frame and local file sends it")]
    Null,
    /// A host, or another text without `://`.
    #[error("has no scheme: write it as https://shop.example")]
    NoScheme,
    /// A scheme other than those of web pages.
    #[error("has another scheme than https and http, the schemes of web pages")]
    OtherScheme,
    /// Longer than any host.
    #[error("has {actual} characters; the limit is {MAX_ORIGIN_CHARS}")]
    TooLong {
        /// Characters of the text.
        actual: usize,
    },
    /// A URL with a path, a query, a fragment or a user.
    #[error("has more than scheme, host and port: write it as {origin}")]
    MoreThanOrigin {
        /// Its origin.
        origin: String,
    },
    /// A `*` anywhere but before a domain, or before a top-level domain.
    #[error(
        "has a * in another place than before a domain of two parts or more, as in https://*.shop.example"
    )]
    Wildcard,
    /// No host, or none that a browser accepts.
    #[error(
        "has no valid host and port: write it as https://shop.example or https://shop.example:8443"
    )]
    Host,
}

impl Origins {
    /// Reads a list of origins, separated by commas or white space. Writes each as browsers do:
    /// in lower case, without the default port, with an international domain in its ASCII form.
    ///
    /// # Errors
    /// [`OriginsError`] for an empty or long list, or the first text that is not an origin.
    pub fn parse(text: &str) -> Result<Self, OriginsError> {
        let is_separator = |character: char| character == ',' || character.is_whitespace();
        let words = || text.split(is_separator).filter(|word| !word.is_empty());
        // Before any is read: a list can be as long as the command line.
        match words().count() {
            0 => return Err(OriginsError::Empty),
            actual if actual > MAX_ORIGINS => return Err(OriginsError::TooMany { actual }),
            _ => {}
        }
        let mut origins: Vec<String> = Vec::new();
        for word in words() {
            let origin = read(word).map_err(|reason| OriginsError::Invalid {
                origin: word.chars().take(MAX_EXCERPT_CHARS).collect(),
                reason,
            })?;
            // An origin given twice counts once.
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        Ok(Self { list: origins.join(",").into() })
    }

    /// Takes a list as the store returns it. Unchecked: another spelling matches no page.
    #[must_use]
    pub fn from_store(list: String) -> Self {
        Self { list: list.into() }
    }

    /// Returns the list, separated by commas, the form [`Origins::parse`] reads and SQL stores.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.list
    }

    /// Iterates over the origins.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.list.split(',')
    }

    /// Returns whether a page may use the key, by the value of its `Origin` header.
    #[must_use]
    pub fn allow(&self, origin: &str) -> bool {
        self.iter().any(|allowed| matches(allowed, origin))
    }
}

/// Browsers write an origin in one way only, so the comparison is exact.
fn matches(allowed: &str, origin: &str) -> bool {
    match allowed.split_once('*') {
        None => allowed == origin,
        Some((scheme, domain)) => origin
            .strip_prefix(scheme)
            .and_then(|rest| rest.strip_suffix(domain))
            // The end of a host, and not of some other part.
            .is_some_and(|subdomain| !subdomain.is_empty() && !subdomain.contains([':', '/', '@'])),
    }
}

fn read(text: &str) -> Result<String, InvalidOrigin> {
    match text {
        "*" => return Err(InvalidOrigin::Any),
        "null" => return Err(InvalidOrigin::Null),
        _ => check_length(text)?,
    }
    let (scheme, rest) = text.split_once("://").ok_or(InvalidOrigin::NoScheme)?;
    if !["https", "http"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(InvalidOrigin::OtherScheme);
    }
    let domain = rest.strip_prefix(ANY_SUBDOMAIN);
    if domain.unwrap_or(rest).contains('*') {
        return Err(InvalidOrigin::Wildcard);
    }
    // `url` skips further slashes, as browsers do in their address bar.
    if rest.starts_with(['/', '\\']) {
        return Err(InvalidOrigin::Host);
    }
    let url = format!("{scheme}://{}", domain.unwrap_or(rest));
    let url = Url::parse(&url).map_err(|_| InvalidOrigin::Host)?;
    // A host may have escaped characters, even `*` and the separator of this list.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if !url.host_str().is_some_and(|host| host.bytes().all(is_plain)) {
        return Err(InvalidOrigin::Host);
    }
    let mut origin = url.origin().ascii_serialization();
    if domain.is_some() {
        // One part is a top-level domain, and all of its sites are no one's subdomains.
        let is_domain = matches!(url.host(), Some(Host::Domain(domain))
            if domain.trim_end_matches('.').contains('.'));
        if !is_domain {
            return Err(InvalidOrigin::Wildcard);
        }
        origin = origin.replacen("://", "://*.", 1);
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    // A browser's address bar shows the origin with a slash.
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || has_user {
        return Err(InvalidOrigin::MoreThanOrigin { origin });
    }
    // The ASCII form of a domain is longer.
    check_length(&origin)?;
    Ok(origin)
}

fn check_length(text: &str) -> Result<(), InvalidOrigin> {
    let actual = text.chars().count();
    if actual > MAX_ORIGIN_CHARS { Err(InvalidOrigin::TooLong { actual }) } else { Ok(()) }
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.list)
    }
}

impl Serialize for Origins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Origins {
        Origins::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn origin_is_written_as_browsers_write_it() {
        for (text, expected) in [
            ("https://shop.example", "https://shop.example"),
            ("https://shop.example/", "https://shop.example"),
            ("HTTPS://Shop.EXAMPLE:443", "https://shop.example"),
            ("http://shop.example:80", "http://shop.example"),
            ("http://shop.example:443", "http://shop.example:443"),
            ("https://shop.example:8443", "https://shop.example:8443"),
            ("https://Bücher.example", "https://xn--bcher-kva.example"),
            ("https://*.Bücher.example", "https://*.xn--bcher-kva.example"),
            ("https://*.shop.example:8443/", "https://*.shop.example:8443"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("https://a.example, https://b.example", "https://a.example,https://b.example"),
            (",https://a.example\nhttps://A.example,", "https://a.example"),
        ] {
            assert_eq!(parse(text).as_str(), expected, "{text}");
        }
        let json = serde_json::to_string(&parse("https://a.example,https://b.example")).unwrap();
        assert_eq!(json, r#"["https://a.example","https://b.example"]"#);
    }

    #[test]
    fn text_that_is_no_origin_is_refused_with_the_way_out() {
        let more = |origin: &str| InvalidOrigin::MoreThanOrigin { origin: origin.to_owned() };
        let long = format!("https://{}.example", "a".repeat(240));
        // 245 characters, and longer in ASCII.
        let long_in_ascii = format!("https://{}.example", "ü.".repeat(114));
        for (text, expected) in [
            ("*", InvalidOrigin::Any),
            ("null", InvalidOrigin::Null),
            ("shop.example", InvalidOrigin::NoScheme),
            ("shop.example:443", InvalidOrigin::NoScheme),
            ("https:shop.example", InvalidOrigin::NoScheme),
            ("ftp://shop.example", InvalidOrigin::OtherScheme),
            ("file:///index.html", InvalidOrigin::OtherScheme),
            ("https://shop.example/cart", more("https://shop.example")),
            ("https://Shop.example/?", more("https://shop.example")),
            ("https://shop.example#a", more("https://shop.example")),
            ("https://me:pw@shop.example", more("https://shop.example")),
            ("https://*.shop.example/a", more("https://*.shop.example")),
            ("https://shop.example\\a", more("https://shop.example")),
            ("https://*", InvalidOrigin::Wildcard),
            ("https://*.example", InvalidOrigin::Wildcard),
            ("https://*.example.", InvalidOrigin::Wildcard),
            ("https://*.10.1", InvalidOrigin::Wildcard),
            ("https://*shop.example", InvalidOrigin::Wildcard),
            ("https://a.*.example", InvalidOrigin::Wildcard),
            ("https://*.*.example", InvalidOrigin::Wildcard),
            ("https://shop.example:*", InvalidOrigin::Wildcard),
            ("https://", InvalidOrigin::Host),
            ("https:///shop.example", InvalidOrigin::Host),
            ("https://%2A.shop.example", InvalidOrigin::Host),
            ("https://a%2Cb.example", InvalidOrigin::Host),
            ("https://shop.example:65536", InvalidOrigin::Host),
            ("https://300.1.1.1", InvalidOrigin::Host),
            (&*long, InvalidOrigin::TooLong { actual: 256 }),
            (&*long_in_ascii, InvalidOrigin::TooLong { actual: 928 }),
        ] {
            let origin = text.chars().take(64).collect();
            let expected = OriginsError::Invalid { origin, reason: expected };
            assert_eq!(Origins::parse(text), Err(expected), "{text}");
        }
        let error = Origins::parse("https://a.example,https://shop.example/cart").unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"https://shop.example/cart\" has more than scheme, host and port: write it as \
             https://shop.example"
        );
    }

    #[test]
    fn list_has_one_to_thirty_two_origins() {
        for text in ["", " ", ",\n"] {
            assert_eq!(Origins::parse(text), Err(OriginsError::Empty), "{text:?}");
        }
        let mut list = String::new();
        for index in 0..MAX_ORIGINS {
            list.push_str(&format!("https://{index}.example "));
        }
        assert_eq!(parse(&list).iter().count(), 32);
        list.push_str("https://32.example");
        assert_eq!(Origins::parse(&list), Err(OriginsError::TooMany { actual: 33 }));
    }

    #[test]
    fn page_is_allowed_by_its_exact_origin() {
        let origins = parse("https://shop.example,http://shop.example:8080,https://*.app.example");
        for (origin, allowed) in [
            ("https://shop.example", true),
            ("http://shop.example:8080", true),
            ("https://a.app.example", true),
            ("https://b.a.app.example", true),
            ("http://shop.example", false),
            ("https://shop.example:8443", false),
            ("https://shop.example:443", false),
            ("https://Shop.example", false),
            ("https://shop.example/", false),
            ("https://www.shop.example", false),
            ("https://evil-shop.example", false),
            ("https://shop.example.evil.example", false),
            ("https://app.example", false),
            ("https://.app.example", false),
            ("https://evilapp.example", false),
            ("http://a.app.example", false),
            ("https://a.app.example:8443", false),
            ("https://evil.example/.app.example", false),
            ("https://evil.example:1.app.example", false),
            ("https://*.app.example.evil.example", false),
            ("null", false),
            ("", false),
            ("*", false),
            ("https://shop.example,http://shop.example:8080", false),
        ] {
            assert_eq!(origins.allow(origin), allowed, "{origin}");
        }
    }

    #[test]
    fn list_of_another_spelling_matches_no_page() {
        for list in ["https://Shop.example", "https://shop.example/", " https://shop.example"] {
            assert!(
                !Origins::from_store(list.to_owned()).allow("https://shop.example"),
                "{list:?}"
            );
        }
    }

    proptest! {
        /// What is stored reads as itself, and allows each of its own origins.
        #[test]
        fn parsed_list_is_stable_and_allows_its_pages(text in "\\PC{0,80}|(https?://[a-zA-Zü*.:0-9%/@-]{0,12}[, ]){1,4}") {
            if let Ok(origins) = Origins::parse(&text) {
                prop_assert_eq!(Origins::parse(origins.as_str()), Ok(origins.clone()));
                prop_assert!((1..=MAX_ORIGINS).contains(&origins.iter().count()));
                for origin in origins.iter() {
                    prop_assert!(origin.len() <= MAX_ORIGIN_CHARS && origin.is_ascii());
                    prop_assert!(origins.allow(&origin.replacen("*.", "a.", 1)), "{}", origin);
                }
            }
        }

        /// Every page of an allowed host is allowed, and every page of another is not.
        #[test]
        fn page_is_allowed_if_its_host_is(
            (secure, port) in (any::<bool>(), prop::option::of(1..3u16)),
            // Few letters, so that hosts are often equal, or one is within the other.
            (host, list) in ("[ab](\\.[ab]){0,3}", "[ab](\\.[ab]){1,2}"),
            wild in any::<bool>(),
        ) {
            let scheme = if secure { "https" } else { "http" };
            let port = port.map_or(String::new(), |port| format!(":{port}"));
            let page = Url::parse(&format!("{scheme}://{host}{port}/p")).unwrap();
            let sub = if wild { "*." } else { "" };
            let origins = parse(&format!("https://{sub}{list}"));
            let is_host = if wild { host.ends_with(&format!(".{list}")) } else { host == list };
            let expected = secure && port.is_empty() && is_host;
            prop_assert_eq!(origins.allow(&page.origin().ascii_serialization()), expected);
        }
    }
}
