//! Many events at once in SQLite: counted, and removed a few thousand rows at a time, so that the writer gets its turns.
//!
//! An event that is erased leaves its key behind, as a row that has nothing else: the row's unique key goes on deciding what
//! is a duplicate.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use mercurio_domain::store::{Person, Place, Removal, Removed, TenantRows};
use mercurio_domain::{Owner, TenantId, Timestamp};

use super::schema::{
    api_keys, event_counts, events, tenant_deletions, tenant_limits, tenant_usage, tenants,
    workspaces,
};
use crate::error::Failure;
use crate::rows::{self, Micros};

/// Rows that a step removes at most.
const STEP: usize = 5_000;
/// Rows that a step looks at in search of a person's.
const SCAN: i64 = 20_000;

pub(super) fn count_events(
    connection: &mut SqliteConnection,
    owner: Owner,
) -> Result<u64, Failure> {
    let count: i64 = events::table
        .filter(events::tenant_id.eq(owner.tenant_id.0))
        .filter(events::workspace_id.eq(owner.workspace_id.0))
        .filter(events::removed_at.is_null())
        .count()
        .get_result(connection)?;
    Ok(count.unsigned_abs())
}

pub(super) fn remove_events(
    connection: &mut SqliteConnection,
    which: &Removal,
    removed_at: Timestamp,
    from: Option<&Place>,
) -> Result<Removed, Failure> {
    match which {
        Removal::Tenant(tenant_id) => remove_all(connection, *tenant_id),
        Removal::Person { tenant_id, person } => {
            let from = from.and_then(|place| place.0.parse().ok()).unwrap_or(0);
            erase(connection, &Old::Person(*tenant_id, person), removed_at, from)
        }
        Removal::Received { tenant_id, before } => {
            let from = from.and_then(|place| place.0.parse().ok()).unwrap_or(0);
            // The keys first: an event that is old enough for that leaves none.
            let keys = remove_keys(connection, *tenant_id, which.keys_before(), from)?;
            let erased = erase(connection, &Old::Received(*tenant_id, *before), removed_at, from)?;
            Ok(Removed { events: erased.events + keys.events, keys: keys.keys, ..erased })
        }
    }
}

fn remove_all(connection: &mut SqliteConnection, tenant_id: TenantId) -> Result<Removed, Failure> {
    let found: Vec<(i64, Option<Micros>)> = events::table
        .filter(events::tenant_id.eq(tenant_id.0))
        .limit(i64::try_from(STEP).unwrap_or(i64::MAX))
        .select((events::row_id, events::removed_at))
        .load(connection)?;
    let events = found.iter().filter(|(_, removed_at)| removed_at.is_none()).count();
    let ids = found.iter().map(|(id, _)| *id);
    let keys =
        diesel::delete(events::table.filter(events::row_id.eq_any(ids))).execute(connection)?;
    let some_counts = "DELETE FROM event_counts WHERE rowid IN (
        SELECT rowid FROM event_counts WHERE tenant_id = ? LIMIT ?)";
    let counts = diesel::sql_query(some_counts)
        .bind::<BigInt, _>(tenant_id.0)
        .bind::<BigInt, _>(i64::try_from(STEP).unwrap_or(i64::MAX))
        .execute(connection)?;
    Ok(Removed {
        events: events as u64,
        keys: keys as u64,
        next: (keys == STEP || counts == STEP).then(|| Place(String::new())),
    })
}

/// Which rows leave nothing but their keys.
enum Old<'a> {
    Person(TenantId, &'a Person),
    Received(Option<TenantId>, Timestamp),
}

/// Removes of the rows behind `from` those that were received before `before`, with their keys.
fn remove_keys(
    connection: &mut SqliteConnection,
    tenant_id: Option<TenantId>,
    before: Option<Timestamp>,
    from: i64,
) -> Result<Removed, Failure> {
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
    let found: Vec<(i64, Option<Micros>)> = found.load(connection)?;
    let ids = found.iter().map(|(id, _)| *id);
    let keys =
        diesel::delete(events::table.filter(events::row_id.eq_any(ids))).execute(connection)?;
    let events = found.iter().filter(|(_, removed_at)| removed_at.is_none()).count();
    Ok(Removed { events: events as u64, keys: keys as u64, next: None })
}

/// Looks at the rows behind `from` and leaves of the old ones nothing but their keys.
fn erase(
    connection: &mut SqliteConnection,
    old: &Old<'_>,
    removed_at: Timestamp,
    from: i64,
) -> Result<Removed, Failure> {
    let newest: Option<i64> =
        events::table.select(diesel::dsl::max(events::row_id)).first(connection)?;
    let to = from.saturating_add(SCAN);
    let rows = events::table
        .filter(events::row_id.gt(from).and(events::row_id.le(to)))
        .filter(events::removed_at.is_null());
    let nothing = (
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
    let erased = match old {
        Old::Person(tenant_id, Person::User(id)) => {
            diesel::update(of(tenant_id).filter(events::user_id.eq(id)))
                .set(nothing)
                .execute(connection)?
        }
        Old::Person(tenant_id, Person::Anonymous(id)) => {
            diesel::update(of(tenant_id).filter(events::anonymous_id.eq(id)))
                .set(nothing)
                .execute(connection)?
        }
        Old::Received(Some(tenant_id), before) => {
            let old = of(tenant_id).filter(events::received_at.lt(Micros::from(*before)));
            diesel::update(old).set(nothing).execute(connection)?
        }
        Old::Received(None, before) => {
            let old = rows.filter(events::received_at.lt(Micros::from(*before)));
            diesel::update(old).set(nothing).execute(connection)?
        }
    };
    let next = newest.filter(|newest| to < *newest).map(|_| Place(to.to_string()));
    Ok(Removed { events: erased as u64, keys: 0, next })
}

/// Since when the tenant is being deleted, which is now unless somebody was before.
pub(super) fn begin_deletion(
    connection: &mut SqliteConnection,
    tenant_id: TenantId,
    now: Timestamp,
) -> Result<Option<Timestamp>, Failure> {
    diesel::update(
        tenants::table.filter(tenants::id.eq(tenant_id.0)).filter(tenants::deleted_at.is_null()),
    )
    .set(tenants::deleted_at.eq(Micros::from(now)))
    .execute(connection)?;
    let since = tenants::table.filter(tenants::id.eq(tenant_id.0)).select(tenants::deleted_at);
    let since = since.first::<Option<Micros>>(connection).optional()?.flatten();
    Ok(rows::instant_if_any(since))
}

/// Adds what a step removed to what the deletion of the tenant has removed before.
pub(super) fn count_deleted(
    connection: &mut SqliteConnection,
    tenant_id: TenantId,
    removed: &Removed,
) -> Result<(), Failure> {
    use tenant_deletions::{event_keys, events, table, tenant_id as id};
    if (removed.events, removed.keys) == (0, 0) {
        return Ok(());
    }
    let (more, more_keys) = (removed.events as i64, removed.keys as i64);
    diesel::insert_into(table)
        .values((id.eq(tenant_id.0), events.eq(more), event_keys.eq(more_keys)))
        .on_conflict(id)
        .do_update()
        .set((events.eq(events + more), event_keys.eq(event_keys + more_keys)))
        .execute(connection)?;
    Ok(())
}

/// Removes the rows of the catalogue, the tenant's own last.
pub(super) fn finish_deletion(
    connection: &mut SqliteConnection,
    tenant_id: TenantId,
) -> Result<Option<TenantRows>, Failure> {
    let id = tenant_id.0;
    let deleted =
        tenants::table.filter(tenants::id.eq(id)).filter(tenants::deleted_at.is_not_null());
    if deleted.select(tenants::id).first::<i64>(connection).optional()?.is_none() {
        return Ok(None);
    }
    diesel::delete(tenant_limits::table.filter(tenant_limits::tenant_id.eq(id)))
        .execute(connection)?;
    diesel::delete(event_counts::table.filter(event_counts::tenant_id.eq(id)))
        .execute(connection)?;
    diesel::delete(tenant_usage::table.filter(tenant_usage::tenant_id.eq(id)))
        .execute(connection)?;
    let removed = tenant_deletions::table.filter(tenant_deletions::tenant_id.eq(id));
    let counts = removed.select((tenant_deletions::events, tenant_deletions::event_keys));
    let (events, event_keys) =
        counts.first::<(i64, i64)>(connection).optional()?.unwrap_or_default();
    diesel::delete(removed).execute(connection)?;
    let api_keys =
        diesel::delete(api_keys::table.filter(api_keys::tenant_id.eq(id))).execute(connection)?;
    let workspaces = diesel::delete(workspaces::table.filter(workspaces::tenant_id.eq(id)))
        .execute(connection)?;
    diesel::delete(tenants::table.filter(tenants::id.eq(id))).execute(connection)?;
    Ok(Some(TenantRows {
        events: events as u64,
        event_keys: event_keys as u64,
        workspaces: workspaces as u64,
        api_keys: api_keys as u64,
    }))
}
