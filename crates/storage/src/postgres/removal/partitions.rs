//! The partitions of `events` and `rejections`, and those that hold only old rows.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text, Timestamptz};
use mercurio_domain::Timestamp;
use mercurio_domain::store::Removal;

use crate::error::Error;
use crate::rows::Micros;

/// The names of a table's partitions, quoted where SQL needs it, in their order.
fn names_of(connection: &mut PgConnection, table: &str) -> Result<Vec<String>, Error> {
    #[derive(QueryableByName)]
    struct PartitionRow {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let rows: Vec<PartitionRow> = diesel::sql_query(format!(
        "SELECT inhrelid::regclass::text AS name FROM pg_catalog.pg_inherits
         WHERE inhparent = '{table}'::regclass"
    ))
    .load(connection)?;
    let mut names: Vec<_> = rows.into_iter().map(|row| row.name).collect();
    // The order of names is the order of days.
    names.sort_unstable();
    Ok(names)
}

/// The partitions that can hold events of the removal, from the one named `from` on, sorted by
/// name.
pub(super) fn partitions_of(
    connection: &mut PgConnection,
    which: &Removal,
    from: &str,
) -> Result<Vec<String>, Error> {
    let newest = match which {
        Removal::Received { before, .. } => last_partition_before(*before),
        Removal::All(_) | Removal::Person { .. } => None,
    };
    // A cursor relies on their order.
    let mut names = names_of(connection, "events")?;
    names.retain(|name| {
        // Skips only partitions surely after the bound; `drop_if_old` compares real bounds.
        name.as_str() >= from
            && newest.as_ref().is_none_or(|newest| !is_known_to_be_newer(name, newest))
    });
    Ok(names)
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

/// Drops the first partition of `rejections` whose rows were all received before `before`. Returns
/// how many it had; `None` if there is none.
pub(in crate::postgres) fn drop_rejections(
    connection: &mut PgConnection,
    before: Timestamp,
) -> Result<Option<u64>, Error> {
    for partition in names_of(connection, "rejections")? {
        if let Some(rows) = rows_if_old(connection, &partition, before)? {
            detach_and_drop(connection, "rejections", &partition)?;
            return Ok(Some(rows.unsigned_abs()));
        }
    }
    Ok(None)
}

/// Drops a partition of `events` if all of them were received before `before`. Returns how many it
/// had.
pub(super) fn drop_if_old(
    connection: &mut PgConnection,
    partition: &str,
    before: Timestamp,
) -> Result<i64, Error> {
    let Some(events) = rows_if_old(connection, partition, before)? else { return Ok(0) };
    detach_and_drop(connection, "events", partition)?;
    Ok(events)
}

/// Detaching locks the table against all other transactions. So it gives up after 200 ms, and the
/// step is repeated.
fn detach_and_drop(
    connection: &mut PgConnection,
    table: &str,
    partition: &str,
) -> Result<(), Error> {
    Ok(connection.batch_execute(&format!(
        "SET LOCAL lock_timeout = '200ms';
         ALTER TABLE {table} DETACH PARTITION {partition}; DROP TABLE {partition}"
    ))?)
}

/// Counts the rows of a partition if all were received before `before`, so that the partition can
/// be dropped.
pub(super) fn rows_if_old(
    connection: &mut PgConnection,
    partition: &str,
    before: Timestamp,
) -> Result<Option<i64>, Error> {
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
    Ok(row.is_old.then_some(row.events))
}
