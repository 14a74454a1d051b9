//! Pages of events.

use std::time::{Duration, Instant};

use diesel::prelude::*;
use mercurio_domain::store::{Direction, EventOrder, EventPage, EventQuery, PageBuilder};
use mercurio_domain::{Owner, Timestamp};

use super::backend_schema::events;
use super::values::{RowMode, key_value};
use super::{Db, DbConnection};
use crate::error::Error;
use crate::rows::{EventRow, Micros};

/// The columns of an [`EventRow`].
pub(crate) type EventColumns = (
    events::event_id,
    events::kind,
    events::event_name,
    events::occurred_at,
    events::received_at,
    events::sent_timestamp,
    events::anonymous_id,
    events::user_id,
    events::session_id,
    events::schema_version,
    events::properties,
    events::traits,
    events::context,
    events::enrichment,
);

pub(crate) type PageQuery<'a> =
    diesel::dsl::IntoBoxed<'a, diesel::dsl::Select<events::table, EventColumns>, Db>;

pub(crate) fn columns() -> EventColumns {
    use events::*;
    (
        event_id,
        kind,
        event_name,
        occurred_at,
        received_at,
        sent_timestamp,
        anonymous_id,
        user_id,
        session_id,
        schema_version,
        properties,
        traits,
        context,
        enrichment,
    )
}

/// Time after which a page ends early with the events of its parts so far.
const PARTS_TIME: Duration = Duration::from_secs(1);

/// A span of receipt that one query of a page covers. Without bounds: all times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    /// Inclusive.
    pub(crate) from: Option<Timestamp>,
    /// Exclusive.
    pub(crate) to: Option<Timestamp>,
}

/// The way a backend runs the queries of a page.
pub(crate) struct Plan<S> {
    pub(crate) page_query: fn(Owner, &EventQuery) -> PageQuery<'_>,
    /// Maximum events of the first query.
    pub(crate) part_events: usize,
    /// Spans in the order of the page. Together they cover all times.
    pub(crate) spans: S,
}

/// Loads a page of the workspace's events.
///
/// Rows arrive one by one, so a page of large events never holds more than its bytes.
pub(crate) fn load<S: Spans>(
    connection: &mut DbConnection,
    owner: Owner,
    query: &EventQuery,
    plan: Plan<S>,
) -> Result<EventPage, Error> {
    let Plan { page_query, part_events, mut spans } = plan;
    let begun = Instant::now();
    let mut page = PageBuilder::sorted(query.limit, query.sort);
    let mut part = EventQuery { limit: query.limit.min(part_events), ..query.clone() };
    while let Some(span) = spans.next(page.len()) {
        part.received_from = query.received_from.max(span.from);
        part.received_to = earlier(query.received_to, span.to);
        loop {
            let before = page.len();
            let rows = page_query(owner, &part).load_iter::<EventRow, RowMode>(connection)?;
            for row in rows {
                if !page.push(row?.into_event(owner)?) {
                    return Ok(page.finish());
                }
            }
            // A part has one row more than its limit if others follow.
            let is_last = page.len() - before <= part.limit;
            let is_end = is_last && spans.is_done();
            // An empty page has no position for the next one to start at.
            let can_end = !page.is_empty() && !is_end;
            // PostgreSQL limits the time of a query, not of a page.
            if can_end && begun.elapsed() > PARTS_TIME {
                return Ok(page.cut());
            }
            part.after = page.position().or(query.after);
            part.limit = page.room().clamp(1, part_limit(page.is_empty(), part_events));
            if is_last {
                break;
            }
        }
    }
    Ok(page.finish())
}

/// The size of the events is unknown before the first.
fn part_limit(is_empty: bool, part_events: usize) -> usize {
    if is_empty { part_events } else { usize::MAX }
}

/// The lesser of two upper bounds; `None` is no bound.
fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Yields the spans of a page.
pub(crate) trait Spans {
    /// Returns the next span, given the number of events so far; `None` after the last.
    fn next(&mut self, events: usize) -> Option<Span>;

    /// Whether the last span was returned.
    fn is_done(&self) -> bool;
}

/// A single span of all times.
#[derive(Debug, Default)]
pub(crate) struct AllTimes {
    is_done: bool,
}

impl Spans for AllTimes {
    fn next(&mut self, _events: usize) -> Option<Span> {
        (!std::mem::replace(&mut self.is_done, true)).then(Span::default)
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}

/// A column of a time and its values on both sides of the cursor.
macro_rules! sorted {
    ($page:ident, $query:ident, $time:ident, $direction:ident, $within:ident, $past:ident) => {{
        // The key makes the order total; the index has only the time, and equal times are sorted.
        $page = $page.order((events::$time.$direction(), events::key.$direction()));
        if let Some(after) = $query.after {
            let time = Micros::from(after.occurred_at);
            let key = key_value(after.key);
            // The second filter implies the first. Only with the first does the scan start at the
            // cursor: SQLite does not use the index on time for the OR alone.
            $page = $page
                .filter(events::$time.$within(time))
                .filter(events::$time.$past(time).or(events::key.$past(key)));
        }
    }};
}

pub(crate) fn page_query(owner: Owner, query: &EventQuery) -> PageQuery<'_> {
    // One more than asked for shows whether there is a next page.
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut page = events::table
        .select(columns())
        .into_boxed()
        .filter(events::tenant_id.eq(owner.tenant_id.0))
        .filter(events::workspace_id.eq(owner.workspace_id.0))
        .limit(limit);
    match (query.sort.order, query.sort.direction) {
        (EventOrder::Occurred, Direction::Descending) => {
            sorted!(page, query, occurred_at, desc, le, lt);
        }
        (EventOrder::Occurred, Direction::Ascending) => {
            sorted!(page, query, occurred_at, asc, ge, gt);
        }
        // No index: PostgreSQL sorts the partitions of a span, SQLite all events of the workspace.
        (EventOrder::Received, Direction::Descending) => {
            sorted!(page, query, received_at, desc, le, lt);
        }
        (EventOrder::Received, Direction::Ascending) => {
            sorted!(page, query, received_at, asc, ge, gt);
        }
    }
    if let Some(from) = query.from {
        page = page.filter(events::occurred_at.ge(Micros::from(from)));
    }
    if let Some(to) = query.to {
        page = page.filter(events::occurred_at.lt(Micros::from(to)));
    }
    if let Some(from) = query.received_from {
        page = page.filter(events::received_at.ge(Micros::from(from)));
    }
    if let Some(to) = query.received_to {
        page = page.filter(events::received_at.lt(Micros::from(to)));
    }
    if let Some(kind) = query.kind {
        page = page.filter(events::kind.eq(kind.as_str()));
    }
    // The filters below have no index: the scan by time checks each row.
    if let Some(event_name) = &query.event_name {
        page = page.filter(events::event_name.eq(event_name));
    }
    if let Some(anonymous_id) = &query.anonymous_id {
        page = page.filter(events::anonymous_id.eq(anonymous_id));
    }
    if let Some(user_id) = &query.user_id {
        page = page.filter(events::user_id.eq(user_id));
    }
    if let Some(session_id) = &query.session_id {
        page = page.filter(events::session_id.eq(session_id));
    }
    page
}
