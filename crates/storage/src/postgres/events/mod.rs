//! Events in PostgreSQL: claimed, copied, and read by id or in pages.

mod append;
mod claim;
mod copy;
mod partitions;

use diesel::pg::Pg;
use diesel::prelude::*;
use mercurio_domain::event::StoredEvent;
use mercurio_domain::store::{EventPage, EventQuery};
use mercurio_domain::{EventId, EventKey, Owner};
use uuid::Uuid;

use super::schema::{event_keys, events};
use crate::error::Failure;
use crate::rows::{EventRow, Micros};

pub(super) use append::{Way, append};
pub(super) use partitions::Days;

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

/// What a row of `event_keys` says of where its event is.
#[derive(Debug, Queryable)]
struct PlaceRow {
    workspace_id: i64,
    occurred_at: Micros,
    received_at: Micros,
}

/// The event of that id, if the workspace has it: its key names the place, which is one partition and one place there.
pub(super) fn event(
    connection: &mut PgConnection,
    owner: Owner,
    event_id: &EventId,
) -> Result<Option<StoredEvent>, Failure> {
    let key = EventKey::of(event_id).0;
    let place = place_query(owner, key).first::<PlaceRow>(connection).optional()?;
    let Some(place) = place.filter(|place| place.workspace_id == owner.workspace_id.0) else {
        return Ok(None);
    };
    let row = event_query(owner, key, &place).first::<EventRow>(connection).optional()?;
    let event = row.map(|row| row.into_event(owner)).transpose()?;
    Ok(event.filter(|event| event.parts.event_id == *event_id))
}

#[diesel::dsl::auto_type(no_type_alias)]
fn place_query(owner: Owner, key: Uuid) -> _ {
    let tenant_id: i64 = owner.tenant_id.0;
    event_keys::table
        .filter(event_keys::tenant_id.eq(tenant_id))
        .filter(event_keys::key.eq(key))
        .select((event_keys::workspace_id, event_keys::occurred_at, event_keys::received_at))
}

/// `received_at` names the partition; `occurred_at` finds the row by the index.
#[diesel::dsl::auto_type(no_type_alias)]
fn event_query<'a>(owner: Owner, key: Uuid, place: &'a PlaceRow) -> _ {
    let tenant_id: i64 = owner.tenant_id.0;
    let workspace_id: i64 = owner.workspace_id.0;
    let occurred_at: Micros = place.occurred_at;
    let received_at: Micros = place.received_at;
    let columns: EventColumns = columns();
    events::table
        .filter(events::tenant_id.eq(tenant_id))
        .filter(events::workspace_id.eq(workspace_id))
        .filter(events::occurred_at.eq(occurred_at))
        .filter(events::received_at.eq(received_at))
        .filter(events::key.eq(key))
        .select(columns)
}

/// A page of the workspace's events, newest first.
pub(super) fn events(
    connection: &mut PgConnection,
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
) -> diesel::dsl::IntoBoxed<'_, diesel::dsl::Select<events::table, EventColumns>, Pg> {
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut page = events::table
        .select(columns())
        .into_boxed()
        .filter(events::tenant_id.eq(owner.tenant_id.0))
        .filter(events::workspace_id.eq(owner.workspace_id.0))
        .order((events::occurred_at.desc(), events::key.desc()))
        .limit(limit);
    if let Some(after) = query.after {
        let occurred_at = Micros::from(after.occurred_at);
        // The first half says what the second implies: it is where the index is entered.
        page = page
            .filter(events::occurred_at.le(occurred_at))
            .filter(events::occurred_at.lt(occurred_at).or(events::key.lt(after.key.0)));
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
