//! Pages in the order of receipt, one day after the other.
//!
//! No index has this order: an index per partition would cost every write. A partition holds a day
//! of receipt, so a page sorts only the workspace's events of the days it reads. Days without a
//! matching event double the number of days that the next query covers.

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::Text;
use mercurio_domain::Timestamp;
use mercurio_domain::store::{Direction, EventQuery};

use super::super::shared::pages::{Span, Spans};
use crate::error::Error;

/// Spans of one or more days, in the order of a page.
#[derive(Debug)]
pub(super) struct DaySpans {
    direction: Direction,
    /// The beginnings of the days that have a partition, in the order of the page.
    days: std::vec::IntoIter<Timestamp>,
    /// End of the last span: the next one begins here. `None` before the first.
    bound: Option<Timestamp>,
    /// Days of the next span.
    width: usize,
    /// Events of the page before the last span.
    events: usize,
    is_done: bool,
}

/// Returns the beginnings of the days with events, in ascending order.
pub(super) fn days(connection: &mut PgConnection) -> Result<Vec<Timestamp>, Error> {
    #[derive(QueryableByName)]
    struct PartitionRow {
        #[diesel(sql_type = Text)]
        name: String,
    }
    // Days ahead have empty partitions, which would double the first spans for nothing.
    let rows: Vec<PartitionRow> = diesel::sql_query(
        "SELECT relname::text AS name FROM pg_catalog.pg_inherits
         JOIN pg_catalog.pg_class ON pg_class.oid = inhrelid
         WHERE inhparent = 'events'::regclass AND pg_catalog.pg_relation_size(inhrelid) > 0",
    )
    .load(connection)?;
    // Spans cover all times, so a partition with another name is read too.
    let mut days: Vec<_> = rows.iter().filter_map(|row| day_of(&row.name)).collect();
    days.sort_unstable();
    Ok(days)
}

fn day_of(partition: &str) -> Option<Timestamp> {
    let day = NaiveDate::parse_from_str(partition.strip_prefix("events_")?, "%Y%m%d").ok()?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc().into())
}

impl DaySpans {
    /// Returns the spans of a page. `days` are in ascending order.
    pub(super) fn of(days: &[Timestamp], query: &EventQuery) -> Self {
        let direction = query.sort.direction;
        let after = query.after.map(|after| after.occurred_at);
        let (from, to) = match direction {
            Direction::Descending => (query.received_from, after.or(query.received_to)),
            Direction::Ascending => (after.or(query.received_from), query.received_to),
        };
        // Each day reaches to the next one.
        let first = from.map_or(0, |from| days.partition_point(|day| *day <= from));
        let end = to.map_or(days.len(), |to| days.partition_point(|day| *day <= to));
        let mut days = days.get(first.saturating_sub(1)..end).unwrap_or_default().to_vec();
        if direction == Direction::Descending {
            days.reverse();
        }
        let days = days.into_iter();
        Self { direction, days, bound: None, width: 1, events: 0, is_done: false }
    }

    /// Takes the days of the next span, and returns its far bound; `None` if it has none.
    fn next_bound(&mut self) -> Option<Timestamp> {
        match self.direction {
            Direction::Descending => {
                let last = self.days.nth(self.width - 1);
                // Nothing is left to read but what has no day.
                last.filter(|_| self.days.len() > 0)
            }
            Direction::Ascending => {
                for _ in 0..self.width {
                    self.days.next();
                }
                self.days.as_slice().first().copied()
            }
        }
    }
}

impl Spans for DaySpans {
    fn next(&mut self, events: usize) -> Option<Span> {
        if self.is_done {
            return None;
        }
        let is_first = self.bound.is_none();
        self.width = if is_first || events > self.events { 1 } else { self.width * 2 };
        self.events = events;
        let near = self.bound;
        self.bound = self.next_bound();
        self.is_done = self.bound.is_none();
        Some(match self.direction {
            Direction::Descending => Span { from: self.bound, to: near },
            Direction::Ascending => Span { from: near, to: self.bound },
        })
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}

#[cfg(test)]
mod tests {
    use mercurio_domain::store::{EventOrder, EventSort};
    use mercurio_domain::testing::at;

    use super::*;

    fn day(number: u32) -> Timestamp {
        at(&format!("2026-11-{number:02}T00:00:00Z"))
    }

    /// Returns the spans as `from-to`, with `events` after each of them.
    fn spans(direction: Direction, days: &[u32], query: EventQuery, events: &[usize]) -> String {
        let query =
            EventQuery { sort: EventSort { order: EventOrder::Received, direction }, ..query };
        let days: Vec<_> = days.iter().copied().map(day).collect();
        let mut spans = DaySpans::of(&days, &query);
        let mut events = events.iter().copied().chain(std::iter::repeat(0));
        let mut text = Vec::new();
        let mut so_far = 0;
        while let Some(Span { from, to }) = spans.next(so_far) {
            let name = |time: Option<Timestamp>| time.map(|at| at.to_string()[8..10].to_owned());
            let [from, to] = [from, to].map(|time| name(time).unwrap_or_default());
            text.push(format!("{from}-{to}"));
            so_far += events.next().unwrap();
        }
        assert!(spans.is_done());
        text.join(" ")
    }

    #[test]
    fn spans_double_while_they_are_empty_and_cover_all_times() {
        use Direction::{Ascending, Descending};
        let all: Vec<u32> = (1..=9).collect();
        let query = EventQuery::default;
        for (direction, days, events, expected) in [
            (Descending, &all[..], &[][..], "09- 07-09 03-07 -03"),
            (Ascending, &all, &[], "-02 02-04 04-08 08-"),
            (Descending, &all, &[1, 1, 0, 1], "09- 08-09 07-08 05-07 04-05 02-04 -02"),
            (Descending, &[], &[], "-"),
            (Ascending, &[], &[], "-"),
            (Descending, &[4], &[], "-"),
            (Ascending, &[4], &[], "-"),
            (Descending, &[4, 5], &[], "05- -05"),
            (Ascending, &[4, 5], &[], "-05 05-"),
        ] {
            assert_eq!(spans(direction, days, query(), events), expected, "{direction:?} {days:?}");
        }
    }

    #[test]
    fn spans_begin_and_end_at_the_bounds_of_the_query() {
        use Direction::{Ascending, Descending};
        let days: Vec<u32> = (1..=9).collect();
        let noon = |number| Some(at(&format!("2026-11-{number:02}T12:00:00Z")));
        let query =
            EventQuery { received_from: noon(3), received_to: noon(6), ..EventQuery::default() };
        assert_eq!(spans(Descending, &days, query.clone(), &[1; 9]), "06- 05-06 04-05 -04");
        assert_eq!(spans(Ascending, &days, query, &[1; 9]), "-04 04-05 05-06 06-");
        let old = EventQuery { received_to: Some(day(1)), ..EventQuery::default() };
        assert_eq!(spans(Descending, &days[1..], old, &[]), "-");
    }

    #[test]
    fn partition_of_a_day_has_its_date_as_a_name() {
        assert_eq!(day_of("events_20261103"), Some(day(3)));
        for name in ["events_2026", "test_1", "events_20261301", "events_"] {
            assert_eq!(day_of(name), None, "{name}");
        }
    }
}
