//! `tenant …`: creates, lists, suspends and deletes tenants, and sets their limits.

use std::time::Duration;

use mercurio_domain::Timestamp;
use mercurio_domain::limits::{LimitChange, LimitOverrides, Month};
use mercurio_domain::store::{Deletion, Removal, Store, TenantDetails, TenantRef};
use mercurio_domain::tenant::{Name, Tenant, TenantStatus};
use serde::Serialize;

use super::confirm::confirm;
use super::lookup::{self, IdAndName, tenant_not_found};
use super::removal;
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

/// Receipt of `tenant delete`.
#[derive(Serialize)]
struct DeletionOutput {
    tenant: IdAndName,
    removed: RemovedRows,
    /// Start of the first run. Servers refuse the tenant since then.
    deleted_at: Timestamp,
    finished_at: Timestamp,
}

/// Rows deleted by all runs of the command together.
#[derive(Serialize)]
struct RemovedRows {
    events: u64,
    /// Includes the keys of events that were removed before the tenant.
    event_keys: u64,
    workspaces: u64,
    api_keys: u64,
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
        TenantCommand::Delete { tenant, yes } => {
            database::refuse_unknown_migrations(store)?;
            delete(store, &lookup::tenant(store, tenant)?, *yes, machine)
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

/// Time for requests in flight when a deletion starts. A server without its listening connection
/// needs 5 seconds to look the key up again, a body arrives within 1 second or has its key checked
/// again, and a request then waits up to 10 seconds for its commit. The rest is a margin.
// The first and the last are defaults of settings: longer ones are not covered.
const GRACE: Duration = Duration::from_secs(20);

fn delete(
    store: &dyn Store,
    tenant: &Tenant,
    yes: bool,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    // The question shows the extent of the deletion.
    let workspaces = match store.workspaces(tenant.id)?.len() {
        1 => "1 workspace".to_owned(),
        count => format!("{count} workspaces"),
    };
    let question = format!(
        "This permanently deletes the tenant {:?} with its {workspaces} and all keys and events.\n\
         Type the tenant's name to continue: ",
        tenant.name.as_str()
    );
    // The name, not `yes`: it shows that the right tenant is meant.
    confirm(machine, yes, &question, tenant.name.as_str())?;
    let started_at = machine.clock.now();
    let not_found = || tenant_not_found(&TenantRef::Id(tenant.id));
    // Servers refuse the tenant from now on, and the mark survives an interruption.
    let deletion = Deletion::Tenant(tenant.id);
    let deleted_at = store.begin_deletion(deletion, started_at)?.ok_or_else(not_found)?;
    let removal = Removal::All(deletion);
    // From the mark on, every failure leaves a part of the work: the same command finishes it.
    let removed = removal::remove_all(store, &removal, started_at, machine, Some(0))?;
    // Counted from the first run: a later run need not wait again.
    let left = GRACE.saturating_sub(elapsed(deleted_at, machine.clock.now()));
    if !left.is_zero() {
        let seconds = left.as_secs_f64().ceil();
        (machine.notify)(&format!("waiting {seconds} s for requests in flight"));
    }
    removal::wait(machine, left, removed.events)?;
    // Requests in flight may have stored events behind the first pass.
    let late = removal::remove_all(store, &removal, started_at, machine, Some(removed.events))?;
    let events = removed.events + late.events;
    let rows = store
        .finish_deletion(deletion)
        .map_err(|error| AdminError::Incomplete { events, source: Some(error) })?
        .ok_or_else(not_found)?;
    let report = Report::new(&DeletionOutput {
        tenant: tenant.into(),
        removed: RemovedRows {
            // The store adds up all runs.
            events: rows.events,
            event_keys: rows.event_keys,
            workspaces: rows.workspaces,
            api_keys: rows.api_keys,
        },
        deleted_at,
        finished_at: machine.clock.now(),
    })?;
    if deleted_at < started_at {
        return Ok(report.with_note("the deletion began in an earlier run: the counts include it"));
    }
    Ok(report)
}

/// A clock that was set back counts as no time: the deletion then waits the whole grace period.
fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(now.as_micros() - since.as_micros()).unwrap_or(0))
}
