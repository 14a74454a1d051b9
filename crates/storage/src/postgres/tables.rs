//! Looks for tables in PostgreSQL's catalog.

use diesel::prelude::*;
use diesel::sql_types::Bool;

use crate::error::Error;

pub(super) fn has_table(connection: &mut PgConnection, name: &str) -> Result<bool, Error> {
    // `to_regclass` returns NULL for a missing table; a cast would fail.
    let is_there = diesel::dsl::sql::<Bool>(&format!("to_regclass('{name}') IS NOT NULL"));
    Ok(diesel::select(is_there).get_result(connection)?)
}
