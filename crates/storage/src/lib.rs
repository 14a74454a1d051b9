//! PostgreSQL and SQLite implementations of [`mercurio_domain::store`]. All SQL of Mercurio is
//! here.
//!
//! [`open`] turns a [`DatabaseUrl`] into a store. Every method blocks; async callers use blocking
//! threads. No diesel type and no SQL status code leaves this crate.
//!
//! `postgres` and `sqlite` hold only what differs. `shared` holds the queries and trait
//! implementations that both run; each backend compiles it with its own connection type. The other
//! modules do not depend on the database: `rows` converts rows to domain types, `verdicts` decides
//! which events of a group are new, `counts` counts those, and `transaction`, `pool`, `migrations`
//! and `error` do what their names say.

mod counts;
mod diagnostics;
mod error;
mod migrations;
mod pool;
mod postgres;
mod rejection_rows;
mod rows;
mod sqlite;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod transaction;
mod url;
mod verdicts;

use std::sync::Arc;

use mercurio_domain::Clock;
use mercurio_domain::store::{Store, StoreError};

pub use diagnostics::{Diagnostics, MissingRights, Replication, ServerDiagnostics, ServerSetting};
pub use pool::StoreOptions;
pub use url::{DatabaseUrl, DatabaseUrlError};

use url::Target;

/// Opens a store for the database at `url`.
///
/// PostgreSQL is contacted by the first call, not here, and reconnected to after an outage.
/// SQLite's file and its folders are created if missing.
///
/// # Errors
/// [`StoreError::Unavailable`] if the SQLite file can't be created or opened.
pub fn open(url: &DatabaseUrl, options: &StoreOptions) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match url.target() {
        Target::Postgres(parameters) => {
            Arc::new(postgres::PostgresStore::open(&parameters.to_conninfo(), options))
        }
        Target::Sqlite(path) => Arc::new(sqlite::SqliteStore::open(path, options)?),
    })
}

/// Inspects the database at `url` without changing it. Returns `None` if its file does not exist.
///
/// # Errors
/// [`StoreError::Unavailable`] if the database can't be reached or read.
pub fn diagnose(url: &DatabaseUrl, clock: &dyn Clock) -> Result<Option<Diagnostics>, StoreError> {
    match url.target() {
        Target::Postgres(parameters) => {
            postgres::diagnose(&parameters.to_conninfo(), clock).map(Some)
        }
        // Opening a missing file would create it.
        Target::Sqlite(_) if url.missing_file().is_some() => Ok(None),
        Target::Sqlite(path) => sqlite::diagnose(path).map(Some),
    }
}
