//! Finds the tenants and workspaces named on the command line.

use mercurio_domain::Owner;
use mercurio_domain::store::{Store, TenantDetails, TenantRef};
use mercurio_domain::tenant::{Name, Tenant, Workspace};
use serde::Serialize;

use crate::error::{AdminError, CatalogItem, ItemKind};

/// A tenant or workspace in a result. Ids are strings in JSON, because 64-bit numbers lose digits
/// in JavaScript.
#[derive(Debug, Serialize)]
pub(super) struct IdAndName {
    id: String,
    name: Name,
}

impl From<&Tenant> for IdAndName {
    fn from(tenant: &Tenant) -> Self {
        Self { id: tenant.id.to_string(), name: tenant.name.clone() }
    }
}

impl From<&Workspace> for IdAndName {
    fn from(workspace: &Workspace) -> Self {
        Self { id: workspace.id.to_string(), name: workspace.name.clone() }
    }
}

pub(super) fn tenant_details(
    store: &dyn Store,
    tenant: &TenantRef,
) -> Result<TenantDetails, AdminError> {
    store.tenant(tenant)?.ok_or_else(|| tenant_not_found(tenant))
}

pub(super) fn tenant(store: &dyn Store, tenant: &TenantRef) -> Result<Tenant, AdminError> {
    tenant_details(store, tenant).map(|found| found.tenant)
}

/// The item to name in an error: `tenant "Acme"` or `tenant "id:42"`.
pub(super) fn tenant_item(tenant: &TenantRef) -> CatalogItem {
    match tenant {
        TenantRef::Name(name) => CatalogItem::new(ItemKind::Tenant, name),
        TenantRef::Id(id) => CatalogItem::new(ItemKind::Tenant, format_args!("id:{id}")),
    }
}

pub(super) fn tenant_not_found(tenant: &TenantRef) -> AdminError {
    AdminError::NotFound(tenant_item(tenant))
}

/// Returns the tenant's workspace of that name, compared in its folded form.
///
/// # Errors
/// [`AdminError::NotFound`] without one.
pub(super) fn existing_workspace(
    store: &dyn Store,
    tenant: &Tenant,
    name: &Name,
) -> Result<Workspace, AdminError> {
    workspace(store, tenant, name)?.ok_or_else(|| workspace_not_found(name))
}

/// Like [`existing_workspace`]; `None` without one.
pub(super) fn workspace(
    store: &dyn Store,
    tenant: &Tenant,
    name: &Name,
) -> Result<Option<Workspace>, AdminError> {
    let workspaces = store.workspaces(tenant.id)?;
    // Folded like the unique index, so at most one matches.
    Ok(workspaces.into_iter().find(|workspace| workspace.name.folded() == name.folded()))
}

pub(super) fn workspace_not_found(name: &Name) -> AdminError {
    AdminError::NotFound(CatalogItem::new(ItemKind::Workspace, name))
}

pub(super) fn owner(workspace: &Workspace) -> Owner {
    Owner { tenant_id: workspace.tenant_id, workspace_id: workspace.id }
}
