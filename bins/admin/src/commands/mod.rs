//! The commands, one a file: from what was asked and a store to a result and notes for people.

mod config;
mod doctor;
pub(crate) mod events;
mod key;
mod migrate;
mod provision;
mod removal;
mod seed;
mod tenant;
mod workspace;

use std::sync::Arc;

use mercurio_domain::store::{Store, StoreError};
use mercurio_storage::DatabaseUrl;
use serde::Serialize;

use crate::cli::Command;
use crate::{AdminError, Exit, Machine};

pub use config::InForce;
pub use doctor::{Check, Checks, State};
pub use events::{Count, Counts, Erased, Events, Purged, PurgedRows, RemovedEvents};
pub use key::{Keys, Rotated, ShownKey};
pub use migrate::{Migrated, Reverted, SchemaStatus};
pub use provision::{Named, NewKey, Provisioned, SampleCount};
pub use tenant::{Deleted, RemovedTenant, ShownTenant, Tenants};
pub use workspace::{ShownWorkspace, Workspaces};

/// What a command has to say.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// Of `migrate`.
    Migrated(Migrated),
    /// Of `migrate status`.
    SchemaStatus(SchemaStatus),
    /// Of `migrate down`.
    Reverted(Reverted),
    /// Of `provision` and `seed`.
    Provisioned(Provisioned),
    /// One tenant.
    Tenant(ShownTenant),
    /// All tenants.
    Tenants(Tenants),
    /// One workspace.
    Workspace(ShownWorkspace),
    /// The workspaces of a tenant.
    Workspaces(Workspaces),
    /// One key.
    Key(ShownKey),
    /// The keys of a tenant.
    Keys(Keys),
    /// Of `tenant delete`.
    Deleted(Deleted),
    /// Of `events count`.
    EventCounts(Counts),
    /// Some events.
    Events(Events),
    /// Of `events purge`.
    Purged(Purged),
    /// Of `events erase`.
    Erased(Erased),
    /// Of `key rotate`.
    Rotated(Rotated),
    /// Of `config`.
    InForce(InForce),
    /// Of `doctor`.
    Checks(Checks),
}

impl Outcome {
    /// How the program ends after it has told this.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Checks(checks) => checks.exit(),
            _ => Exit::Done,
        }
    }
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
    match command {
        Command::Config => return config::config(machine),
        Command::Doctor => return Ok(doctor::doctor(machine)),
        _ => {}
    }
    let mut invalid = Vec::new();
    let url = crate::config::database_url(machine.setting, &mut invalid);
    let request = match command {
        Command::Seed => seed::request(machine.setting, &mut invalid).map(Work::Seed),
        Command::Provision(command) => Some(Work::Provision(command)),
        Command::Migrate(command) => Some(Work::Migrate(command)),
        Command::Tenant(command) => Some(Work::Tenant(command)),
        Command::Workspace(command) => Some(Work::Workspace(command)),
        Command::Key(command) => Some(Work::Key(command)),
        Command::Events(command) => Some(Work::Events(command)),
        Command::Config | Command::Doctor => None,
    };
    let (Some(url), Some(work)) = (url, request) else {
        return Err(AdminError::Usage(invalid));
    };
    let store = open(&url)?;
    match work {
        Work::Migrate(command) => migrate::migrate(&*store, command, machine),
        Work::Provision(command) => provision::provision(&*store, command, machine),
        Work::Seed(command) => seed::seed(&*store, &command, machine),
        Work::Tenant(command) => tenant::tenant(&*store, command, machine),
        Work::Workspace(command) => workspace::workspace(&*store, command, machine),
        Work::Key(command) => key::key(&*store, command, machine),
        Work::Events(command) => events::events(&*store, command, machine),
    }
}

/// A command with its settings.
enum Work<'a> {
    Migrate(&'a crate::cli::MigrateCommand),
    Provision(&'a crate::cli::ProvisionCommand),
    Seed(crate::cli::ProvisionCommand),
    Tenant(&'a crate::cli::TenantCommand),
    Workspace(&'a crate::cli::WorkspaceCommand),
    Key(&'a crate::cli::KeyCommand),
    Events(&'a crate::cli::EventsCommand),
}
