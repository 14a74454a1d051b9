//! Limits by name: the same one in settings, on the command line, in SQL and in JSON.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Limits;

macro_rules! limits {
    ($($(#[$doc:meta])+ $name:ident = $field:ident in $range:expr;)+) => {
        /// The name of one of the [`Limits`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum LimitName {
            $($(#[$doc])+ $name,)+
        }

        impl LimitName {
            /// Every name, in the order of display.
            pub const ALL: [Self; COUNT] = [$(Self::$name),+];

            /// The name in SQL, JSON and on the command line.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($field),)+
                }
            }

            /// The valid values.
            #[must_use]
            pub fn range(self) -> RangeInclusive<u64> {
                match self {
                    $(Self::$name => $range,)+
                }
            }
        }

        impl Limits {
            /// Returns a limit by name.
            #[must_use]
            pub fn get(&self, name: LimitName) -> u64 {
                match name {
                    $(LimitName::$name => self.$field as u64,)+
                }
            }

            /// Sets a limit by name. A value beyond its type becomes the largest of the type.
            pub fn set(&mut self, name: LimitName, value: u64) {
                match name {
                    // All limits are unsigned, so `!0` is the maximum of each type.
                    $(LimitName::$name => self.$field = value.try_into().unwrap_or(!0),)+
                }
            }
        }
    };
}

/// The number of limits.
const COUNT: usize = 14;

limits! {
    /// [`Limits::max_body_bytes`]
    // 64 MiB.
    MaxBodyBytes = max_body_bytes in 1024..=1 << 26;
    /// [`Limits::max_batch_events`]
    MaxBatchEvents = max_batch_events in 1..=10_000;
    /// [`Limits::max_event_bytes`]
    MaxEventBytes = max_event_bytes in 256..=1 << 26;
    /// [`Limits::max_event_age_days`]
    // A hundred years.
    MaxEventAgeDays = max_event_age_days in 0..=36_500;
    /// [`Limits::max_event_future_seconds`]
    // A year.
    MaxEventFutureSeconds = max_event_future_seconds in 0..=31_536_000;
    /// [`Limits::events_per_second`]
    EventsPerSecond = events_per_second in 0..=10_000_000;
    /// [`Limits::events_burst`]
    EventsBurst = events_burst in 0..=100_000_000;
    /// [`Limits::requests_per_second`]
    RequestsPerSecond = requests_per_second in 0..=1_000_000;
    /// [`Limits::requests_burst`]
    RequestsBurst = requests_burst in 0..=10_000_000;
    /// [`Limits::reads_per_second`]
    ReadsPerSecond = reads_per_second in 0..=1_000_000;
    /// [`Limits::reads_burst`]
    ReadsBurst = reads_burst in 0..=10_000_000;
    /// [`Limits::max_concurrent_reads`]
    MaxConcurrentReads = max_concurrent_reads in 1..=1_000;
    /// [`Limits::monthly_events`]
    MonthlyEvents = monthly_events in 0..=1_000_000_000_000;
    /// [`Limits::retention_days`]
    RetentionDays = retention_days in 0..=36_500;
}

/// The reason a text sets no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// No limit has this name.
    #[error("there is no limit {0:?}; the limits are {names}", names = names())]
    Unknown(String),
    /// The value is not a whole number in the range.
    #[error("{name} is {actual:?}; it must be a whole number from {min} to {max}")]
    OutOfRange {
        /// Name of the limit.
        name: LimitName,
        /// The text given, cut at 64 characters.
        actual: String,
        /// Smallest valid value.
        min: u64,
        /// Largest valid value.
        max: u64,
    },
}

fn names() -> String {
    LimitName::ALL.map(LimitName::as_str).join(", ")
}

impl LimitName {
    /// Reads a value for this limit.
    ///
    /// # Errors
    /// [`LimitError::OutOfRange`] for anything but a whole number in its range.
    pub fn parse_value(self, text: &str) -> Result<u64, LimitError> {
        let range = self.range();
        // White space is common in environment files.
        text.trim().parse().ok().filter(|value| range.contains(value)).ok_or_else(|| {
            LimitError::OutOfRange {
                name: self,
                actual: text.chars().take(64).collect(),
                min: *range.start(),
                max: *range.end(),
            }
        })
    }
}

impl FromStr for LimitName {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let unknown = || LimitError::Unknown(text.chars().take(64).collect());
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or_else(unknown)
    }
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A change of one of a tenant's own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitChange {
    /// The limit to change.
    pub name: LimitName,
    /// The tenant's own value. `None` returns to the server's.
    pub value: Option<u64>,
}

/// A tenant's own limits, each in place of the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitOverrides([Option<u64>; COUNT]);

impl LimitOverrides {
    /// Returns the tenant's own value.
    #[must_use]
    pub fn get(&self, name: LimitName) -> Option<u64> {
        self.0[name as usize]
    }

    /// Sets or removes the tenant's own value.
    pub fn set(&mut self, name: LimitName, value: Option<u64>) {
        self.0[name as usize] = value;
    }

    /// Iterates over the tenant's own values, in the order of [`LimitName::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (LimitName, u64)> + '_ {
        LimitName::ALL.into_iter().filter_map(|name| Some((name, self.get(name)?)))
    }

    /// Applies the overrides to the server's `limits`.
    #[must_use]
    pub fn over(&self, mut limits: Limits) -> Limits {
        for (name, value) in self.iter() {
            limits.set(name, value);
        }
        limits
    }
}

impl Serialize for LimitOverrides {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.iter() {
            map.serialize_entry(name.as_str(), &value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_has_its_name_in_json_and_its_default_in_range() {
        let json = serde_json::to_value(Limits::default()).unwrap();
        // A limit without a name could not be set.
        assert_eq!(json.as_object().unwrap().len(), LimitName::ALL.len());
        for name in LimitName::ALL {
            assert_eq!(json[name.as_str()], Limits::default().get(name), "{name}");
            assert!(name.range().contains(&Limits::default().get(name)), "{name}");
            assert_eq!(name.as_str().parse(), Ok(name));
        }
    }

    #[test]
    fn tenant_limits_override_those_of_the_server() {
        let mut overrides = LimitOverrides::default();
        // A distinct value for each limit finds two names mapped to one field.
        for (value, name) in (1000..).zip(LimitName::ALL) {
            overrides.set(name, Some(value));
            assert_eq!(overrides.over(Limits::default()).get(name), value);
        }
        for name in LimitName::ALL {
            overrides.set(name, None);
        }
        assert_eq!(overrides.over(Limits::default()), Limits::default());
    }

    #[test]
    fn value_out_of_range_is_refused_with_the_range() {
        assert_eq!(LimitName::MaxBatchEvents.parse_value(" 50 "), Ok(50));
        // Below, above, no whole number, empty, and beyond 64 bits.
        for text in ["0", "-1", "10001", "1e3", "", "99999999999999999999999"] {
            let error = LimitName::MaxBatchEvents.parse_value(text).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("max_batch_events is {text:?}; it must be a whole number from 1 to 10000")
            );
        }
        let error = "max_batches".parse::<LimitName>().unwrap_err().to_string();
        // The message lists the valid names.
        assert!(error.contains("\"max_batches\"") && error.contains("requests_burst"), "{error}");
    }

    #[test]
    fn bucket_always_holds_a_whole_batch() {
        // A batch has up to 50 events, more than the burst of 3.
        let limits = Limits { events_per_second: 2, events_burst: 3, ..Limits::default() };
        assert_eq!(
            limits.events_bucket().map(|bucket| (bucket.per_second, bucket.burst)),
            Some((2, 50))
        );
        let limits = Limits { requests_per_second: 7, events_per_second: 0, ..limits };
        assert_eq!(
            limits.requests_bucket().map(|bucket| (bucket.per_second, bucket.burst)),
            Some((7, 70))
        );
        assert_eq!(limits.events_bucket(), None);
    }
}
