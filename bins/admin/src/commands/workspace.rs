//! `workspace …`: makes workspaces, and shows them.

use mercurio_domain::Timestamp;
use mercurio_domain::store::{CreateError, Store};
use mercurio_domain::tenant::{Name, Workspace};
use serde::Serialize;

use super::{Done, Outcome, tenant};
use crate::cli::WorkspaceCommand;
use crate::{AdminError, Machine, database};

/// A workspace.
#[derive(Debug, Serialize)]
pub struct ShownWorkspace {
    /// The id, a string.
    pub id: String,
    /// The tenant's id, a string.
    pub tenant_id: String,
    /// The name.
    pub name: Name,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The workspaces of a tenant.
#[derive(Debug, Serialize)]
pub struct Workspaces {
    /// In the order in which they were made.
    pub workspaces: Vec<ShownWorkspace>,
}

impl From<Workspace> for ShownWorkspace {
    fn from(workspace: Workspace) -> Self {
        let Workspace { id, tenant_id, name, created_at } = workspace;
        Self { id: id.to_string(), tenant_id: tenant_id.to_string(), name, created_at }
    }
}

pub(super) fn workspace(
    store: &dyn Store,
    command: &WorkspaceCommand,
    machine: &Machine<'_>,
) -> Result<Done, AdminError> {
    database::prepare(store)?;
    match command {
        WorkspaceCommand::Create { tenant: which, workspace: name } => {
            let (tenant, _) = tenant::find(store, which)?;
            let made = store.create_workspace(tenant.id, name, machine.clock.now());
            let made = made.map_err(|error| match error {
                CreateError::NoOwner => {
                    AdminError::of_creating(error, "tenant", tenant.name.as_str())
                }
                other => AdminError::of_creating(other, "tenant", name.as_str()),
            })?;
            let note = "it has no key yet: `key create` makes one".to_owned();
            Ok(Done { result: Outcome::Workspace(made.into()), notes: vec![note] })
        }
        WorkspaceCommand::List(which) => {
            let (tenant, _) = tenant::find(store, which)?;
            let workspaces =
                store.workspaces(tenant.id)?.into_iter().map(ShownWorkspace::from).collect();
            Ok(Done { result: Outcome::Workspaces(Workspaces { workspaces }), notes: Vec::new() })
        }
    }
}
