//! Events in SQLite: claimed, written, and read by id or in pages.

use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use mercurio_domain::event::StoredEvent;
use mercurio_domain::store::{EventPage, EventQuery};
use mercurio_domain::{EventId, EventKey, Owner};

use super::counts;
use super::schema::{Key, events};
use crate::error::Failure;
use crate::rows::{EventRow, JsonStr, Micros};
use crate::verdicts::{Candidate, Candidates};

/// Stores the candidates whose keys are free, counts them, and returns them. Every event that this store ever stores passes
/// here, so that counts and events agree.
pub(super) fn append<'a>(
    connection: &mut SqliteConnection,
    candidates: &Candidates<'a>,
) -> Result<Vec<Candidate<'a>>, Failure> {
    let mut fresh = Vec::with_capacity(candidates.rows().len());
    // Row by row: the statement is prepared once, and a row costs less than its share of a statement for many.
    for row in candidates.rows() {
        let stored = diesel::insert_into(events::table)
            .values(NewEvent::from(row))
            .on_conflict((events::tenant_id, events::key))
            .do_nothing()
            .execute(connection)?;
        if stored == 1 {
            fresh.push(*row);
        }
    }
    counts::add(connection, &fresh)?;
    Ok(fresh)
}

#[derive(Insertable)]
#[diesel(table_name = events, treat_none_as_default_value = false)]
struct NewEvent<'a> {
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

impl<'a> From<&Candidate<'a>> for NewEvent<'a> {
    fn from(row: &Candidate<'a>) -> Self {
        let parts = row.event.parts();
        Self {
            tenant_id: row.owner.tenant_id.0,
            workspace_id: row.owner.workspace_id.0,
            key: Key::of(row.event.key()),
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

/// The columns of an [`EventRow`].
type EventColumns = (
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

fn columns() -> EventColumns {
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

/// The event of that id, if the workspace has it.
pub(super) fn event(
    connection: &mut SqliteConnection,
    owner: Owner,
    event_id: &EventId,
) -> Result<Option<StoredEvent>, Failure> {
    let row = event_query(owner, Key::of(EventKey::of(event_id)))
        .first::<EventRow>(connection)
        .optional()?;
    let event = row.map(|row| row.into_event(owner)).transpose()?;
    Ok(event.filter(|event| event.parts.event_id == *event_id))
}

#[diesel::dsl::auto_type(no_type_alias)]
fn event_query(owner: Owner, key: Key) -> _ {
    let tenant_id: i64 = owner.tenant_id.0;
    let workspace_id: i64 = owner.workspace_id.0;
    let columns: EventColumns = columns();
    events::table
        .filter(events::tenant_id.eq(tenant_id))
        .filter(events::key.eq(key))
        .filter(events::workspace_id.eq(workspace_id))
        .filter(events::removed_at.is_null())
        .select(columns)
}

/// A page of the workspace's events, newest first.
pub(super) fn events(
    connection: &mut SqliteConnection,
    owner: Owner,
    query: &EventQuery,
) -> Result<EventPage, Failure> {
    let rows = page_query(owner, query).load::<EventRow>(connection)?;
    let events = rows.into_iter().map(|row| row.into_event(owner)).collect::<Result<_, _>>()?;
    Ok(EventPage::from_overfull(events, query.limit))
}

fn page_query(
    owner: Owner,
    query: &EventQuery,
) -> diesel::dsl::IntoBoxed<'_, diesel::dsl::Select<events::table, EventColumns>, Sqlite> {
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut page = events::table
        .select(columns())
        .into_boxed()
        .filter(events::tenant_id.eq(owner.tenant_id.0))
        .filter(events::workspace_id.eq(owner.workspace_id.0))
        .filter(events::removed_at.is_null())
        .order((events::occurred_at.desc(), events::key.desc()))
        .limit(limit);
    if let Some(after) = query.after {
        let occurred_at = Micros::from(after.occurred_at);
        // The first half says what the second implies: it is where the index is entered.
        page = page
            .filter(events::occurred_at.le(occurred_at))
            .filter(events::occurred_at.lt(occurred_at).or(events::key.lt(Key::of(after.key))));
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

#[cfg(test)]
mod tests;
