//! Many events at once in PostgreSQL: counted, and removed partition by partition, then key by key.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use mercurio_domain::store::{CatalogRows, Person, Place, Removal, Removed};
use mercurio_domain::{Owner, TenantId, Timestamp};

use super::schema::{api_keys, events, tenant_limits, tenants, workspaces};
use crate::error::Failure;
use crate::rows::{self, Micros};

/// Rows that a step removes at most: some milliseconds of work, and little that a crash would repeat.
const STEP: usize = 5_000;
/// The place behind the last partition. No partition's name is greater.
const KEYS: &str = "~keys";

pub(super) fn count_events(connection: &mut PgConnection, owner: Owner) -> Result<u64, Failure> {
    let count: i64 = events::table
        .filter(events::tenant_id.eq(owner.tenant_id.0))
        .filter(events::workspace_id.eq(owner.workspace_id.0))
        .count()
        .get_result(connection)?;
    Ok(count.unsigned_abs())
}

/// Removes up to [`STEP`] rows of the partition at `from`, or of the keys.
pub(super) fn remove_events(
    connection: &mut PgConnection,
    which: &Removal,
    _removed_at: Timestamp,
    from: Option<&Place>,
) -> Result<Removed, Failure> {
    let from = from.map_or("", |place| &place.0);
    let mut partitions = partitions(connection, from)?.into_iter();
    let Some(partition) = partitions.next() else {
        return match which {
            Removal::Tenant(tenant_id) => remove_keys(connection, *tenant_id),
            Removal::Person { .. } => Ok(Removed::default()),
        };
    };
    let removed = match which {
        Removal::Tenant(tenant_id) => remove(connection, &partition, *tenant_id, None)?,
        Removal::Person { tenant_id, person } => remove(connection, &partition, *tenant_id, Some(person))?,
    };
    let next = if removed == STEP {
        Some(partition)
    } else {
        partitions.next().or_else(|| matches!(which, Removal::Tenant(_)).then(|| KEYS.to_owned()))
    };
    Ok(Removed { events: removed as u64, keys: 0, next: next.map(Place) })
}

/// The partitions of `events` from `from` on, in the order of their names, ready to stand in a statement.
fn partitions(connection: &mut PgConnection, from: &str) -> Result<Vec<String>, Failure> {
    #[derive(QueryableByName)]
    struct Partition {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let names: Vec<Partition> = diesel::sql_query(
        "SELECT inhrelid::regclass::text AS name FROM pg_catalog.pg_inherits WHERE inhparent = 'events'::regclass",
    )
    .load(connection)?;
    let mut names: Vec<_> = names.into_iter().map(|partition| partition.name).filter(|name| &**name >= from).collect();
    names.sort_unstable();
    Ok(names)
}

/// Rows are named by where they lie, so that each is looked for once.
fn remove(
    connection: &mut PgConnection,
    partition: &str,
    tenant_id: TenantId,
    person: Option<&Person>,
) -> Result<usize, Failure> {
    let (column, person) = match person {
        None => ("NULL", ""),
        Some(Person::User(id)) => ("user_id", id.as_str()),
        Some(Person::Anonymous(id)) => ("anonymous_id", id.as_str()),
    };
    let all = column == "NULL";
    let statement = format!(
        "DELETE FROM {partition} WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM {partition} WHERE tenant_id = $1 AND ({all} OR {column} = $2) LIMIT {STEP}))"
    );
    Ok(diesel::sql_query(statement).bind::<BigInt, _>(tenant_id.0).bind::<Text, _>(person).execute(connection)?)
}

fn remove_keys(connection: &mut PgConnection, tenant_id: TenantId) -> Result<Removed, Failure> {
    let statement = format!(
        "DELETE FROM event_keys WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM event_keys WHERE tenant_id = $1 LIMIT {STEP}))"
    );
    let keys = diesel::sql_query(statement).bind::<BigInt, _>(tenant_id.0).execute(connection)?;
    Ok(Removed { events: 0, keys: keys as u64, next: (keys == STEP).then(|| Place(KEYS.to_owned())) })
}

/// Since when the tenant is being deleted, which is now unless somebody was before.
pub(super) fn begin_deletion(
    connection: &mut PgConnection,
    tenant_id: TenantId,
    now: Timestamp,
) -> Result<Option<Timestamp>, Failure> {
    diesel::update(tenants::table.filter(tenants::id.eq(tenant_id.0)).filter(tenants::deleted_at.is_null()))
        .set(tenants::deleted_at.eq(Micros::from(now)))
        .execute(connection)?;
    let since = tenants::table.filter(tenants::id.eq(tenant_id.0)).select(tenants::deleted_at);
    let since = since.first::<Option<Micros>>(connection).optional()?.flatten();
    rows::instant_if_any(since)
}

/// Removes the rows of the catalogue, the tenant's own last.
pub(super) fn finish_deletion(
    connection: &mut PgConnection,
    tenant_id: TenantId,
) -> Result<Option<CatalogRows>, Failure> {
    let id = tenant_id.0;
    let deleted = tenants::table.filter(tenants::id.eq(id)).filter(tenants::deleted_at.is_not_null());
    if deleted.select(tenants::id).first::<i64>(connection).optional()?.is_none() {
        return Ok(None);
    }
    diesel::delete(tenant_limits::table.filter(tenant_limits::tenant_id.eq(id))).execute(connection)?;
    let api_keys = diesel::delete(api_keys::table.filter(api_keys::tenant_id.eq(id))).execute(connection)?;
    let workspaces = diesel::delete(workspaces::table.filter(workspaces::tenant_id.eq(id))).execute(connection)?;
    diesel::delete(tenants::table.filter(tenants::id.eq(id))).execute(connection)?;
    Ok(Some(CatalogRows { workspaces: workspaces as u64, api_keys: api_keys as u64 }))
}
