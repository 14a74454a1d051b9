//! What there is to know of a PostgreSQL before a server is started on it.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz};
use mercurio_domain::Clock;
use mercurio_domain::store::{Backend, StoreError};

use super::{set_up, versions};
use crate::error::Failure;
use crate::diagnostics::{Examination, ServerFacts, latency};
use crate::pool::failed;
use crate::rows::Micros;

/// How long a statement may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Settings without which a commit is not on the disk, or not whole.
const SETTINGS: [&str; 3] = ["fsync", "full_page_writes", "synchronous_commit"];
/// Tables, and what a server does with their rows.
const RIGHTS: [(&str, &[&str]); 10] = [
    ("schema_compatibility", &["SELECT"]),
    ("tenants", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("tenant_limits", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("tenant_deletions", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("tenant_usage", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("quota_writers", &["SELECT", "INSERT", "UPDATE"]),
    ("workspaces", &["SELECT", "INSERT", "DELETE"]),
    ("api_keys", &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    ("event_keys", &["SELECT", "INSERT", "DELETE"]),
    ("events", &["SELECT", "INSERT", "DELETE"]),
];

pub(crate) fn examine(conninfo: &str, clock: &dyn Clock) -> Result<Examination, StoreError> {
    let look = || -> Result<Examination, Failure> {
        let mut connection = PgConnection::establish(conninfo)
            .map_err(|error| Failure::NoConnection(error.to_string()))?;
        set_up(&mut connection, TIMEOUT, "")?;
        let connection = &mut connection;
        let latency = latency(|| Ok(connection.batch_execute("SELECT 1")?))?;
        let row: Row = diesel::sql_query(
            "SELECT current_setting('server_version') AS version,
                    pg_database_size(current_database()) AS size_bytes,
                    pg_is_in_recovery() AS is_standby,
                    COALESCE((SELECT pg_has_role(relowner, 'USAGE') FROM pg_catalog.pg_class
                              WHERE oid = to_regclass('events')), true)
                        AND has_schema_privilege(current_schema(), 'CREATE') AS may_make_partitions,
                    (SELECT COALESCE(min(day), 367)::bigint - 1 FROM generate_series(0, 366) AS day
                     WHERE NOT EXISTS (
                         SELECT FROM pg_catalog.pg_inherits JOIN pg_catalog.pg_class ON pg_class.oid = inhrelid
                         WHERE inhparent = to_regclass('events') AND relname = 'events_'
                             || to_char((now() AT TIME ZONE 'UTC')::date + day, 'YYYYMMDD'))) AS days_ahead",
        )
        .get_result(connection)?;
        let facts = ServerFacts {
            clock_ahead_micros: clock_ahead(connection, clock)?,
            days_ahead: u32::try_from(row.days_ahead).ok(),
            settings: settings(connection)?,
            is_standby: row.is_standby,
            missing_rights: missing_rights(connection)?,
            may_make_partitions: row.may_make_partitions.unwrap_or(false),
        };
        Ok(Examination {
            backend: Backend::Postgres,
            version: row.version,
            latency,
            schema: versions::state(connection)?,
            size_bytes: row.size_bytes.unsigned_abs(),
            folder: None,
            server: Some(facts),
        })
    };
    Ok(look().map_err(failed::<PgConnection>)?)
}

#[derive(QueryableByName)]
struct Row {
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

/// The server's clock against this one, as of the middle of the way there and back.
fn clock_ahead(connection: &mut PgConnection, clock: &dyn Clock) -> Result<i64, Failure> {
    let now = diesel::dsl::sql::<Timestamptz>("clock_timestamp()");
    let before = clock.now().as_micros();
    let Micros(there) = diesel::select(now).get_result(connection)?;
    let after = clock.now().as_micros();
    Ok(there - (before + after) / 2)
}

fn settings(connection: &mut PgConnection) -> Result<Vec<(String, String)>, Failure> {
    let read = |name: &str| {
        let value = diesel::dsl::sql::<Text>(&format!("current_setting('{name}')"));
        Ok((name.to_owned(), diesel::select(value).get_result(connection)?))
    };
    SETTINGS.into_iter().map(read).collect()
}

/// Of the tables that are there.
fn missing_rights(connection: &mut PgConnection) -> Result<Vec<String>, Failure> {
    let mut missing = Vec::new();
    for (table, rights) in RIGHTS {
        for right in rights {
            let has = format!(
                "COALESCE(has_table_privilege(current_user, to_regclass('{table}'), '{right}'), true)"
            );
            if !diesel::select(diesel::dsl::sql::<Bool>(&has)).get_result::<bool>(connection)? {
                missing.push(format!("{right} on {table}"));
            }
        }
    }
    // Whoever is held to policies can't write by COPY.
    let is_held = "COALESCE((SELECT bool_or(row_security_active(oid)) FROM pg_catalog.pg_class
        WHERE oid IN (to_regclass('events'), to_regclass('event_keys'))), false)";
    if diesel::select(diesel::dsl::sql::<Bool>(is_held)).get_result::<bool>(connection)? {
        missing.push("BYPASSRLS".to_owned());
    }
    Ok(missing)
}
