//! Paths that disguise a route by needless percent-encoding: `/%6detrics` for `/metrics`.
//!
//! The router decodes such escapes (RFC 3986, section 6.2.2.2), but a proxy that keeps strangers
//! away from `/metrics` may compare the path as sent. So they lead to no route.

use actix_web::http::Method;
use percent_encoding::percent_decode_str;

/// Event ids may be escaped in any way.
const BEFORE_EVENT_ID: &str = "/v1/events/";

/// Returns whether a path, as sent, has an escaped letter, digit, `-`, `.`, `_` or `~`, except in an
/// event id.
pub(crate) fn is_disguised(method: &Method, path: &str) -> bool {
    if !path.contains('%') {
        return false;
    }
    let reads_event = matches!(*method, Method::GET | Method::HEAD);
    if reads_event && path.starts_with(BEFORE_EVENT_ID) {
        return false;
    }
    path.match_indices('%').any(|(start, _)| {
        let escape = path.get(start..start + 3).unwrap_or_default();
        let mut decoded = percent_decode_str(escape);
        // An incomplete escape stays as it is, and begins with a percent sign.
        decoded.next().is_some_and(is_unreserved)
    })
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_unreserved_characters_disguise_a_path() {
        for (method, path, expected) in [
            (Method::GET, "/metrics", false),
            (Method::GET, "/%6detrics", true),
            (Method::GET, "/metric%73", true),
            (Method::GET, "/%6Detrics", true),
            (Method::GET, "/v1/%65vents/a", true),
            (Method::GET, "/problems/not%5Ffound", true),
            // An event id, as sent by clients that escape more than they must.
            (Method::GET, "/v1/events/%61%2Fb", false),
            (Method::HEAD, "/v1/events/%61", false),
            (Method::POST, "/v1/events/%74rack", true),
            // Reserved characters are no other spelling of a route.
            (Method::GET, "/a%2Fb%20", false),
            (Method::GET, "/a%", false),
            (Method::GET, "/a%6", false),
            (Method::GET, "/a%zz", false),
        ] {
            assert_eq!(is_disguised(&method, path), expected, "{method} {path}");
        }
    }
}
