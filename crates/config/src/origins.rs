//! Web origins, as browsers send them in the `Origin` header.

use std::fmt;

use url::Url;

/// Allows every origin.
const ANY: &str = "*";

/// A text is not an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOrigin(pub String);

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(ANY) {
            return write!(
                f,
                "{:?} matches no page, because browsers send no wildcard: list each origin, or use * alone for all",
                self.0
            );
        }
        write!(
            f,
            "{:?} is not an origin: use *, or scheme and host such as https://app.example.com",
            self.0
        )
    }
}

impl std::error::Error for InvalidOrigin {}

/// Checks that each text is `*` or an origin as browsers write it: scheme, host, and a port unless
/// it is the default. Another spelling would never match a request.
///
/// # Errors
/// The first other text, for example one with a path or capitals, or without a scheme.
pub fn check_origins<I: IntoIterator<Item = String>>(
    origins: I,
) -> Result<Vec<String>, InvalidOrigin> {
    origins
        .into_iter()
        .map(|origin| if is_origin(&origin) { Ok(origin) } else { Err(InvalidOrigin(origin)) })
        .collect()
}

fn is_origin(text: &str) -> bool {
    // `ftp:` URLs have origins too, but no browser sends them.
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https");
    // A serialized origin has no path, no default port and no capitals (RFC 6454, section 6.2).
    let is_exact = |url: &Url| url.origin().ascii_serialization() == text;
    // `url` accepts a `*` in a host.
    if text.contains(ANY) {
        return text == ANY;
    }
    Url::parse(text).is_ok_and(|url| is_web(&url) && is_exact(&url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_has_exactly_the_spelling_of_browsers() {
        for (text, is_origin) in [
            ("*", true),
            ("https://app.example.com", true),
            ("http://localhost:3000", true),
            ("http://[::1]:3000", true),
            ("https://app.example.com/", false),
            ("https://app.example.com:443", false),
            ("https://App.example.com", false),
            ("https://*.example.com", false),
            ("https://app.example.com:*", false),
            ("app.example.com", false),
            ("null", false),
            ("ftp://example.com", false),
            ("", false),
        ] {
            assert_eq!(check_origins([text.to_owned()]).is_ok(), is_origin, "{text:?}");
        }
    }
    #[test]
    fn wildcard_in_a_host_is_refused_with_the_way_out() {
        let error = check_origins(["https://*.example.com".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("\"https://*.example.com\""), "{error}");
        assert!(error.contains("list each origin") && error.contains("* alone"), "{error}");
    }
}
