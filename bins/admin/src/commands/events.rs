//! `events …`: counts, lists and gets events. `tail`, `export`, `import`, and `erase` with `purge`, have
//! files of their own.

use std::io::Write;

use mercurio_domain::EventId;
use mercurio_domain::event::StoredEvent;
use mercurio_domain::store::{Direction, EventQuery, Store, TenantRef};
use mercurio_domain::tenant::{Tenant, Workspace};
use serde::Serialize;

use super::export::Export;
use super::lookup::{self, IdAndName};
use super::report::Report;
use super::{erasure, forward, import, tail};
use crate::cli::{EventsCommand, Selection};
use crate::database;
use crate::error::{AdminError, CatalogItem, ItemKind};
use crate::machine::Machine;

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

/// In the order of the query. The objects are those of the HTTP API.
#[derive(Serialize)]
struct EventsOutput {
    events: Vec<StoredEvent>,
}

pub(super) fn run(
    store: &dyn Store,
    command: &EventsCommand,
    machine: &Machine<'_>,
    out: &mut dyn Write,
) -> Result<Report, AdminError> {
    database::require_schema(store)?;
    let now = machine.clock.now();
    match command {
        EventsCommand::Count(selection) => count(store, selection),
        EventsCommand::List(selection) => list(store, selection, &selection.filter.at(now)?),
        EventsCommand::Get { tenant, event } => get(store, tenant, event),
        EventsCommand::Tail(command) => tail::run(store, command, machine, out),
        EventsCommand::Import(command) => import::run(store, command, machine),
        EventsCommand::Export { selection, format } => {
            let query = selection.filter.at(now)?;
            let workspaces = selected_workspaces(store, selection)?.workspaces;
            let export = Export { format: *format, is_terminal: machine.terminal.is_some() };
            export.run(store, &workspaces, &query, out)
        }
        EventsCommand::Forward(command) => forward::run(store, command, machine),
        EventsCommand::Erase { tenant, person, consent } => {
            // An unknown table of a newer release may hold data of the person.
            database::refuse_unknown_migrations(store)?;
            erasure::erase(store, &lookup::tenant(store, tenant)?, person, *consent, machine)
        }
        EventsCommand::Purge { tenant, older_than, consent } => {
            let tenant = tenant.as_ref().map(|tenant| lookup::tenant(store, tenant)).transpose()?;
            erasure::purge(store, tenant.as_ref(), *older_than, *consent, machine)
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
        Some(name) => vec![lookup::existing_workspace(store, &tenant, name)?],
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

/// Lists the first events over all selected workspaces together.
fn list(
    store: &dyn Store,
    selection: &Selection,
    query: &EventQuery,
) -> Result<Report, AdminError> {
    let mut events = Vec::new();
    for workspace in &selected_workspaces(store, selection)?.workspaces {
        // A query covers one workspace, so each may have all of the first.
        events.extend(first(store, workspace, query.clone())?);
    }
    // The order of pages, over all workspaces.
    events.sort_by_cached_key(|event| query.sort.position_of(event));
    if query.sort.direction == Direction::Descending {
        events.reverse();
    }
    events.truncate(query.limit);
    Report::new(&EventsOutput { events })
}

fn first(
    store: &dyn Store,
    workspace: &Workspace,
    mut query: EventQuery,
) -> Result<Vec<StoredEvent>, AdminError> {
    let mut events = Vec::new();
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
    Ok(events)
}

fn get(store: &dyn Store, tenant: &TenantRef, id: &EventId) -> Result<Report, AdminError> {
    let tenant = lookup::tenant(store, tenant)?;
    for workspace in store.workspaces(tenant.id)? {
        // An id is unique within its tenant.
        if let Some(event) = store.event(lookup::owner(&workspace), id)? {
            return Report::new(&event);
        }
    }
    Err(AdminError::NotFound(CatalogItem::new(ItemKind::Event, id.as_str())))
}
