//! The URL of a page: its path and its campaign.

use std::borrow::Cow;

use mercurio_domain::enrichment::{Campaign, Page};
use url::Url;

/// Maximum characters kept of a UTM value, a label.
const MAX_UTM_CHARS: usize = 255;
/// Maximum bytes of a URL. Browsers and servers stop at about this length; longer ones carry data.
const MAX_URL_BYTES: usize = 8192;

/// An absolute URL with a path.
pub(crate) struct PageUrl(Url);

impl PageUrl {
    /// Reads an absolute URL; `None` for other text, a URL that is too long or one without a path (`about:blank`, `data:…`).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_URL_BYTES {
            return None;
        }
        Url::parse(text).ok().filter(|url| !url.cannot_be_a_base()).map(Self)
    }

    /// Returns the path, percent-encoded like `location.pathname` in browsers.
    pub(crate) fn page(&self) -> Page {
        Page { path: self.0.path().to_owned() }
    }

    /// Returns the decoded UTM parameters; `None` without any. The first text of a repeated parameter counts.
    pub(crate) fn campaign(&self) -> Option<Campaign> {
        // Most URLs have no campaign, and decoding their queries would be a waste.
        if !self.0.query()?.contains("utm_") {
            return None;
        }
        let mut campaign = Campaign::default();
        for (name, value) in self.0.query_pairs() {
            let field = match name.as_ref() {
                "utm_source" => &mut campaign.source,
                "utm_medium" => &mut campaign.medium,
                "utm_campaign" => &mut campaign.name,
                "utm_term" => &mut campaign.term,
                "utm_content" => &mut campaign.content,
                _ => continue,
            };
            // The first one counts, as in `URLSearchParams.get`.
            if field.is_none() {
                *field = label(&value);
            }
        }
        (campaign != Campaign::default()).then_some(campaign)
    }
}

/// Removes control characters (no database stores a NUL) and the white space around `value`, and cuts it to its limit.
fn label(value: &str) -> Option<String> {
    let value = if value.contains(char::is_control) {
        Cow::Owned(value.replace(char::is_control, ""))
    } else {
        Cow::Borrowed(value)
    };
    let value = value.trim();
    // Cut between characters.
    let end = value.char_indices().nth(MAX_UTM_CHARS).map_or(value.len(), |(end, _)| end);
    (!value.is_empty()).then(|| value[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(url: &str) -> Option<String> {
        PageUrl::parse(url).map(|url| url.page().path)
    }

    fn campaign_of(url: &str) -> Option<Campaign> {
        PageUrl::parse(url).and_then(|url| url.campaign())
    }

    #[test]
    fn path_is_that_of_the_url() {
        for (url, expected) in [
            ("https://shop.example/a/b?c=d#e", Some("/a/b")),
            // The parser encodes and normalizes like a browser.
            ("https://shop.example", Some("/")),
            ("https://shop.example/über uns", Some("/%C3%BCber%20uns")),
            ("https://shop.example/a/../b", Some("/b")),
            ("file:///srv/index.html", Some("/srv/index.html")),
            ("about:blank", None),
            ("data:text/plain,a", None),
            ("/pricing", None),
            ("not a url", None),
            ("", None),
        ] {
            assert_eq!(path_of(url).as_deref(), expected, "{url}");
        }
        assert_eq!(path_of(&format!("https://shop.example/{}", "a".repeat(MAX_URL_BYTES))), None);
    }

    #[test]
    fn campaign_is_read_from_the_utm_parameters() {
        let url = "https://a.example/?utm_source=news%20letter&utm_medium=e-mail&utm_campaign=sp%C3%A4t+sommer&x=1\
            &utm_term=shoes&utm_content=top";
        let expected = Campaign {
            source: Some("news letter".into()),
            medium: Some("e-mail".into()),
            name: Some("spät sommer".into()),
            term: Some("shoes".into()),
            content: Some("top".into()),
        };
        assert_eq!(campaign_of(url), Some(expected));
    }

    #[test]
    fn campaign_needs_a_utm_parameter_with_a_value() {
        for url in [
            "https://a.example/",
            "https://a.example/?q=1",
            "https://a.example/?utm_source=&utm_medium=%20&utm_term=%00",
            // Other parameters are not kept, and names are case-sensitive.
            "https://a.example/?utm_id=1&UTM_SOURCE=a",
            "https://a.example/#utm_source=a",
        ] {
            assert_eq!(campaign_of(url), None, "{url}");
        }
        let campaign =
            campaign_of("https://a.example/?utm_source=&utm_source=b&utm_source=c").unwrap();
        assert_eq!(campaign.source.as_deref(), Some("b"));
    }

    #[test]
    fn utm_value_is_cut_and_has_no_control_characters() {
        let url =
            // The NUL is removed, and the invalid byte becomes U+FFFD.
            format!("https://a.example/?utm_source={}&utm_term=a%00b%ffc", "%C3%A9".repeat(300));
        let campaign = campaign_of(&url).unwrap();
        assert_eq!(campaign.source.unwrap(), "é".repeat(MAX_UTM_CHARS));
        assert_eq!(campaign.term.unwrap(), "ab\u{FFFD}c");
    }
}
