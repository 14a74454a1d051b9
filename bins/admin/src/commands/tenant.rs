//! `tenant …`: makes tenants, shows them, suspends them, deletes them, and sets their limits.

use std::time::Duration;

use mercurio_domain::Timestamp;
use mercurio_domain::limits::{LimitOverrides, Month};
use mercurio_domain::store::{Removal, Store, TenantRef};
use mercurio_domain::tenant::{Name, Tenant, TenantStatus};
use serde::Serialize;

use super::provision::Named;
use super::{Done, Outcome, removal};
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
    /// What it has stored this month; where one tenant is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// The events that a tenant stored this month, as a quota counts them.
#[derive(Debug, Serialize)]
pub struct Usage {
    /// The month in UTC, such as `2026-11`.
    pub month: Month,
    /// Events.
    pub events: u64,
}

/// All tenants.
#[derive(Debug, Serialize)]
pub struct Tenants {
    /// In the order in which they were made.
    pub tenants: Vec<ShownTenant>,
}

/// The receipt of a deletion.
#[derive(Debug, Serialize)]
pub struct Deleted {
    /// The tenant that was.
    pub tenant: Named,
    /// What went with it.
    pub removed: RemovedTenant,
    /// Since when it was refused.
    pub deleted_at: Timestamp,
    /// When everything was gone.
    pub finished_at: Timestamp,
}

/// What went with a tenant, in this run.
#[derive(Debug, Serialize)]
pub struct RemovedTenant {
    /// Events.
    pub events: u64,
    /// Keys by which events were known to have been stored, those of events that went before among them.
    pub event_keys: u64,
    /// Workspaces.
    pub workspaces: u64,
    /// API keys.
    pub api_keys: u64,
}

impl ShownTenant {
    fn new(tenant: Tenant, limits: Option<LimitOverrides>) -> Self {
        let Tenant { id, name, status, created_at } = tenant;
        Self { id: id.to_string(), name, status, created_at, limits, usage: None }
    }
}

/// The tenant that the command line names.
pub(super) fn find(
    store: &dyn Store,
    which: &TenantRef,
) -> Result<(Tenant, LimitOverrides), AdminError> {
    let found = store.tenant(which)?.ok_or_else(|| missing(which))?;
    Ok((found.tenant, found.limits))
}

fn missing(which: &TenantRef) -> AdminError {
    let name = match which {
        TenantRef::Name(name) => name.to_string(),
        TenantRef::Id(id) => format!("id:{id}"),
    };
    AdminError::NotFound { what: "tenant", name }
}

pub(super) fn tenant(
    store: &dyn Store,
    command: &TenantCommand,
    machine: &Machine<'_>,
) -> Result<Done, AdminError> {
    database::prepare(store)?;
    match command {
        TenantCommand::Create(name) => {
            let made = store
                .create_tenant(name, machine.clock.now())
                .map_err(AdminError::of_tenant(name))?;
            let note = "it has no workspace yet: `workspace create` makes one".to_owned();
            Ok(shown(ShownTenant::new(made, Some(LimitOverrides::default())), vec![note]))
        }
        TenantCommand::List => list(store),
        TenantCommand::Show(which) => {
            let (tenant, limits) = find(store, which)?;
            let usage = Some(usage(store, &tenant, machine)?);
            Ok(shown(ShownTenant { usage, ..ShownTenant::new(tenant, Some(limits)) }, Vec::new()))
        }
        TenantCommand::Suspend(which) => set_status(store, which, true),
        TenantCommand::Resume(which) => set_status(store, which, false),
        TenantCommand::Delete { tenant: which, yes } => {
            database::refuse_unknown(store)?;
            delete(store, &find(store, which)?.0, *yes, machine)
        }
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

/// Reads how many events the tenant has stored this month.
fn usage(store: &dyn Store, tenant: &Tenant, machine: &Machine<'_>) -> Result<Usage, AdminError> {
    let month = Month::of(machine.clock.now());
    let used = store.usage(&[tenant.id], month)?;
    Ok(Usage { month, events: used.first().copied().unwrap_or(0) })
}

/// How long after a tenant was refused a request may still be on its way into the database: as long as a server without a
/// notice takes to look at the key again, and as long as a request then waits for its commit.
const GRACE: Duration = Duration::from_secs(15);

fn delete(
    store: &dyn Store,
    tenant: &Tenant,
    yes: bool,
    machine: &Machine<'_>,
) -> Result<Done, AdminError> {
    let count = store.workspaces(tenant.id)?.len();
    let question = format!(
        "This deletes the tenant {:?} with its {count} workspace(s) and all of their keys and events, for ever.\nType its name to go on: ",
        tenant.name.as_str()
    );
    removal::confirm(machine, yes, &question, tenant.name.as_str())?;
    let started_at = machine.clock.now();
    let which = TenantRef::Id(tenant.id);
    let deleted_at = store.begin_deletion(tenant.id, started_at)?.ok_or_else(|| missing(&which))?;
    let removal = Removal::Tenant(tenant.id);
    let removed = removal::sweep(store, &removal, started_at, machine)?;
    let over = GRACE.saturating_sub(since(deleted_at, machine.clock.now()));
    if !over.is_zero() {
        removal::wait(machine, over, removed.events)?;
    }
    // What came in behind the first sweep while it went.
    removal::sweep(store, &removal, started_at, machine)?;
    let rows = store.finish_deletion(tenant.id)?.ok_or_else(|| missing(&which))?;
    let receipt = Deleted {
        tenant: Named::from(tenant),
        removed: RemovedTenant {
            events: rows.events,
            event_keys: rows.event_keys,
            workspaces: rows.workspaces,
            api_keys: rows.api_keys,
        },
        deleted_at,
        finished_at: machine.clock.now(),
    };
    let mut notes = Vec::new();
    if deleted_at < started_at {
        notes.push("it was begun before: the counts are those of all its steps".to_owned());
    }
    Ok(Done { result: Outcome::Deleted(receipt), notes })
}

fn since(earlier: Timestamp, now: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(now.as_micros() - earlier.as_micros()).unwrap_or(0))
}

/// What people want to know after a change.
fn heard() -> String {
    "every server hears of it within a second".to_owned()
}

fn set_status(store: &dyn Store, which: &TenantRef, suspended: bool) -> Result<Done, AdminError> {
    let (before, limits) = find(store, which)?;
    let tenant = store.suspend_tenant(before.id, suspended)?.ok_or_else(|| missing(which))?;
    let note = match (tenant.status, before.status == tenant.status) {
        (TenantStatus::Deleting, _) => {
            "the tenant is being deleted; nothing was changed".to_owned()
        }
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
