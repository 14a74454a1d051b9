//! Bulk removal in PostgreSQL: first the events, partition by partition, then the keys.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{self, BigInt, Bool, Text, Timestamptz};
use mercurio_domain::store::{Person, Removal, RemovalCursor, Removed};
use mercurio_domain::{Owner, TenantId, Timestamp};
use uuid::Uuid;

use super::schema::events;
use crate::error::Error;
use crate::rows::Micros;

/// Maximum rows removed in a step: some milliseconds of work, and little to repeat after a crash.
const STEP: i64 = 5_000;
/// Maximum keys scanned in a step that keeps most of them.
const KEY_SCAN: i64 = 20_000;
/// The cursor of [`RemovalPosition::Counts`].
const COUNTS: &str = "counts";
/// The earliest time in PostgreSQL, in 4713 BC, in microseconds since 1970.
const EARLIEST_MICROS: i64 = -210_866_803_200_000_000;

/// The start of a step.
///
/// A step starts after the rows removed before it. Those stay as dead rows until a vacuum, and a
/// scan from the beginning would pass over all of them again.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RemovalPosition {
    /// An index entry of a partition.
    Partition { name: String, entry: IndexEntry },
    /// A key.
    Key(KeyEntry),
    /// The counts of a tenant.
    Counts,
}

/// An entry of the index on time, within a tenant. Times are in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct IndexEntry {
    workspace_id: i64,
    occurred_at: i64,
}

/// An entry of the primary key of `event_keys`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KeyEntry {
    tenant_id: i64,
    key: Uuid,
}

impl IndexEntry {
    const FIRST: Self = Self { workspace_id: i64::MIN, occurred_at: i64::MIN };
}

impl KeyEntry {
    const FIRST: Self = Self { tenant_id: i64::MIN, key: Uuid::nil() };
}

impl RemovalPosition {
    fn start_of(partition: String) -> Self {
        Self::Partition { name: partition, entry: IndexEntry::FIRST }
    }

    /// Reads a cursor. One that it can't read restarts the removal.
    ///
    /// A cursor is [`COUNTS`], or a partition's name (empty for keys) and two values, separated by
    /// spaces.
    fn decode(cursor: Option<&RemovalCursor>) -> Self {
        // No partition's name sorts before the empty one.
        cursor.and_then(Self::parse).unwrap_or_else(|| Self::start_of(String::new()))
    }

    fn parse(cursor: &RemovalCursor) -> Option<Self> {
        if cursor.0 == COUNTS {
            return Some(Self::Counts);
        }
        // From the right: a quoted partition's name may contain spaces.
        let mut words = cursor.0.rsplitn(3, ' ');
        let (last, middle, first) = (words.next()?, words.next()?, words.next()?);
        if first.is_empty() {
            let (tenant_id, key) = (middle.parse().ok()?, last.parse().ok()?);
            return Some(Self::Key(KeyEntry { tenant_id, key }));
        }
        let (workspace_id, occurred_at) = (middle.parse().ok()?, last.parse().ok()?);
        let entry = IndexEntry { workspace_id, occurred_at };
        Some(Self::Partition { name: first.to_owned(), entry })
    }

    fn encode(&self) -> RemovalCursor {
        RemovalCursor(match self {
            Self::Partition { name, entry: IndexEntry { workspace_id, occurred_at } } => {
                format!("{name} {workspace_id} {occurred_at}")
            }
            Self::Key(KeyEntry { tenant_id, key }) => format!(" {tenant_id} {key}"),
            Self::Counts => COUNTS.to_owned(),
        })
    }
}

pub(super) fn count_events(connection: &mut PgConnection, owner: Owner) -> Result<u64, Error> {
    let count: i64 = events::table
        .filter(events::tenant_id.eq(owner.tenant_id.0))
        .filter(events::workspace_id.eq(owner.workspace_id.0))
        .count()
        .get_result(connection)?;
    Ok(count.unsigned_abs())
}

/// Removes up to [`STEP`] events of one partition, keys, or counts.
pub(super) fn remove_events(
    connection: &mut PgConnection,
    which: &Removal,
    _removed_at: Timestamp,
    from: Option<&RemovalCursor>,
) -> Result<Removed, Error> {
    let (name, entry) = match RemovalPosition::decode(from) {
        RemovalPosition::Key(entry) => return remove_keys(connection, which, entry),
        RemovalPosition::Counts => return remove_counts(connection, which),
        RemovalPosition::Partition { name, entry } => (name, entry),
    };
    let newest = match which {
        Removal::Received { before, .. } => last_partition_before(*before),
        Removal::Tenant(_) | Removal::Person { .. } => None,
    };
    // Skips only partitions surely after the bound; `drop_if_old` compares real bounds.
    let mut partitions = partitions_from(connection, &name)?.into_iter().filter(|partition| {
        newest.as_ref().is_none_or(|newest| !is_known_to_be_newer(partition, newest))
    });
    // A person's keys stay, so that a resent event is a duplicate.
    let keys =
        (!matches!(which, Removal::Person { .. })).then_some(RemovalPosition::Key(KeyEntry::FIRST));
    let Some(partition) = partitions.next() else {
        let next = keys.map(|position| position.encode());
        return Ok(Removed { next, ..Removed::default() });
    };
    // The partition of the cursor may be gone. The next one starts at its beginning.
    let start = if partition == name { entry } else { IndexEntry::FIRST };
    let removed = remove_from_partition(connection, which, &partition, start)?;
    let next = match removed.last {
        // A step with fewer rows has reached the end of the partition.
        Some(entry) if removed.events == STEP => {
            Some(RemovalPosition::Partition { name: partition, entry })
        }
        _ => partitions.next().map(RemovalPosition::start_of).or(keys),
    };
    Ok(Removed {
        events: removed.events.unsigned_abs(),
        keys: 0,
        next: next.map(|position| position.encode()),
    })
}

/// The events that a step removed from a partition.
struct RemovedEvents {
    events: i64,
    /// The last index entry removed.
    last: Option<IndexEntry>,
}

fn remove_from_partition(
    connection: &mut PgConnection,
    which: &Removal,
    partition: &str,
    start: IndexEntry,
) -> Result<RemovedEvents, Error> {
    // The conditions are constants and the values bound: no client's text is in the SQL.
    let (tenant_id, condition, value) = match which {
        // Always true, so that all cases bind the same parameters.
        Removal::Tenant(tenant_id) => (tenant_id, "$4 = ''", String::new()),
        Removal::Person { tenant_id, person: Person::User(id) } => {
            (tenant_id, "user_id = $4", id.clone())
        }
        Removal::Person { tenant_id, person: Person::Anonymous(id) } => {
            (tenant_id, "anonymous_id = $4", id.clone())
        }
        Removal::Received { tenant_id: Some(tenant_id), before } => {
            (tenant_id, "received_at < $4::timestamptz", before.to_string())
        }
        Removal::Received { tenant_id: None, before } => {
            let events = drop_if_old(connection, partition, *before)?;
            return Ok(RemovedEvents { events, last: None });
        }
    };
    remove_rows(connection, partition, *tenant_id, start, Condition { sql: condition, value })
}

/// The name of the last partition that can hold events received before `before`.
fn last_partition_before(before: Timestamp) -> Option<String> {
    // `before` is exclusive.
    let last = before.checked_add_micros(-1)?;
    Some(format!("events_{}", last.to_datetime().format("%Y%m%d")))
}

/// Whether `partition` is of a later day than `newest`. Names of another form have no day.
fn is_known_to_be_newer(partition: &str, newest: &str) -> bool {
    let has_day = |name: &str| name.strip_prefix("events_").is_some_and(|day| day.len() == 8);
    has_day(partition) && has_day(newest) && partition > newest
}

/// Drops a partition if all its events were received before `before`. Returns how many it had.
///
/// Detaching locks `events` against all other transactions. So it gives up after 200 ms, and the
/// step is repeated.
fn drop_if_old(
    connection: &mut PgConnection,
    partition: &str,
    before: Timestamp,
) -> Result<i64, Error> {
    #[derive(QueryableByName)]
    struct PartitionRow {
        #[diesel(sql_type = Bool)]
        is_old: bool,
        #[diesel(sql_type = BigInt)]
        events: i64,
    }
    // The catalog has the bound as text: FOR VALUES FROM ('…') TO ('…').
    let is_old = format!(
        "(SELECT substring(pg_get_expr(relpartbound, oid) FROM 'TO \\(''(.*)''\\)')::timestamptz <= $1
          FROM pg_catalog.pg_class WHERE oid = '{partition}'::regclass)"
    );
    let statement = format!(
        "SELECT COALESCE({is_old}, false) AS is_old,
                CASE WHEN {is_old} THEN (SELECT count(*) FROM {partition}) ELSE 0 END AS events"
    );
    let row: PartitionRow = diesel::sql_query(statement)
        .bind::<Timestamptz, _>(Micros::from(before))
        .get_result(connection)?;
    if row.is_old {
        connection.batch_execute(&format!(
            "SET LOCAL lock_timeout = '200ms';
             ALTER TABLE events DETACH PARTITION {partition}; DROP TABLE {partition}"
        ))?;
    }
    Ok(row.events)
}

/// The partitions of `events` from `from` on, sorted by name.
fn partitions_from(connection: &mut PgConnection, from: &str) -> Result<Vec<String>, Error> {
    #[derive(QueryableByName)]
    struct PartitionRow {
        #[diesel(sql_type = Text)]
        name: String,
    }
    // `regclass::text` quotes the names where SQL needs it.
    let rows: Vec<PartitionRow> = diesel::sql_query(
        "SELECT inhrelid::regclass::text AS name FROM pg_catalog.pg_inherits
         WHERE inhparent = 'events'::regclass",
    )
    .load(connection)?;
    let mut names: Vec<_> =
        rows.into_iter().map(|row| row.name).filter(|name| name.as_str() >= from).collect();
    // The order of names is the order of days, and a cursor relies on it.
    names.sort_unstable();
    Ok(names)
}

/// A condition on events with the parameter `$4`.
struct Condition {
    sql: &'static str,
    value: String,
}

/// Removes up to [`STEP`] rows in the order of the index on time. Deleting by `ctid` avoids a
/// second index search.
fn remove_rows(
    connection: &mut PgConnection,
    partition: &str,
    tenant_id: TenantId,
    start: IndexEntry,
    condition: Condition,
) -> Result<RemovedEvents, Error> {
    #[derive(QueryableByName)]
    struct LastRow {
        #[diesel(sql_type = BigInt)]
        removed: i64,
        #[diesel(sql_type = BigInt)]
        workspace_id: i64,
        #[diesel(sql_type = Timestamptz)]
        occurred_at: Micros,
    }
    let Condition { sql: condition, value } = condition;
    let statement = format!(
        "WITH removed AS (
             DELETE FROM {partition} WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM {partition}
                 WHERE tenant_id = $1 AND (workspace_id, occurred_at) >= ($2, $3) AND {condition}
                 ORDER BY workspace_id, occurred_at LIMIT {STEP}))
             RETURNING workspace_id, occurred_at)
         SELECT count(*) OVER () AS removed, workspace_id, occurred_at FROM removed
         ORDER BY workspace_id DESC, occurred_at DESC LIMIT 1"
    );
    let last: Option<LastRow> = diesel::sql_query(statement)
        .bind::<BigInt, _>(tenant_id.0)
        .bind::<BigInt, _>(start.workspace_id)
        // `IndexEntry::FIRST` lies before any time PostgreSQL can represent.
        .bind::<Timestamptz, _>(Micros(start.occurred_at.max(EARLIEST_MICROS)))
        .bind::<Text, _>(value)
        .get_result(connection)
        .optional()?;
    let Some(LastRow { removed, workspace_id, occurred_at: Micros(occurred_at) }) = last else {
        return Ok(RemovedEvents { events: 0, last: None });
    };
    Ok(RemovedEvents { events: removed, last: Some(IndexEntry { workspace_id, occurred_at }) })
}

/// Removes keys from `from` on: all keys of a tenant, or the old ones.
fn remove_keys(
    connection: &mut PgConnection,
    which: &Removal,
    from: KeyEntry,
) -> Result<Removed, Error> {
    #[derive(QueryableByName)]
    struct LastRow {
        #[diesel(sql_type = BigInt)]
        removed: i64,
        #[diesel(sql_type = BigInt)]
        seen: i64,
        #[diesel(sql_type = BigInt)]
        tenant_id: i64,
        #[diesel(sql_type = sql_types::Uuid)]
        key: Uuid,
    }
    // A tenant's keys are all removed. Of old keys most stay, so more are scanned.
    let limit = if matches!(which, Removal::Tenant(_)) { STEP } else { KEY_SCAN };
    let of_tenant = match which.tenant_id() {
        Some(tenant_id) => format!("AND tenant_id = {}", tenant_id.0),
        None => String::new(),
    };
    // The second form is always true and keeps `$3` in the statement.
    let is_old = if which.keys_before().is_some() { "received_at < $3" } else { "$3 IS NOT NULL" };
    let statement = format!(
        "WITH page AS MATERIALIZED (
             SELECT ctid, tenant_id, key, received_at FROM event_keys
             WHERE (tenant_id, key) >= ($1, $2) {of_tenant} ORDER BY tenant_id, key LIMIT {limit}),
         removed AS (
             DELETE FROM event_keys WHERE ctid = ANY (ARRAY(SELECT ctid FROM page WHERE {is_old}))
             RETURNING 1)
         SELECT (SELECT count(*) FROM removed) AS removed, count(*) OVER () AS seen, tenant_id, key
         FROM page ORDER BY tenant_id DESC, key DESC LIMIT 1"
    );
    // Unused without a bound, but the statement needs a value.
    let before = which.keys_before().map_or(Micros(EARLIEST_MICROS), Micros::from);
    let last: Option<LastRow> = diesel::sql_query(statement)
        .bind::<BigInt, _>(from.tenant_id)
        .bind::<sql_types::Uuid, _>(from.key)
        .bind::<Timestamptz, _>(before)
        .get_result(connection)
        .optional()?;
    let keys = last.as_ref().map_or(0, |last| last.removed.unsigned_abs());
    let next = match last {
        Some(LastRow { seen, tenant_id, key, .. }) if seen == limit => {
            Some(RemovalPosition::Key(KeyEntry { tenant_id, key }))
        }
        // Counts outlive events and keys, except for a deleted tenant.
        _ => matches!(which, Removal::Tenant(_)).then_some(RemovalPosition::Counts),
    };
    Ok(Removed { events: 0, keys, next: next.map(|position| position.encode()) })
}

/// Removes up to [`STEP`] counts of a tenant. Years of counts are too many for the transaction that
/// finishes the deletion.
fn remove_counts(connection: &mut PgConnection, which: &Removal) -> Result<Removed, Error> {
    let Removal::Tenant(tenant_id) = which else { return Ok(Removed::default()) };
    let statement = format!(
        "DELETE FROM event_counts WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM event_counts WHERE tenant_id = $1 LIMIT {STEP}))"
    );
    let removed =
        diesel::sql_query(statement).bind::<BigInt, _>(tenant_id.0).execute(connection)?;
    let next = (removed == STEP as usize).then(|| RemovalPosition::Counts.encode());
    Ok(Removed { next, ..Removed::default() })
}
