//! `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.

use std::time::{Duration, UNIX_EPOCH};

use mercurio_domain::Timestamp;

/// The longest pause a receiver can ask for. A wrong date must not end the forwarding.
pub const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Returns the pause in a value of the header, at most [`MAX_RETRY_AFTER`]. A past date is no pause;
/// `None` for any other text.
#[must_use]
pub fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a long time.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    }
    let date = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let now = Duration::from_micros(u64::try_from(now.as_micros()).ok()?);
    Some(date.saturating_sub(now).min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use mercurio_domain::testing::at;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn value_is_seconds_or_a_date() {
        let now = at("2026-11-29T10:00:00Z");
        for (value, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("3601", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("Sun, 29 Nov 2026 10:00:30 GMT", Some(30)),
            // The forms of RFC 850 and asctime.
            ("Sunday, 29-Nov-26 10:00:30 GMT", Some(30)),
            ("Sun Nov 29 10:00:30 2026", Some(30)),
            ("Sun, 29 Nov 2026 09:00:00 GMT", Some(0)),
            ("Mon, 30 Nov 2026 10:00:00 GMT", Some(3600)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(parse(value, now), seconds.map(Duration::from_secs), "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn any_value_is_bounded(value in ".{0,40}") {
            let pause = parse(&value, at("2026-11-29T10:00:00Z"));
            prop_assert!(pause.is_none_or(|pause| pause <= MAX_RETRY_AFTER));
        }
    }
}
