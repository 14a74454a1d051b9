//! Looks for tables in SQLite's catalog.

use diesel::prelude::*;
use diesel::sql_types::Bool;

use crate::error::Error;

pub(super) fn has_table(connection: &mut SqliteConnection, name: &str) -> Result<bool, Error> {
    // `sqlite_schema` is readable in an empty file too.
    let exists = diesel::dsl::sql::<Bool>(&format!(
        "EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '{name}')"
    ));
    Ok(diesel::select(exists).get_result(connection)?)
}
