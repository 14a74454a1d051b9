//! Migrations of SQLite. Each runs in the caller's transaction.

use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

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

pub(super) fn run_next(connection: &mut SqliteConnection) -> Result<Option<String>, Error> {
    migrations::run_next(connection, &MIGRATIONS)
}

pub(super) fn revert_last(connection: &mut SqliteConnection) -> Result<Option<String>, Error> {
    migrations::revert_last(connection, &MIGRATIONS)
}
