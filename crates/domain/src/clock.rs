//! Time: [`Timestamp`], the only type for instants, and [`Clock`], the port to the present.
//!
//! Whole microseconds in UTC, because both databases store exactly these. Only start-up code knows
//! the system's clock.

use std::fmt;
use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, Duration, NaiveDate, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant in UTC, in whole microseconds, between the years 0000 and 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

/// The reason a text is not a [`Timestamp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Another form than RFC 3339, section 5.6, with an offset.
    #[error("not an RFC 3339 date and time with an offset, such as 2026-11-22T10:00:00.123456Z")]
    Form,
    /// The right form with an impossible day, time or offset, or outside the years 0000 to 9999.
    #[error("the date, time or offset does not exist or is outside the years 0000 to 9999")]
    Value,
}

/// The microseconds of the years 0000 to 9999, the range of RFC 3339. Both databases hold more.
const MICROS: RangeInclusive<i64> = -62_167_219_200_000_000..=253_402_300_799_999_999;
/// Bytes of a date and time without fraction and offset.
const FIELDS_BYTES: usize = 19;

impl Timestamp {
    /// Converts microseconds since 1970-01-01T00:00:00Z; `None` outside the years 0000 to 9999.
    #[must_use]
    pub fn from_micros(micros: i64) -> Option<Self> {
        DateTime::from_timestamp_micros(micros).filter(|_| MICROS.contains(&micros)).map(Self)
    }

    /// Converts microseconds since 1970-01-01T00:00:00Z; out of range, to the first or last
    /// instant.
    #[must_use]
    pub fn from_micros_clamped(micros: i64) -> Self {
        let micros = micros.clamp(*MICROS.start(), *MICROS.end());
        let instant = DateTime::from_timestamp_micros(micros);
        // chrono covers about 262,000 years each way.
        debug_assert!(instant.is_some(), "chrono has more years than RFC 3339");
        Self(instant.unwrap_or_default())
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0.timestamp_micros()
    }

    /// Converts to chrono's type.
    #[must_use]
    pub fn to_datetime(self) -> DateTime<Utc> {
        self.0
    }

    /// Reads a date and time by RFC 3339, section 5.6: `T` and an offset are required, in either
    /// case.
    ///
    /// Digits after the microseconds are cut off. A leap second (`:60`) is accepted at 23:59 UTC
    /// only and becomes the first instant of the next day, as in PostgreSQL and POSIX time.
    ///
    /// # Errors
    /// [`TimestampError`] for another form, or a day, time or offset that does not exist.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let (head, rest) =
            text.as_bytes().split_at_checked(FIELDS_BYTES).ok_or(TimestampError::Form)?;
        let fields = DateTimeFields::read(head).ok_or(TimestampError::Form)?;
        let fraction = Fraction::read(rest).ok_or(TimestampError::Form)?;
        let offset_minutes = read_offset(&rest[fraction.length..])?;
        fields.instant(fraction.micros, offset_minutes).ok_or(TimestampError::Value)
    }

    /// Adds `delta` microseconds; `None` if the result is out of range.
    #[must_use]
    pub fn checked_add_micros(self, delta: i64) -> Option<Self> {
        Self::from_micros(self.as_micros().checked_add(delta)?)
    }

    /// The start of the hour, in UTC.
    #[must_use]
    pub fn start_of_hour(self) -> Self {
        const HOUR: i64 = 3_600_000_000;
        let micros = self.as_micros();
        // `rem_euclid` rounds down before 1970 too; `%` would round towards it.
        Self::from_micros_clamped(micros - micros.rem_euclid(HOUR))
    }

    /// Microseconds from `earlier` to `self`; negative if `self` is earlier.
    #[must_use]
    pub fn micros_since(self, earlier: Self) -> i64 {
        // Both lie within 10,000 years, so the difference is far below 2^63.
        self.as_micros() - earlier.as_micros()
    }
}

/// A date and time of day, still without fraction and offset.
struct DateTimeFields {
    year: i32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
}

impl DateTimeFields {
    /// Reads 19 bytes: `2026-11-22T10:00:00`.
    fn read(head: &[u8]) -> Option<Self> {
        // By byte positions: a multi-byte character fails one of these tests or `digits`.
        let separated = head[4] == b'-'
            && head[7] == b'-'
            && matches!(head[10], b'T' | b't')
            && head[13] == b':'
            && head[16] == b':';
        if !separated {
            return None;
        }
        Some(Self {
            year: i32::try_from(digits(&head[0..4])?).ok()?,
            month: digits(&head[5..7])?,
            day: digits(&head[8..10])?,
            hour: digits(&head[11..13])?,
            minute: digits(&head[14..16])?,
            second: digits(&head[17..19])?,
        })
    }

    fn instant(&self, micros: u32, offset_minutes: i32) -> Option<Timestamp> {
        // chrono refuses a second 60: read the second before it and add one.
        let leap = self.second == 60;
        let second = if leap { 59 } else { self.second };
        let local = NaiveDate::from_ymd_opt(self.year, self.month, self.day)?
            .and_hms_micro_opt(self.hour, self.minute, second, micros)?
            .and_utc();
        // East of Greenwich the local time is ahead of UTC.
        let utc = local.checked_sub_signed(Duration::minutes(i64::from(offset_minutes)))?;
        // `from_micros` also refuses a year moved out of range by the offset.
        if !leap {
            return Timestamp::from_micros(utc.timestamp_micros());
        }
        // The International Earth Rotation Service inserts leap seconds only at midnight UTC.
        let next = utc.checked_add_signed(Duration::seconds(1))?;
        let at_midnight = next.timestamp().rem_euclid(86_400) == 0;
        at_midnight.then(|| Timestamp::from_micros(next.timestamp_micros() - i64::from(micros)))?
    }
}

fn digits(bytes: &[u8]) -> Option<u32> {
    // Not `str::parse`, which accepts a sign.
    bytes.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0'))
    })
}

/// The fraction of a second.
struct Fraction {
    micros: u32,
    /// Bytes of its text, with the point; 0 without a fraction.
    length: usize,
}

impl Fraction {
    /// Reads `.123456…` at the beginning of `bytes`.
    fn read(bytes: &[u8]) -> Option<Self> {
        let Some((b'.', fraction)) = bytes.split_first() else {
            return Some(Self { micros: 0, length: 0 });
        };
        let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        // RFC 3339 requires a digit after the point.
        if length == 0 {
            return None;
        }
        // Both databases store microseconds. Rounding up could move an event into the next day.
        let kept = length.min(6);
        let micros = digits(&fraction[..kept])? * 10_u32.pow(6 - u32::try_from(kept).ok()?);
        Some(Self { micros, length: 1 + length })
    }
}

/// Reads `Z` or `+02:00`; returns minutes east of UTC.
fn read_offset(bytes: &[u8]) -> Result<i32, TimestampError> {
    let [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = bytes else {
        return if matches!(bytes, [b'Z' | b'z']) { Ok(0) } else { Err(TimestampError::Form) };
    };
    let hours = digits(&[*h1, *h2]).ok_or(TimestampError::Form)?;
    let minutes = digits(&[*m1, *m2]).ok_or(TimestampError::Form)?;
    // The grammar of RFC 3339 allows offsets up to 23:59, not only those in use.
    if hours > 23 || minutes > 59 {
        return Err(TimestampError::Value);
    }
    let east = i32::try_from(hours * 60 + minutes).map_err(|_| TimestampError::Value)?;
    Ok(if *sign == b'-' { -east } else { east })
}

impl From<DateTime<Utc>> for Timestamp {
    /// Cuts off fractions of a microsecond. An instant out of range becomes the first or last one.
    fn from(instant: DateTime<Utc>) -> Self {
        Self::from_micros_clamped(instant.timestamp_micros())
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with microseconds: `2026-11-22T10:00:00.123456Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not by chrono, which parses its pattern at each call: every response has a time.
        let (seconds, micros) =
            (self.0.num_seconds_from_midnight(), self.0.timestamp_subsec_micros());
        // The separators stay; only the digits are written.
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        write_digits(&mut text[0..4], self.0.year().unsigned_abs());
        write_digits(&mut text[5..7], self.0.month());
        write_digits(&mut text[8..10], self.0.day());
        write_digits(&mut text[11..13], seconds / 3600);
        write_digits(&mut text[14..16], seconds / 60 % 60);
        write_digits(&mut text[17..19], seconds % 60);
        write_digits(&mut text[20..26], micros);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

fn write_digits(text: &mut [u8], mut value: u32) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    debug_assert_eq!(value, 0, "the value fits into its digits");
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The source of the present, so that tests can choose it.
pub trait Clock: Send + Sync {
    /// The present. It can go back, when the machine's clock is set back.
    fn now(&self) -> Timestamp;
}

/// Converts a client's time to the server's clock: `received_at - (sent_at - timestamp)`.
///
/// One clock, the client's, measures the delay between event and sending, so the delay is right
/// even if that clock is wrong (the rule of Segment's `sentAt`). `None` if the result is out of
/// range.
#[must_use]
pub fn corrected(
    timestamp: Timestamp,
    sent_at: Timestamp,
    received_at: Timestamp,
) -> Option<Timestamp> {
    received_at.checked_add_micros(sent_at.micros_since(timestamp).checked_neg()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, TimestampError>) {
        let read = Timestamp::parse(text).map(|timestamp| timestamp.to_string());
        assert_eq!(read, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn hour_starts_at_or_before_its_instants_also_before_1970() {
        for (time, start) in [
            ("2026-11-22T10:59:59.999999Z", "2026-11-22T10:00:00Z"),
            ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
            ("1969-12-31T23:30:00Z", "1969-12-31T23:00:00Z"),
            // The offset moves the instant into another hour and month.
            ("2026-12-01T00:15:00+01:30", "2026-11-30T22:00:00Z"),
        ] {
            let at = |text| Timestamp::parse(text).unwrap();
            assert_eq!(at(time).start_of_hour(), at(start), "{time}");
        }
    }

    #[test]
    fn time_with_an_offset_is_read_to_the_microsecond() {
        check("2026-11-22T10:00:00Z", Ok("2026-11-22T10:00:00.000000Z"));
        // RFC 3339 allows lower-case letters.
        check("2026-11-22t10:00:00.5z", Ok("2026-11-22T10:00:00.500000Z"));
        check("2026-11-22T10:00:00.1234567891+02:00", Ok("2026-11-22T08:00:00.123456Z"));
        check("2026-11-22T10:00:00-00:30", Ok("2026-11-22T10:30:00.000000Z"));
        check("2024-02-29T23:59:59Z", Ok("2024-02-29T23:59:59.000000Z"));
        check("9999-12-31T23:59:59Z", Ok("9999-12-31T23:59:59.000000Z"));
        check("0000-01-01T00:00:00Z", Ok("0000-01-01T00:00:00.000000Z"));
    }

    #[test]
    fn instant_outside_the_years_0000_to_9999_is_refused() {
        for text in [
            // The offset moves a valid local time out of range.
            "0000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            // A leap second becomes the next day, of the year 10000.
            "9999-12-31T23:59:60Z",
            "9999-12-31T23:59:59.999999-23:59",
        ] {
            check(text, Err(TimestampError::Value));
        }
        check("0000-01-01T00:01:00+00:01", Ok("0000-01-01T00:00:00.000000Z"));
        check("9999-12-31T23:58:59.999999999-00:01", Ok("9999-12-31T23:59:59.999999Z"));
        let [first, last] =
            ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"].map(Timestamp::parse);
        let (first, last) = (first.unwrap(), last.unwrap());
        assert_eq!(Timestamp::from_micros(first.as_micros()), Some(first));
        assert_eq!(Timestamp::from_micros(last.as_micros()), Some(last));
        for (bound, delta) in [(first, -1), (last, 1)] {
            assert_eq!(Timestamp::from_micros(bound.as_micros() + delta), None);
            assert_eq!(bound.checked_add_micros(delta), None);
        }
        assert_eq!(
            (Timestamp::from(DateTime::<Utc>::MIN_UTC), Timestamp::from(DateTime::<Utc>::MAX_UTC)),
            (first, last)
        );
        // Differences of nearly 10,000 years do not overflow.
        assert_eq!(corrected(first, last, first), None);
        assert_eq!(corrected(last, first, last), None);
    }

    #[test]
    fn leap_second_is_taken_only_at_the_end_of_a_utc_day() {
        check("2016-12-31T23:59:60Z", Ok("2017-01-01T00:00:00.000000Z"));
        check("2017-01-01T00:59:60.25+01:00", Ok("2017-01-01T00:00:00.000000Z"));
        // 22:59 UTC is not midnight, and no minute has 62 seconds.
        check("2016-12-31T22:59:60Z", Err(TimestampError::Value));
        check("2016-12-31T23:59:61Z", Err(TimestampError::Value));
    }

    #[test]
    fn text_other_than_rfc_3339_is_refused() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T10:00:00",
            "2026-11-22 10:00:00Z",
            "2026-1-1T0:0:0Z",
            "2026-11-22T10:00Z",
            "2026-11-22T10:00:00.Z",
            "2026-11-22T10:00:00+0200",
            "2026-11-22T10:00:00+2:00",
            "1700000000",
            "now",
            "+2026-11-22T10:00:00Z",
            "2026-11-22T10:00:00Z ",
            // A full-width digit has three bytes.
            "２026-11-22T10:00:00Z",
            "2026-11-22T10:00:00Zé",
        ] {
            check(text, Err(TimestampError::Form));
        }
    }

    #[test]
    fn day_or_time_that_does_not_exist_is_refused() {
        for text in [
            "2026-02-29T10:00:00Z",
            "2026-13-01T10:00:00Z",
            "2026-00-01T10:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T10:60:00Z",
            "2026-11-22T10:00:00+24:00",
            "2026-11-22T10:00:00+01:60",
        ] {
            check(text, Err(TimestampError::Value));
        }
    }

    #[test]
    fn wrong_client_clock_cancels_out() {
        let at = |text| Timestamp::parse(text).unwrap();
        let corrected = corrected(
            // The client's clock is years ahead, but its 10 seconds are right.
            at("2030-01-01T00:00:00Z"),
            at("2030-01-01T00:00:10Z"),
            at("2026-11-22T10:00:00Z"),
        );
        assert_eq!(corrected, Some(at("2026-11-22T09:59:50Z")));
    }
}
