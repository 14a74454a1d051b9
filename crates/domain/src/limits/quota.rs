//! The quota of a month: how it is counted, and when it begins anew.

use chrono::{Datelike, NaiveDate};
use serde::{Serialize, Serializer};

use crate::clock::Timestamp;

/// A calendar month in UTC. A quota counts the events that were received in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i32,
    /// 1 to 12.
    month: u32,
}

impl Month {
    /// The month in which `time` lies.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        let day = time.to_datetime().date_naive();
        Self { year: day.year(), month: day.month() }
    }

    /// The year and the month as one number: 202611. Later months have larger ones.
    #[must_use]
    pub fn number(self) -> i32 {
        self.year * 100 + self.month as i32
    }

    /// Its first instant.
    #[must_use]
    pub fn begins_at(self) -> Timestamp {
        // Every month of every instant exists.
        let first = NaiveDate::from_ymd_opt(self.year, self.month, 1).unwrap_or_default();
        first.and_time(chrono::NaiveTime::MIN).and_utc().into()
    }

    /// The first instant of the next one.
    #[must_use]
    pub fn renews_at(self) -> Timestamp {
        let (year, month) =
            if self.month == 12 { (self.year + 1, 1) } else { (self.year, self.month + 1) };
        Self { year, month }.begins_at()
    }
}

impl Serialize for Month {
    /// `"2026-11"`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:04}-{:02}", self.year, self.month))
    }
}

/// Why events were not stored: the tenant's quota has no room for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{used} of the {limit} events of the month are used")]
pub struct QuotaExceeded {
    /// Events that the tenant may store in the month.
    pub limit: u64,
    /// Events that were stored in it.
    pub used: u64,
    /// The month.
    pub month: Month,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_with_its_first_instant_and_ends_before_the_next_ones() {
        for (time, number, begins, renews) in [
            (
                "2026-11-30T23:59:59.999999Z",
                202_611,
                "2026-11-01T00:00:00Z",
                "2026-12-01T00:00:00Z",
            ),
            ("2026-12-01T00:00:00Z", 202_612, "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
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
