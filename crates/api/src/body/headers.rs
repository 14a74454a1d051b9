//! What a request's headers say about its body: its media type, its coding, its length.
//!
//! Not here: reading the body.

use super::decode::Coding;
use crate::problem::Problem;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};

/// What is read as JSON, as a client is told.
pub(crate) const MEDIA_TYPES: &[&str] = &["application/json", "application/*+json", "text/plain"];

/// What is decoded, as a client is told.
pub(crate) const CODINGS: &[&str] = &["gzip", "br", "zstd", "deflate", "identity"];

/// Refuses a body that is not JSON by its `Content-Type`. None and `text/plain` stand for JSON: a browser's
/// `sendBeacon` sends those.
pub(super) fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(CONTENT_TYPE) {
        Some(value) if !value.to_str().is_ok_and(is_json) => {
            Err(Problem::UnsupportedMediaType { accepted: MEDIA_TYPES })
        }
        _ => Ok(()),
    }
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    let subtype = media_type.strip_prefix("application/");
    let known = matches!(media_type.as_str(), "" | "application/json" | "text/plain")
        || subtype
            .is_some_and(|subtype| subtype.len() > "+json".len() && subtype.ends_with("+json"));
    known && parts.all(is_utf8_or_no_charset)
}

fn is_utf8_or_no_charset(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let value = value.trim().trim_matches('"');
    !name.trim().eq_ignore_ascii_case("charset")
        || value.eq_ignore_ascii_case("utf-8")
        || value.eq_ignore_ascii_case("utf8")
}

/// The coding of the body; `None` where it is sent as it is. One coding at most: several would multiply what a small
/// body can grow to, and no client needs them.
pub(super) fn coding(headers: &HeaderMap) -> Result<Option<Coding>, Problem> {
    let refused = || Problem::UnsupportedContentEncoding { accepted: CODINGS };
    let mut found = None;
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.to_str().map_err(|_| refused())?.split(',').map(str::trim) {
            let coding = match name.to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "br" => Coding::Brotli,
                "zstd" => Coding::Zstd,
                "deflate" => Coding::Deflate,
                _ => return Err(refused()),
            };
            if found.replace(coding).is_some() {
                return Err(refused());
            }
        }
    }
    Ok(found)
}

/// The bytes that are to come, where the client said so. The framework has refused values that are no number.
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
    fn json_and_what_browsers_send_for_it_is_read_and_no_other_type() {
        let check = |content_type: &str, read: bool| {
            let result = check_media_type(&headers(CONTENT_TYPE, &[content_type]));
            assert_eq!(result.is_ok(), read, "{content_type:?}");
        };
        assert!(check_media_type(&HeaderMap::new()).is_ok(), "no Content-Type");
        check("application/json", true);
        check("Application/JSON; Charset=UTF-8", true);
        check("application/json;charset=\"utf8\"", true);
        check("application/json; profile=x;", true);
        check("application/vnd.acme+json", true);
        check("text/plain", true);
        check("text/plain;charset=UTF-8", true);
        check("", true);
        check("application/+json", false);
        check("application/json5", false);
        check("text/json", false);
        check("text/plain; charset=iso-8859-1", false);
        check("application/json; charset=utf-16", false);
        check("application/json; charset=", false);
        check("application/x-www-form-urlencoded", false);
        check("multipart/form-data; boundary=x", false);
        check("application/jsön", false);
    }

    #[test]
    fn one_coding_is_taken_and_unknown_or_several_ones_are_refused() {
        let check = |values: &[&str], expected: Option<Option<Coding>>| {
            assert_eq!(coding(&headers(CONTENT_ENCODING, values)).ok(), expected, "{values:?}");
        };
        check(&[], Some(None));
        check(&[""], Some(None));
        check(&["identity"], Some(None));
        check(&["gzip"], Some(Some(Coding::Gzip)));
        check(&["X-GZIP"], Some(Some(Coding::Gzip)));
        check(&[" br "], Some(Some(Coding::Brotli)));
        check(&["zstd"], Some(Some(Coding::Zstd)));
        check(&["deflate, identity"], Some(Some(Coding::Deflate)));
        check(&["gzip, gzip"], None);
        check(&["gzip", "br"], None);
        check(&["compress"], None);
        check(&["dcb"], None);
        check(&["gzip;q=1"], None);
        check(&["gzíp"], None);
    }
}
