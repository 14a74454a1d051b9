//! Error responses written by actix-http without the app. Only this file depends on their exact
//! bytes.
//!
//! The contract promises `application/problem+json` for every error, also for requests that never
//! reach the app: malformed HTTP, oversized or slow heads. actix-http answers those itself with an
//! empty 400, 408 or 431 and has no hook for them, only `send_error_response` in
//! <https://docs.rs/crate/actix-http/3.20.0/source/src/h1/dispatcher.rs>. Such a response
//!
//! - is the last one of its connection and ends a write,
//! - has no headers except `content-length`, `connection` and `date`. Every response of the app has
//!   `x-request-id`.
//!
//! A test fails if the version of actix-http changes: read `send_error_response` again before
//! raising it.

use actix_web::http::StatusCode;

/// actix-http's own heads have about 120 bytes.
const MAX_HEAD_BYTES: usize = 192;

/// A response of actix-http without a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BareResponse<'a> {
    /// Its offset in the write.
    pub(super) start: usize,
    pub(super) status: StatusCode,
    pub(super) date: Option<&'a str>,
}

impl<'a> BareResponse<'a> {
    /// Finds a bare response at the end of a write. For nearly every other write this compares only
    /// four bytes.
    pub(super) fn find(written: &'a [u8]) -> Option<Self> {
        // A JSON body never ends so: its last byte is a brace.
        if !written.ends_with(b"\r\n\r\n") {
            return None;
        }
        let tail_start = written.len().saturating_sub(MAX_HEAD_BYTES);
        // From the end: earlier responses of a pipeline may share the write.
        let in_tail = written[tail_start..].windows(7).rposition(|window| window == b"HTTP/1.")?;
        let start = tail_start + in_tail;
        let mut lines =
            std::str::from_utf8(&written[start..]).ok()?.strip_suffix("\r\n\r\n")?.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let status = StatusCode::from_u16(status).ok().filter(|status| status.as_u16() >= 400)?;
        let (mut empty, mut date) = (false, None);
        for line in lines {
            match line.split_once(": ")? {
                ("content-length", "0") => empty = true,
                ("connection", _) => {}
                ("date", value) => date = Some(value),
                // Any other header, such as `x-request-id`, comes from the app.
                _ => return None,
            }
        }
        empty.then_some(Self { start, status, date })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `find` was compared with `send_error_response` of this version.
    const ACTIX_HTTP_VERSION: &str = "3.20.0";

    #[test]
    fn actix_http_has_the_version_this_was_written_for() {
        let lock = include_str!("../../../../Cargo.lock");
        let locked: Vec<&str> = lock
            .split("[[package]]\nname = \"actix-http\"\nversion = \"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert_eq!(locked, [ACTIX_HTTP_VERSION]);
    }

    #[test]
    fn bare_response_is_found_only_at_the_end_of_a_write() {
        let date = "date: Sun, 22 Nov 2026 10:00:00 GMT";
        let bare = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n{date}\r\n\r\n"
        );
        let large_head = bare.replace("400 Bad Request", "431 Request Header Fields Too Large");
        let of_app = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-request-id: a\r\n\r\n{}";
        for (written, expected) in [
            (bare.clone(), Some((0, 400))),
            (large_head, Some((0, 431))),
            (bare.replace("HTTP/1.1", "HTTP/1.0"), Some((0, 400))),
            (format!("{of_app}{bare}"), Some((of_app.len(), 400))),
            (format!("{}{bare}", "x".repeat(100_000)), Some((100_000, 400))),
            (of_app.to_owned(), None),
            (format!("{bare}{of_app}"), None),
            (bare.replace("400 Bad Request", "200 OK"), None),
            (bare.replace("date", "x-request-id: a\r\ndate"), None),
            (bare.replace("content-length: 0", "content-length: 5"), None),
            (bare.replace("content-length: 0\r\n", ""), None),
            (bare[1..].to_owned(), None),
            (bare[..bare.len() - 1].to_owned(), None),
            ("\r\n\r\n".to_owned(), None),
            (String::new(), None),
        ] {
            let found = BareResponse::find(written.as_bytes());
            let found = found.map(|response| (response.start, response.status.as_u16()));
            assert_eq!(found, expected, "{written:?}");
        }
    }
}
