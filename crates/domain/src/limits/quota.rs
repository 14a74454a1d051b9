//! The monthly quota: its month, and the error for a request over it.

use chrono::{Datelike, NaiveDate};
use serde::{Serialize, Serializer};

use crate::clock::Timestamp;

/// A calendar month in UTC. A quota counts the events received in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i32,
    /// 1 to 12.
    month: u32,
}

impl Month {
    /// The month of an instant.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        let day = time.to_datetime().date_naive();
        Self { year: day.year(), month: day.month() }
    }

    /// The year and month as one ascending number: 202611.
    #[must_use]
    pub fn number(self) -> i32 {
        // Sorts like time, and SQL computes it by `to_char(…, 'YYYYMM')`.
        self.year * 100 + self.month as i32
    }

    /// Its first instant.
    #[must_use]
    pub fn begins_at(self) -> Timestamp {
        let first = NaiveDate::from_ymd_opt(self.year, self.month, 1);
        debug_assert!(first.is_some(), "{self:?} is the month of an instant, or the one after it");
        // The month after December 9999 is out of range and becomes its last instant.
        first.unwrap_or_default().and_time(chrono::NaiveTime::MIN).and_utc().into()
    }

    /// The first instant of the next month.
    #[must_use]
    pub fn renews_at(self) -> Timestamp {
        let next = if self.month == 12 {
            Self { year: self.year + 1, month: 1 }
        } else {
            Self { month: self.month + 1, ..self }
        };
        next.begins_at()
    }
}

impl Serialize for Month {
    /// `"2026-11"`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:04}-{:02}", self.year, self.month))
    }
}

/// The monthly quota has no room for all events of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{used} of the month's {limit} events are used")]
pub struct QuotaExceeded {
    /// Events the tenant may store in the month.
    pub limit: u64,
    /// Events the tenant has stored in it.
    pub used: u64,
    /// The month of receipt.
    pub month: Month,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn month_lasts_until_the_first_instant_of_the_next() {
        for (time, number, begins, renews) in [
            (
                "2026-11-30T23:59:59.999999Z",
                202_611,
                "2026-11-01T00:00:00Z",
                "2026-12-01T00:00:00Z",
            ),
            ("2026-12-01T00:00:00Z", 202_612, "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            // By UTC it is still December.
            ("2027-01-01T00:30:00+01:00", 202_612, "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ] {
            let at = |text| Timestamp::parse(text).unwrap();
            let month = Month::of(at(time));
            assert_eq!(month.number(), number, "{time}");
            assert_eq!((month.begins_at(), month.renews_at()), (at(begins), at(renews)), "{time}");
        }
        let month = Month::of(Timestamp::parse("2026-01-05T00:00:00Z").unwrap());
        assert_eq!(serde_json::to_value(month).unwrap(), "2026-01");
    }
}
