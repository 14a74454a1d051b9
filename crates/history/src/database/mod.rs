//! Reads the tables of a database into a comparison.
//!
//! All statements see one snapshot, so a running server does not disturb them.

mod error;
mod postgres;
mod rows;
mod sqlite;

use diesel::prelude::*;

use crate::comparison::Comparison;
use crate::history::History;
use crate::report::Report;

pub use error::ReadError;

/// Compares a history with the database at `url`: events, keys, counts and usage.
///
/// On PostgreSQL the role must be exempt from row security, like the owner of the tables.
///
/// # Errors
/// [`ReadError`] if the database can't be read.
pub fn check(history: &History, url: &str) -> Result<Report, ReadError> {
    let mut comparison = Comparison::new(history);
    if let Some(path) = url.strip_prefix("sqlite://") {
        sqlite::read(&mut SqliteConnection::establish(path)?, &mut comparison)?;
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        postgres::read(&mut PgConnection::establish(url)?, &mut comparison)?;
    } else {
        return Err(ReadError::Url);
    }
    Ok(comparison.finish())
}
