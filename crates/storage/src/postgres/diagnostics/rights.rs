//! The privileges of the role, and whether readers are under row security.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use crate::diagnostics::{MissingRights, RowSecurityState};
use crate::error::{Error, ErrorKind};

/// The privileges on a table.
struct RequiredRights {
    table: &'static str,
    /// Every server needs these.
    server: &'static [&'static str],
    /// Only `mercurio-admin` and retention need these.
    admin: &'static [&'static str],
}

const fn required(
    table: &'static str,
    server: &'static [&'static str],
    admin: &'static [&'static str],
) -> RequiredRights {
    RequiredRights { table, server, admin }
}

const RIGHTS: [RequiredRights; 12] = [
    required("schema_compatibility", &["SELECT"], &[]),
    required("tenants", &["SELECT"], &["INSERT", "UPDATE", "DELETE"]),
    required("tenant_limits", &["SELECT"], &["INSERT", "UPDATE", "DELETE"]),
    required("deletions", &[], &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    required("count_log", &["SELECT", "INSERT", "DELETE"], &[]),
    required("event_counts", &["SELECT", "INSERT", "UPDATE"], &["DELETE"]),
    required("tenant_usage", &["SELECT", "INSERT", "UPDATE"], &["DELETE"]),
    required("workspaces", &["SELECT"], &["INSERT", "UPDATE", "DELETE"]),
    // A server writes the last use of each key.
    required("api_keys", &["SELECT", "UPDATE (last_used_at)"], &["INSERT", "UPDATE", "DELETE"]),
    required("event_keys", &["SELECT", "INSERT"], &["DELETE"]),
    required("events", &["SELECT", "INSERT"], &["DELETE"]),
    required("audit_log", &[], &["SELECT", "INSERT"]),
];

/// Missing tables count as accessible: a migration will create them.
pub(super) fn missing_rights(connection: &mut PgConnection) -> Result<MissingRights, Error> {
    let mut missing = MissingRights::default();
    for RequiredRights { table, server, admin } in RIGHTS {
        for right in server {
            if !has_right(connection, table, right)? {
                missing.server.push(format!("{right} on {table}"));
            }
        }
        for right in admin {
            if !has_right(connection, table, right)? {
                missing.admin.push(format!("{right} on {table}"));
            }
        }
    }
    // PostgreSQL refuses COPY to a role under row security policies.
    let is_under_policies =
        "COALESCE((SELECT bool_or(row_security_active(oid)) FROM pg_catalog.pg_class
                   WHERE oid IN (to_regclass('events'), to_regclass('event_keys'))), false)";
    if is_true(connection, is_under_policies)? {
        missing.server.push("BYPASSRLS".to_owned());
    }
    Ok(missing)
}

/// `right` may name a column: `UPDATE (last_used_at)`.
fn has_right(connection: &mut PgConnection, table: &str, right: &str) -> Result<bool, Error> {
    let check = match right.split_once(" (") {
        None => format!("has_table_privilege(current_user, to_regclass('{table}'), '{right}')"),
        Some((right, column)) => {
            let column = column.trim_end_matches(')');
            format!(
                "has_column_privilege(current_user, to_regclass('{table}'), '{column}', '{right}')"
            )
        }
    };
    is_true(connection, &format!("COALESCE({check}, true)"))
}

/// Reads like a server: as `mercurio_reader`, in a transaction.
pub(super) fn row_security(connection: &mut PgConnection) -> Result<RowSecurityState, Error> {
    let begin = "BEGIN READ ONLY; SET LOCAL ROLE mercurio_reader";
    let state = match connection.batch_execute(begin).map_err(Error::from) {
        Ok(()) => state_of_reader(connection),
        Err(error) if matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Disconnected) => {
            Err(error)
        }
        // There is no such role, or it is not granted.
        Err(_) => Ok(RowSecurityState::NoReader),
    };
    connection.batch_execute("ROLLBACK")?;
    state
}

fn state_of_reader(connection: &mut PgConnection) -> Result<RowSecurityState, Error> {
    let may_read = "COALESCE(has_table_privilege(to_regclass('events'), 'SELECT')
        AND has_table_privilege(to_regclass('event_keys'), 'SELECT'), false)";
    let is_limited = "COALESCE(row_security_active(to_regclass('events')::oid)
        AND row_security_active(to_regclass('event_keys')::oid), false)";
    if !is_true(connection, may_read)? {
        return Ok(RowSecurityState::NoReader);
    }
    let is_limited = is_true(connection, is_limited)?;
    Ok(if is_limited { RowSecurityState::InForce } else { RowSecurityState::Bypassed })
}

fn is_true(connection: &mut PgConnection, sql: &str) -> Result<bool, Error> {
    Ok(diesel::select(diesel::dsl::sql::<Bool>(sql)).get_result(connection)?)
}
