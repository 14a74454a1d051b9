//! Opens the database, and checks its schema before a command uses it. Only this file names the
//! concrete store.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use mercurio_domain::store::{Actor, Backend, SchemaState, Store, StoreError};
use mercurio_storage::{DatabaseUrl, StoreOptions};

use crate::error::AdminError;

/// Time limit of reads: counting or exporting a large tenant takes long.
const LONG: Duration = Duration::from_secs(3600);

/// Reads `DATABASE_URL`; the default is a file in `data/`. Errors go to `invalid` and never contain
/// a password.
pub(crate) fn url(
    setting: &dyn Fn(&str) -> Option<String>,
    invalid: &mut Vec<String>,
) -> Option<DatabaseUrl> {
    match mercurio_config::database_url(setting) {
        Ok(url) => Some(url),
        Err(error) => {
            invalid.extend(error.0.iter().map(ToString::to_string));
            None
        }
    }
}

/// What a command does with the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Its changes are recorded as those of this actor; `None`: it only reads.
    pub actor: Option<Actor>,
    /// Whether it may create a SQLite file.
    pub creates: bool,
}

/// Opens the database at `url` with one connection of each kind.
///
/// # Errors
/// [`AdminError::NoDatabase`] if the file does not exist and must not be created,
/// [`StoreError::Unavailable`] if it cannot be opened. PostgreSQL connects on first use.
pub fn open(url: &DatabaseUrl, access: Access) -> Result<Arc<dyn Store>, AdminError> {
    let Access { actor, creates } = access;
    if let Some(path) = url.missing_file().filter(|_| !creates) {
        // The whole path: a relative one is missing in the wrong folder only.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        return Err(AdminError::NoDatabase { path });
    }
    let options = StoreOptions {
        // A command works alone, and servers need the other connections.
        max_read_connections: NonZeroU32::MIN,
        max_system_connections: NonZeroU32::MIN,
        max_write_connections: NonZeroU32::MIN,
        // They delay no other request.
        read_timeout: LONG,
        system_timeout: LONG,
        actor,
        ..StoreOptions::default()
    };
    Ok(mercurio_storage::open(url, &options)?)
}

/// Opens an existing database for a look at its names, without waiting for longer than `time_limit`
/// anywhere. `None` if the file does not exist.
pub(crate) fn open_to_look(
    url: &DatabaseUrl,
    time_limit: Duration,
) -> Result<Option<Arc<dyn Store>>, StoreError> {
    // Opening a missing file would create it.
    if url.missing_file().is_some() {
        return Ok(None);
    }
    let options = StoreOptions {
        max_read_connections: NonZeroU32::MIN,
        max_system_connections: NonZeroU32::MIN,
        max_write_connections: NonZeroU32::MIN,
        connect_timeout: time_limit,
        system_timeout: time_limit,
        ..StoreOptions::default()
    };
    mercurio_storage::open(url, &options).map(Some)
}

/// Makes the schema usable for a command that may create a database. SQLite is migrated, as the
/// server does at start. PostgreSQL is not: running servers may share it, so its schema changes only
/// with `migrate`.
pub(crate) fn prepare_schema(store: &dyn Store) -> Result<(), AdminError> {
    if store.backend() == Backend::Sqlite {
        // First: a schema of a newer release must not be migrated.
        usable_schema(store)?;
        store.migrate()?;
    }
    require_schema(store)
}

/// Fails unless the schema is usable. Changes nothing.
pub(crate) fn require_schema(store: &dyn Store) -> Result<(), AdminError> {
    match store.schema_state()? {
        SchemaState::Current | SchemaState::Compatible(_) => Ok(()),
        SchemaState::Older(missing) => {
            Err(AdminError::OlderSchema { backend: store.backend(), missing: missing.len() })
        }
        SchemaState::Newer(unknown) => Err(newer_schema(store, unknown)),
    }
}

/// Returns the state of the schema, unless a newer release made it incompatible with this program.
pub(crate) fn usable_schema(store: &dyn Store) -> Result<SchemaState, AdminError> {
    match store.schema_state()? {
        SchemaState::Newer(unknown) => Err(newer_schema(store, unknown)),
        usable => Ok(usable),
    }
}

/// Fails after any migration of a newer release, even a compatible one. This program cannot revert
/// such a migration, and cannot delete a tenant's or a person's data from tables it does not know.
pub(crate) fn refuse_unknown_migrations(store: &dyn Store) -> Result<(), AdminError> {
    match usable_schema(store)? {
        SchemaState::Compatible(unknown) => Err(newer_schema(store, unknown)),
        _ => Ok(()),
    }
}

fn newer_schema(store: &dyn Store, unknown: Vec<String>) -> AdminError {
    let newest = unknown.into_iter().last();
    debug_assert!(newest.is_some(), "a newer schema has at least one unknown migration");
    AdminError::NewerSchema { backend: store.backend(), newest: newest.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_database_is_a_file_in_data() {
        let mut invalid = Vec::new();
        let url = url(&|_| None, &mut invalid).unwrap();
        assert_eq!((url.to_string().as_str(), invalid.len()), ("sqlite://data/mercurio.db", 0));
    }

    #[test]
    fn invalid_url_is_reported_without_its_password() {
        for text in
            ["", "mysql://u:hunter2@h/d", "postgres://u:hunter2@h:x/d", "postgres://u:hunter2@[h/d"]
        {
            let mut invalid = Vec::new();
            let setting = |name: &str| (name == "DATABASE_URL").then(|| text.to_owned());
            assert_eq!(url(&setting, &mut invalid), None, "{text}");
            assert!(
                invalid[0].starts_with("DATABASE_URL: ") && !invalid[0].contains("hunter2"),
                "{invalid:?}"
            );
        }
    }
}
