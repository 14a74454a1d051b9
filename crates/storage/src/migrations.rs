//! Schema migrations: comparing the applied ones with the embedded ones, applying and reverting.
//!
//! diesel records applied migrations by version in its own table.

use diesel::backend::Backend;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel_migrations::MigrationHarness;
use mercurio_domain::store::SchemaState;

use crate::error::{Error, ErrorKind};
use crate::pool::Driver;

fn migration_error(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast::<diesel::result::Error>() {
        Ok(error) => (*error).into(),
        // diesel wraps the error of a statement in a private type.
        Err(other) => Error::from_text("a migration failed", &other.to_string()),
    }
}

fn embedded<DB: Backend>(
    source: &dyn MigrationSource<DB>,
) -> Result<Vec<Box<dyn Migration<DB>>>, Error> {
    let mut migrations = source.migrations().map_err(|error| {
        Error::new(ErrorKind::Internal, format_args!("can't read the migrations: {error}"))
    })?;
    // `MigrationSource` promises no order.
    migrations.sort_by(|a, b| a.name().version().cmp(&b.name().version()));
    Ok(migrations)
}

fn has_version<DB: Backend>(migration: &dyn Migration<DB>, version: &str) -> bool {
    migration.name().version() == MigrationVersion::from(version)
}

/// Compares the applied versions with this program's migrations.
///
/// `minimum` reads the oldest version that a program must know, and is called only if the database
/// has migrations unknown to this program.
pub(crate) fn state<DB: Backend>(
    source: &dyn MigrationSource<DB>,
    mut applied: Vec<String>,
    minimum: impl FnOnce() -> Result<Option<String>, Error>,
) -> Result<SchemaState, Error> {
    let embedded = embedded(source)?;
    let missing: Vec<_> = embedded
        .iter()
        .filter(|migration| !applied.iter().any(|version| has_version(&***migration, version)))
        .map(|migration| migration.name().to_string())
        .collect();
    applied.sort();
    applied.retain(|version| !embedded.iter().any(|migration| has_version(&**migration, version)));
    let unknown = applied;
    if unknown.is_empty() {
        return Ok(if missing.is_empty() {
            SchemaState::Current
        } else {
            SchemaState::Older(missing)
        });
    }
    // Versions are dates of equal length, so their order as text is their order in time.
    let newest = embedded.last().map(|migration| migration.name().version());
    // Only the release that wrote a migration knows whether older programs can work with it, so it
    // leaves the minimum version in the database. A schema that has unknown migrations and lacks
    // known ones belongs to no release before or after this one.
    let is_compatible = missing.is_empty()
        && minimum()?.is_some_and(|minimum| {
            newest.is_some_and(|newest| newest >= MigrationVersion::from(minimum))
        });
    Ok(if is_compatible { SchemaState::Compatible(unknown) } else { SchemaState::Newer(unknown) })
}

/// Applies the oldest missing migration and returns its name; `None` if none is missing. Calls
/// `record` with the name in the migration's transaction, if it has one.
///
/// The caller holds a lock against concurrent migrations.
pub(crate) fn run_next<DB: Backend, C: MigrationHarness<DB> + Driver>(
    connection: &mut C,
    source: &dyn MigrationSource<DB>,
    record: impl FnOnce(&mut C, &str) -> Result<(), Error>,
) -> Result<Option<String>, Error> {
    // Read again for each migration: each call has its own transaction or lock.
    let applied = connection.applied_migrations().map_err(migration_error)?;
    let next = embedded(source)?
        .into_iter()
        .find(|migration| !applied.contains(&migration.name().version()));
    let Some(next) = next else {
        return Ok(None);
    };
    let name = next.name().to_string();
    in_its_transaction(connection, &*next, |connection| {
        connection.run_migration(&next).map_err(migration_error)?;
        record(connection, &name)
    })?;
    Ok(Some(name))
}

/// Runs `work` in a transaction, unless the migration must not have one.
fn in_its_transaction<DB: Backend, C: Driver>(
    connection: &mut C,
    migration: &dyn Migration<DB>,
    work: impl FnOnce(&mut C) -> Result<(), Error>,
) -> Result<(), Error> {
    let in_transaction = migration.metadata().run_in_transaction();
    // Sets the lock timeout, which depends on the transaction.
    connection.prepare_migration(in_transaction)?;
    if in_transaction { connection.transaction(work) } else { work(connection) }
}

/// Reverts the newest migration and returns its name; `None` if none is applied. Calls `record` like
/// [`run_next`].
///
/// The caller holds a lock against concurrent migrations.
pub(crate) fn revert_last<DB: Backend, C: MigrationHarness<DB> + Driver>(
    connection: &mut C,
    source: &dyn MigrationSource<DB>,
    record: impl FnOnce(&mut C, &str) -> Result<(), Error>,
) -> Result<Option<String>, Error> {
    let mut applied = connection.applied_migrations().map_err(migration_error)?;
    // Sorted here: diesel's trait promises no order.
    applied.sort();
    let Some(newest) = applied.pop() else {
        return Ok(None);
    };
    let embedded = embedded(source)?;
    let Some(newest) = embedded.iter().find(|migration| migration.name().version() == newest)
    else {
        let message = format!(
            "the migration {newest} is unknown to this program: revert it with the release that \
             applied it"
        );
        return Err(Error::new(ErrorKind::Internal, message));
    };
    let name = newest.name().to_string();
    in_its_transaction(connection, &**newest, |connection| {
        connection.revert_migration(newest).map_err(migration_error)?;
        record(connection, &name)
    })?;
    Ok(Some(name))
}
