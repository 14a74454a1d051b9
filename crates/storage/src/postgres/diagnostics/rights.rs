//! The privileges of the role, and whether readers are under row security.

use std::fmt;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer};
use mercurio_domain::store::{Privileges, RowSecurity};

use crate::diagnostics::MissingRights;
use crate::error::{Error, ErrorKind};

/// The privileges on a table. `UPDATE (name)` is one on a column.
struct RequiredRights {
    table: &'static str,
    /// Every server needs these.
    server: &'static [&'static str],
    /// `mercurio-admin` needs these to manage tenants, workspaces, keys and limits.
    operator: &'static [&'static str],
    /// Only other commands of `mercurio-admin`, and retention, need these.
    owner: &'static [&'static str],
}

const fn required(
    table: &'static str,
    server: &'static [&'static str],
    operator: &'static [&'static str],
    owner: &'static [&'static str],
) -> RequiredRights {
    RequiredRights { table, server, operator, owner }
}

const RIGHTS: [RequiredRights; 16] = [
    required("schema_compatibility", &["SELECT"], &["SELECT"], &[]),
    required(
        "tenants",
        &["SELECT"],
        &["SELECT", "INSERT", "UPDATE (name)", "UPDATE (name_key)", "UPDATE (status)"],
        &["UPDATE", "DELETE"],
    ),
    required("tenant_limits", &["SELECT"], &["SELECT", "INSERT", "UPDATE", "DELETE"], &[]),
    required("deletions", &[], &[], &["SELECT", "INSERT", "UPDATE", "DELETE"]),
    required("count_log", &["SELECT", "INSERT", "DELETE"], &["SELECT"], &[]),
    required("event_counts", &["SELECT", "INSERT", "UPDATE"], &["SELECT"], &["DELETE"]),
    required("tenant_usage", &["SELECT", "INSERT", "UPDATE"], &["SELECT"], &["DELETE"]),
    required(
        "workspaces",
        &["SELECT"],
        &["SELECT", "INSERT", "UPDATE (name)", "UPDATE (name_key)"],
        &["UPDATE", "DELETE"],
    ),
    required(
        "api_keys",
        // A server writes the last use of each key.
        &["SELECT", "UPDATE (last_used_at)"],
        &["SELECT", "INSERT", "UPDATE (expires_at)", "UPDATE (revoked_at)"],
        &["DELETE"],
    ),
    required("event_keys", &["SELECT", "INSERT"], &["SELECT"], &["DELETE"]),
    required("events", &["SELECT", "INSERT"], &["SELECT"], &["DELETE"]),
    required("feed_eras", &["SELECT"], &["SELECT"], &[]),
    // For `events forward`.
    required("feed_consumers", &[], &["SELECT", "INSERT", "UPDATE"], &["DELETE"]),
    required("rejections", &["SELECT", "INSERT"], &["SELECT"], &["DELETE"]),
    required("rejection_counts", &["SELECT", "INSERT", "UPDATE"], &["SELECT"], &["DELETE"]),
    required("audit_log", &[], &["SELECT", "INSERT"], &[]),
];

/// A privilege on a table or on one of its columns.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Right {
    table: &'static str,
    right: &'static str,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.right, self.table)
    }
}

/// What a server may do. The rest of [`missing_rights`] is not its business.
pub(crate) fn privileges(connection: &mut PgConnection) -> Result<Privileges, Error> {
    let missing = missing_rights(connection)?.server;
    Ok(Privileges { missing, row_security: Some(row_security(connection)?) })
}

/// Missing tables count as accessible: a migration will create them.
pub(super) fn missing_rights(connection: &mut PgConnection) -> Result<MissingRights, Error> {
    let lacking = lacking(connection)?;
    let mut missing = MissingRights {
        server: missing_of(|rights| rights.server, &lacking),
        operator: missing_of(|rights| rights.operator, &lacking),
        owner: missing_of(|rights| rights.owner, &lacking),
    };
    let is_under_policies =
        "COALESCE((SELECT bool_or(row_security_active(oid)) FROM pg_catalog.pg_class
                   WHERE oid IN (to_regclass('events'), to_regclass('event_keys'))), false)";
    // The policies hide all tenants from the role, and PostgreSQL refuses its COPY.
    if is_true(connection, is_under_policies)? {
        missing.server.push("BYPASSRLS".to_owned());
        missing.operator.push("BYPASSRLS".to_owned());
    }
    Ok(missing)
}

/// Selects the privileges of one purpose.
type Group = fn(&RequiredRights) -> &'static [&'static str];

fn rights_of(group: Group) -> Vec<Right> {
    let mut rights = Vec::new();
    for required in &RIGHTS {
        rights.extend(group(required).iter().map(|right| Right { table: required.table, right }));
    }
    rights
}

fn missing_of(group: Group, lacking: &[Right]) -> Vec<String> {
    let rights = rights_of(group).into_iter();
    rights.filter(|right| lacking.contains(right)).map(|right| right.to_string()).collect()
}

/// Returns all privileges that the role lacks, by one statement.
fn lacking(connection: &mut PgConnection) -> Result<Vec<Right>, Error> {
    let groups: [Group; 3] =
        [|rights| rights.server, |rights| rights.operator, |rights| rights.owner];
    let all = groups.map(rights_of).concat();
    let mut values = Vec::with_capacity(all.len());
    for (number, Right { table, right }) in all.iter().enumerate() {
        let (right, column) = right.split_once(" (").unwrap_or((right, ""));
        let column = column.trim_end_matches(')');
        values.push(format!("({number}, '{table}', '{right}', '{column}')"));
    }
    let query = format!(
        "SELECT number FROM (VALUES {}) AS required (number, relation, privilege, attribute)
         WHERE NOT COALESCE(CASE attribute
             WHEN '' THEN has_table_privilege(to_regclass(relation), privilege)
             ELSE has_column_privilege(to_regclass(relation), attribute, privilege) END, true)",
        values.join(", ")
    );
    let rows: Vec<RightRow> = diesel::sql_query(query).load(connection)?;
    Ok(rows.iter().filter_map(|row| all.get(usize::try_from(row.number).ok()?).copied()).collect())
}

#[derive(QueryableByName)]
struct RightRow {
    #[diesel(sql_type = Integer)]
    number: i32,
}

/// Reads like a server: as `mercurio_reader`, in a transaction.
pub(super) fn row_security(connection: &mut PgConnection) -> Result<RowSecurity, Error> {
    if is_true(connection, "to_regrole('mercurio_reader') IS NULL")? {
        return Ok(RowSecurity::NoReader);
    }
    let begin = "BEGIN READ ONLY; SET LOCAL ROLE mercurio_reader";
    let state = match connection.batch_execute(begin).map_err(Error::from) {
        Ok(()) => state_of_reader(connection),
        Err(error) if matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Disconnected) => {
            Err(error)
        }
        // Its message may be in any language.
        Err(_) => Ok(RowSecurity::NotGranted),
    };
    connection.batch_execute("ROLLBACK")?;
    state
}

fn state_of_reader(connection: &mut PgConnection) -> Result<RowSecurity, Error> {
    // A migration creates a missing table. Without events there is nothing to read.
    let may_read = "COALESCE(has_table_privilege(to_regclass('events'), 'SELECT')
            AND has_table_privilege(to_regclass('event_keys'), 'SELECT'), false)
        AND COALESCE(has_table_privilege(to_regclass('rejections'), 'SELECT')
            AND has_table_privilege(to_regclass('rejection_counts'), 'SELECT'), true)";
    let is_limited = "COALESCE(row_security_active(to_regclass('events')::oid)
            AND row_security_active(to_regclass('event_keys')::oid), false)
        AND COALESCE(row_security_active(to_regclass('rejections')::oid)
            AND row_security_active(to_regclass('rejection_counts')::oid), true)";
    if !is_true(connection, may_read)? {
        return Ok(RowSecurity::MayNotRead);
    }
    let is_limited = is_true(connection, is_limited)?;
    Ok(if is_limited { RowSecurity::InForce } else { RowSecurity::Bypassed })
}

fn is_true(connection: &mut PgConnection, sql: &str) -> Result<bool, Error> {
    Ok(diesel::select(diesel::dsl::sql::<Bool>(sql)).get_result(connection)?)
}
