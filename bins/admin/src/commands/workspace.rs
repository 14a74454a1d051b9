//! `workspace …`: creates, lists, renames and deletes workspaces.

use mercurio_domain::Timestamp;
use mercurio_domain::store::{Store, TenantRef};
use mercurio_domain::tenant::{Name, Workspace};
use serde::Serialize;

use super::deletion::{self, Target};
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
    status: WorkspaceStatus,
    created_at: Timestamp,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum WorkspaceStatus {
    Active,
    Deleting,
}

/// Oldest first.
#[derive(Serialize)]
struct WorkspacesOutput {
    workspaces: Vec<WorkspaceOutput>,
}

impl From<Workspace> for WorkspaceOutput {
    fn from(workspace: Workspace) -> Self {
        let Workspace { id, tenant_id, name, created_at, is_deleting } = workspace;
        let status = if is_deleting { WorkspaceStatus::Deleting } else { WorkspaceStatus::Active };
        Self { id: id.to_string(), tenant_id: tenant_id.to_string(), name, status, created_at }
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
        WorkspaceCommand::Rename { tenant, workspace, name } => {
            rename(store, tenant, workspace, name)
        }
        WorkspaceCommand::Delete { tenant, workspace, consent } => {
            let tenant = lookup::tenant(store, tenant)?;
            let workspace = lookup::existing_workspace(store, &tenant, workspace)?;
            let target = Target { tenant: &tenant, workspace: Some(&workspace) };
            deletion::run(store, &target, *consent, machine)
        }
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

fn rename(
    store: &dyn Store,
    tenant: &TenantRef,
    workspace: &Name,
    name: &Name,
) -> Result<Report, AdminError> {
    let tenant = lookup::tenant(store, tenant)?;
    let before = lookup::existing_workspace(store, &tenant, workspace)?;
    let renamed = store.rename_workspace(lookup::owner(&before), name).map_err(|error| {
        let taken = CatalogItem::new(ItemKind::Workspace, name);
        // Another command may delete the workspace after the look-up.
        AdminError::not_created(error, taken, CatalogItem::new(ItemKind::Workspace, workspace))
    })?;
    let note = format!(
        "the workspace {:?} is now {:?}: change settings and scripts that name it, such as \
         SEED_WORKSPACE_NAME",
        before.name.as_str(),
        renamed.name.as_str()
    );
    Ok(Report::new(&WorkspaceOutput::from(renamed))?.with_note(note))
}
