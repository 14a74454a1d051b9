//! All of Mercurio that knows SQL: PostgreSQL and SQLite behind the ports of [`mercurio_domain::store`].
//!
//! A [`DatabaseUrl`] names a database, [`open`] makes a store of it. Every method blocks; async callers run it on threads
//! meant for that. No type of diesel and no status code leaves this crate.
//!
//! Inside: `postgres` and `sqlite` are twins, with the same names in the same order, and know nothing of each other.
//! What does not differ between them stands above: `rows` (from rows to the domain's types), `verdicts` (which of a
//! group's events were new), `transaction` (retry), `pool`, `migrations`, `error`. Not here: rules about events, threads
//! that write, HTTP.

mod error;
mod diagnostics;
mod migrations;
mod pool;
mod impl_traits;
mod postgres;
mod rows;
mod sqlite;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod transaction;
mod url;
mod verdicts;

use std::sync::Arc;

use mercurio_domain::store::{Store, StoreError};

pub use diagnostics::{Examination, ServerFacts, examine};
pub use pool::StoreOptions;
pub use url::{DatabaseUrl, DatabaseUrlError};

use url::Target;

/// Makes a store of the database at `url`.
///
/// With PostgreSQL nothing is sent yet: a server that is down is told by the first call, and found again once it is back.
/// With SQLite the file and the folder it lies in are made where they are missing.
///
/// # Errors
/// [`StoreError::Unavailable`] where SQLite's file can't be made or opened.
pub fn open(url: &DatabaseUrl, options: &StoreOptions) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match url.target() {
        Target::Postgres(parameters) => {
            Arc::new(postgres::PostgresStore::open(&parameters.to_conninfo(), options))
        }
        Target::Sqlite(path) => Arc::new(sqlite::SqliteStore::open(path, options)?),
    })
}
