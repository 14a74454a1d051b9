//! The headers that describe a body: media type, coding and length.

use super::decode::Coding;
use crate::problem::Problem;
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
            Err(Problem::UnsupportedMediaType { accepted: MEDIA_TYPES })
        }
        _ => Ok(()),
    }
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
    let refused = || Problem::UnsupportedContentEncoding { accepted: CODINGS };
    let mut found = None;
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.to_str().map_err(|_| refused())?.split(',').map(str::trim) {
            let coding = match name.to_ascii_lowercase().as_str() {
                // An empty element of a list has no meaning (RFC 9110, 5.6.1).
                "" | "identity" => continue,
                // An old name that recipients should accept (RFC 9110, 8.4.1.3).
                "gzip" | "x-gzip" => Coding::Gzip,
                "br" => Coding::Brotli,
                "zstd" => Coding::Zstd,
                "deflate" => Coding::Deflate,
                _ => return Err(refused()),
            };
            // A second coding, also in a second header.
            if found.replace(coding).is_some() {
                return Err(refused());
            }
        }
    }
    Ok(found)
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
