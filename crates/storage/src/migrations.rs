//! The schema's versions: which a database has, which this program knows, and how the one becomes the other.
//!
//! The SQL is part of the program. A database notes each migration that ran, by its version, in diesel's own table.

use diesel::backend::Backend;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel_migrations::MigrationHarness;
use mercurio_domain::store::SchemaState;

use crate::error::{Failure, Fault};
use crate::pool::Driver;

/// A migration's error may be of any kind. diesel keeps that of a statement inside one of its own, of which the text is all that
/// gets out.
fn failure<C: Driver>(error: Box<dyn std::error::Error + Send + Sync>) -> Failure {
    match error.downcast::<diesel::result::Error>() {
        Ok(error) => Failure::Database(*error),
        Err(other) => {
            let text = other.to_string();
            Failure::Sorted(C::fault_of_text(&text), format!("a migration failed: {text}"))
        }
    }
}

fn known<DB: Backend>(
    source: &dyn MigrationSource<DB>,
) -> Result<Vec<Box<dyn Migration<DB>>>, Failure> {
    let unreadable =
        |error| Failure::Sorted(Fault::Internal, format!("the migrations can't be read: {error}"));
    let mut migrations = source.migrations().map_err(unreadable)?;
    migrations.sort_by(|a, b| a.name().version().cmp(&b.name().version()));
    Ok(migrations)
}

/// How a database that has the versions `applied` stands to this program. `minimum` asks it for the oldest version that a program must
/// know, and is called only where the database has one that this program does not know.
pub(crate) fn state<DB: Backend>(
    source: &dyn MigrationSource<DB>,
    mut applied: Vec<String>,
    minimum: impl FnOnce() -> Result<Option<String>, Failure>,
) -> Result<SchemaState, Failure> {
    let known = known(source)?;
    let has = |migration: &dyn Migration<DB>, version: &str| {
        migration.name().version() == MigrationVersion::from(version)
    };
    let missing = known
        .iter()
        .filter(|migration| !applied.iter().any(|version| has(migration.as_ref(), version)));
    let missing: Vec<_> = missing.map(|migration| migration.name().to_string()).collect();
    applied.sort();
    applied.retain(|version| !known.iter().any(|migration| has(migration.as_ref(), version)));
    if applied.is_empty() {
        return Ok(if missing.is_empty() {
            SchemaState::Current
        } else {
            SchemaState::Older(missing)
        });
    }
    let newest = known.last().map(|migration| migration.name().version());
    // Where one is missing and another unknown, the database went another way than this program's releases.
    let may_work = missing.is_empty()
        && minimum()?.is_some_and(|minimum| {
            newest.is_some_and(|newest| newest >= MigrationVersion::from(minimum))
        });
    Ok(if may_work { SchemaState::Compatible(applied) } else { SchemaState::Newer(applied) })
}

/// Runs the oldest migration that the database lacks, and tells its name; `None` where it lacks none.
///
/// The caller holds a lock that keeps others from doing the same.
pub(crate) fn run_next<DB: Backend, C: MigrationHarness<DB> + Driver>(
    connection: &mut C,
    source: &dyn MigrationSource<DB>,
) -> Result<Option<String>, Failure> {
    let applied = connection.applied_migrations().map_err(failure::<C>)?;
    let next =
        known(source)?.into_iter().find(|migration| !applied.contains(&migration.name().version()));
    let Some(next) = next else {
        return Ok(None);
    };
    connection.prepare_migration(next.metadata().run_in_transaction())?;
    connection.run_migration(&next).map_err(failure::<C>)?;
    Ok(Some(next.name().to_string()))
}

/// Takes the newest migration back and tells its name; `None` where the database has none.
///
/// The caller holds the lock as for [`run_next`].
pub(crate) fn revert_last<DB: Backend, C: MigrationHarness<DB> + Driver>(
    connection: &mut C,
    source: &dyn MigrationSource<DB>,
) -> Result<Option<String>, Failure> {
    let mut applied = connection.applied_migrations().map_err(failure::<C>)?;
    applied.sort();
    let Some(newest) = applied.pop() else {
        return Ok(None);
    };
    let known = known(source)?;
    let Some(newest) = known.iter().find(|migration| migration.name().version() == newest) else {
        let what =
            format!("this program does not know the migration {newest}, and can't take it back");
        return Err(Failure::Sorted(Fault::Internal, what));
    };
    connection.prepare_migration(newest.metadata().run_in_transaction())?;
    connection.revert_migration(newest).map_err(failure::<C>)?;
    Ok(Some(newest.name().to_string()))
}
