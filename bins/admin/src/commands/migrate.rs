//! `migrate …`: updates the schema, reports its state, and reverts the newest migration.

use mercurio_domain::store::{Backend, SchemaState, Store};
use serde::Serialize;

use super::confirm::{Question, confirm};
use super::report::Report;
use crate::cli::MigrateCommand;
use crate::database;
use crate::error::AdminError;
use crate::machine::Machine;

#[derive(Serialize)]
struct UpOutput {
    backend: Backend,
    /// Migrations of this run, oldest first.
    applied: Vec<String>,
    /// `current`, or `compatible` after a newer release.
    state: &'static str,
}

#[derive(Serialize)]
struct StatusOutput {
    backend: Backend,
    /// `current`, `older`, `compatible` (newer, and usable by this program) or `newer` (not
    /// usable).
    state: &'static str,
    /// Migrations the database lacks, oldest first.
    missing: Vec<String>,
    /// Migrations this program does not know, oldest first.
    unknown: Vec<String>,
}

#[derive(Serialize)]
struct DownOutput {
    backend: Backend,
    /// `null` if there was no migration.
    reverted: Option<String>,
}

pub(super) fn run(
    store: &dyn Store,
    command: &MigrateCommand,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    match command {
        MigrateCommand::Up => up(store, machine),
        MigrateCommand::Status => status(store),
        MigrateCommand::Down { yes } => down(store, *yes, machine),
    }
}

fn up(store: &dyn Store, machine: &Machine<'_>) -> Result<Report, AdminError> {
    let backend = store.backend();
    // Not an error: after a rollback, deployments of this release run `migrate` before their
    // servers.
    if let SchemaState::Compatible(_) = database::usable_schema(store)? {
        let output = UpOutput { backend, applied: Vec::new(), state: "compatible" };
        let note = "the schema is of a newer, compatible release: nothing to do";
        return Ok(Report::new(&output)?.with_note(note));
    }
    // Waits up to a minute for table locks on PostgreSQL, and reports each wait.
    let applied = store.migrate_reporting(&mut |wait| (machine.notify)(&wait.to_string()))?;
    let note = match applied.len() {
        0 => "the schema was already current: nothing to do".to_owned(),
        1 => "1 migration was applied; the schema is current".to_owned(),
        count => format!("{count} migrations were applied; the schema is current"),
    };
    Ok(Report::new(&UpOutput { backend, applied, state: "current" })?.with_note(note))
}

fn status(store: &dyn Store) -> Result<Report, AdminError> {
    let mut output = StatusOutput {
        backend: store.backend(),
        state: "current",
        missing: Vec::new(),
        unknown: Vec::new(),
    };
    let note = match store.schema_state()? {
        SchemaState::Current => return Report::new(&output),
        SchemaState::Older(missing) => {
            output.state = "older";
            output.missing = missing;
            "run `migrate up` to apply the missing migrations"
        }
        SchemaState::Compatible(unknown) => {
            output.state = "compatible";
            output.unknown = unknown;
            "the schema is of a newer, compatible release: this program can use it"
        }
        SchemaState::Newer(unknown) => {
            output.state = "newer";
            output.unknown = unknown;
            "the schema is of a newer release: use that release's program"
        }
    };
    Ok(Report::new(&output)?.with_note(note))
}

fn down(store: &dyn Store, yes: bool, machine: &Machine<'_>) -> Result<Report, AdminError> {
    // This program has no script to revert a migration of a newer release.
    database::refuse_unknown_migrations(store)?;
    let text = "This reverts the newest migration and deletes the data that only it had room for. \
                Servers that need the migration become not ready.";
    confirm(machine, yes, || Ok(Question::yes(text)))?;
    let reverted = store.revert_reporting(&mut |wait| (machine.notify)(&wait.to_string()))?;
    let is_empty = reverted.is_none();
    let report = Report::new(&DownOutput { backend: store.backend(), reverted })?;
    if is_empty {
        return Ok(report.with_note("the database has no migration: nothing was changed"));
    }
    Ok(report)
}
