//! `events …`: counts, lists, erases and purges events. `export` has a file of its own.

use std::io::Write;
use std::time::Duration;

use mercurio_domain::Timestamp;
use mercurio_domain::event::StoredEvent;
use mercurio_domain::store::{AuditEntry, AuditOutcome, Person, Removal, Store};
use mercurio_domain::tenant::{Tenant, Workspace};
use serde::Serialize;

use super::confirm::confirm;
use super::export::Export;
use super::lookup::{self, IdAndName};
use super::removal;
use super::report::Report;
use crate::cli::{EventsCommand, Selection};
use crate::database;
use crate::error::AdminError;
use crate::machine::Machine;

const DAY_MICROS: i64 = 86_400_000_000;

#[derive(Serialize)]
struct CountOutput {
    tenant: IdAndName,
    /// Sum of the workspaces.
    events: u64,
    workspaces: Vec<WorkspaceCount>,
}

#[derive(Serialize)]
struct WorkspaceCount {
    id: String,
    name: String,
    events: u64,
}

/// Newest first within each workspace. The objects are those of the HTTP API.
#[derive(Serialize)]
struct EventsOutput {
    events: Vec<StoredEvent>,
}

/// Receipt of `events erase`. It omits the person's id, so that the receipt can be kept.
#[derive(Serialize)]
struct ErasureOutput {
    tenant: IdAndName,
    /// `user_id` or `anonymous_id`.
    erased_by: &'static str,
    removed: RemovedEvents,
    started_at: Timestamp,
    finished_at: Timestamp,
}

#[derive(Serialize)]
struct RemovedEvents {
    events: u64,
}

/// Receipt of `events purge`.
#[derive(Serialize)]
struct PurgeOutput {
    /// `null`: all tenants.
    tenant: Option<IdAndName>,
    received_before: Timestamp,
    removed: PurgedRows,
    started_at: Timestamp,
    finished_at: Timestamp,
}

#[derive(Serialize)]
struct PurgedRows {
    events: u64,
    /// Keys received at least 30 days before `received_before`.
    event_keys: u64,
}

pub(super) fn run(
    store: &dyn Store,
    command: &EventsCommand,
    machine: &Machine<'_>,
    out: &mut dyn Write,
) -> Result<Report, AdminError> {
    database::require_schema(store)?;
    match command {
        EventsCommand::Count(selection) => count(store, selection),
        EventsCommand::List(selection) => list(store, selection),
        EventsCommand::Export { selection, format } => {
            let workspaces = selected_workspaces(store, selection)?.workspaces;
            let export = Export { format: *format, is_terminal: machine.terminal.is_some() };
            export.run(store, &workspaces, &selection.query, out)
        }
        EventsCommand::Erase { tenant, person, yes } => {
            database::refuse_unknown_migrations(store)?;
            // An unknown table of a newer release may hold data of the person.
            erase(store, &lookup::tenant(store, tenant)?, person, *yes, machine)
        }
        EventsCommand::Purge { tenant, older_than, yes } => {
            let tenant = tenant.as_ref().map(|tenant| lookup::tenant(store, tenant)).transpose()?;
            purge(store, tenant.as_ref(), *older_than, *yes, machine)
        }
    }
}

struct SelectedWorkspaces {
    tenant: Tenant,
    workspaces: Vec<Workspace>,
}

/// Returns the workspace in `selection`, or all of the tenant.
fn selected_workspaces(
    store: &dyn Store,
    selection: &Selection,
) -> Result<SelectedWorkspaces, AdminError> {
    let tenant = lookup::tenant(store, &selection.tenant)?;
    let workspaces = match &selection.workspace {
        None => store.workspaces(tenant.id)?,
        Some(name) => {
            let workspace = lookup::workspace(store, &tenant, name)?;
            vec![workspace.ok_or_else(|| lookup::workspace_not_found(name))?]
        }
    };
    Ok(SelectedWorkspaces { tenant, workspaces })
}

fn count(store: &dyn Store, selection: &Selection) -> Result<Report, AdminError> {
    let SelectedWorkspaces { tenant, workspaces } = selected_workspaces(store, selection)?;
    let mut counts = Vec::with_capacity(workspaces.len());
    for workspace in &workspaces {
        counts.push(WorkspaceCount {
            id: workspace.id.to_string(),
            name: workspace.name.to_string(),
            events: store.count_events(lookup::owner(workspace))?,
        });
    }
    Report::new(&CountOutput {
        tenant: (&tenant).into(),
        events: counts.iter().map(|count| count.events).sum(),
        workspaces: counts,
    })
}

fn list(store: &dyn Store, selection: &Selection) -> Result<Report, AdminError> {
    let mut events = Vec::new();
    // A query covers one workspace, so the limit applies to each.
    for workspace in &selected_workspaces(store, selection)?.workspaces {
        let mut query = selection.query.clone();
        // Pages of large events have fewer than the limit.
        while query.limit > 0 {
            let page = store.events(lookup::owner(workspace), &query)?;
            query.limit -= page.events.len();
            events.extend(page.events);
            query.after = page.next;
            if page.next.is_none() {
                break;
            }
        }
    }
    Report::new(&EventsOutput { events })
}

fn erase(
    store: &dyn Store,
    tenant: &Tenant,
    person: &Person,
    yes: bool,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    let question = format!(
        "This permanently deletes all events of one person of the tenant {:?}. \
         Type yes to continue: ",
        tenant.name.as_str()
    );
    confirm(machine, yes, &question, "yes")?;
    let started_at = machine.clock.now();
    let removal = Removal::Person { tenant_id: tenant.id, person: person.clone() };
    let erased_by = match person {
        Person::User(_) => "user_id",
        Person::Anonymous(_) => "anonymous_id",
    };
    // Without the person's id, like the receipt: the log is kept for ever.
    let started = AuditEntry {
        tenant_id: Some(tenant.id),
        detail: format!("erasure of one person by {erased_by}"),
        outcome: AuditOutcome::Started,
        ..AuditEntry::default()
    };
    // Before the first step: nothing is removed without an entry.
    store.record(&started)?;
    let removed = removal::remove_all(store, &removal, started_at, machine, None)?;
    let detail = format!("erasure removed {} events", removed.events);
    store.record(&AuditEntry { detail, outcome: AuditOutcome::Done, ..started })?;
    let report = Report::new(&ErasureOutput {
        tenant: tenant.into(),
        erased_by,
        removed: RemovedEvents { events: removed.events },
        started_at,
        finished_at: machine.clock.now(),
    })?;
    let note = "events in flight are not covered: run the command again after the client stopped";
    Ok(report.with_note(note))
}

fn purge(
    store: &dyn Store,
    tenant: Option<&Tenant>,
    older_than: Duration,
    yes: bool,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    let started_at = machine.clock.now();
    // Before the question: it names the boundary.
    // Whole days for all tenants only: a partition holds the events of every tenant.
    let Some(before) = purge_boundary(started_at, older_than, tenant.is_none()) else {
        let message = "--older-than reaches back before the first valid time: use a shorter age";
        return Err(AdminError::Usage(vec![message.to_owned()]));
    };
    let tenants = match tenant {
        None => "all tenants".to_owned(),
        Some(tenant) => format!("the tenant {:?}", tenant.name.as_str()),
    };
    let question = format!(
        "This permanently deletes all events of {tenants} received before {before}. \
         Type yes to continue: "
    );
    confirm(machine, yes, &question, "yes")?;
    let tenant_id = tenant.map(|tenant| tenant.id);
    let removal = Removal::Received { tenant_id, before };
    let started = AuditEntry {
        tenant_id,
        detail: format!("purge of events of {tenants} received before {before}"),
        outcome: AuditOutcome::Started,
        ..AuditEntry::default()
    };
    store.record(&started)?;
    let removed = removal::remove_all(store, &removal, started_at, machine, None)?;
    let detail = format!("purge removed {} events and {} event keys", removed.events, removed.keys);
    store.record(&AuditEntry { detail, outcome: AuditOutcome::Done, ..started })?;
    Report::new(&PurgeOutput {
        tenant: tenant.map(IdAndName::from),
        received_before: before,
        removed: PurgedRows { events: removed.events, event_keys: removed.keys },
        started_at,
        finished_at: machine.clock.now(),
    })
}

/// Events received before the returned time are purged. `whole_days` rounds down to midnight (UTC),
/// so that the store can drop whole partitions.
fn purge_boundary(now: Timestamp, age: Duration, whole_days: bool) -> Option<Timestamp> {
    let age = i64::try_from(age.as_micros()).ok()?;
    let boundary = now.as_micros().checked_sub(age)?;
    // `rem_euclid` rounds down before 1970 as well.
    let rest = if whole_days { boundary.rem_euclid(DAY_MICROS) } else { 0 };
    Timestamp::from_micros(boundary - rest)
}
