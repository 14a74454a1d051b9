//! Pages of events.

use std::time::{Duration, Instant};

use diesel::prelude::*;
use mercurio_domain::Owner;
use mercurio_domain::store::{EventPage, EventQuery, PageBuilder};

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

/// Loads a page of the workspace's events, newest first.
///
/// Rows arrive one by one, so a page of large events never holds more than its bytes. `part_events`
/// bounds the first of its queries, made by `page_query`.
pub(crate) fn load(
    connection: &mut DbConnection,
    owner: Owner,
    query: &EventQuery,
    page_query: fn(Owner, &EventQuery) -> PageQuery<'_>,
    part_events: usize,
) -> Result<EventPage, Error> {
    let begun = Instant::now();
    let mut page = PageBuilder::new(query.limit);
    let mut part = EventQuery { limit: query.limit.min(part_events), ..query.clone() };
    loop {
        let before = page.len();
        let rows = page_query(owner, &part).load_iter::<EventRow, RowMode>(connection)?;
        for row in rows {
            if !page.push(row?.into_event(owner)?) {
                return Ok(page.finish());
            }
        }
        // A part has one row more than its limit if others follow.
        if page.len() - before <= part.limit {
            return Ok(page.finish());
        }
        // PostgreSQL limits the time of a query, not of a page.
        if begun.elapsed() > PARTS_TIME {
            return Ok(page.cut());
        }
        part.after = page.position();
        part.limit = page.room().max(1);
    }
}

pub(crate) fn page_query(owner: Owner, query: &EventQuery) -> PageQuery<'_> {
    // One more than asked for shows whether there is a next page.
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut page = events::table
        .select(columns())
        .into_boxed()
        .filter(events::tenant_id.eq(owner.tenant_id.0))
        .filter(events::workspace_id.eq(owner.workspace_id.0))
        // The key makes the order total; the index has only the time, and equal times are sorted.
        .order((events::occurred_at.desc(), events::key.desc()))
        .limit(limit);
    if let Some(after) = query.after {
        let occurred_at = Micros::from(after.occurred_at);
        // The second filter implies the first. Only with the first does the scan start at the
        // cursor: SQLite does not use the index on time for the OR alone.
        page = page
            .filter(events::occurred_at.le(occurred_at))
            .filter(events::occurred_at.lt(occurred_at).or(events::key.lt(key_value(after.key))));
    }
    if let Some(from) = query.from {
        page = page.filter(events::occurred_at.ge(Micros::from(from)));
    }
    if let Some(to) = query.to {
        page = page.filter(events::occurred_at.lt(Micros::from(to)));
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
