//! Bulk removal in SQLite, a few thousand rows per step, so that the writer gets its turns.
//!
//! An erased event leaves its row behind with nothing but the key: the unique key keeps deciding
//! which events are duplicates.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use mercurio_domain::store::{Deletion, Person, Removal, RemovalCounts, RemovalCursor, Removed};
use mercurio_domain::{Owner, TenantId, Timestamp};

use super::schema::events;
use crate::error::Error;
use crate::rows::Micros;

/// Maximum rows removed in a step.
// A step holds the only write lock, so a larger one would delay groups.
const STEP: i64 = 5_000;
/// Maximum rows scanned in a step.
const SCAN: i64 = 20_000;

pub(super) fn count_events(connection: &mut SqliteConnection, owner: Owner) -> Result<u64, Error> {
    let count: i64 = events::table
        .filter(events::tenant_id.eq(owner.tenant_id.0))
        .filter(events::workspace_id.eq(owner.workspace_id.0))
        .filter(events::removed_at.is_null())
        .count()
        .get_result(connection)?;
    Ok(count.unsigned_abs())
}

/// Counts the rows that all steps of the removal would remove.
pub(super) fn count_removal(
    connection: &mut SqliteConnection,
    which: &Removal,
) -> Result<RemovalCounts, Error> {
    let mut events = events::table.filter(events::removed_at.is_null()).count().into_boxed();
    // An erased event has left its key in its row.
    let mut keys = events::table.count().into_boxed();
    if let Some(tenant_id) = which.tenant_id() {
        events = events.filter(events::tenant_id.eq(tenant_id.0));
        keys = keys.filter(events::tenant_id.eq(tenant_id.0));
    }
    match which {
        Removal::All(deletion) => {
            if let Some(id) = deletion.workspace_id() {
                events = events.filter(events::workspace_id.eq(id.0));
                keys = keys.filter(events::workspace_id.eq(id.0));
            }
        }
        Removal::Person { person, .. } => {
            events = match person {
                Person::User(id) => events.filter(events::user_id.eq(id)),
                Person::Anonymous(id) => events.filter(events::anonymous_id.eq(id)),
            };
        }
        Removal::Received { before, .. } => {
            events = events.filter(events::received_at.lt(Micros::from(*before)));
        }
    }
    let keys = match (which, which.keys_before()) {
        (Removal::All(_), _) => keys.get_result(connection)?,
        (_, Some(before)) => {
            keys.filter(events::received_at.lt(Micros::from(before))).get_result(connection)?
        }
        (_, None) => 0_i64,
    };
    let events: i64 = events.get_result(connection)?;
    Ok(RemovalCounts {
        events: events.unsigned_abs(),
        keys: keys.unsigned_abs(),
        ..RemovalCounts::default()
    })
}

pub(super) fn remove_events(
    connection: &mut SqliteConnection,
    which: &Removal,
    removed_at: Timestamp,
    from: Option<&RemovalCursor>,
) -> Result<Removed, Error> {
    // The row id to continue after.
    let from = from.and_then(|cursor| cursor.0.parse().ok()).unwrap_or(0);
    match which {
        Removal::All(deletion) => remove_all(connection, *deletion),
        Removal::Person { tenant_id, person } => {
            erase(connection, &Erasure::Person(*tenant_id, person), removed_at, from)
        }
        Removal::Received { tenant_id, before } => {
            // Keys first: an event old enough for that need not be erased.
            let removed = remove_keys(connection, *tenant_id, which.keys_before(), from)?;
            let erasure = Erasure::Received(*tenant_id, *before);
            let erased = erase(connection, &erasure, removed_at, from)?;
            Ok(Removed { events: erased.events + removed.events, keys: removed.keys, ..erased })
        }
    }
}

/// The part of an event's row that removal needs.
#[derive(Queryable)]
struct StoredRow {
    row_id: i64,
    removed_at: Option<Micros>,
}

/// Deletes rows with their keys. Rows erased before count as keys only.
fn delete_rows(connection: &mut SqliteConnection, rows: &[StoredRow]) -> Result<Removed, Error> {
    let ids = rows.iter().map(|row| row.row_id);
    // Up to 20,000 ids, below SQLite's limit of 32,766 parameters.
    let keys =
        diesel::delete(events::table.filter(events::row_id.eq_any(ids))).execute(connection)?;
    let events = rows.iter().filter(|row| row.removed_at.is_none()).count();
    Ok(Removed { events: events as u64, keys: keys as u64, ..Removed::default() })
}

fn remove_all(connection: &mut SqliteConnection, deletion: Deletion) -> Result<Removed, Error> {
    let tenant_id = deletion.tenant_id().0;
    let mut rows = events::table
        .filter(events::tenant_id.eq(tenant_id))
        // Without an order: any rows of the tenant or workspace will do.
        .limit(STEP)
        .select((events::row_id, events::removed_at))
        .into_boxed();
    let mut of_workspace = String::new();
    if let Some(id) = deletion.workspace_id() {
        rows = rows.filter(events::workspace_id.eq(id.0));
        of_workspace = format!("AND workspace_id = {id}");
    }
    let rows = rows.load::<StoredRow>(connection)?;
    let removed = delete_rows(connection, &rows)?;
    // SQLite has DELETE … LIMIT only as a compile-time option.
    let remove_counts = format!(
        "DELETE FROM event_counts WHERE rowid IN (
             SELECT rowid FROM event_counts WHERE tenant_id = ? {of_workspace} LIMIT ?)"
    );
    let counts = diesel::sql_query(remove_counts)
        .bind::<BigInt, _>(tenant_id)
        .bind::<BigInt, _>(STEP)
        .execute(connection)?;
    // The removed rows are gone, so each step starts at the beginning.
    let step = STEP.unsigned_abs();
    let next =
        (removed.keys == step || counts as u64 == step).then(|| RemovalCursor(String::new()));
    Ok(Removed { next, ..removed })
}

/// Selects the rows to erase.
enum Erasure<'a> {
    Person(TenantId, &'a Person),
    Received(Option<TenantId>, Timestamp),
}

/// Deletes the rows received before `before`, with their keys, among the [`SCAN`] rows after
/// `from`.
fn remove_keys(
    connection: &mut SqliteConnection,
    tenant_id: Option<TenantId>,
    before: Option<Timestamp>,
    from: i64,
) -> Result<Removed, Error> {
    let Some(before) = before else {
        return Ok(Removed::default());
    };
    let mut found = events::table
        .filter(events::row_id.gt(from).and(events::row_id.le(from.saturating_add(SCAN))))
        .filter(events::received_at.lt(Micros::from(before)))
        .select((events::row_id, events::removed_at))
        .into_boxed();
    if let Some(tenant_id) = tenant_id {
        found = found.filter(events::tenant_id.eq(tenant_id.0));
    }
    let rows: Vec<StoredRow> = found.load(connection)?;
    delete_rows(connection, &rows)
}

/// Erases the selected events, but not their keys, among the [`SCAN`] rows after `from`.
fn erase(
    connection: &mut SqliteConnection,
    erasure: &Erasure<'_>,
    removed_at: Timestamp,
    from: i64,
) -> Result<Removed, Error> {
    // A window of row ids and not of rows: the scan needs no index on persons or times.
    let to = from.saturating_add(SCAN);
    let rows = events::table
        .filter(events::row_id.gt(from).and(events::row_id.le(to)))
        // Rows erased before keep their first time and count once.
        .filter(events::removed_at.is_null());
    // The columns that must not be null become empty.
    let erased_values = (
        events::removed_at.eq(Some(Micros::from(removed_at))),
        (
            events::event_id.eq(""),
            events::kind.eq(""),
            events::event_name.eq(""),
            events::schema_version.eq(""),
        ),
        (
            events::anonymous_id.eq(None::<&str>),
            events::user_id.eq(None::<&str>),
            events::session_id.eq(None::<&str>),
            events::sent_timestamp.eq(None::<Micros>),
        ),
        (
            events::properties.eq(None::<&str>),
            events::traits.eq(None::<&str>),
            events::context.eq(None::<&str>),
            events::enrichment.eq("{}"),
        ),
    );
    let of = |tenant_id: &TenantId| rows.filter(events::tenant_id.eq(tenant_id.0));
    let erased = match erasure {
        Erasure::Person(tenant_id, Person::User(id)) => {
            diesel::update(of(tenant_id).filter(events::user_id.eq(id)))
                .set(erased_values)
                .execute(connection)?
        }
        Erasure::Person(tenant_id, Person::Anonymous(id)) => {
            diesel::update(of(tenant_id).filter(events::anonymous_id.eq(id)))
                .set(erased_values)
                .execute(connection)?
        }
        Erasure::Received(Some(tenant_id), before) => {
            let old = of(tenant_id).filter(events::received_at.lt(Micros::from(*before)));
            diesel::update(old).set(erased_values).execute(connection)?
        }
        Erasure::Received(None, before) => {
            let old = rows.filter(events::received_at.lt(Micros::from(*before)));
            diesel::update(old).set(erased_values).execute(connection)?
        }
    };
    // Row ids have gaps, and wide ones between eras of the feed.
    let later = events::table.filter(events::row_id.gt(to));
    let next: Option<i64> = later.select(diesel::dsl::min(events::row_id)).first(connection)?;
    let next = next.map(|row_id| RemovalCursor((row_id - 1).to_string()));
    Ok(Removed { events: erased as u64, next, ..Removed::default() })
}

/// SQLite has no partitions to drop.
pub(super) fn drop_rejections(
    _: &mut SqliteConnection,
    _before: Timestamp,
) -> Result<Option<u64>, Error> {
    Ok(None)
}

/// SQLite keeps the order of the index by itself.
pub(super) fn keep_index_order(_: &mut SqliteConnection) -> Result<(), Error> {
    Ok(())
}
