//! Why a database could not be read.

use diesel::ConnectionError;

/// Why a database could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The URL is neither `postgres://…` nor `sqlite://…`.
    #[error("not the URL of a PostgreSQL or SQLite database")]
    Url,
    /// The database can't be reached.
    #[error("no connection")]
    Connect(#[from] ConnectionError),
    /// A statement failed.
    #[error("a table can't be read")]
    Query(#[from] diesel::result::Error),
    /// A row has a value out of range.
    #[error("{table} has a row with an impossible {column}: {value}")]
    Row {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The value.
        value: i64,
    },
}
