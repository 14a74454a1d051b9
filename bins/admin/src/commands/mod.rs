//! The commands, one a file: from what was asked and a store to a result and notes for people.

mod migrate;
mod provision;
mod seed;

use std::sync::Arc;

use mercurio_domain::store::{Store, StoreError};
use mercurio_storage::DatabaseUrl;
use serde::Serialize;

use crate::cli::Command;
use crate::{AdminError, Machine, config};

pub use migrate::Migrated;
pub use provision::{Named, NewKey, Provisioned, SampleCount};

/// What a command has to say.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// Of `migrate`.
    Migrated(Migrated),
    /// Of `provision` and `seed`.
    Provisioned(Provisioned),
}

/// A command that has done its work.
#[derive(Debug)]
pub struct Done {
    /// For programs.
    pub result: Outcome,
    /// For people.
    pub notes: Vec<String>,
}

/// Does a command on the store that `open` makes of the database in the settings. Nothing is opened while a setting is
/// wrong.
///
/// # Errors
/// [`AdminError`] where it could not be done.
pub fn perform(
    command: &Command,
    machine: &Machine<'_>,
    open: impl FnOnce(&DatabaseUrl) -> Result<Arc<dyn Store>, StoreError>,
) -> Result<Done, AdminError> {
    let mut mistakes = Vec::new();
    let url = config::database_url(machine.setting, &mut mistakes);
    let request = match command {
        Command::Seed => seed::request(machine.setting, &mut mistakes).map(Work::Seed),
        Command::Provision(command) => Some(Work::Provision(command)),
        Command::Migrate => Some(Work::Migrate),
    };
    let (Some(url), Some(work)) = (url, request) else {
        return Err(AdminError::Usage(mistakes));
    };
    let store = open(&url)?;
    match work {
        Work::Migrate => migrate::migrate(&*store),
        Work::Provision(command) => provision::provision(&*store, command, machine),
        Work::Seed(command) => seed::seed(&*store, &command, machine),
    }
}

/// A command with its settings.
enum Work<'a> {
    Migrate,
    Provision(&'a crate::cli::ProvisionCommand),
    Seed(crate::cli::ProvisionCommand),
}
