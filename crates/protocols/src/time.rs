//! Times of foreign bodies: RFC 3339, and Unix times in several units.
//!
//! A Unix time is read digit by digit: a float would move it by up to a microsecond. Whether it is
//! too old or in the future is for the rules of an event.

use std::borrow::Cow;

use mercurio_domain::Timestamp;
use mercurio_domain::payload::{text_of, type_of};
use mercurio_domain::verdict::FieldErrorCode;

/// Digits of a Unix time that count, more than any valid one has in nanoseconds.
const SIGNIFICANT_DIGITS: usize = 30;

/// Above this number, a time in seconds or milliseconds is in milliseconds: 1973, or the year 5138.
const MIN_MILLIS: i128 = 100_000_000_000;

/// Reads a time of sending in RFC 3339. Any other value counts as left out: it only corrects the
/// clock.
pub(crate) fn of_text(json: &str) -> Option<Timestamp> {
    Timestamp::parse(&text_of(json).ok()?).ok()
}

/// The unit of a Unix time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Seconds up to 10¹¹, and milliseconds above.
    SecondsOrMillis,
    /// Milliseconds.
    Millis,
    /// Nanoseconds.
    Nanos,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::SecondsOrMillis => "seconds or milliseconds",
            Self::Millis => "milliseconds",
            Self::Nanos => "nanoseconds",
        }
    }
}

/// The reason a JSON value is not a time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotTime {
    pub(crate) code: FieldErrorCode,
    /// For a message, after the name of the member.
    pub(crate) predicate: String,
}

/// Reads a Unix time: a JSON number, or a text with one. Digits after the microseconds are cut off.
///
/// # Errors
/// [`NotTime`] for another value, and outside the years 0000 to 9999.
pub(crate) fn of_unix(json: &str, unit: Unit) -> Result<Timestamp, NotTime> {
    let text = if json.starts_with('"') { text_of(json).ok() } else { Some(json.into()) };
    let Some(number) = text.as_deref().and_then(|text| Decimal::read(text.trim())) else {
        let found = if json.starts_with('"') { "a text without a number" } else { type_of(json) };
        let predicate = format!("is {found}; Unix time in {} is expected", unit.name());
        return Err(NotTime { code: FieldErrorCode::WrongType, predicate });
    };
    let micros = number.micros(unit).and_then(|micros| i64::try_from(micros).ok());
    micros.and_then(Timestamp::from_micros).ok_or_else(|| {
        let predicate =
            format!("is outside the years 0000 to 9999; Unix time in {} is expected", unit.name());
        NotTime { code: FieldErrorCode::InvalidTimestamp, predicate }
    })
}

/// Returns the time of an event as its draft holds it. A text without a number stays: it may be
/// RFC 3339, or another text, which the rules then refuse.
///
/// # Errors
/// As [`of_unix`].
pub(crate) fn draft_time(json: &str, unit: Unit) -> Result<Cow<'_, str>, NotTime> {
    match of_unix(json, unit) {
        Ok(time) => Ok(time.to_string().into()),
        Err(error) if error.code == FieldErrorCode::WrongType => text_of(json).map_err(|_| error),
        Err(error) => Err(error),
    }
}

/// Returns whether a time is more exact than a second: within one, the same event can happen again.
pub(crate) fn is_exact(time: Timestamp) -> bool {
    time.as_micros() % 1_000_000 != 0
}

/// A decimal number: `mantissa` times ten to the power of `exponent`.
struct Decimal {
    mantissa: i128,
    exponent: i32,
}

impl Decimal {
    /// Reads a number in JSON's form, but also with leading zeros.
    fn read(text: &str) -> Option<Self> {
        let (is_negative, text) =
            text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (digits, power) = match text.split_once(['e', 'E']) {
            Some((digits, power)) => (digits, read_power(power)?),
            None => (text, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = [whole, fraction]
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        if !is_number {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let mut number = Self { mantissa: 0, exponent: power };
        for (index, digit) in whole.bytes().chain(fraction.bytes()).enumerate() {
            let is_fraction = index >= whole.len();
            if index < SIGNIFICANT_DIGITS {
                number.mantissa = number.mantissa * 10 + i128::from(digit - b'0');
                number.exponent = number.exponent.saturating_sub(i32::from(is_fraction));
            } else {
                number.exponent = number.exponent.saturating_add(i32::from(!is_fraction));
            }
        }
        if is_negative {
            number.mantissa = -number.mantissa;
        }
        Some(number)
    }

    /// Returns the whole part of the number times ten to the power of `power`; `None` for one that
    /// is too large.
    fn scaled(&self, power: i32) -> Option<i128> {
        let power = self.exponent.saturating_add(power);
        let factor = 10_i128.checked_pow(power.unsigned_abs());
        match (power >= 0, factor) {
            _ if self.mantissa == 0 => Some(0),
            (true, Some(factor)) => self.mantissa.checked_mul(factor),
            (true, None) => None,
            (false, Some(factor)) => Some(self.mantissa / factor),
            (false, None) => Some(0),
        }
    }

    fn micros(&self, unit: Unit) -> Option<i128> {
        self.scaled(match unit {
            Unit::Millis => 3,
            Unit::Nanos => -3,
            Unit::SecondsOrMillis if self.scaled(0)? > MIN_MILLIS => 3,
            Unit::SecondsOrMillis => 6,
        })
    }
}

/// Reads the exponent of a number. One beyond an `i32` is as good as the largest.
fn read_power(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let power = digits.parse().unwrap_or(i32::MAX);
    Some(if text.starts_with('-') { -power } else { power })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(json: &str, unit: Unit) -> Result<String, FieldErrorCode> {
        of_unix(json, unit).map(|time| time.to_string()).map_err(|error| error.code)
    }

    #[test]
    fn unix_time_is_exact_to_the_microsecond() {
        use Unit::{Millis, Nanos, SecondsOrMillis};
        for (json, unit, expected) in [
            ("1795849839396", Millis, "2026-11-28T07:10:39.396000Z"),
            ("\"1795849839396\"", Millis, "2026-11-28T07:10:39.396000Z"),
            ("\" 01795849839396 \"", Millis, "2026-11-28T07:10:39.396000Z"),
            ("1795849839396.0", Millis, "2026-11-28T07:10:39.396000Z"),
            ("1.795849839396E+12", Millis, "2026-11-28T07:10:39.396000Z"),
            ("1795849839396123e-3", Millis, "2026-11-28T07:10:39.396123Z"),
            ("1795849839396.1239", Millis, "2026-11-28T07:10:39.396123Z"),
            ("1795849839", SecondsOrMillis, "2026-11-28T07:10:39.000000Z"),
            // As a float it would end in 1 or 3.
            ("1795849839.3961229", SecondsOrMillis, "2026-11-28T07:10:39.396122Z"),
            ("1795849839396", SecondsOrMillis, "2026-11-28T07:10:39.396000Z"),
            ("1795849839.396e3", SecondsOrMillis, "2026-11-28T07:10:39.396000Z"),
            ("100000000000", SecondsOrMillis, "5138-11-16T09:46:40.000000Z"),
            ("100000000001", SecondsOrMillis, "1973-03-03T09:46:40.001000Z"),
            ("1795849839396123456", Nanos, "2026-11-28T07:10:39.396123Z"),
            ("\"1795849839396123456\"", Nanos, "2026-11-28T07:10:39.396123Z"),
            ("0", Millis, "1970-01-01T00:00:00.000000Z"),
            ("0e999999999999", Millis, "1970-01-01T00:00:00.000000Z"),
            ("1e-999999999999", Millis, "1970-01-01T00:00:00.000000Z"),
            ("-1500", Millis, "1969-12-31T23:59:58.500000Z"),
            ("4102444800000", Millis, "2100-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(read(json, unit).as_deref(), Ok(expected), "{json}");
        }
    }

    #[test]
    fn other_values_are_not_a_time() {
        for json in ["true", "{}", "[1]", "\"\"", "\"now\"", "\"0x1\"", "\"1_0\"", "\"\\ud800\""] {
            assert_eq!(read(json, Unit::Millis), Err(FieldErrorCode::WrongType), "{json}");
        }
        for json in
            ["\".\"", "\"1.\"", "\".5\"", "\"+1\"", "\"--1\"", "\"1e\"", "\"1e+-1\"", "\"e1\""]
        {
            assert_eq!(read(json, Unit::Millis), Err(FieldErrorCode::WrongType), "{json}");
        }
        let long = format!("1{}", "0".repeat(1_000));
        for json in ["1e999999999999", "1e30", "253402300800000", "-62167219200001", &long] {
            assert_eq!(read(json, Unit::Millis), Err(FieldErrorCode::InvalidTimestamp), "{json}");
        }
        let error = of_unix("\"now\"", Unit::Nanos).unwrap_err();
        let expected = "is a text without a number; Unix time in nanoseconds is expected";
        assert_eq!(error.predicate, expected);
    }

    #[test]
    fn text_without_a_number_is_left_to_the_rules() {
        let time = |json| draft_time(json, Unit::SecondsOrMillis);
        assert_eq!(time("\"2026-11-28T07:00:00Z\"").as_deref(), Ok("2026-11-28T07:00:00Z"));
        assert_eq!(time("\"now\"").as_deref(), Ok("now"));
        assert_eq!(time("1795849839").as_deref(), Ok("2026-11-28T07:10:39.000000Z"));
        assert_eq!(time("[]").unwrap_err().code, FieldErrorCode::WrongType);
        assert_eq!(time("1e30").unwrap_err().code, FieldErrorCode::InvalidTimestamp);
    }

    proptest! {
        #[test]
        fn every_form_of_a_number_is_the_same_time(micros in -62_167_219_200_000_000_i64..253_402_300_800_000_000) {
            let sign = if micros < 0 { "-" } else { "" };
            let digits = micros.unsigned_abs();
            let expected = Timestamp::from_micros(micros).unwrap();
            for json in [
                format!("{sign}{}.{:03}", digits / 1_000, digits % 1_000),
                format!("\"{sign}{}.{:03}000\"", digits / 1_000, digits % 1_000),
                format!("{sign}{digits}e-3"),
                format!("{sign}{}.{:06}E3", digits / 1_000_000, digits % 1_000_000),
            ] {
                prop_assert_eq!(of_unix(&json, Unit::Millis).unwrap(), expected);
            }
            prop_assert_eq!(of_unix(&format!("{sign}{digits}000"), Unit::Nanos).unwrap(), expected);
        }

        #[test]
        fn no_text_panics(text in "[-+.eE0-9]{0,40}") {
            for unit in [Unit::SecondsOrMillis, Unit::Millis, Unit::Nanos] {
                of_unix(&text, unit).ok();
                of_unix(&format!("\"{text}\""), unit).ok();
            }
        }
    }
}
