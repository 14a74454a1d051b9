//! Times on the command line: a date, RFC 3339, or an age such as `30d`.

use std::time::Duration;

use mercurio_domain::Timestamp;
use mercurio_domain::clock::TimestampError;

const DAY_SECONDS: u64 = 86_400;
/// Leap days rounded up: every hundred years fit.
const MAX_SECONDS: u64 = 100 * 366 * DAY_SECONDS;

/// A time, fixed or relative to the moment the command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeArg {
    /// A date or a time.
    At(Timestamp),
    /// An age or a remaining time; the option says which.
    Away(Duration),
}

impl TimeArg {
    /// The time, counting an age back from `now`.
    pub(crate) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Away(age) => shifted(now, age, -1),
        }
    }

    /// The time, counting a remaining time from `now` on.
    pub(crate) fn after(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Away(length) => shifted(now, length, 1),
        }
    }
}

/// The command line limits lengths to 100 years, so only a clock near the year 9999 is clamped.
fn shifted(now: Timestamp, length: Duration, sign: i64) -> Timestamp {
    let micros = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros_clamped(now.as_micros().saturating_add(sign * micros))
}

/// Reads a time in the past, or an age.
pub(super) fn past(option: &str, text: &str, invalid: &mut Vec<String>) -> Option<TimeArg> {
    time(option, text, "an age such as 12h, 30d or 1y", invalid)
}

/// Reads a time in the future, or the time until then.
pub(super) fn future(option: &str, text: &str, invalid: &mut Vec<String>) -> Option<TimeArg> {
    time(option, text, "a time from now such as 12h, 30d or 1y", invalid)
}

fn time(option: &str, text: &str, length: &str, invalid: &mut Vec<String>) -> Option<TimeArg> {
    let trimmed = text.trim();
    if let Some(length) = parse_duration(trimmed) {
        return Some(TimeArg::Away(length));
    }
    // A date has ten characters, and is its midnight.
    let is_date = trimmed.len() == 10 && trimmed.is_ascii();
    let midnight = if is_date { format!("{trimmed}T00:00:00Z") } else { trimmed.to_owned() };
    match Timestamp::parse(&midnight) {
        Ok(time) => return Some(TimeArg::At(time)),
        Err(TimestampError::Value) => invalid.push(format!(
            "{option}: {text:?} does not exist: check the month, the day, the time and the offset"
        )),
        Err(_) => invalid.push(format!(
            "{option}: {text:?} is not a time: use a date such as 2026-11-01 (UTC), a time in \
             RFC 3339 such as 2026-11-01T10:00:00Z, or {length}"
        )),
    }
    None
}

/// Reads a duration such as `90d`, up to 100 years.
pub(super) fn duration(option: &str, text: &str, invalid: &mut Vec<String>) -> Option<Duration> {
    let duration = parse_duration(text.trim());
    if duration.is_none() {
        invalid.push(format!(
            "{option}: {text:?} is not a duration: use a number followed by s, m, h, d or y \
             (365 days), up to 100 years"
        ));
    }
    duration
}

fn parse_duration(text: &str) -> Option<Duration> {
    // By characters: the last one of `5é` has two bytes.
    let (unit_at, unit) = text.char_indices().next_back()?;
    let unit_seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => DAY_SECONDS,
        'y' => 365 * DAY_SECONDS,
        _ => return None,
    };
    // `parse` alone accepts a sign.
    let digits = Some(&text[..unit_at]).filter(|digits| !digits.starts_with('+'))?;
    let number: u64 = digits.parse().ok()?;
    let seconds = number.checked_mul(unit_seconds)?;
    // Bounded, so that adding it to a time stays before the year 10000.
    (seconds <= MAX_SECONDS).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use mercurio_domain::testing::at;

    use super::*;

    #[test]
    fn duration_needs_a_unit_and_has_a_limit() {
        let read = |text| duration("--overlap", text, &mut Vec::new());
        assert_eq!(read("0s"), Some(Duration::ZERO));
        assert_eq!(read(" 90d "), Some(Duration::from_secs(90 * 86_400)));
        assert_eq!(read("36h"), Some(Duration::from_secs(36 * 3_600)));
        assert_eq!(read("1y"), read("365d"));
        assert!(read("100y").is_some());
        for text in [
            "",
            "d",
            "5",
            "-1d",
            "+1d",
            "1.5h",
            "1w",
            "1Y",
            "101y",
            "99999999999999999999d",
            "1000000d",
            "5é",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn date_time_and_age_are_times() {
        let now = at("2026-11-28T10:30:00Z");
        let read = |text| past("--from", text, &mut Vec::new()).map(|time| time.before(now));
        for (text, expected) in [
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            (" 2026-11-01 ", "2026-11-01T00:00:00Z"),
            ("2026-11-01T10:00:00+02:00", "2026-11-01T08:00:00Z"),
            ("0s", "2026-11-28T10:30:00Z"),
            ("12h", "2026-11-27T22:30:00Z"),
            ("30d", "2026-10-29T10:30:00Z"),
            // 365 days, over the leap day of 2024.
            ("3y", "2023-11-29T10:30:00Z"),
        ] {
            assert_eq!(read(text), Some(at(expected)), "{text}");
        }
        let ahead = future("--expires", "1y", &mut Vec::new()).map(|time| time.after(now));
        assert_eq!(ahead, Some(at("2027-11-28T10:30:00Z")));
        for text in ["", "yesterday", "2026-11", "26-11-01", "2026/11/01", "2026-11-01T10:00", "30"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn impossible_day_is_told_from_another_form() {
        for (text, part) in [
            ("2026-02-30", "does not exist"),
            ("2026-11-01T25:00:00Z", "does not exist"),
            ("1 November", "2026-11-01 (UTC)"),
            ("30 days", "an age such as 12h, 30d or 1y"),
        ] {
            let mut invalid = Vec::new();
            assert_eq!(past("--from", text, &mut invalid), None);
            assert!(invalid[0].starts_with("--from: ") && invalid[0].contains(part), "{invalid:?}");
        }
    }
}
