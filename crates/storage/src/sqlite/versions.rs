//! The versions of SQLite's schema: which it has, and how it gets from one to the next.

use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use mercurio_domain::store::SchemaState;

use super::schema::schema_compatibility;
use crate::error::Failure;
use crate::migrations;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");

/// How the schema stands to this program's. Changes nothing, not even an empty database.
pub(super) fn state(connection: &mut SqliteConnection) -> Result<SchemaState, Failure> {
    let applied = applied(connection)?;
    migrations::state::<Sqlite>(&MIGRATIONS, applied, || minimum(connection))
}

/// The versions of the migrations that the database has.
fn applied(connection: &mut SqliteConnection) -> Result<Vec<String>, Failure> {
    diesel::table! {
        __diesel_schema_migrations (version) {
            version -> Text,
        }
    }
    if !has_table(connection, "__diesel_schema_migrations")? {
        return Ok(Vec::new());
    }
    Ok(__diesel_schema_migrations::table
        .select(__diesel_schema_migrations::version)
        .load(connection)?)
}

/// The oldest version that a program must know, where the database says so.
fn minimum(connection: &mut SqliteConnection) -> Result<Option<String>, Failure> {
    if !has_table(connection, "schema_compatibility")? {
        return Ok(None);
    }
    Ok(schema_compatibility::table
        .select(schema_compatibility::minimum_version)
        .first(connection)
        .optional()?)
}

fn has_table(connection: &mut SqliteConnection, name: &str) -> Result<bool, Failure> {
    let is_there = diesel::dsl::sql::<Bool>(&format!(
        "EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '{name}')"
    ));
    Ok(diesel::select(is_there).get_result(connection)?)
}

/// Runs the oldest migration that the file lacks, in the caller's transaction.
pub(super) fn run_next(connection: &mut SqliteConnection) -> Result<Option<String>, Failure> {
    migrations::run_next(connection, &MIGRATIONS)
}

/// Takes the newest migration back, in the caller's transaction.
pub(super) fn revert_last(connection: &mut SqliteConnection) -> Result<Option<String>, Failure> {
    migrations::revert_last(connection, &MIGRATIONS)
}
