//! Facts about a PostgreSQL server.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz};
use mercurio_domain::Clock;
use mercurio_domain::store::{Backend, StoreError};

use super::driver::set_up;
use super::shared::schema_state::schema_state;
use crate::diagnostics::{Diagnostics, ServerDiagnostics, ServerSetting, latency};
use crate::error::Error;
use crate::rows::Micros;

/// Statement timeout.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Settings that must be on for a commit to survive a crash.
const SETTINGS: [&str; 3] = ["fsync", "full_page_writes", "synchronous_commit"];
/// The privileges on a table that servers and `mercurio-admin` need.
struct RequiredRights {
    table: &'static str,
    rights: &'static [&'static str],
}

const fn required(table: &'static str, rights: &'static [&'static str]) -> RequiredRights {
    RequiredRights { table, rights }
}

const RIGHTS: [RequiredRights; 11] = [
    required("schema_compatibility", &["SELECT"]),
    required("tenants", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    required("tenant_limits", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    required("tenant_deletions", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    required("count_log", &["SELECT", "INSERT", "DELETE"]),
    required("event_counts", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    required("tenant_usage", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    required("workspaces", &["SELECT", "INSERT", "DELETE"]),
    required("api_keys", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    required("event_keys", &["SELECT", "INSERT", "DELETE"]),
    required("events", &["SELECT", "INSERT", "DELETE"]),
];

pub(crate) fn diagnose(conninfo: &str, clock: &dyn Clock) -> Result<Diagnostics, StoreError> {
    Ok(inspect(&mut PgConnection::establish(conninfo).map_err(Error::from)?, clock)?)
}

fn inspect(connection: &mut PgConnection, clock: &dyn Clock) -> Result<Diagnostics, Error> {
    // The settings of readers and writers matter to their plans only.
    set_up(connection, TIMEOUT, "")?;
    let latency = latency(|| Ok(connection.batch_execute("SELECT 1")?))?;
    let row: ServerRow = diesel::sql_query(FACTS).get_result(connection)?;
    let server = ServerDiagnostics {
        clock_ahead_micros: clock_ahead(connection, clock)?,
        days_ahead: u32::try_from(row.days_ahead).ok(),
        settings: settings(connection)?,
        is_standby: row.is_standby,
        missing_rights: missing_rights(connection)?,
        may_make_partitions: row.may_make_partitions.unwrap_or(false),
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

/// Missing tables count as accessible: a migration will create them.
fn missing_rights(connection: &mut PgConnection) -> Result<Vec<String>, Error> {
    let mut missing = Vec::new();
    for RequiredRights { table, rights } in RIGHTS {
        for right in rights {
            let has_right = format!(
                "COALESCE(has_table_privilege(current_user, to_regclass('{table}'), '{right}'), true)"
            );
            if !is_true(connection, &has_right)? {
                missing.push(format!("{right} on {table}"));
            }
        }
    }
    // PostgreSQL refuses COPY to a role under row security policies.
    let is_under_policies =
        "COALESCE((SELECT bool_or(row_security_active(oid)) FROM pg_catalog.pg_class
                   WHERE oid IN (to_regclass('events'), to_regclass('event_keys'))), false)";
    if is_true(connection, is_under_policies)? {
        missing.push("BYPASSRLS".to_owned());
    }
    Ok(missing)
}

fn is_true(connection: &mut PgConnection, sql: &str) -> Result<bool, Error> {
    Ok(diesel::select(diesel::dsl::sql::<Bool>(sql)).get_result(connection)?)
}
