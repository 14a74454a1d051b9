//! The state of the schema in the database.

use diesel::prelude::*;
use mercurio_domain::store::SchemaState;

use super::schema::schema_compatibility;
use super::tables::has_table;
use super::versions::MIGRATIONS;
use super::{Db, DbConnection};
use crate::error::Error;
use crate::migrations;

/// Compares the database's schema with this program's. Creates nothing, not even in an empty
/// database.
pub(crate) fn schema_state(connection: &mut DbConnection) -> Result<SchemaState, Error> {
    let applied = applied_versions(connection)?;
    migrations::state::<Db>(&MIGRATIONS, applied, || minimum_version(connection))
}

fn applied_versions(connection: &mut DbConnection) -> Result<Vec<String>, Error> {
    diesel::table! {
        __diesel_schema_migrations (version) {
            version -> Text,
        }
    }
    // diesel's own method would create the table, and a server's role may not.
    if !has_table(connection, "__diesel_schema_migrations")? {
        return Ok(Vec::new());
    }
    Ok(__diesel_schema_migrations::table
        .select(__diesel_schema_migrations::version)
        .load(connection)?)
}

/// The version of the oldest migration that a program must know, if the database says.
fn minimum_version(connection: &mut DbConnection) -> Result<Option<String>, Error> {
    if !has_table(connection, "schema_compatibility")? {
        return Ok(None);
    }
    Ok(schema_compatibility::table
        .select(schema_compatibility::minimum_version)
        .first(connection)
        .optional()?)
}
