//! Events in PostgreSQL: written by claim or copy, read by id or in pages.

mod append;
mod claim;
mod copy;
mod received;

use diesel::prelude::*;
use mercurio_domain::event::StoredEvent;
use mercurio_domain::store::{EventOrder, EventPage, EventQuery, Submission};
use mercurio_domain::{EventId, EventKey, Owner};
use uuid::Uuid;

use super::schema::{event_keys, events};
use super::shared::pages::{self, AllTimes, EventColumns, Plan};
use crate::error::Error;
use crate::rows::{EventRow, Micros};
use crate::verdicts::Candidates;

pub(super) use append::{AppendMode, append};
use received::DaySpans;

/// Maximum events of a page's first query. PostgreSQL sends all rows of a query, also those a page
/// of large events has no room for.
const PART_EVENTS: usize = 100;

/// Stores sample events and returns how many were new.
pub(super) fn append_samples(
    connection: &mut PgConnection,
    samples: &[Submission],
) -> Result<usize, Error> {
    // A failed copy would abort the transaction that creates the tenant.
    Ok(append(connection, &Candidates::of(samples), AppendMode::Claim)?.fresh.len())
}

/// Where an event is stored, from its row in `event_keys`.
#[derive(Debug, Queryable)]
struct LocationRow {
    workspace_id: i64,
    occurred_at: Micros,
    received_at: Micros,
}

/// Finds an event by id. Its key gives the partition and the index entry, so the other partitions
/// are not searched.
pub(super) fn event(
    connection: &mut PgConnection,
    owner: Owner,
    event_id: &EventId,
) -> Result<Option<StoredEvent>, Error> {
    let key = EventKey::of(event_id).0;
    let location = location_query(owner, key).first::<LocationRow>(connection).optional()?;
    // A key has one workspace; another workspace of the tenant must not see its event.
    let Some(location) = location.filter(|location| location.workspace_id == owner.workspace_id.0)
    else {
        return Ok(None);
    };
    let row = event_query(owner, key, &location).first::<EventRow>(connection).optional()?;
    let event = row.map(|row| row.into_event(owner)).transpose()?;
    // The key may be a hash of the id.
    Ok(event.filter(|event| event.parts.event_id == *event_id))
}

#[diesel::dsl::auto_type(no_type_alias)]
fn location_query(owner: Owner, key: Uuid) -> _ {
    let tenant_id: i64 = owner.tenant_id.0;
    event_keys::table
        .filter(event_keys::tenant_id.eq(tenant_id))
        .filter(event_keys::key.eq(key))
        .select((event_keys::workspace_id, event_keys::occurred_at, event_keys::received_at))
}

/// `received_at` selects the partition, `occurred_at` the index entry.
#[diesel::dsl::auto_type(no_type_alias)]
fn event_query<'a>(owner: Owner, key: Uuid, location: &'a LocationRow) -> _ {
    let tenant_id: i64 = owner.tenant_id.0;
    let workspace_id: i64 = owner.workspace_id.0;
    let occurred_at: Micros = location.occurred_at;
    let received_at: Micros = location.received_at;
    let columns: EventColumns = pages::columns();
    events::table
        .filter(events::tenant_id.eq(tenant_id))
        .filter(events::workspace_id.eq(workspace_id))
        .filter(events::occurred_at.eq(occurred_at))
        .filter(events::received_at.eq(received_at))
        .filter(events::key.eq(key))
        .select(columns)
}

/// Returns a page of the workspace's events.
pub(super) fn events(
    connection: &mut PgConnection,
    owner: Owner,
    query: &EventQuery,
) -> Result<EventPage, Error> {
    let (page_query, part_events) = (pages::page_query, PART_EVENTS);
    match query.sort.order {
        EventOrder::Occurred => {
            let plan = Plan { page_query, part_events, spans: AllTimes::default() };
            pages::load(connection, owner, query, plan)
        }
        EventOrder::Received => {
            let spans = DaySpans::of(&received::days(connection)?, query);
            pages::load(connection, owner, query, Plan { page_query, part_events, spans })
        }
    }
}

#[cfg(test)]
mod tests;
