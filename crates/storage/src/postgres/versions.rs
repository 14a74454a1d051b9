//! The versions of PostgreSQL's schema: which it has, and how it gets from one to the next.

use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use mercurio_domain::store::SchemaState;

use super::schema::schema_compatibility;
use crate::error::Failure;
use crate::migrations;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");
/// The number of the lock under which migrations run: `mercmigr` in ASCII.
const MIGRATION_LOCK: i64 = 0x6d65_7263_6d69_6772;

/// How the schema stands to this program's. Changes nothing, not even an empty database.
pub(super) fn state(connection: &mut PgConnection) -> Result<SchemaState, Failure> {
    let applied = applied(connection)?;
    migrations::state::<Pg>(&MIGRATIONS, applied, || minimum(connection))
}

/// The versions of the migrations that the database has.
fn applied(connection: &mut PgConnection) -> Result<Vec<String>, Failure> {
    diesel::table! {
        __diesel_schema_migrations (version) {
            version -> Text,
        }
    }
    if !has_table(connection, "__diesel_schema_migrations")? {
        return Ok(Vec::new());
    }
    Ok(__diesel_schema_migrations::table.select(__diesel_schema_migrations::version).load(connection)?)
}

/// The oldest version that a program must know, where the database says so.
fn minimum(connection: &mut PgConnection) -> Result<Option<String>, Failure> {
    if !has_table(connection, "schema_compatibility")? {
        return Ok(None);
    }
    Ok(schema_compatibility::table.select(schema_compatibility::minimum_version).first(connection).optional()?)
}

fn has_table(connection: &mut PgConnection, name: &str) -> Result<bool, Failure> {
    let is_there = diesel::dsl::sql::<Bool>(&format!("to_regclass('{name}') IS NOT NULL"));
    Ok(diesel::select(is_there).get_result(connection)?)
}

/// Runs the migrations that the database lacks, under a lock that others wait for. It ends with the session, if not before.
pub(super) fn migrate(connection: &mut PgConnection) -> Result<Vec<String>, Failure> {
    connection.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})"))?;
    let mut names = Vec::new();
    while let Some(name) = migrations::run_next(connection, &MIGRATIONS)? {
        names.push(name);
    }
    connection.batch_execute(&format!("SELECT pg_advisory_unlock({MIGRATION_LOCK})"))?;
    Ok(names)
}

/// Takes the newest migration back, under the lock under which migrations run.
pub(super) fn revert(connection: &mut PgConnection) -> Result<Option<String>, Failure> {
    connection.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})"))?;
    let name = migrations::revert_last(connection, &MIGRATIONS)?;
    connection.batch_execute(&format!("SELECT pg_advisory_unlock({MIGRATION_LOCK})"))?;
    Ok(name)
}
