//! Counting events, and the rows a removal would remove.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Timestamptz};
use mercurio_domain::Owner;
use mercurio_domain::store::{Removal, RemovalCounts};

use super::super::schema::events;
use super::partitions::{partitions_of, rows_if_old};
use super::selection::{EventCondition, SelectedEvents, SelectedKeys};
use crate::error::Error;

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

pub(in crate::postgres) fn count_events(
    connection: &mut PgConnection,
    owner: Owner,
) -> Result<u64, Error> {
    let count: i64 = events::table
        .filter(events::tenant_id.eq(owner.tenant_id.0))
        .filter(events::workspace_id.eq(owner.workspace_id.0))
        .count()
        .get_result(connection)?;
    Ok(count.unsigned_abs())
}

/// Counts the rows that all steps of the removal would remove. A statement each for events and keys,
/// so a busy database may change in between.
pub(in crate::postgres) fn count_removal(
    connection: &mut PgConnection,
    which: &Removal,
) -> Result<RemovalCounts, Error> {
    let events = match SelectedEvents::by(which) {
        SelectedEvents::Rows(EventCondition { tenant_id, sql, value }) => {
            let statement =
                format!("SELECT count(*) AS count FROM events WHERE tenant_id = $1 AND {sql}");
            let query =
                diesel::sql_query(statement).bind::<BigInt, _>(tenant_id.0).bind::<Text, _>(value);
            query.get_result::<CountRow>(connection)?.count
        }
        SelectedEvents::Partitions { before } => {
            let mut events = 0;
            for partition in partitions_of(connection, which, "")? {
                events += rows_if_old(connection, &partition, before)?.unwrap_or(0);
            }
            events
        }
    };
    let keys = match SelectedKeys::by(which) {
        None => 0,
        Some(SelectedKeys { of_tenant, is_meant, before, .. }) => {
            let statement = format!(
                "SELECT count(*) AS count FROM event_keys WHERE true {of_tenant} {is_meant}"
            );
            let query = diesel::sql_query(statement).bind::<Timestamptz, _>(before);
            query.get_result::<CountRow>(connection)?.count
        }
    };
    Ok(RemovalCounts {
        events: events.unsigned_abs(),
        keys: keys.unsigned_abs(),
        ..RemovalCounts::default()
    })
}
