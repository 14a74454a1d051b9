//! Events in SQLite: written row by row, read by id or in pages.

use diesel::prelude::*;
use mercurio_domain::event::StoredEvent;
use mercurio_domain::store::{EventPage, EventQuery, Submission};
use mercurio_domain::{EventId, EventKey, Owner, WorkspaceId};

use super::schema::events;
use super::shared::pages::{self, AllTimes, EventColumns, PageQuery, Plan};
use super::values::{Key, key_value};
use super::{counts, feed};
use crate::error::Error;
use crate::rows::{EventRow, JsonStr, Micros};
use crate::verdicts::{Appended, Candidate, Candidates, StoredKey};

/// Stores and counts the candidates with new keys. All events pass here, so that counts and events
/// agree. `begins_era`: they are the first of this process.
pub(super) fn append<'a>(
    connection: &mut SqliteConnection,
    candidates: &Candidates<'a>,
    begins_era: bool,
) -> Result<Appended<'a>, Error> {
    // Also for duplicates, whose positions no event gets.
    let first = feed::take_positions(connection, candidates.rows().len(), begins_era)?;
    let mut fresh = Vec::with_capacity(candidates.rows().len());
    let mut stored = Vec::new();
    // Row by row: the prepared statement costs less than a row's share of a multi-row insert.
    for (row_id, row) in (first..).zip(candidates.rows()) {
        let inserted = diesel::insert_into(events::table)
            .values(NewEvent::new(row_id, row))
            .on_conflict((events::tenant_id, events::key))
            .do_nothing()
            .execute(connection)?;
        // `DO NOTHING` reports 0 rows for a taken key.
        if inserted == 1 {
            fresh.push(*row);
        } else {
            let workspace_id = holder_query(row).get_result(connection)?;
            stored.push(StoredKey { key: row.key(), workspace_id: WorkspaceId(workspace_id) });
        }
    }
    counts::add(connection, &fresh)?;
    Ok(Appended { fresh, stored })
}

#[diesel::dsl::auto_type(no_type_alias)]
fn holder_query(row: &Candidate<'_>) -> _ {
    let tenant_id: i64 = row.owner.tenant_id.0;
    let key: Key = key_value(row.event.key());
    events::table
        .filter(events::tenant_id.eq(tenant_id))
        .filter(events::key.eq(key))
        .select(events::workspace_id)
}

/// Stores sample events and returns how many were new.
pub(super) fn append_samples(
    connection: &mut SqliteConnection,
    samples: &[Submission],
) -> Result<usize, Error> {
    Ok(append(connection, &Candidates::of(samples), false)?.fresh.len())
}

#[derive(Insertable)]
// NULL is bound: leaving the column out would need a statement per combination.
#[diesel(table_name = events, treat_none_as_default_value = false)]
struct NewEvent<'a> {
    row_id: i64,
    tenant_id: i64,
    workspace_id: i64,
    key: Key,
    event_id: &'a str,
    kind: &'static str,
    event_name: &'a str,
    occurred_at: Micros,
    received_at: Micros,
    sent_timestamp: Option<Micros>,
    anonymous_id: Option<&'a str>,
    user_id: Option<&'a str>,
    session_id: Option<&'a str>,
    schema_version: &'a str,
    properties: Option<JsonStr<'a>>,
    traits: Option<JsonStr<'a>>,
    context: Option<JsonStr<'a>>,
    enrichment: JsonStr<'a>,
}

impl<'a> NewEvent<'a> {
    fn new(row_id: i64, row: &Candidate<'a>) -> Self {
        let parts = row.event.parts();
        Self {
            row_id,
            tenant_id: row.owner.tenant_id.0,
            workspace_id: row.owner.workspace_id.0,
            key: key_value(row.event.key()),
            event_id: parts.event_id.as_str(),
            kind: parts.kind.as_str(),
            event_name: &parts.event_name,
            occurred_at: parts.occurred_at.into(),
            received_at: row.received_at.into(),
            sent_timestamp: parts.sent_timestamp.map(Micros::from),
            anonymous_id: parts.anonymous_id.as_deref(),
            user_id: parts.user_id.as_deref(),
            session_id: parts.session_id.as_deref(),
            schema_version: parts.schema_version.as_str(),
            properties: JsonStr::of(parts.properties.as_ref()),
            traits: JsonStr::of(parts.traits.as_ref()),
            context: JsonStr::of(parts.context.as_ref()),
            enrichment: JsonStr(row.event.enrichment().as_str()),
        }
    }
}

/// Finds an event by id.
pub(super) fn event(
    connection: &mut SqliteConnection,
    owner: Owner,
    event_id: &EventId,
) -> Result<Option<StoredEvent>, Error> {
    let row = event_query(owner, key_value(EventKey::of(event_id)))
        .first::<EventRow>(connection)
        .optional()?;
    let event = row.map(|row| row.into_event(owner)).transpose()?;
    // The key may be a hash of the id.
    Ok(event.filter(|event| event.parts.event_id == *event_id))
}

#[diesel::dsl::auto_type(no_type_alias)]
fn event_query(owner: Owner, key: Key) -> _ {
    let tenant_id: i64 = owner.tenant_id.0;
    let workspace_id: i64 = owner.workspace_id.0;
    let columns: EventColumns = pages::columns();
    events::table
        .filter(events::tenant_id.eq(tenant_id))
        .filter(events::key.eq(key))
        // The unique key has no workspace, so this is a filter after the look-up.
        .filter(events::workspace_id.eq(workspace_id))
        .filter(events::removed_at.is_null())
        .select(columns)
}

/// Returns a page of the workspace's events.
pub(super) fn events(
    connection: &mut SqliteConnection,
    owner: Owner,
    query: &EventQuery,
) -> Result<EventPage, Error> {
    // One query: SQLite finds no row before it is asked for.
    let plan = Plan { page_query, part_events: usize::MAX, spans: AllTimes::default() };
    pages::load(connection, owner, query, plan)
}

/// A removed event keeps its row, for its key.
fn page_query(owner: Owner, query: &EventQuery) -> PageQuery<'_> {
    pages::page_query(owner, query).filter(events::removed_at.is_null())
}

#[cfg(test)]
mod tests;
