//! The commands, one file each: every `run` takes a store and arguments, and returns a [`Report`].

mod amount;
mod audit;
mod config;
mod confirm;
mod deletion;
mod doctor;
mod erasure;
mod events;
mod export;
mod forward;
mod import;
mod key;
mod lookup;
mod migrate;
mod new_key;
mod progress;
mod provision;
mod rejections;
mod removal;
mod report;
mod seed;
mod tail;
mod tenant;
mod workspace;

use std::sync::Arc;

use mercurio_domain::store::{Actor, Store};
use mercurio_storage::DatabaseUrl;

use crate::cli::Command;
use crate::database::{self, Access};
use crate::error::AdminError;
use crate::machine::Machine;
use crate::output::Output;

pub use report::Report;

/// Runs `command` on the database in the settings. An export and a command that makes a key write to
/// `out`; every other command returns its result.
///
/// # Errors
/// [`AdminError::Usage`] for invalid settings, before `open` is called; otherwise the error of the command.
pub fn perform(
    command: &Command,
    machine: &Machine<'_>,
    open: impl FnOnce(&DatabaseUrl, Access) -> Result<Arc<dyn Store>, AdminError>,
    out: &mut Output<'_>,
) -> Result<Report, AdminError> {
    let actor = command
        .change()
        .map(|words| Actor { name: machine.user.to_owned(), command: words.to_owned() });
    let access = Access { actor, creates: command.creates_database() };
    let open = |url: &DatabaseUrl| open(url, access);
    match command {
        // These two work without a database.
        Command::Config => config::run(machine),
        Command::Doctor => doctor::run(machine),
        // Reports errors of DATABASE_URL together with those of its own settings.
        Command::Seed => {
            let settings = seed::read_settings(machine.setting)?;
            let store = open(&settings.database_url)?;
            recorded(&*store, seed::run(&*store, &settings.command, machine, out))
        }
        Command::Migrate(command) => {
            let store = open_store(machine, open)?;
            recorded(&*store, migrate::run(&*store, command, machine))
        }
        Command::Provision(command) => {
            let store = open_store(machine, open)?;
            recorded(&*store, provision::run(&*store, command, machine, out))
        }
        Command::Tenant(command) => {
            let store = open_store(machine, open)?;
            recorded(&*store, tenant::run(&*store, command, machine))
        }
        Command::Workspace(command) => {
            let store = open_store(machine, open)?;
            recorded(&*store, workspace::run(&*store, command, machine))
        }
        Command::Key(command) => {
            let store = open_store(machine, open)?;
            recorded(&*store, key::run(&*store, command, machine, out))
        }
        Command::Events(command) => {
            let store = open_store(machine, open)?;
            recorded(&*store, events::run(&*store, command, machine, out.writer))
        }
        Command::Rejections(command) => {
            let store = open_store(machine, open)?;
            recorded(&*store, rejections::run(&*store, command, machine, out.writer))
        }
        Command::Audit(command) => audit::run(&*open_store(machine, open)?, command, machine),
    }
}

fn open_store(
    machine: &Machine<'_>,
    open: impl FnOnce(&DatabaseUrl) -> Result<Arc<dyn Store>, AdminError>,
) -> Result<Arc<dyn Store>, AdminError> {
    let mut invalid = Vec::new();
    match database::url(machine.setting, &mut invalid) {
        Some(url) => open(&url),
        None => Err(AdminError::Usage(invalid)),
    }
}

/// Adds the failure of a command to the audit log. The store has recorded everything that was done.
fn recorded(store: &dyn Store, done: Result<Report, AdminError>) -> Result<Report, AdminError> {
    if let Err(error) = &done {
        audit::record_failure(store, error);
    }
    done
}
