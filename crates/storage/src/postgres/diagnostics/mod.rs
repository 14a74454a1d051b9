//! Facts about a PostgreSQL server.

mod rights;

use std::time::Duration;

use diesel::connection::{CacheSize, SimpleConnection};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text, Timestamptz};
use mercurio_domain::Clock;
use mercurio_domain::store::{Backend, RowSecurity, StoreError};

pub(super) use rights::privileges;
use rights::{missing_rights, row_security};

use super::driver::set_up;
use super::shared::schema_state::schema_state;
use crate::diagnostics::{Diagnostics, Replication, ServerDiagnostics, ServerSetting, latency};
use crate::error::Error;
use crate::rows::Micros;

/// Statement timeout.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Settings that must be on for a commit to survive a crash.
const SETTINGS: [&str; 3] = ["fsync", "full_page_writes", "synchronous_commit"];

pub(crate) fn diagnose(conninfo: &str, clock: &dyn Clock) -> Result<Diagnostics, StoreError> {
    // Two at once: in transaction mode, a pooler runs both in one session.
    let [mut connection, mut second] = [connect(conninfo)?, connect(conninfo)?];
    let is_pooled = is_pooled(&mut connection, &mut second)?;
    // In a transaction of its own, because a role is set in it.
    let row_security = row_security(&mut connection)?;
    let mut found = in_transaction(&mut connection, |connection| inspect(connection, clock))?;
    if let Some(server) = &mut found.server {
        server.is_pooled = is_pooled;
        server.row_security = row_security;
    }
    Ok(found)
}

fn connect(conninfo: &str) -> Result<PgConnection, Error> {
    let mut connection = PgConnection::establish(conninfo)?;
    // Behind a pooler, a named statement may exist already, or not yet.
    connection.set_prepared_statement_cache_size(CacheSize::Disabled);
    // The settings of readers and writers matter to their plans only.
    set_up(&mut connection, TIMEOUT, "")?;
    Ok(connection)
}

/// Runs `work` in a transaction, in which every pooler keeps one session.
fn in_transaction<T>(
    connection: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> Result<T, Error>,
) -> Result<T, Error> {
    connection.batch_execute("BEGIN READ ONLY")?;
    let value = work(connection);
    connection.batch_execute("ROLLBACK")?;
    value
}

/// Whether transactions of two open connections run in one session.
fn is_pooled(first: &mut PgConnection, second: &mut PgConnection) -> Result<bool, Error> {
    let pid = diesel::dsl::sql::<Integer>("pg_backend_pid()");
    let [mut of_first, mut of_second] = [Vec::new(), Vec::new()];
    // In turns, because a pooler may give its idle sessions in any order.
    for _ in 0..4 {
        for (connection, pids) in [(&mut *first, &mut of_first), (&mut *second, &mut of_second)] {
            pids.push(in_transaction(connection, |connection| {
                Ok(diesel::select(pid.clone()).get_result::<i32>(connection)?)
            })?);
        }
    }
    let has_moved = of_first.iter().any(|pid| *pid != of_first[0]);
    Ok(has_moved || of_first.iter().any(|pid| of_second.contains(pid)))
}

/// Everything but `is_pooled` and `row_security`, which need transactions of their own.
fn inspect(connection: &mut PgConnection, clock: &dyn Clock) -> Result<Diagnostics, Error> {
    let latency = latency(|| Ok(connection.batch_execute("SELECT 1")?))?;
    let row: ServerRow = diesel::sql_query(FACTS).get_result(connection)?;
    let server = ServerDiagnostics {
        clock_ahead_micros: clock_ahead(connection, clock)?,
        days_ahead: u32::try_from(row.days_ahead).ok(),
        settings: settings(connection)?,
        is_standby: row.is_standby,
        missing_rights: missing_rights(connection)?,
        may_make_partitions: row.may_make_partitions.unwrap_or(false),
        replication: Replication {
            synchronous_names: row.synchronous_names,
            streaming: row.streaming.and_then(|count| u32::try_from(count).ok()),
        },
        language: row.language,
        row_security: RowSecurity::NoReader,
        is_pooled: false,
    };
    Ok(Diagnostics {
        backend: Backend::Postgres,
        version: row.version,
        latency,
        schema: schema_state(connection)?,
        size_bytes: row.size_bytes.unsigned_abs(),
        folder: None,
        server: Some(server),
    })
}

/// `days_ahead` is -1 if today has no partition.
// 367 days are examined, today included; no server creates more than a week ahead.
const FACTS: &str = "
    SELECT current_setting('server_version') AS version,
           pg_database_size(current_database()) AS size_bytes,
           pg_is_in_recovery() AS is_standby,
           current_setting('lc_messages') AS language,
           current_setting('synchronous_standby_names') AS synchronous_names,
           CASE WHEN pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') THEN
               (SELECT count(*) FROM pg_catalog.pg_stat_replication
                WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')) END AS streaming,
           COALESCE((SELECT pg_has_role(relowner, 'USAGE') FROM pg_catalog.pg_class
                     WHERE oid = to_regclass('events')), true)
               AND has_schema_privilege(current_schema(), 'CREATE') AS may_make_partitions,
           (SELECT COALESCE(min(day), 367)::bigint - 1 FROM generate_series(0, 366) AS day
            WHERE NOT EXISTS (
                SELECT FROM pg_catalog.pg_inherits JOIN pg_catalog.pg_class ON pg_class.oid = inhrelid
                WHERE inhparent = to_regclass('events') AND relname = 'events_'
                    || to_char((now() AT TIME ZONE 'UTC')::date + day, 'YYYYMMDD'))) AS days_ahead";

#[derive(QueryableByName)]
struct ServerRow {
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = BigInt)]
    size_bytes: i64,
    #[diesel(sql_type = Bool)]
    is_standby: bool,
    #[diesel(sql_type = Text)]
    language: String,
    #[diesel(sql_type = Text)]
    synchronous_names: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    streaming: Option<i64>,
    #[diesel(sql_type = Nullable<Bool>)]
    may_make_partitions: Option<bool>,
    #[diesel(sql_type = BigInt)]
    days_ahead: i64,
}

/// Compares the server's clock with the middle of the round trip.
fn clock_ahead(connection: &mut PgConnection, clock: &dyn Clock) -> Result<i64, Error> {
    let now = diesel::dsl::sql::<Timestamptz>("clock_timestamp()");
    // The database reads its clock at some moment between these two readings.
    let before = clock.now().as_micros();
    let Micros(there) = diesel::select(now).get_result(connection)?;
    let after = clock.now().as_micros();
    // Exact to half the round trip.
    Ok(there - (before + after) / 2)
}

fn settings(connection: &mut PgConnection) -> Result<Vec<ServerSetting>, Error> {
    let mut settings = Vec::with_capacity(SETTINGS.len());
    for name in SETTINGS {
        let value = diesel::dsl::sql::<Text>(&format!("current_setting('{name}')"));
        let value = diesel::select(value).get_result(connection)?;
        settings.push(ServerSetting { name: name.to_owned(), value });
    }
    Ok(settings)
}
