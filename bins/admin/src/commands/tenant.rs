//! `tenant …`: creates, lists, renames, suspends and deletes tenants, and sets their limits.

use mercurio_domain::Timestamp;
use mercurio_domain::limits::{LimitChange, LimitOverrides, Month};
use mercurio_domain::store::{Store, TenantDetails, TenantRef};
use mercurio_domain::tenant::{Name, Tenant, TenantStatus};
use serde::Serialize;

use super::deletion::{self, Target};
use super::lookup::{self, tenant_not_found};
use super::report::Report;
use crate::cli::TenantCommand;
use crate::database;
use crate::error::{AdminError, CatalogItem, ItemKind};
use crate::machine::Machine;

/// Tenants per query of `tenant list`.
const PAGE: usize = 1_000;

/// Note after a change. Servers learn of it by a notification, or by polling on SQLite.
const APPLIED: &str = "every server applies this within a second";

#[derive(Serialize)]
struct TenantOutput {
    id: String,
    name: Name,
    status: TenantStatus,
    created_at: Timestamp,
    /// The tenant's own limits; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<LimitOverrides>,
    /// Only in `tenant show`.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageOutput>,
}

/// Events stored this month, as the quota counts them.
#[derive(Serialize)]
struct UsageOutput {
    /// UTC, such as `2026-11`.
    month: Month,
    events: u64,
}

/// Oldest first.
#[derive(Serialize)]
struct TenantsOutput {
    tenants: Vec<TenantOutput>,
}

impl TenantOutput {
    fn new(tenant: Tenant, limits: Option<LimitOverrides>) -> Self {
        let Tenant { id, name, status, created_at } = tenant;
        Self { id: id.to_string(), name, status, created_at, limits, usage: None }
    }
}

pub(super) fn run(
    store: &dyn Store,
    command: &TenantCommand,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    database::require_schema(store)?;
    match command {
        TenantCommand::Create(name) => create(store, name, machine.clock.now()),
        TenantCommand::List => list(store),
        TenantCommand::Show(tenant) => show(store, tenant, machine.clock.now()),
        TenantCommand::Suspend(tenant) => set_suspended(store, tenant, true),
        TenantCommand::Resume(tenant) => set_suspended(store, tenant, false),
        TenantCommand::Rename { tenant, name } => rename(store, tenant, name),
        TenantCommand::Delete { tenant, consent } => {
            let tenant = lookup::tenant(store, tenant)?;
            deletion::run(store, &Target { tenant: &tenant, workspace: None }, *consent, machine)
        }
        TenantCommand::Limits { tenant, changes } => change_limits(store, tenant, changes),
    }
}

fn create(store: &dyn Store, name: &Name, now: Timestamp) -> Result<Report, AdminError> {
    let tenant = store.create_tenant(name, now).map_err(|error| {
        let tenant = CatalogItem::new(ItemKind::Tenant, name);
        AdminError::not_created(error, tenant.clone(), tenant)
    })?;
    let note = "the tenant has no workspace yet: create one with `workspace create`";
    let output = TenantOutput::new(tenant, Some(LimitOverrides::default()));
    Ok(Report::new(&output)?.with_note(note))
}

fn list(store: &dyn Store) -> Result<Report, AdminError> {
    let mut tenants = Vec::new();
    let mut after = None;
    loop {
        let page = store.tenants(after, PAGE)?;
        after = page.last().map(|tenant| tenant.id);
        // A full page may have a successor, even an empty one.
        let is_last = page.len() < PAGE;
        tenants.extend(page.into_iter().map(|tenant| TenantOutput::new(tenant, None)));
        if is_last {
            return Report::new(&TenantsOutput { tenants });
        }
    }
}

fn show(store: &dyn Store, tenant: &TenantRef, now: Timestamp) -> Result<Report, AdminError> {
    let TenantDetails { tenant, limits } = lookup::tenant_details(store, tenant)?;
    let month = Month::of(now);
    let events = store.usage(&[tenant.id], month)?.iter().sum();
    let mut output = TenantOutput::new(tenant, Some(limits));
    output.usage = Some(UsageOutput { month, events });
    Report::new(&output)
}

fn rename(store: &dyn Store, tenant: &TenantRef, name: &Name) -> Result<Report, AdminError> {
    let TenantDetails { tenant: before, limits } = lookup::tenant_details(store, tenant)?;
    let renamed = store.rename_tenant(before.id, name).map_err(|error| {
        // Another command may delete the tenant after the look-up.
        let taken = CatalogItem::new(ItemKind::Tenant, name);
        AdminError::not_created(error, taken, lookup::tenant_item(tenant))
    })?;
    let note = format!(
        "the tenant {:?} is now {:?}: change settings and scripts that name it, such as \
         SEED_TENANT_NAME",
        before.name.as_str(),
        renamed.name.as_str()
    );
    Ok(Report::new(&TenantOutput::new(renamed, Some(limits)))?.with_note(note))
}

fn set_suspended(
    store: &dyn Store,
    tenant: &TenantRef,
    suspended: bool,
) -> Result<Report, AdminError> {
    let TenantDetails { tenant: before, limits } = lookup::tenant_details(store, tenant)?;
    let changed = store.suspend_tenant(before.id, suspended)?;
    // Another command may have deleted the tenant since the look-up.
    let changed = changed.ok_or_else(|| tenant_not_found(tenant))?;
    let note = match changed.status {
        TenantStatus::Deleting => "the tenant is being deleted: nothing was changed".to_owned(),
        status if status == before.status => format!("the tenant was already {}", status.as_str()),
        _ => APPLIED.to_owned(),
    };
    Ok(Report::new(&TenantOutput::new(changed, Some(limits)))?.with_note(note))
}

fn change_limits(
    store: &dyn Store,
    tenant_ref: &TenantRef,
    changes: &[LimitChange],
) -> Result<Report, AdminError> {
    let TenantDetails { tenant, limits } = lookup::tenant_details(store, tenant_ref)?;
    if changes.is_empty() {
        return Report::new(&TenantOutput::new(tenant, Some(limits)));
    }
    let limits = store.set_limits(tenant.id, changes)?;
    let limits = limits.ok_or_else(|| tenant_not_found(tenant_ref))?;
    Ok(Report::new(&TenantOutput::new(tenant, Some(limits)))?.with_note(APPLIED))
}
