//! The audit log: rows are only added.

use diesel::prelude::*;
use mercurio_domain::Timestamp;
use mercurio_domain::store::{Actor, AuditEntry, AuditRecord};

use super::DbConnection;
use super::schema::audit_log;
use super::tables::has_table;
use crate::error::Error;
use crate::rows::{AuditRow, Micros};

/// Adds an entry in the transaction of the change. Without an actor nothing is recorded.
pub(crate) fn record(
    connection: &mut DbConnection,
    actor: Option<&Actor>,
    entry: &AuditEntry,
) -> Result<(), Error> {
    let Some(Actor { name, command }) = actor else { return Ok(()) };
    // Time and role are defaults of the table: the database knows both better than this program.
    diesel::insert_into(audit_log::table)
        .values((
            audit_log::actor.eq(name),
            audit_log::command.eq(command),
            audit_log::tenant_id.eq(entry.tenant_id.map(|id| id.0)),
            audit_log::workspace_id.eq(entry.workspace_id.map(|id| id.0)),
            audit_log::api_key_id.eq(entry.api_key_id.as_ref().map(|id| id.as_str())),
            audit_log::detail.eq(&entry.detail),
            audit_log::outcome.eq(entry.outcome.as_str()),
        ))
        .execute(connection)?;
    Ok(())
}

/// Records a migration in its transaction. The first one creates the log, and reverting it drops
/// the log.
pub(crate) fn record_migration(
    connection: &mut DbConnection,
    actor: Option<&Actor>,
    entry: &AuditEntry,
) -> Result<(), Error> {
    if has_table(connection, "audit_log")? {
        record(connection, actor, entry)?;
    }
    Ok(())
}

pub(crate) fn audit_log(
    connection: &mut DbConnection,
    since: Option<Timestamp>,
    limit: usize,
) -> Result<Vec<AuditRecord>, Error> {
    let mut query = audit_log::table
        .select((
            audit_log::recorded_at,
            audit_log::actor,
            audit_log::database_role,
            audit_log::command,
            audit_log::tenant_id,
            audit_log::workspace_id,
            audit_log::api_key_id,
            audit_log::detail,
            audit_log::outcome,
        ))
        .order(audit_log::id.desc())
        // A limit beyond i64 is no limit.
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .into_boxed();
    if let Some(since) = since {
        query = query.filter(audit_log::recorded_at.ge(Micros::from(since)));
    }
    let rows = query.load::<AuditRow>(connection)?;
    rows.into_iter().map(AuditRow::into_record).collect()
}
