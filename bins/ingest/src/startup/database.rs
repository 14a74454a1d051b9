//! The database at start: open, migrate if allowed, and check the schema. The only file that names
//! a concrete store.

use std::sync::Arc;

use mercurio_config::Config;
use mercurio_domain::store::{Backend, LockWait, Privileges, SchemaState, Store};
use mercurio_observability::{chain, keys};
use mercurio_runtime::database_probe::{log_newer_schema, log_privileges};
use mercurio_storage::StoreOptions;
use slog::{Logger, info, warn};

use super::error::StartError;

/// An open database with a compatible schema.
pub(super) struct Database {
    pub(super) store: Arc<dyn Store>,
    /// `Current` or `Compatible`.
    pub(super) schema: SchemaState,
    pub(super) privileges: Privileges,
}

/// Opens the database of the settings.
///
/// # Errors
/// The database is unavailable, or its schema is older than the program, or newer and incompatible.
pub(super) fn open(config: &Config, log: &Logger) -> Result<Database, StartError> {
    let options =
        StoreOptions { read_timeout: config.settings.read_timeout, ..StoreOptions::default() };
    let store = mercurio_storage::open(&config.database_url, &options)?;
    // A SQLite file belongs to this process. A PostgreSQL may serve other programs, so migrations
    // need permission.
    if store.backend() == Backend::Sqlite || config.auto_migrate {
        let mut log_wait =
            |wait: &LockWait| warn!(log, "migration waiting"; keys::ERROR => wait.to_string());
        for migration in store.migrate_reporting(&mut log_wait)? {
            info!(log, "migration applied"; keys::MIGRATION => migration);
        }
    }
    let schema = store.schema_state()?;
    match &schema {
        SchemaState::Current => {}
        SchemaState::Compatible(_) => log_newer_schema(log, &schema),
        SchemaState::Older(missing) => {
            return Err(StartError::Schema(format!(
                "the database lacks {} migration(s), starting with {}: run `mercurio-admin migrate`, or set \
                 MERCURIO_AUTO_MIGRATE=true",
                missing.len(),
                // Never empty: an older schema lacks at least one.
                missing.first().map_or("?", String::as_str),
            )));
        }
        SchemaState::Newer(unknown) => {
            return Err(StartError::Schema(format!(
                "a newer release migrated the database, and its schema is not compatible with this release (unknown \
                 migrations: {}): use the newer release",
                unknown.join(", ")
            )));
        }
    }
    let privileges = privileges(store.as_ref(), log);
    Ok(Database { store, schema, privileges })
}

/// Returns the privileges of the role, and logs what it lacks. The server runs on as far as it can.
fn privileges(store: &dyn Store, log: &Logger) -> Privileges {
    match store.privileges() {
        Ok(privileges) => {
            log_privileges(log, &Privileges::default(), &privileges);
            privileges
        }
        Err(error) => {
            warn!(log, "database privileges unknown"; keys::ERROR => chain(&error));
            Privileges::default()
        }
    }
}
