//! `tenant …`: makes tenants, shows them, suspends them, and sets their limits.

use mercurio_domain::Timestamp;
use mercurio_domain::limits::LimitOverrides;
use mercurio_domain::store::{Store, TenantRef};
use mercurio_domain::tenant::{Name, Tenant, TenantStatus};
use serde::Serialize;

use super::{Done, Outcome};
use crate::cli::TenantCommand;
use crate::{AdminError, Machine, database};

/// Tenants that are read at once.
const PAGE: usize = 1_000;

/// A tenant.
#[derive(Debug, Serialize)]
pub struct ShownTenant {
    /// The id, a string.
    pub id: String,
    /// The name.
    pub name: Name,
    /// Whether it is served.
    pub status: TenantStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// The limits that it has in place of the server's; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitOverrides>,
}

/// All tenants.
#[derive(Debug, Serialize)]
pub struct Tenants {
    /// In the order in which they were made.
    pub tenants: Vec<ShownTenant>,
}

impl ShownTenant {
    fn new(tenant: Tenant, limits: Option<LimitOverrides>) -> Self {
        let Tenant { id, name, status, created_at } = tenant;
        Self { id: id.to_string(), name, status, created_at, limits }
    }
}

/// The tenant that the command line names.
pub(super) fn find(store: &dyn Store, which: &TenantRef) -> Result<(Tenant, LimitOverrides), AdminError> {
    store.tenant(which)?.ok_or_else(|| missing(which))
}

fn missing(which: &TenantRef) -> AdminError {
    let name = match which {
        TenantRef::Name(name) => name.to_string(),
        TenantRef::Id(id) => format!("id:{id}"),
    };
    AdminError::NotFound { what: "tenant", name }
}

pub(super) fn tenant(store: &dyn Store, command: &TenantCommand, machine: &Machine<'_>) -> Result<Done, AdminError> {
    database::prepare(store)?;
    match command {
        TenantCommand::Create(name) => {
            let made = store.create_tenant(name, machine.clock.now()).map_err(AdminError::of_tenant(name))?;
            let note = "it has no workspace yet: `workspace create` makes one".to_owned();
            Ok(shown(ShownTenant::new(made, Some(LimitOverrides::default())), vec![note]))
        }
        TenantCommand::List => list(store),
        TenantCommand::Show(which) => {
            let (tenant, limits) = find(store, which)?;
            Ok(shown(ShownTenant::new(tenant, Some(limits)), Vec::new()))
        }
        TenantCommand::Suspend(which) => set_status(store, which, true),
        TenantCommand::Resume(which) => set_status(store, which, false),
        TenantCommand::Limits { tenant: which, changes } => {
            let (tenant, before) = find(store, which)?;
            let limits = if changes.is_empty() {
                before
            } else {
                store.set_limits(tenant.id, changes)?.ok_or_else(|| missing(which))?
            };
            let notes = if changes.is_empty() { Vec::new() } else { vec![heard()] };
            Ok(shown(ShownTenant::new(tenant, Some(limits)), notes))
        }
    }
}

/// What people want to know after a change.
fn heard() -> String {
    "every server hears of it within a second".to_owned()
}

fn set_status(store: &dyn Store, which: &TenantRef, suspended: bool) -> Result<Done, AdminError> {
    let (before, limits) = find(store, which)?;
    let tenant = store.suspend_tenant(before.id, suspended)?.ok_or_else(|| missing(which))?;
    let note = match (tenant.status, before.status == tenant.status) {
        (TenantStatus::Deleting, _) => "the tenant is being deleted; nothing was changed".to_owned(),
        (_, true) => format!("the tenant was {} already", tenant.status.as_str()),
        (_, false) => heard(),
    };
    Ok(shown(ShownTenant::new(tenant, Some(limits)), vec![note]))
}

fn shown(tenant: ShownTenant, notes: Vec<String>) -> Done {
    Done { result: Outcome::Tenant(tenant), notes }
}

fn list(store: &dyn Store) -> Result<Done, AdminError> {
    let mut tenants = Vec::new();
    let mut after = None;
    loop {
        let page = store.tenants(after, PAGE)?;
        after = page.last().map(|tenant| tenant.id);
        let is_last = page.len() < PAGE;
        tenants.extend(page.into_iter().map(|tenant| ShownTenant::new(tenant, None)));
        if is_last {
            return Ok(Done { result: Outcome::Tenants(Tenants { tenants }), notes: Vec::new() });
        }
    }
}
