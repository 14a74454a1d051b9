//! `rejections …`: lists, exports and purges kept rejected events.

use std::io::{self, BufWriter, Write};

use mercurio_domain::store::{
    AuditEntry, AuditOutcome, ExpiredRejections, RejectedEvent, RejectionQuery, Store, TenantRef,
};
use mercurio_domain::tenant::{Name, Tenant, Workspace};
use mercurio_domain::verdict::FieldError;
use mercurio_domain::{Owner, Timestamp};
use serde::Serialize;

use super::amount::amount;
use super::confirm::{Question, confirm};
use super::lookup::{self, IdAndName};
use super::report::Report;
use super::{progress, removal};
use crate::cli::{Consent, RejectionSelection, RejectionsCommand};
use crate::database;
use crate::error::AdminError;
use crate::escape;
use crate::machine::Machine;

/// A rejected event. The names are those of the HTTP API.
#[derive(Serialize)]
struct RejectionOutput {
    id: String,
    received_at: Timestamp,
    event_id: Option<String>,
    event_name: Option<String>,
    user_id: Option<String>,
    anonymous_id: Option<String>,
    /// The codes of the errors, each once.
    codes: Vec<&'static str>,
    errors: Vec<FieldError>,
    /// As sent; only if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    is_cut: bool,
    request_id: String,
    api_key_id: String,
    protocol: String,
    sdk: Option<String>,
    user_agent: Option<String>,
    tenant_id: String,
    workspace_id: String,
}

/// Newest first.
#[derive(Serialize)]
struct RejectionsOutput {
    rejections: Vec<RejectionOutput>,
}

/// Receipt of `rejections purge`.
#[derive(Serialize)]
struct PurgeOutput {
    /// `null`: all tenants.
    tenant: Option<IdAndName>,
    /// `null`: all workspaces.
    workspace: Option<IdAndName>,
    received_before: Timestamp,
    removed: PurgedRows,
    started_at: Timestamp,
    finished_at: Timestamp,
}

#[derive(Serialize)]
struct PurgedRows {
    rejections: u64,
    /// Rows of counts: groups by hour.
    rejection_counts: u64,
}

/// Result of `rejections purge --dry-run`.
#[derive(Serialize)]
struct PurgeDryRun {
    dry_run: bool,
    tenant: Option<IdAndName>,
    workspace: Option<IdAndName>,
    received_before: Timestamp,
    would_remove: CountedRows,
}

#[derive(Serialize)]
struct CountedRows {
    rejections: u64,
}

impl RejectionOutput {
    fn new(event: RejectedEvent, full: bool) -> Self {
        let mut codes: Vec<_> = event.errors.iter().map(|error| error.code.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        Self {
            id: event.id.to_string(),
            received_at: event.received_at,
            event_id: event.event_id,
            event_name: event.event_name,
            user_id: event.user_id,
            anonymous_id: event.anonymous_id,
            codes,
            errors: event.errors,
            event: full.then_some(event.event),
            is_cut: event.is_cut,
            request_id: event.request_id,
            api_key_id: event.api_key_id.to_string(),
            protocol: event.protocol,
            sdk: event.sdk,
            user_agent: event.user_agent,
            tenant_id: event.owner.tenant_id.to_string(),
            workspace_id: event.owner.workspace_id.to_string(),
        }
    }
}

pub(super) fn run(
    store: &dyn Store,
    command: &RejectionsCommand,
    machine: &Machine<'_>,
    out: &mut dyn Write,
) -> Result<Report, AdminError> {
    database::require_schema(store)?;
    let now = machine.clock.now();
    match command {
        RejectionsCommand::List { selection, full } => {
            list(store, &workspaces(store, selection)?, &selection.at(now)?, *full)
        }
        RejectionsCommand::Export(selection) => {
            export(store, &workspaces(store, selection)?, &selection.at(now)?, out)
        }
        RejectionsCommand::Purge { tenant, workspace, before, consent } => {
            let scope = Scope::find(store, tenant.as_ref(), workspace.as_ref())?;
            scope.purge(store, before.before(now), *consent, machine)
        }
    }
}

/// Returns the workspace in `selection`, or all of the tenant.
fn workspaces(
    store: &dyn Store,
    selection: &RejectionSelection,
) -> Result<Vec<Workspace>, AdminError> {
    let tenant = lookup::tenant(store, &selection.tenant)?;
    Ok(match &selection.workspace {
        None => store.workspaces(tenant.id)?,
        Some(name) => vec![lookup::existing_workspace(store, &tenant, name)?],
    })
}

/// Lists the newest events over all workspaces together.
fn list(
    store: &dyn Store,
    workspaces: &[Workspace],
    query: &RejectionQuery,
    full: bool,
) -> Result<Report, AdminError> {
    let mut events = Vec::new();
    for workspace in workspaces {
        let mut query = query.clone();
        // Pages of large events have fewer than the limit.
        while query.limit > 0 {
            let page = store.rejections(lookup::owner(workspace), &query)?;
            query.limit -= page.events.len();
            events.extend(page.events);
            query.after = page.next;
            if page.next.is_none() {
                break;
            }
        }
    }
    // The order of pages, over all workspaces.
    events.sort_by_key(|event| std::cmp::Reverse(event.position()));
    events.truncate(query.limit);
    let rejections = events.into_iter().map(|event| RejectionOutput::new(event, full)).collect();
    Report::new(&RejectionsOutput { rejections })
}

/// Writes all matching events as NDJSON, page by page, so memory does not grow with their number.
fn export(
    store: &dyn Store,
    workspaces: &[Workspace],
    query: &RejectionQuery,
    out: &mut dyn Write,
) -> Result<Report, AdminError> {
    let mut written = 0;
    let report = Report::without_result();
    match write_all(store, workspaces, query, out, &mut written) {
        Ok(()) => Ok(report.with_note(format!("exported {}", amount(written, "rejection")))),
        // The reader has read enough, as `head` does.
        Err(AdminError::Export { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {
            Ok(report)
        }
        Err(error) => Err(error),
    }
}

fn write_all(
    store: &dyn Store,
    workspaces: &[Workspace],
    query: &RejectionQuery,
    out: &mut dyn Write,
    written: &mut u64,
) -> Result<(), AdminError> {
    // 64 KiB: one system call for many events.
    let mut out = BufWriter::with_capacity(1 << 16, out);
    let progress = progress::counter("rejections written", None);
    for workspace in workspaces {
        let mut query = query.clone();
        loop {
            let page = store.rejections(lookup::owner(workspace), &query)?;
            for event in page.events {
                let line = serde_json::to_string(&RejectionOutput::new(event, true))?;
                writeln!(out, "{}", escape::json_line(&line))
                    .map_err(|source| AdminError::Export { written: *written, source })?;
                *written += 1;
            }
            progress.set_position(*written);
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
    }
    progress.finish_and_clear();
    // The drop of a `BufWriter` ignores errors.
    out.flush().map_err(|source| AdminError::Export { written: *written, source })
}

/// Whose rejections a purge covers.
struct Scope {
    /// `None`: all tenants.
    tenant: Option<Tenant>,
    /// `None`: all of the tenant.
    workspace: Option<Workspace>,
    /// `None`: one of all tenants.
    owners: Vec<Option<Owner>>,
}

impl Scope {
    fn find(
        store: &dyn Store,
        tenant: Option<&TenantRef>,
        workspace: Option<&Name>,
    ) -> Result<Self, AdminError> {
        let Some(tenant) = tenant else {
            return Ok(Self { tenant: None, workspace: None, owners: vec![None] });
        };
        let tenant = lookup::tenant(store, tenant)?;
        let workspace =
            workspace.map(|name| lookup::existing_workspace(store, &tenant, name)).transpose()?;
        let workspaces = match &workspace {
            Some(workspace) => vec![workspace.clone()],
            None => store.workspaces(tenant.id)?,
        };
        let owners = workspaces.iter().map(|workspace| Some(lookup::owner(workspace))).collect();
        Ok(Self { tenant: Some(tenant), workspace, owners })
    }

    fn describe(&self) -> String {
        let Some(tenant) = &self.tenant else { return "all tenants".to_owned() };
        let tenant = format!("the tenant {:?}", tenant.name.as_str());
        match &self.workspace {
            None => tenant,
            Some(workspace) => format!("the workspace {:?} of {tenant}", workspace.name.as_str()),
        }
    }

    fn count(&self, store: &dyn Store, before: Timestamp) -> Result<u64, AdminError> {
        let _spinner = progress::spinner("counting rejections");
        let mut count = 0;
        for owner in &self.owners {
            count += store.count_rejections(*owner, before)?;
        }
        Ok(count)
    }

    fn purge(
        &self,
        store: &dyn Store,
        before: Timestamp,
        consent: Consent,
        machine: &Machine<'_>,
    ) -> Result<Report, AdminError> {
        let tenant = || self.tenant.as_ref().map(IdAndName::from);
        let workspace = || self.workspace.as_ref().map(IdAndName::from);
        if consent == Consent::DryRun {
            let report = Report::new(&PurgeDryRun {
                dry_run: true,
                tenant: tenant(),
                workspace: workspace(),
                received_before: before,
                would_remove: CountedRows { rejections: self.count(store, before)? },
            })?;
            return Ok(report.with_note(removal::DRY_RUN));
        }
        let whose = self.describe();
        confirm(machine, consent == Consent::Given, || {
            Ok(Question::yes(&format!(
                "This permanently deletes {} of {whose} received before {before}, and their counts.",
                amount(self.count(store, before)?, "rejection"),
            )))
        })?;
        let started_at = machine.clock.now();
        let started = AuditEntry {
            tenant_id: self.tenant.as_ref().map(|tenant| tenant.id),
            workspace_id: self.workspace.as_ref().map(|workspace| workspace.id),
            detail: format!("purge of rejections of {whose} received before {before}"),
            outcome: AuditOutcome::Started,
            ..AuditEntry::default()
        };
        store.record(&started)?;
        let removed = self.remove_all(store, before, machine)?;
        let (events, counts) = (removed.events, removed.counts);
        let detail = format!("purge removed {events} rejections and {counts} counts");
        store.record(&AuditEntry { detail, outcome: AuditOutcome::Done, ..started })?;
        Report::new(&PurgeOutput {
            tenant: tenant(),
            workspace: workspace(),
            received_before: before,
            removed: PurgedRows { rejections: events, rejection_counts: counts },
            started_at,
            finished_at: machine.clock.now(),
        })
    }

    /// Removes in steps, so that an interruption takes effect soon.
    fn remove_all(
        &self,
        store: &dyn Store,
        before: Timestamp,
        machine: &Machine<'_>,
    ) -> Result<ExpiredRejections, AdminError> {
        let progress = progress::counter("rejections removed", None);
        let mut sum = ExpiredRejections::default();
        let mut is_changed = false;
        for owner in &self.owners {
            loop {
                removal::check_interrupted(machine, sum.events)?;
                let step = match store.expire_rejections(*owner, before) {
                    Ok(step) => step,
                    // Nothing is changed: the plain error decides the exit code.
                    Err(error) if !is_changed => return Err(error.into()),
                    Err(error) => {
                        let events = sum.events;
                        return Err(AdminError::Incomplete { events, source: Some(error) });
                    }
                };
                is_changed = true;
                sum.events += step.events;
                sum.counts += step.counts;
                progress.set_position(sum.events);
                if !step.has_more {
                    break;
                }
            }
        }
        progress.finish_and_clear();
        Ok(sum)
    }
}
