//! Many events at once in PostgreSQL: counted, and removed partition by partition, then key by key.

use diesel::prelude::*;
use diesel::sql_types::{self, BigInt, Text, Timestamptz};
use mercurio_domain::store::{CatalogRows, Person, Place, Removal, Removed};
use mercurio_domain::{Owner, TenantId, Timestamp};
use uuid::Uuid;

use super::schema::{api_keys, events, tenant_limits, tenants, workspaces};
use crate::error::Failure;
use crate::rows::{self, Micros};

/// Rows that a step removes at most: some milliseconds of work, and little that a crash would repeat.
const STEP: i64 = 5_000;

/// Where a step begins. Behind what the step before removed: the rows that went lie about as dead ones until a vacuum, and
/// whoever begins at the front again passes over all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Position {
    /// In a partition, at a workspace and a time of event.
    Partition(String, i64, i64),
    /// In the keys.
    Keys(Uuid),
}

impl Position {
    /// The beginning: no partition's name is less.
    fn first() -> Self {
        Self::in_partition(String::new())
    }

    fn in_partition(name: String) -> Self {
        Self::Partition(name, i64::MIN, i64::MIN)
    }

    fn read(place: Option<&Place>) -> Self {
        let parse = |text: &str| {
            let mut words = text.rsplitn(3, ' ');
            let (last, middle, first) = (words.next()?, words.next()?, words.next()?);
            match first {
                "" => Some(Self::Keys(last.parse().ok()?)),
                name => Some(Self::Partition(name.to_owned(), middle.parse().ok()?, last.parse().ok()?)),
            }
        };
        place.and_then(|place| parse(&place.0)).unwrap_or_else(Self::first)
    }

    fn place(&self) -> Place {
        Place(match self {
            Self::Partition(name, workspace_id, occurred_at) => format!("{name} {workspace_id} {occurred_at}"),
            Self::Keys(key) => format!(" keys {key}"),
        })
    }
}

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
    let (name, workspace_id, occurred_at) = match Position::read(from) {
        Position::Keys(key) => return remove_keys(connection, which.tenant_id(), key),
        Position::Partition(name, workspace_id, occurred_at) => (name, workspace_id, occurred_at),
    };
    let mut partitions = partitions(connection, &name)?.into_iter();
    let after_all = || matches!(which, Removal::Tenant(_)).then(|| Position::Keys(Uuid::nil()));
    let Some(partition) = partitions.next() else {
        return Ok(Removed { next: after_all().map(|position| position.place()), ..Removed::default() });
    };
    // Another partition than the one that was meant begins at its own beginning.
    let start = if partition == name { (workspace_id, occurred_at) } else { (i64::MIN, i64::MIN) };
    let person = match which {
        Removal::Tenant(_) => None,
        Removal::Person { person, .. } => Some(person),
    };
    let (events, last) = remove(connection, &partition, which.tenant_id(), person, start)?;
    let next = match last {
        Some((workspace_id, occurred_at)) if events == STEP => {
            Some(Position::Partition(partition, workspace_id, occurred_at))
        }
        _ => partitions.next().map(Position::in_partition).or_else(after_all),
    };
    Ok(Removed { events: events.unsigned_abs(), keys: 0, next: next.map(|position| position.place()) })
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

/// Removes rows in the order of the index on time, named by where they lie so that each is looked for once. Returns how many,
/// and where the last of them was.
fn remove(
    connection: &mut PgConnection,
    partition: &str,
    tenant_id: TenantId,
    person: Option<&Person>,
    (workspace_id, occurred_at): (i64, i64),
) -> Result<(i64, Option<(i64, i64)>), Failure> {
    #[derive(QueryableByName)]
    struct Last {
        #[diesel(sql_type = BigInt)]
        removed: i64,
        #[diesel(sql_type = BigInt)]
        workspace_id: i64,
        #[diesel(sql_type = Timestamptz)]
        occurred_at: Micros,
    }
    let (condition, person) = match person {
        None => ("$4 = ''", ""),
        Some(Person::User(id)) => ("user_id = $4", id.as_str()),
        Some(Person::Anonymous(id)) => ("anonymous_id = $4", id.as_str()),
    };
    let statement = format!(
        "WITH gone AS (
             DELETE FROM {partition} WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM {partition}
                 WHERE tenant_id = $1 AND (workspace_id, occurred_at) >= ($2, $3) AND {condition}
                 ORDER BY workspace_id, occurred_at LIMIT {STEP}))
             RETURNING workspace_id, occurred_at)
         SELECT count(*) OVER () AS removed, workspace_id, occurred_at FROM gone
         ORDER BY workspace_id DESC, occurred_at DESC LIMIT 1"
    );
    let last: Option<Last> = diesel::sql_query(statement)
        .bind::<BigInt, _>(tenant_id.0)
        .bind::<BigInt, _>(workspace_id)
        .bind::<Timestamptz, _>(Micros(occurred_at.max(EARLIEST)))
        .bind::<Text, _>(person)
        .get_result(connection)
        .optional()?;
    Ok(last.map_or((0, None), |last| (last.removed, Some((last.workspace_id, last.occurred_at.0)))))
}

/// Before every event: the first of January 1, in microseconds since 1970.
const EARLIEST: i64 = -62_135_596_800_000_000;

fn remove_keys(connection: &mut PgConnection, tenant_id: TenantId, from: Uuid) -> Result<Removed, Failure> {
    #[derive(QueryableByName)]
    struct Last {
        #[diesel(sql_type = BigInt)]
        removed: i64,
        #[diesel(sql_type = sql_types::Uuid)]
        key: Uuid,
    }
    let statement = format!(
        "WITH gone AS (
             DELETE FROM event_keys WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM event_keys WHERE tenant_id = $1 AND key >= $2 ORDER BY key LIMIT {STEP}))
             RETURNING key)
         SELECT count(*) OVER () AS removed, key FROM gone ORDER BY key DESC LIMIT 1"
    );
    let last: Option<Last> = diesel::sql_query(statement)
        .bind::<BigInt, _>(tenant_id.0)
        .bind::<sql_types::Uuid, _>(from)
        .get_result(connection)
        .optional()?;
    let keys = last.as_ref().map_or(0, |last| last.removed);
    let next = last.filter(|last| last.removed == STEP).map(|last| Position::Keys(last.key).place());
    Ok(Removed { events: 0, keys: keys.unsigned_abs(), next })
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
