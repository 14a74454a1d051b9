//! `workspace …`: creates and lists workspaces.

use mercurio_domain::Timestamp;
use mercurio_domain::store::{Store, TenantRef};
use mercurio_domain::tenant::{Name, Workspace};
use serde::Serialize;

use super::lookup;
use super::report::Report;
use crate::cli::WorkspaceCommand;
use crate::database;
use crate::error::{AdminError, CatalogItem, ItemKind};
use crate::machine::Machine;

#[derive(Serialize)]
struct WorkspaceOutput {
    id: String,
    tenant_id: String,
    name: Name,
    created_at: Timestamp,
}

/// Oldest first.
#[derive(Serialize)]
struct WorkspacesOutput {
    workspaces: Vec<WorkspaceOutput>,
}

impl From<Workspace> for WorkspaceOutput {
    fn from(workspace: Workspace) -> Self {
        let Workspace { id, tenant_id, name, created_at, .. } = workspace;
        Self { id: id.to_string(), tenant_id: tenant_id.to_string(), name, created_at }
    }
}

pub(super) fn run(
    store: &dyn Store,
    command: &WorkspaceCommand,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    database::require_schema(store)?;
    match command {
        WorkspaceCommand::Create { tenant, workspace } => {
            create(store, tenant, workspace, machine.clock.now())
        }
        WorkspaceCommand::List(tenant) => list(store, tenant),
    }
}

fn create(
    store: &dyn Store,
    tenant_ref: &TenantRef,
    name: &Name,
    now: Timestamp,
) -> Result<Report, AdminError> {
    let tenant = lookup::tenant(store, tenant_ref)?;
    let workspace = store.create_workspace(tenant.id, name, now).map_err(|error| {
        let workspace = CatalogItem::new(ItemKind::Workspace, name);
        // Another command may delete the tenant between the look-up and the insert.
        AdminError::not_created(error, workspace, lookup::tenant_item(tenant_ref))
    })?;
    let note = "the workspace has no key yet: create one with `key create`";
    Ok(Report::new(&WorkspaceOutput::from(workspace))?.with_note(note))
}

fn list(store: &dyn Store, tenant: &TenantRef) -> Result<Report, AdminError> {
    let tenant = lookup::tenant(store, tenant)?;
    let workspaces = store.workspaces(tenant.id)?.into_iter().map(WorkspaceOutput::from).collect();
    Report::new(&WorkspacesOutput { workspaces })
}
