//! `migrate …`: brings the schema to this program's, tells how it stands, and takes the newest migration back.

use mercurio_domain::store::{Backend, SchemaState, Store};
use serde::Serialize;

use super::{Done, Outcome, removal};
use crate::cli::MigrateCommand;
use crate::{AdminError, Machine, database};

/// What `migrate` prints.
#[derive(Debug, Serialize)]
pub struct Migrated {
    /// Which database it is.
    pub backend: Backend,
    /// The migrations that ran, oldest first.
    pub applied: Vec<String>,
    /// How the schema stands to this program's in the end: `current`, or `compatible` where a newer release has been.
    pub state: &'static str,
}

/// What `migrate status` prints.
#[derive(Debug, Serialize)]
pub struct SchemaStatus {
    /// Which database it is.
    pub backend: Backend,
    /// `current`, `older`, `compatible` (newer, and this program may work with it) or `newer` (and it may not).
    pub state: &'static str,
    /// Migrations that the database lacks, oldest first.
    pub missing: Vec<String>,
    /// Versions of migrations that this program does not know, oldest first.
    pub unknown: Vec<String>,
}

/// What `migrate down` prints.
#[derive(Debug, Serialize)]
pub struct Reverted {
    /// Which database it is.
    pub backend: Backend,
    /// The migration that was taken back; `null` where there was none.
    pub reverted: Option<String>,
}

pub(super) fn migrate(
    store: &dyn Store,
    command: &MigrateCommand,
    machine: &Machine<'_>,
) -> Result<Done, AdminError> {
    match command {
        MigrateCommand::Up => up(store, machine),
        MigrateCommand::Status => status(store),
        MigrateCommand::Down { yes } => {
            database::refuse_unknown(store)?;
            let question = "This takes the newest migration back, with all that only it has a place for. \
                            Servers of this release will not be ready any more. Type yes to go on: ";
            removal::confirm(machine, *yes, question, "yes")?;
            let reverted = store.revert_reporting(&mut |wait| (machine.tell)(&wait.to_string()))?;
            let notes = match reverted {
                Some(_) => Vec::new(),
                None => vec!["the database has no migration; nothing was changed".to_owned()],
            };
            Ok(Done {
                result: Outcome::Reverted(Reverted { backend: store.backend(), reverted }),
                notes,
            })
        }
    }
}

fn status(store: &dyn Store) -> Result<Done, AdminError> {
    let (state, missing, unknown, note) = match store.schema_state()? {
        SchemaState::Current => ("current", Vec::new(), Vec::new(), None),
        SchemaState::Older(missing) => {
            ("older", missing, Vec::new(), Some("`migrate up` brings it to this program's"))
        }
        SchemaState::Compatible(unknown) => (
            "compatible",
            Vec::new(),
            unknown,
            Some("a newer release migrated it, and this program can go on with it"),
        ),
        SchemaState::Newer(unknown) => {
            ("newer", Vec::new(), unknown, Some("use the newer release's program"))
        }
    };
    let status = SchemaStatus { backend: store.backend(), state, missing, unknown };
    Ok(Done {
        result: Outcome::SchemaStatus(status),
        notes: note.map(str::to_owned).into_iter().collect(),
    })
}

fn up(store: &dyn Store, machine: &Machine<'_>) -> Result<Done, AdminError> {
    if let SchemaState::Compatible(_) = database::refuse_newer(store)? {
        let result =
            Migrated { backend: store.backend(), applied: Vec::new(), state: "compatible" };
        let note = "a newer release migrated it, and this program can go on with it; nothing to do";
        return Ok(Done { result: Outcome::Migrated(result), notes: vec![note.to_owned()] });
    }
    let applied = store.migrate_reporting(&mut |wait| (machine.tell)(&wait.to_string()))?;
    let note = match applied.len() {
        0 => "the schema was current; nothing to do".to_owned(),
        1 => "the schema is current; 1 migration ran".to_owned(),
        count => format!("the schema is current; {count} migrations ran"),
    };
    let result = Migrated { backend: store.backend(), applied, state: "current" };
    Ok(Done { result: Outcome::Migrated(result), notes: vec![note] })
}
