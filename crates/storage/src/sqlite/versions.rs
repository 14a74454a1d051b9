//! Migrations of SQLite. Each runs in the caller's transaction.

use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use mercurio_domain::store::{Actor, AuditEntry};

use super::shared::audit;
use crate::error::Error;
use crate::migrations;

pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");

pub(super) fn has_table(connection: &mut SqliteConnection, name: &str) -> Result<bool, Error> {
    // `sqlite_schema` is readable in an empty file too.
    let exists = diesel::dsl::sql::<Bool>(&format!(
        "EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '{name}')"
    ));
    Ok(diesel::select(exists).get_result(connection)?)
}

pub(super) fn run_next(
    connection: &mut SqliteConnection,
    actor: Option<&Actor>,
) -> Result<Option<String>, Error> {
    migrations::run_next(connection, &MIGRATIONS, |connection, name| {
        record(connection, actor, &AuditEntry::migration(name, "applied"))
    })
}

pub(super) fn revert_last(
    connection: &mut SqliteConnection,
    actor: Option<&Actor>,
) -> Result<Option<String>, Error> {
    migrations::revert_last(connection, &MIGRATIONS, |connection, name| {
        record(connection, actor, &AuditEntry::migration(name, "reverted"))
    })
}

/// Records a migration in its transaction. The first one creates the log, and reverting it drops
/// the log.
fn record(
    connection: &mut SqliteConnection,
    actor: Option<&Actor>,
    entry: &AuditEntry,
) -> Result<(), Error> {
    if has_table(connection, "audit_log")? {
        audit::record(connection, actor, entry)?;
    }
    Ok(())
}
