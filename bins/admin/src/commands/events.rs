//! `events …`: counts events, shows them, exports them, erases those of a person, and removes old ones.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use mercurio_domain::event::StoredEvent;
use mercurio_domain::store::{EventQuery, Person, Removal, Store, StoreError};
use mercurio_domain::tenant::{Tenant, Workspace};
use mercurio_domain::{Owner, Timestamp};
use mercurio_storage::DatabaseUrl;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::provision::Named;
use super::{Done, Outcome, removal, tenant};
use crate::cli::{EventsCommand, ExportFormat, Selection};
use crate::{AdminError, Machine, config, database};

/// How many events a tenant has.
#[derive(Debug, Serialize)]
pub struct Counts {
    /// The tenant.
    pub tenant: Named,
    /// All of those counted.
    pub events: u64,
    /// By workspace.
    pub workspaces: Vec<Count>,
}

/// How many events a workspace has.
#[derive(Debug, Serialize)]
pub struct Count {
    /// The workspace's id, a string.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its events.
    pub events: u64,
}

/// Some events, as the HTTP API tells them.
#[derive(Debug, Serialize)]
pub struct Events {
    /// Newest first, workspace by workspace.
    pub events: Vec<Value>,
}

/// The receipt of an erasure. It does not name the person again.
#[derive(Debug, Serialize)]
pub struct Erased {
    /// The tenant.
    pub tenant: Named,
    /// The member of events by which the person was named.
    pub erased_by: &'static str,
    /// What went.
    pub removed: RemovedEvents,
    /// When it was begun.
    pub started_at: Timestamp,
    /// When it was done.
    pub finished_at: Timestamp,
}

/// The receipt of a purge.
#[derive(Debug, Serialize)]
pub struct Purged {
    /// The tenant; `null`: all.
    pub tenant: Option<Named>,
    /// What went was received before.
    pub received_before: Timestamp,
    /// What went.
    pub removed: PurgedRows,
    /// When it was begun.
    pub started_at: Timestamp,
    /// When it was done.
    pub finished_at: Timestamp,
}

/// What went for its age.
#[derive(Debug, Serialize)]
pub struct PurgedRows {
    /// Events.
    pub events: u64,
    /// Keys of events that went 30 days ago and more.
    pub event_keys: u64,
}

/// What went.
#[derive(Debug, Serialize)]
pub struct RemovedEvents {
    /// Events.
    pub events: u64,
}

pub(super) fn events(
    store: &dyn Store,
    command: &EventsCommand,
    machine: &Machine<'_>,
) -> Result<Done, AdminError> {
    database::prepare(store)?;
    match command {
        EventsCommand::Count(selection) => count(store, selection),
        EventsCommand::List(selection) => list(store, selection),
        EventsCommand::Erase { tenant: which, person, yes } => {
            database::refuse_unknown(store)?;
            let (tenant, _) = tenant::find(store, which)?;
            erase(store, &tenant, person, *yes, machine)
        }
        EventsCommand::Purge { tenant: which, older_than, yes } => {
            let tenant = which
                .as_ref()
                .map(|which| tenant::find(store, which))
                .transpose()?
                .map(|(tenant, _)| tenant);
            purge(store, tenant.as_ref(), *older_than, *yes, machine)
        }
        // It has a way of its own: see [`export`].
        EventsCommand::Export { .. } => {
            Err(AdminError::Usage(vec!["events are exported to stdout".to_owned()]))
        }
    }
}

/// The workspaces that are meant.
fn workspaces(
    store: &dyn Store,
    selection: &Selection,
) -> Result<(Tenant, Vec<Workspace>), AdminError> {
    let (tenant, _) = tenant::find(store, &selection.tenant)?;
    let mut workspaces = store.workspaces(tenant.id)?;
    if let Some(name) = &selection.workspace {
        workspaces.retain(|workspace| workspace.name.folded() == name.folded());
        if workspaces.is_empty() {
            return Err(AdminError::NotFound { what: "workspace", name: name.to_string() });
        }
    }
    Ok((tenant, workspaces))
}

fn owner(workspace: &Workspace) -> Owner {
    Owner { tenant_id: workspace.tenant_id, workspace_id: workspace.id }
}

fn count(store: &dyn Store, selection: &Selection) -> Result<Done, AdminError> {
    let (tenant, workspaces) = workspaces(store, selection)?;
    let mut counts = Vec::with_capacity(workspaces.len());
    for workspace in &workspaces {
        let events = store.count_events(owner(workspace))?;
        counts.push(Count {
            id: workspace.id.to_string(),
            name: workspace.name.to_string(),
            events,
        });
    }
    let events = counts.iter().map(|count| count.events).sum();
    let counts = Counts { tenant: Named::from(&tenant), events, workspaces: counts };
    Ok(Done { result: Outcome::EventCounts(counts), notes: Vec::new() })
}

fn list(store: &dyn Store, selection: &Selection) -> Result<Done, AdminError> {
    let (_, workspaces) = workspaces(store, selection)?;
    let mut events = Vec::new();
    for workspace in &workspaces {
        let page = store.events(owner(workspace), &selection.query)?;
        events.extend(page.events.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(Done { result: Outcome::Events(Events { events }), notes: Vec::new() })
}

fn erase(
    store: &dyn Store,
    tenant: &Tenant,
    person: &Person,
    yes: bool,
    machine: &Machine<'_>,
) -> Result<Done, AdminError> {
    let question = format!(
        "This removes all events of one person of the tenant {:?}, for ever. Type yes to go on: ",
        tenant.name.as_str()
    );
    removal::confirm(machine, yes, &question, "yes")?;
    let started_at = machine.clock.now();
    let which = Removal::Person { tenant_id: tenant.id, person: person.clone() };
    let removed = removal::sweep(store, &which, started_at, machine)?;
    let erased_by = match person {
        Person::User(_) => "user_id",
        Person::Anonymous(_) => "anonymous_id",
    };
    let receipt = Erased {
        tenant: Named::from(tenant),
        erased_by,
        removed: RemovedEvents { events: removed.events },
        started_at,
        finished_at: machine.clock.now(),
    };
    let note =
        "what is on its way, or is sent later, is not gone: run it again once nothing more is sent"
            .to_owned();
    Ok(Done { result: Outcome::Erased(receipt), notes: vec![note] })
}

const DAY_MICROS: i64 = 86_400_000_000;

fn purge(
    store: &dyn Store,
    tenant: Option<&Tenant>,
    older_than: Duration,
    yes: bool,
    machine: &Machine<'_>,
) -> Result<Done, AdminError> {
    let started_at = machine.clock.now();
    let age = i64::try_from(older_than.as_micros()).unwrap_or(i64::MAX);
    let before = started_at.as_micros().saturating_sub(age);
    // Of all tenants by whole days, which go as one.
    let before = if tenant.is_some() { before } else { before - before.rem_euclid(DAY_MICROS) };
    let Some(before) = Timestamp::from_micros(before) else {
        return Err(AdminError::Usage(vec!["--older-than: that is before all time".to_owned()]));
    };
    let whose = tenant.map_or("all tenants".to_owned(), |tenant| {
        format!("the tenant {:?}", tenant.name.as_str())
    });
    let question = format!(
        "This removes all events of {whose} that were received before {before}, for ever. Type yes to go on: "
    );
    removal::confirm(machine, yes, &question, "yes")?;
    let which = Removal::Received { tenant_id: tenant.map(|tenant| tenant.id), before };
    let removed = removal::sweep(store, &which, started_at, machine)?;
    let receipt = Purged {
        tenant: tenant.map(Named::from),
        received_before: before,
        removed: PurgedRows { events: removed.events, event_keys: removed.keys },
        started_at,
        finished_at: machine.clock.now(),
    };
    Ok(Done { result: Outcome::Purged(receipt), notes: Vec::new() })
}

/// Writes events to `out`, a page at a time, and returns what to tell the person at the terminal.
///
/// # Errors
/// [`AdminError`]; what was written before stays written.
pub(crate) fn export(
    (selection, format): (&Selection, ExportFormat),
    machine: &Machine<'_>,
    open: impl FnOnce(&DatabaseUrl) -> Result<Arc<dyn Store>, StoreError>,
    out: &mut dyn Write,
) -> Result<Vec<String>, AdminError> {
    let mut invalid = Vec::new();
    let url =
        config::database_url(machine.setting, &mut invalid).ok_or(AdminError::Usage(invalid))?;
    let store = open(&url)?;
    database::prepare(&*store)?;
    let (_, workspaces) = workspaces(&*store, selection)?;
    let mut sink = Sink { out, format, written: 0 };
    sink.begin()?;
    let progress = removal::progress("events written");
    for workspace in &workspaces {
        let mut query: EventQuery = selection.query.clone();
        loop {
            let page = store.events(owner(workspace), &query)?;
            page.events.iter().try_for_each(|event| sink.write(event))?;
            progress.set_position(sink.written);
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
    }
    progress.finish_and_clear();
    sink.end()
}

/// Where events are written to.
struct Sink<'a> {
    out: &'a mut dyn Write,
    format: ExportFormat,
    written: u64,
}

/// The columns of CSV: the members of an event.
pub(crate) const COLUMNS: [&str; 16] = [
    "event_id",
    "type",
    "event_name",
    "timestamp",
    "sent_timestamp",
    "received_at",
    "anonymous_id",
    "user_id",
    "session_id",
    "schema_version",
    "properties",
    "traits",
    "context",
    "enrichment",
    "tenant_id",
    "workspace_id",
];

impl Sink<'_> {
    fn begin(&mut self) -> Result<(), AdminError> {
        match self.format {
            ExportFormat::Ndjson => Ok(()),
            ExportFormat::Csv => self.record(COLUMNS),
        }
    }

    fn write(&mut self, event: &StoredEvent) -> Result<(), AdminError> {
        let mut line = serde_json::to_vec(event)?;
        match self.format {
            ExportFormat::Ndjson => {
                line.push(b'\n');
                self.out.write_all(&line).map_err(|error| self.lost(error))?;
            }
            ExportFormat::Csv => {
                // Numbers inside the payloads stay as they were sent.
                let members: std::collections::HashMap<&str, &RawValue> =
                    serde_json::from_slice(&line)?;
                let cells = COLUMNS.map(|column| {
                    members.get(column).map(|value| cell(value.get())).unwrap_or_default()
                });
                self.record(cells)?;
            }
        }
        self.written += 1;
        Ok(())
    }

    fn record<T: AsRef<[u8]>>(
        &mut self,
        cells: impl IntoIterator<Item = T>,
    ) -> Result<(), AdminError> {
        let mut record =
            csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        let written = record.write_record(cells).map_err(std::io::Error::from);
        let record =
            written.and_then(|()| record.into_inner().map_err(csv::IntoInnerError::into_error));
        record.and_then(|record| self.out.write_all(&record)).map_err(|error| self.lost(error))
    }

    fn end(self) -> Result<Vec<String>, AdminError> {
        self.out.flush().map_err(|error| self.lost(error))?;
        Ok(vec![format!("{} events", self.written)])
    }

    fn lost(&self, source: std::io::Error) -> AdminError {
        AdminError::Export { written: self.written, source }
    }
}

/// A value of JSON as a cell: texts without quotes and escapes, nothing for null, all else as it stands.
fn cell(json: &str) -> String {
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).unwrap_or_else(|_| json.to_owned()),
        Some(b'n') => String::new(),
        _ => json.to_owned(),
    }
}
