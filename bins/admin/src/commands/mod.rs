//! The commands, one file each: every `run` takes a store and arguments, and returns a [`Report`].

mod config;
mod confirm;
mod doctor;
mod events;
mod export;
mod key;
mod lookup;
mod migrate;
mod new_key;
mod progress;
mod provision;
mod removal;
mod report;
mod seed;
mod tenant;
mod workspace;

use std::sync::Arc;

use mercurio_domain::store::{Store, StoreError};
use mercurio_storage::DatabaseUrl;

use crate::cli::Command;
use crate::database;
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
    open: impl FnOnce(&DatabaseUrl) -> Result<Arc<dyn Store>, StoreError>,
    out: &mut Output<'_>,
) -> Result<Report, AdminError> {
    match command {
        // These two work without a database.
        Command::Config => config::run(machine),
        Command::Doctor => doctor::run(machine),
        // Reports errors of DATABASE_URL together with those of its own settings.
        Command::Seed => {
            let settings = seed::read_settings(machine.setting)?;
            seed::run(&*open(&settings.database_url)?, &settings.command, machine, out)
        }
        Command::Migrate(command) => migrate::run(&*open_store(machine, open)?, command, machine),
        Command::Provision(command) => {
            provision::run(&*open_store(machine, open)?, command, machine, out)
        }
        Command::Tenant(command) => tenant::run(&*open_store(machine, open)?, command, machine),
        Command::Workspace(command) => {
            workspace::run(&*open_store(machine, open)?, command, machine)
        }
        Command::Key(command) => key::run(&*open_store(machine, open)?, command, machine, out),
        Command::Events(command) => {
            events::run(&*open_store(machine, open)?, command, machine, out.writer)
        }
    }
}

fn open_store(
    machine: &Machine<'_>,
    open: impl FnOnce(&DatabaseUrl) -> Result<Arc<dyn Store>, StoreError>,
) -> Result<Arc<dyn Store>, AdminError> {
    let mut invalid = Vec::new();
    match database::url(machine.setting, &mut invalid) {
        Some(url) => Ok(open(&url)?),
        None => Err(AdminError::Usage(invalid)),
    }
}
