//! Many events at once in PostgreSQL: counted, and removed partition by partition, then key by key.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{self, BigInt, Bool, Text, Timestamptz};
use mercurio_domain::store::{Person, Place, Removal, Removed, TenantRows};
use mercurio_domain::{Owner, TenantId, Timestamp};
use uuid::Uuid;

use super::counts;
use super::schema::{
    api_keys, event_counts, events, tenant_deletions, tenant_limits, tenant_usage, tenants,
    workspaces,
};
use crate::error::Failure;
use crate::rows::{self, Micros};

/// Rows that a step removes at most: some milliseconds of work, and little that a crash would repeat.
const STEP: i64 = 5_000;

/// How [`Position::Counts`] is written.
const COUNTS: &str = "counts";

/// Where a step begins. Behind what the step before removed: the rows that went lie about as dead ones until a vacuum, and
/// whoever begins at the front again passes over all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Position {
    /// In a partition, at a workspace and a time of event.
    Partition(String, i64, i64),
    /// In the keys, behind that of a tenant.
    Keys(i64, Uuid),
    /// In the counts of a tenant that is being deleted.
    Counts,
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
            if text == COUNTS {
                return Some(Self::Counts);
            }
            let mut words = text.rsplitn(3, ' ');
            let (last, middle, first) = (words.next()?, words.next()?, words.next()?);
            match first {
                "" => Some(Self::Keys(middle.parse().ok()?, last.parse().ok()?)),
                name => {
                    Some(Self::Partition(name.to_owned(), middle.parse().ok()?, last.parse().ok()?))
                }
            }
        };
        place.and_then(|place| parse(&place.0)).unwrap_or_else(Self::first)
    }

    fn place(&self) -> Place {
        Place(match self {
            Self::Partition(name, workspace_id, occurred_at) => {
                format!("{name} {workspace_id} {occurred_at}")
            }
            Self::Keys(tenant_id, key) => format!(" {tenant_id} {key}"),
            Self::Counts => COUNTS.to_owned(),
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
        Position::Keys(tenant_id, key) => return keys(connection, which, (tenant_id, key)),
        Position::Counts => return remove_counts(connection, which),
        Position::Partition(name, workspace_id, occurred_at) => (name, workspace_id, occurred_at),
    };
    let newest = match which {
        Removal::Received { before, .. } => newest_with_old(*before),
        Removal::Tenant(_) | Removal::Person { .. } => None,
    };
    let is_in_range =
        |partition: &String| newest.as_ref().is_none_or(|newest| !is_newer(partition, newest));
    let mut partitions = partitions(connection, &name)?.into_iter().filter(is_in_range);
    let after_all = || {
        (!matches!(which, Removal::Person { .. })).then(|| Position::Keys(i64::MIN, Uuid::nil()))
    };
    let Some(partition) = partitions.next() else {
        return Ok(Removed {
            next: after_all().map(|position| position.place()),
            ..Removed::default()
        });
    };
    // Another partition than the one that was meant begins at its own beginning.
    let start = if partition == name { (workspace_id, occurred_at) } else { (i64::MIN, i64::MIN) };
    let (events, last) = match which {
        Removal::Tenant(tenant_id) => {
            remove(connection, &partition, *tenant_id, ("$4 = ''", ""), start)?
        }
        Removal::Person { tenant_id, person: Person::User(id) } => {
            remove(connection, &partition, *tenant_id, ("user_id = $4", id), start)?
        }
        Removal::Person { tenant_id, person: Person::Anonymous(id) } => {
            remove(connection, &partition, *tenant_id, ("anonymous_id = $4", id), start)?
        }
        Removal::Received { tenant_id: Some(tenant_id), before } => {
            let condition = ("received_at < $4::timestamptz", &*before.to_string());
            remove(connection, &partition, *tenant_id, condition, start)?
        }
        Removal::Received { tenant_id: None, before } => {
            (drop_old(connection, &partition, *before)?, None)
        }
    };
    let next = match last {
        Some((workspace_id, occurred_at)) if events == STEP => {
            Some(Position::Partition(partition, workspace_id, occurred_at))
        }
        _ => partitions.next().map(Position::in_partition).or_else(after_all),
    };
    Ok(Removed {
        events: events.unsigned_abs(),
        keys: 0,
        next: next.map(|position| position.place()),
    })
}

/// The name of the last partition that can hold events that were received before `before`.
fn newest_with_old(before: Timestamp) -> Option<String> {
    let last = before.checked_add_micros(-1)?;
    Some(format!("events_{}", last.to_datetime().format("%Y%m%d")))
}

/// Whether a partition is of a later day. Of one with a name of another form nobody knows.
fn is_newer(partition: &str, newest: &str) -> bool {
    let is_day = |name: &str| name.strip_prefix("events_").is_some_and(|day| day.len() == 8);
    is_day(partition) && is_day(newest) && partition > newest
}

/// Drops a partition all of whose events were received before `before`. That takes a lock for which everybody waits, and so
/// waits itself no longer than a moment: the step is then tried again.
fn drop_old(
    connection: &mut PgConnection,
    partition: &str,
    before: Timestamp,
) -> Result<i64, Failure> {
    #[derive(QueryableByName)]
    struct Old {
        #[diesel(sql_type = Bool)]
        is_old: bool,
        #[diesel(sql_type = BigInt)]
        events: i64,
    }
    // The bound is read from the catalogue, where it stands as FOR VALUES FROM ('…') TO ('…').
    let bound = format!(
        "(SELECT substring(pg_get_expr(relpartbound, oid) FROM 'TO \\(''(.*)''\\)')::timestamptz <= $1
          FROM pg_catalog.pg_class WHERE oid = '{partition}'::regclass)"
    );
    let statement = format!(
        "SELECT COALESCE({bound}, false) AS is_old,
                CASE WHEN {bound} THEN (SELECT count(*) FROM {partition}) ELSE 0 END AS events"
    );
    let old: Old = diesel::sql_query(statement)
        .bind::<Timestamptz, _>(Micros::from(before))
        .get_result(connection)?;
    if old.is_old {
        connection.batch_execute(&format!(
            "SET LOCAL lock_timeout = '200ms'; ALTER TABLE events DETACH PARTITION {partition}; DROP TABLE {partition}"
        ))?;
    }
    Ok(old.events)
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
    let mut names: Vec<_> =
        names.into_iter().map(|partition| partition.name).filter(|name| &**name >= from).collect();
    names.sort_unstable();
    Ok(names)
}

/// Removes rows in the order of the index on time, named by where they lie so that each is looked for once. Returns how many,
/// and where the last of them was.
fn remove(
    connection: &mut PgConnection,
    partition: &str,
    tenant_id: TenantId,
    (condition, value): (&str, &str),
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
        .bind::<Text, _>(value)
        .get_result(connection)
        .optional()?;
    Ok(last.map_or((0, None), |last| (last.removed, Some((last.workspace_id, last.occurred_at.0)))))
}

/// The first time that PostgreSQL can name, in 4713 BC, in microseconds since 1970.
const EARLIEST: i64 = -210_866_803_200_000_000;

/// Keys that a step looks at where most of them stay.
const SCAN: i64 = 20_000;

/// Removes keys behind `from`: all of a tenant, or those that are old enough.
fn keys(
    connection: &mut PgConnection,
    which: &Removal,
    from: (i64, Uuid),
) -> Result<Removed, Failure> {
    #[derive(QueryableByName)]
    struct Last {
        #[diesel(sql_type = BigInt)]
        removed: i64,
        #[diesel(sql_type = BigInt)]
        seen: i64,
        #[diesel(sql_type = BigInt)]
        tenant_id: i64,
        #[diesel(sql_type = sql_types::Uuid)]
        key: Uuid,
    }
    let limit = if matches!(which, Removal::Tenant(_)) { STEP } else { SCAN };
    let of_tenant = match which.tenant_id() {
        Some(tenant_id) => format!("AND tenant_id = {}", tenant_id.0),
        None => String::new(),
    };
    let is_old = if which.keys_before().is_some() { "received_at < $3" } else { "$3 IS NOT NULL" };
    let statement = format!(
        "WITH page AS MATERIALIZED (
             SELECT ctid, tenant_id, key, received_at FROM event_keys
             WHERE (tenant_id, key) >= ($1, $2) {of_tenant} ORDER BY tenant_id, key LIMIT {limit}),
         gone AS (
             DELETE FROM event_keys WHERE ctid = ANY (ARRAY(SELECT ctid FROM page WHERE {is_old})) RETURNING 1)
         SELECT (SELECT count(*) FROM gone) AS removed, count(*) OVER () AS seen, tenant_id, key FROM page
         ORDER BY tenant_id DESC, key DESC LIMIT 1"
    );
    let before = which.keys_before().map_or(Micros(EARLIEST), Micros::from);
    let last: Option<Last> = diesel::sql_query(statement)
        .bind::<BigInt, _>(from.0)
        .bind::<sql_types::Uuid, _>(from.1)
        .bind::<Timestamptz, _>(before)
        .get_result(connection)
        .optional()?;
    let keys = last.as_ref().map_or(0, |last| last.removed);
    let next = match last.filter(|last| last.seen == limit) {
        Some(last) => Some(Position::Keys(last.tenant_id, last.key)),
        None => matches!(which, Removal::Tenant(_)).then_some(Position::Counts),
    };
    let next = next.map(|position| position.place());
    Ok(Removed { events: 0, keys: keys.unsigned_abs(), next })
}

/// Removes up to [`STEP`] counts of a tenant that is being deleted. Years of them may be too many for the last transaction.
fn remove_counts(connection: &mut PgConnection, which: &Removal) -> Result<Removed, Failure> {
    let Removal::Tenant(tenant_id) = which else { return Ok(Removed::default()) };
    let statement = format!(
        "DELETE FROM event_counts WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM event_counts WHERE tenant_id = $1 LIMIT {STEP}))"
    );
    let removed =
        diesel::sql_query(statement).bind::<BigInt, _>(tenant_id.0).execute(connection)?;
    let next = (removed == STEP as usize).then(|| Position::Counts.place());
    Ok(Removed { next, ..Removed::default() })
}

/// Since when the tenant is being deleted, which is now unless somebody was before.
pub(super) fn begin_deletion(
    connection: &mut PgConnection,
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
    connection: &mut PgConnection,
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
    connection: &mut PgConnection,
    tenant_id: TenantId,
) -> Result<Option<TenantRows>, Failure> {
    let id = tenant_id.0;
    let deleted =
        tenants::table.filter(tenants::id.eq(id)).filter(tenants::deleted_at.is_not_null());
    if deleted.select(tenants::id).first::<i64>(connection).optional()?.is_none() {
        return Ok(None);
    }
    counts::lock(connection)?;
    diesel::delete(event_counts::table.filter(event_counts::tenant_id.eq(id)))
        .execute(connection)?;
    diesel::delete(tenant_usage::table.filter(tenant_usage::tenant_id.eq(id)))
        .execute(connection)?;
    diesel::delete(tenant_limits::table.filter(tenant_limits::tenant_id.eq(id)))
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
