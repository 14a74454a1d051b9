//! The headers that describe a body: media type, coding and length.

use super::decode::Coding;
use crate::problem::{Problem, excerpt};
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap};

/// The media types of JSON bodies, as listed in problems.
pub(crate) const MEDIA_TYPES: &[&str] = &["application/json", "application/*+json", "text/plain"];

/// The supported codings, as listed in problems.
pub(crate) const CODINGS: &[&str] = &["gzip", "br", "zstd", "deflate", "identity"];

/// Refuses a `Content-Type` other than JSON. A missing one and `text/plain` count as JSON: a
/// browser's `sendBeacon` sends those.
pub(super) fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(CONTENT_TYPE) {
        Some(value) if !value.to_str().is_ok_and(is_json) => {
            let detail = refused_type(value.to_str().unwrap_or_default());
            Err(Problem::UnsupportedMediaType { accepted: MEDIA_TYPES, detail })
        }
        _ => Ok(()),
    }
}

/// Returns the detail about a refused `Content-Type`. It repeats only the media type.
fn refused_type(content_type: &str) -> String {
    let (media_type, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let media_type = media_type.trim();
    if is_json(media_type) && !parameters.is_empty() {
        return "The charset in the Content-Type is not UTF-8; send application/json in UTF-8."
            .to_owned();
    }
    let Some(shown) = shown(media_type) else {
        return "The Content-Type is not a media type; send application/json.".to_owned();
    };
    let mut detail = format!("The Content-Type {shown} is not supported; send application/json.");
    if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        detail += " curl -d sends a form unless it has -H 'Content-Type: application/json'.";
    }
    detail
}

/// Returns the beginning of a token or media type; `None` if it has other characters.
fn shown(text: &str) -> Option<&str> {
    // Of the characters in a token (RFC 9110, 5.6.2) only those that media types and codings use.
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'+' | b'_');
    (!text.is_empty() && text.bytes().all(is_allowed)).then(|| excerpt(text))
}

fn is_json(content_type: &str) -> bool {
    // Parameters other than the charset have no meaning for JSON.
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    let subtype = media_type.strip_prefix("application/");
    // An empty value counts as a missing header.
    let known = matches!(media_type.as_str(), "" | "application/json" | "text/plain")
        || subtype
            // A suffix needs a name in front of it (RFC 6838, 4.2.8).
            .is_some_and(|subtype| subtype.len() > "+json".len() && subtype.ends_with("+json"));
    known && parts.all(is_utf8_or_no_charset)
}

fn is_utf8_or_no_charset(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let value = value.trim().trim_matches('"');
    !name.trim().eq_ignore_ascii_case("charset")
        || value.eq_ignore_ascii_case("utf-8")
        // Not a registered name, but some clients send it.
        || value.eq_ignore_ascii_case("utf8")
}

/// Returns the coding of the body; `None` without compression. Two codings are refused: they would
/// multiply the size to which a small body can grow, and no client needs them.
pub(super) fn coding(headers: &HeaderMap) -> Result<Option<Coding>, Problem> {
    let mut found = None;
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.to_str().map_err(|_| refused_coding(""))?.split(',').map(str::trim) {
            let coding = match name.to_ascii_lowercase().as_str() {
                // An empty element of a list has no meaning (RFC 9110, 5.6.1).
                "" | "identity" => continue,
                // An old name that recipients should accept (RFC 9110, 8.4.1.3).
                "gzip" | "x-gzip" => Coding::Gzip,
                "br" => Coding::Brotli,
                "zstd" => Coding::Zstd,
                "deflate" => Coding::Deflate,
                _ => return Err(refused_coding(name)),
            };
            // A second coding, also in a second header.
            if found.replace(coding).is_some() {
                let detail = "The body is compressed more than once; use one coding.".to_owned();
                return Err(Problem::UnsupportedContentEncoding { accepted: CODINGS, detail });
            }
        }
    }
    Ok(found)
}

fn refused_coding(name: &str) -> Problem {
    let detail = match shown(name) {
        Some(name) => {
            format!("The Content-Encoding {name} is not supported; use {}.", CODINGS.join(", "))
        }
        None => format!("The Content-Encoding is not a coding; use {}.", CODINGS.join(", ")),
    };
    Problem::UnsupportedContentEncoding { accepted: CODINGS, detail }
}

/// Whether the client waits for `100 Continue` before it sends the body.
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    // Without lists and quotes: no client sends them.
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Returns the announced length. actix has already refused values other than numbers.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap()))
            .collect()
    }

    #[test]
    fn media_type_is_json_or_sent_for_it_by_browsers() {
        assert!(check_media_type(&HeaderMap::new()).is_ok(), "no Content-Type");
        for (content_type, accepted) in [
            ("application/json", true),
            ("Application/JSON; Charset=UTF-8", true),
            ("application/json;charset=\"utf8\"", true),
            ("application/json; profile=x;", true),
            ("application/vnd.acme+json", true),
            ("text/plain", true),
            ("text/plain;charset=UTF-8", true),
            ("", true),
            ("application/+json", false),
            ("application/json5", false),
            ("text/json", false),
            ("text/plain; charset=iso-8859-1", false),
            ("application/json; charset=utf-16", false),
            ("application/json; charset=", false),
            ("application/x-www-form-urlencoded", false),
            ("multipart/form-data; boundary=x", false),
            ("application/jsön", false),
        ] {
            let result = check_media_type(&headers(CONTENT_TYPE, &[content_type]));
            assert_eq!(result.is_ok(), accepted, "{content_type:?}");
        }
    }

    #[test]
    fn coding_is_one_of_the_supported_ones() {
        for (values, expected) in [
            (&[][..], None),
            (&[""], None),
            (&["identity"], None),
            (&["gzip"], Some(Coding::Gzip)),
            (&["X-GZIP"], Some(Coding::Gzip)),
            (&[" br "], Some(Coding::Brotli)),
            (&["zstd"], Some(Coding::Zstd)),
            (&["deflate, identity"], Some(Coding::Deflate)),
        ] {
            let found = coding(&headers(CONTENT_ENCODING, values)).unwrap();
            assert_eq!(found, expected, "{values:?}");
        }
    }

    #[test]
    fn several_or_unknown_codings_are_refused() {
        for values in [
            &["gzip, gzip"][..],
            &["gzip", "br"],
            &["compress"],
            // Needs a shared dictionary (RFC 9842).
            &["dcb"],
            &["gzip;q=1"],
            &["gzíp"],
        ] {
            assert!(coding(&headers(CONTENT_ENCODING, values)).is_err(), "{values:?}");
        }
    }
}
