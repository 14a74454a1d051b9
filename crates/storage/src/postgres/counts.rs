//! Counts of stored events in PostgreSQL: writers append to a log, and one server sums it into
//! tables once a second.
//!
//! Each group inserts a row into `count_log` in its own transaction and updates none. So writers
//! never wait for each other, and a rollback or a crash leaves counts and events consistent.
//! Readers add the unsummed log in the statement that reads the tables: its snapshot has each group
//! once, in the log or in the tables.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use mercurio_domain::TenantId;
use mercurio_domain::limits::Month;
use mercurio_domain::store::{CountQuery, EventCount};
use uuid::Uuid;

use super::statement::statement;
use crate::counts::{self, CountRow, HourlyCounts, UsageRow};
use crate::error::Error;
use crate::rows::Micros;
use crate::verdicts::Candidate;

/// Advisory lock of summing and of finishing a deletion: `merccnts` in ASCII. Without it, a sum that
/// still saw the tenant or workspace could add its counts after the deletion.
const LOCK: i64 = 0x6d65_7263_636e_7473;

statement! {
    /// Appends the counts of one group and hour to the log.
    LogHour =
    "INSERT INTO count_log (hour, tenant_ids, workspace_ids, event_names, counts) VALUES (",
    hour: Micros => Timestamptz, ", ",
    tenant_ids: Vec<i64> => Array<BigInt>, ", ",
    workspace_ids: Vec<i64> => Array<BigInt>, ", ",
    event_names: Vec<String> => Array<Text>, ", ",
    counts: Vec<i64> => Array<BigInt>, ")",
}

statement! {
    /// Inserts keys, all of them free, and a row like [`LogHour`]: one round trip in place of
    /// three.
    InsertKeysAndLogHour =
    "WITH keys AS (
         INSERT INTO event_keys (tenant_id, key, workspace_id, occurred_at, received_at, position)
         SELECT *, (SELECT mercurio_position()) FROM unnest(",
    key_tenant_ids: Vec<i64> => Array<BigInt>, ", ",
    keys: Vec<Uuid> => Array<SqlUuid>, ", ",
    key_workspace_ids: Vec<i64> => Array<BigInt>, ", ",
    occurred_at: Vec<Micros> => Array<Timestamptz>, ", ",
    received_at: Vec<Micros> => Array<Timestamptz>, "))
     INSERT INTO count_log (hour, tenant_ids, workspace_ids, event_names, counts) VALUES (",
    hour: Micros => Timestamptz, ", ",
    tenant_ids: Vec<i64> => Array<BigInt>, ", ",
    workspace_ids: Vec<i64> => Array<BigInt>, ", ",
    event_names: Vec<String> => Array<Text>, ", ",
    counts: Vec<i64> => Array<BigInt>, ")",
}

statement! {
    /// Selects the usage of tenants in a month.
    Usage -> (BigInt, BigInt) =
    "WITH wanted AS (SELECT DISTINCT unnest(", tenants: Vec<i64> => Array<BigInt>, ") AS tenant_id)
     SELECT tenant_id, sum(events)::bigint FROM (
         SELECT tenant_id, used AS events
         FROM wanted JOIN tenant_usage USING (tenant_id) WHERE month = ", month: i64 => BigInt, "
         UNION ALL
         SELECT tenant_id, events
         FROM count_log, unnest(tenant_ids, counts) AS logged (tenant_id, events)
             JOIN wanted USING (tenant_id)
         WHERE hour >= ", from: Micros => Timestamptz, " AND hour < ", to: Micros => Timestamptz, "
     ) AS counted GROUP BY tenant_id",
}

statement! {
    /// Selects the counts of a workspace.
    ByHour -> (Text, Timestamptz, BigInt) =
    "SELECT event_name, hour, sum(accepted)::bigint FROM (
         SELECT tenant_id, workspace_id, event_name, hour, accepted FROM event_counts
         UNION ALL
         SELECT logged.tenant_id, workspace_id, event_name, hour, events
         FROM count_log, unnest(tenant_ids, workspace_ids, event_names, counts)
             AS logged (tenant_id, workspace_id, event_name, events)
     ) AS counted (tenant_id, workspace_id, event_name, hour, accepted)
     WHERE tenant_id = ", tenant_id: i64 => BigInt, " AND workspace_id = ", workspace_id: i64 => BigInt, "
         AND hour >= ", from: Micros => Timestamptz, " AND hour < ", to: Micros => Timestamptz, "
         AND event_name = COALESCE(", event_name: Option<String> => Nullable<Text>, ", event_name)
     GROUP BY event_name, hour ORDER BY event_name COLLATE \"C\", hour",
}

/// Moves the log into the tables. A deleted workspace has no counts, but its events stay in the
/// usage of its tenant, as quotas count them. Like all statements that write several rows, it locks them in the
/// order of their keys.
const SUM: &str = "
    WITH taken AS (
        DELETE FROM count_log WHERE ctid = ANY (ARRAY(SELECT ctid FROM count_log LIMIT 10000))
        RETURNING hour, tenant_ids, workspace_ids, event_names, counts
    ), counted AS MATERIALIZED (
        SELECT tenant_id, workspace_id, event_name, hour, sum(events)::bigint AS accepted
        FROM taken, unnest(tenant_ids, workspace_ids, event_names, counts)
            AS logged (tenant_id, workspace_id, event_name, events)
        WHERE EXISTS (SELECT FROM tenants WHERE id = tenant_id)
        GROUP BY tenant_id, workspace_id, event_name, hour
    ), monthly AS (
        INSERT INTO tenant_usage AS sums (tenant_id, month, used)
        SELECT tenant_id, to_char(hour AT TIME ZONE 'UTC', 'YYYYMM')::bigint AS month, sum(accepted)
        FROM counted GROUP BY tenant_id, month ORDER BY tenant_id, month
        ON CONFLICT (tenant_id, month) DO UPDATE SET used = sums.used + excluded.used
    ), hourly AS (
        INSERT INTO event_counts AS sums (tenant_id, workspace_id, event_name, hour, accepted)
        SELECT tenant_id, workspace_id, event_name, hour, accepted
        FROM counted WHERE EXISTS (SELECT FROM workspaces WHERE id = workspace_id)
        ORDER BY tenant_id, workspace_id, event_name, hour
        ON CONFLICT (tenant_id, workspace_id, event_name, hour)
        DO UPDATE SET accepted = sums.accepted + excluded.accepted
    )
    SELECT count(*) AS groups FROM taken";

/// Logs the counts of a group.
pub(super) fn log(connection: &mut PgConnection, hourly: HourlyCounts<'_>) -> QueryResult<()> {
    for (hour, of_hour) in hourly {
        LogHour {
            hour: hour.into(),
            tenant_ids: of_hour.keys().map(|key| key.owner.tenant_id.0).collect(),
            workspace_ids: of_hour.keys().map(|key| key.owner.workspace_id.0).collect(),
            event_names: of_hour.keys().map(|key| key.event_name.to_owned()).collect(),
            counts: of_hour.into_values().collect(),
        }
        .execute(connection)?;
    }
    Ok(())
}

/// Inserts the keys of `rows`, in their order, and logs the counts. One taken key fails them all.
pub(super) fn insert_keys_and_log(
    connection: &mut PgConnection,
    rows: &[Candidate<'_>],
) -> QueryResult<()> {
    let mut hourly = counts::of_stored(rows);
    let Some((hour, of_hour)) = hourly.pop_first() else { return Ok(()) };
    InsertKeysAndLogHour {
        key_tenant_ids: rows.iter().map(|row| row.owner.tenant_id.0).collect(),
        keys: rows.iter().map(|row| row.event.key().0).collect(),
        key_workspace_ids: rows.iter().map(|row| row.owner.workspace_id.0).collect(),
        occurred_at: rows.iter().map(|row| row.event.parts().occurred_at.into()).collect(),
        received_at: rows.iter().map(|row| row.received_at.into()).collect(),
        hour: hour.into(),
        tenant_ids: of_hour.keys().map(|key| key.owner.tenant_id.0).collect(),
        workspace_ids: of_hour.keys().map(|key| key.owner.workspace_id.0).collect(),
        event_names: of_hour.keys().map(|key| key.event_name.to_owned()).collect(),
        counts: of_hour.into_values().collect(),
    }
    .execute(connection)?;
    log(connection, hourly)
}

pub(super) fn usage(
    connection: &mut PgConnection,
    tenants: &[TenantId],
    month: Month,
) -> Result<Vec<u64>, Error> {
    let query = Usage {
        month: month.number().into(),
        from: month.begins_at().into(),
        to: month.renews_at().into(),
        tenants: tenants.iter().map(|tenant_id| tenant_id.0).collect(),
    };
    let rows: Vec<UsageRow> = query.load(connection)?;
    Ok(counts::in_order(tenants, &rows))
}

pub(super) fn event_counts(
    connection: &mut PgConnection,
    query: &CountQuery,
) -> Result<Vec<EventCount>, Error> {
    let query = ByHour {
        tenant_id: query.owner.tenant_id.0,
        workspace_id: query.owner.workspace_id.0,
        from: query.from.into(),
        to: query.to.into(),
        event_name: query.event_name.clone(),
    };
    let rows = query.load::<CountRow>(connection)?;
    Ok(rows.into_iter().map(CountRow::into_count).collect())
}

/// Groups of one sum, as in [`SUM`]. After hours without a server the log is long; summed in one
/// statement it would run into the write timeout, again and again.
const MAX_GROUPS: u64 = 10_000;

/// Waits for a running sum to end, and blocks others until the transaction ends.
pub(super) fn lock_sums(connection: &mut PgConnection) -> Result<(), Error> {
    Ok(connection.batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK})"))?)
}

/// Whether a sum of `groups` may have left some in the log.
pub(super) fn is_partial(groups: u64) -> bool {
    groups == MAX_GROUPS
}

/// Sums up to [`MAX_GROUPS`] groups of the log. Their number.
pub(super) fn sum(connection: &mut PgConnection) -> Result<u64, Error> {
    #[derive(QueryableByName)]
    struct SumRow {
        #[diesel(sql_type = BigInt)]
        groups: i64,
    }
    // Taken before the statement, whose snapshot then shows a finished deletion.
    lock_sums(connection)?;
    let row: SumRow = diesel::sql_query(SUM).get_result(connection)?;
    Ok(row.groups.unsigned_abs())
}
