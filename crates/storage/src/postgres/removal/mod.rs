//! Bulk removal in PostgreSQL: first the events, partition by partition, then the keys.

mod count;
mod partitions;
mod position;
mod selection;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{self, BigInt, Text, Timestamptz};
use mercurio_domain::Timestamp;
use mercurio_domain::store::{Deletion, Removal, RemovalCursor, Removed};
use uuid::Uuid;

use crate::error::Error;
use crate::rows::Micros;
use partitions::{drop_if_old, partitions_of};
use position::{IndexEntry, KeyEntry, RemovalPosition};
use selection::{EARLIEST, EventCondition, SelectedEvents, SelectedKeys};

pub(super) use count::{count_events, count_removal};
pub(super) use partitions::drop_rejections;

/// Maximum rows removed in a step: some milliseconds of work, and little to repeat after a crash.
const STEP: i64 = 5_000;
/// Maximum keys scanned in a step that keeps most of them.
const KEY_SCAN: i64 = 20_000;

/// For the rest of the transaction, reads in the order of an index without a sort of all rows. The
/// planner does not know that a workspace has one tenant only. It expects so few rows that it would
/// sort all later ones for each step.
pub(super) fn keep_index_order(connection: &mut PgConnection) -> Result<(), Error> {
    // Sorts of equal times, which an index leaves to do, stay.
    Ok(connection.batch_execute("SET LOCAL enable_sort = off")?)
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
    let mut partitions = partitions_of(connection, which, &name)?.into_iter();
    let keys = SelectedKeys::by(which).map(|_| RemovalPosition::Key(KeyEntry::FIRST));
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
        next: next.map(|position| position.encode()),
        ..Removed::default()
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
    match SelectedEvents::by(which) {
        SelectedEvents::Rows(condition) => remove_rows(connection, partition, start, condition),
        SelectedEvents::Partitions { before } => {
            let events = drop_if_old(connection, partition, before)?;
            Ok(RemovedEvents { events, last: None })
        }
    }
}

/// Removes up to [`STEP`] rows in the order of the index on time. Deleting by `ctid` avoids a
/// second index search.
fn remove_rows(
    connection: &mut PgConnection,
    partition: &str,
    start: IndexEntry,
    condition: EventCondition,
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
    let EventCondition { tenant_id, sql: condition, value } = condition;
    let statement = format!(
        "WITH removed AS (
             DELETE FROM {partition} WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM {partition}
                 WHERE tenant_id = $1 AND {condition} AND (workspace_id, occurred_at) >= ($3, $4)
                 ORDER BY workspace_id, occurred_at LIMIT {STEP}))
             RETURNING workspace_id, occurred_at)
         SELECT count(*) OVER () AS removed, workspace_id, occurred_at FROM removed
         ORDER BY workspace_id DESC, occurred_at DESC LIMIT 1"
    );
    let last: Option<LastRow> = diesel::sql_query(statement)
        .bind::<BigInt, _>(tenant_id.0)
        .bind::<Text, _>(value)
        .bind::<BigInt, _>(start.workspace_id)
        // `IndexEntry::FIRST` lies before any time PostgreSQL can represent.
        .bind::<Timestamptz, _>(Micros(start.occurred_at.max(EARLIEST.0)))
        .get_result(connection)
        .optional()?;
    let Some(LastRow { removed, workspace_id, occurred_at: Micros(occurred_at) }) = last else {
        return Ok(RemovedEvents { events: 0, last: None });
    };
    Ok(RemovedEvents { events: removed, last: Some(IndexEntry { workspace_id, occurred_at }) })
}

/// Removes keys from `from` on: all keys of a tenant, those of a workspace, or the old ones.
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
    let Some(selected) = SelectedKeys::by(which) else { return Ok(Removed::default()) };
    let SelectedKeys { of_tenant, is_meant, before, are_most_meant } = selected;
    // If most keys stay, more are scanned.
    let limit = if are_most_meant { STEP } else { KEY_SCAN };
    let statement = format!(
        "WITH page AS MATERIALIZED (
             SELECT ctid, tenant_id, key, workspace_id, received_at FROM event_keys
             WHERE (tenant_id, key) >= ($2, $3) {of_tenant} ORDER BY tenant_id, key LIMIT {limit}),
         removed AS (
             DELETE FROM event_keys
             WHERE ctid = ANY (ARRAY(SELECT ctid FROM page WHERE true {is_meant})) RETURNING 1)
         SELECT (SELECT count(*) FROM removed) AS removed, count(*) OVER () AS seen, tenant_id, key
         FROM page ORDER BY tenant_id DESC, key DESC LIMIT 1"
    );
    let last: Option<LastRow> = diesel::sql_query(statement)
        .bind::<Timestamptz, _>(before)
        .bind::<BigInt, _>(from.tenant_id)
        .bind::<sql_types::Uuid, _>(from.key)
        .get_result(connection)
        .optional()?;
    let keys = last.as_ref().map_or(0, |last| last.removed.unsigned_abs());
    let next = match last {
        Some(LastRow { seen, tenant_id, key, .. }) if seen == limit => {
            Some(RemovalPosition::Key(KeyEntry { tenant_id, key }))
        }
        // Counts outlive events and keys, except those of a deleted tenant or workspace.
        _ => matches!(which, Removal::All(_)).then_some(RemovalPosition::Counts),
    };
    let next = next.map(|position| position.encode());
    Ok(Removed { keys, next, ..Removed::default() })
}

/// Removes up to [`STEP`] counts of a deleted tenant or workspace. Years of counts are too many for
/// the transaction that finishes the deletion.
fn remove_counts(connection: &mut PgConnection, which: &Removal) -> Result<Removed, Error> {
    let Removal::All(deletion) = which else { return Ok(Removed::default()) };
    let of_workspace = match deletion {
        Deletion::Tenant(_) => String::new(),
        Deletion::Workspace(owner) => format!("AND workspace_id = {}", owner.workspace_id),
    };
    let statement = format!(
        "DELETE FROM event_counts WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM event_counts WHERE tenant_id = $1 {of_workspace} LIMIT {STEP}))"
    );
    let removed = diesel::sql_query(statement)
        .bind::<BigInt, _>(deletion.tenant_id().0)
        .execute(connection)?;
    let next = (removed == STEP as usize).then(|| RemovalPosition::Counts.encode());
    Ok(Removed { next, ..Removed::default() })
}
