//! Migrations of SQLite. Each runs in the caller's transaction.

use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use mercurio_domain::store::{Actor, AuditEntry};

use super::shared::audit;
use crate::error::Error;
use crate::migrations;

pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");

pub(super) fn run_next(
    connection: &mut SqliteConnection,
    actor: Option<&Actor>,
) -> Result<Option<String>, Error> {
    migrations::run_next(connection, &MIGRATIONS, |connection, name| {
        audit::record_migration(connection, actor, &AuditEntry::migration(name, "applied"))
    })
}

pub(super) fn revert_last(
    connection: &mut SqliteConnection,
    actor: Option<&Actor>,
) -> Result<Option<String>, Error> {
    migrations::revert_last(connection, &MIGRATIONS, |connection, name| {
        audit::record_migration(connection, actor, &AuditEntry::migration(name, "reverted"))
    })
}
