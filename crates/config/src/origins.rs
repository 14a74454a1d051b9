//! Origins of pages, as browsers send them.

use std::fmt;

use url::Url;

/// The origin that stands for all of them.
const ANY: &str = "*";

/// A text that is no origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOrigin(pub String);

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is neither * nor an origin as browsers send it, such as https://app.example.com",
            self.0
        )
    }
}

impl std::error::Error for InvalidOrigin {}

/// Takes origins as browsers send them: scheme, host, and a port where it isn't the scheme's own; or `*`.
///
/// # Errors
/// The first text that is none: with a path, in capitals, without a scheme.
pub fn check_origins<I: IntoIterator<Item = String>>(
    origins: I,
) -> Result<Vec<String>, InvalidOrigin> {
    origins
        .into_iter()
        .map(|origin| if is_origin(&origin) { Ok(origin) } else { Err(InvalidOrigin(origin)) })
        .collect()
}

fn is_origin(text: &str) -> bool {
    let web = |url: &Url| matches!(url.scheme(), "http" | "https");
    text == ANY
        || Url::parse(text).is_ok_and(|url| web(&url) && url.origin().ascii_serialization() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        let check = |text: &str, taken: bool| {
            assert_eq!(check_origins([text.to_owned()]).is_ok(), taken, "{text:?}");
        };
        check("*", true);
        check("https://app.example.com", true);
        check("http://localhost:3000", true);
        check("http://[::1]:3000", true);
        check("https://app.example.com/", false);
        check("https://app.example.com:443", false);
        check("https://App.example.com", false);
        check("https://*.example.com", true);
        check("app.example.com", false);
        check("null", false);
        check("ftp://example.com", false);
        check("", false);
    }
}
