//! Opens the database: the one place that names the concrete store.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use mercurio_domain::store::{Backend, SchemaState, Store, StoreError};
use mercurio_storage::{DatabaseUrl, StoreOptions};

use crate::AdminError;

/// Opens the database at `url`, with as few connections as one command needs.
///
/// # Errors
/// [`StoreError::Unavailable`] where SQLite's file can't be opened.
pub fn open(url: &DatabaseUrl) -> Result<Arc<dyn Store>, StoreError> {
    let options = StoreOptions {
        max_read_connections: NonZeroU32::MIN,
        max_write_connections: NonZeroU32::MIN,
        // A count or a page of a large tenant may take its time; nobody waits for it but who asked.
        read_timeout: Duration::from_secs(3600),
        ..StoreOptions::default()
    };
    mercurio_storage::open(url, &options)
}

/// Makes sure that the schema is this program's. SQLite's is brought there, as the server does; that of PostgreSQL may be
/// shared by servers that still run, and changes only when somebody says so.
pub(crate) fn prepare(store: &dyn Store) -> Result<(), AdminError> {
    if store.backend() == Backend::Sqlite {
        refuse_newer(store)?;
        store.migrate()?;
    }
    match store.schema_state()? {
        SchemaState::Current | SchemaState::Compatible(_) => Ok(()),
        SchemaState::Older(missing) => {
            Err(AdminError::OlderSchema { backend: store.backend(), missing: missing.len() })
        }
        SchemaState::Newer(unknown) => Err(newer(store, unknown)),
    }
}

/// Stops where a newer release has been with which this program can't share the database. How the schema stands where it can.
pub(crate) fn refuse_newer(store: &dyn Store) -> Result<SchemaState, AdminError> {
    match store.schema_state()? {
        SchemaState::Newer(unknown) => Err(newer(store, unknown)),
        usable => Ok(usable),
    }
}

/// Stops wherever a newer release has been: this program does not know how its migrations are taken back, nor where else it may keep what
/// is to go.
pub(crate) fn refuse_unknown(store: &dyn Store) -> Result<(), AdminError> {
    match refuse_newer(store)? {
        SchemaState::Compatible(unknown) => Err(newer(store, unknown)),
        _ => Ok(()),
    }
}

fn newer(store: &dyn Store, unknown: Vec<String>) -> AdminError {
    AdminError::NewerSchema {
        backend: store.backend(),
        newest: unknown.into_iter().last().unwrap_or_default(),
    }
}
