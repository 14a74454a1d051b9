//! What the URL of a page tells: its path, and the campaign that led to it.

use std::borrow::Cow;

use mercurio_domain::enrichment::{Campaign, Page};
use url::Url;

/// Characters of a UTM value that are kept: it is a label, not a text.
const MAX_UTM_CHARS: usize = 255;
/// Bytes of a URL that is looked at. Browsers and servers stop at about this length; what is longer carries data.
const MAX_URL_BYTES: usize = 8192;

/// An absolute URL with a path.
pub(crate) struct PageUrl(Url);

impl PageUrl {
    /// Reads an absolute URL; `None` where it is none, is too long, or has no path (`about:blank`, `data:…`).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_URL_BYTES {
            return None;
        }
        Url::parse(text).ok().filter(|url| !url.cannot_be_a_base()).map(Self)
    }

    /// The path, percent-encoded as browsers give it in `location.pathname`.
    pub(crate) fn page(&self) -> Page {
        Page { path: self.0.path().to_owned() }
    }

    /// The UTM parameters, decoded; `None` where there are none. Of a parameter that stands twice the first text counts.
    pub(crate) fn campaign(&self) -> Option<Campaign> {
        if !self.0.query()?.contains("utm_") {
            return None;
        }
        let mut campaign = Campaign::default();
        for (name, value) in self.0.query_pairs() {
            let place = match name.as_ref() {
                "utm_source" => &mut campaign.source,
                "utm_medium" => &mut campaign.medium,
                "utm_campaign" => &mut campaign.name,
                "utm_term" => &mut campaign.term,
                "utm_content" => &mut campaign.content,
                _ => continue,
            };
            if place.is_none() {
                *place = label(&value);
            }
        }
        (campaign != Campaign::default()).then_some(campaign)
    }
}

/// `value` without control characters (a NUL fits into no database) and the white space around it, cut to its limit.
fn label(value: &str) -> Option<String> {
    let value = if value.contains(char::is_control) {
        Cow::Owned(value.replace(char::is_control, ""))
    } else {
        Cow::Borrowed(value)
    };
    let value = value.trim();
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
    fn the_path_is_that_of_the_url() {
        for (url, expected) in [
            ("https://shop.example/a/b?c=d#e", Some("/a/b")),
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
    fn the_campaign_is_read_from_the_utm_parameters() {
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
    fn empty_values_and_other_parameters_make_no_campaign() {
        for url in [
            "https://a.example/",
            "https://a.example/?q=1",
            "https://a.example/?utm_source=&utm_medium=%20&utm_term=%00",
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
    fn a_value_is_cut_and_freed_of_what_no_database_keeps() {
        let url =
            format!("https://a.example/?utm_source={}&utm_term=a%00b%ffc", "%C3%A9".repeat(300));
        let campaign = campaign_of(&url).unwrap();
        assert_eq!(campaign.source.unwrap(), "é".repeat(MAX_UTM_CHARS));
        assert_eq!(campaign.term.unwrap(), "ab\u{FFFD}c");
    }
}
