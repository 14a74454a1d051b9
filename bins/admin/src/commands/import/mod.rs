//! `events import`: stores the events of an export, group by group.
//!
//! A group is one transaction, in which the store finds duplicates. So an import can stop anywhere,
//! and the same command continues it.

mod lines;

use std::fs::File;
use std::io::{BufReader, Read};

use indicatif::{HumanCount, ProgressBar};
use mercurio_domain::event::ExportedEvent;
use mercurio_domain::limits::LimitName;
use mercurio_domain::store::{
    AuditEntry, AuditOutcome, Removal, Store, StoreError, Submission, TenantDetails,
    TenantRetention, due_removals,
};
use mercurio_domain::tenant::{Tenant, TenantStatus, Workspace};
use mercurio_domain::verdict::Outcome;
use mercurio_domain::{Owner, Timestamp};
use serde::Serialize;

use super::lookup::{self, IdAndName};
use super::progress;
use super::removal::DRY_RUN;
use super::report::Report;
use crate::cli::ImportCommand;
use crate::error::{AdminError, Exit};
use crate::machine::Machine;
use lines::{Content, Lines, max_line_bytes};

/// Maximum events of a group: enough to share the cost of a transaction.
const GROUP_EVENTS: usize = 1_000;
/// Maximum bytes of a group, unless one event is larger.
const GROUP_BYTES: usize = 4 << 20;
/// Rejected lines that are reported; the others are counted.
const MAX_REPORTS: u64 = 100;

/// Result of `events import`.
#[derive(Serialize)]
struct ImportOutput {
    tenant: IdAndName,
    workspace: IdAndName,
    dry_run: bool,
    #[serde(flatten)]
    tally: Tally,
    started_at: Timestamp,
    finished_at: Timestamp,
}

/// Lines so far, without empty ones.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Tally {
    read: u64,
    /// Always 0 in a dry run.
    imported: u64,
    /// Always 0 in a dry run.
    duplicates: u64,
    rejected: u64,
}

pub(super) fn run(
    store: &dyn Store,
    command: &ImportCommand,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    let details = lookup::tenant_details(store, &command.tenant)?;
    let tenant = &details.tenant;
    let workspace = lookup::existing_workspace(store, tenant, &command.workspace)?;
    if workspace.is_deleting || tenant.status == TenantStatus::Deleting {
        return Err(AdminError::WorkspaceDeleting(workspace.name.to_string()));
    }
    let input: Box<dyn Read> = match &command.file {
        None => (machine.stdin)(),
        Some(path) => {
            let file = File::open(path);
            Box::new(file.map_err(|source| AdminError::Input { path: path.clone(), source })?)
        }
    };
    let started_at = machine.clock.now();
    let mut import = Import {
        store,
        command,
        machine,
        owner: lookup::owner(&workspace),
        now: started_at,
        started: started_entry(tenant, &workspace),
        is_started: false,
        source: None,
        group: Group::default(),
        tally: Tally::default(),
        in_other_workspace: 0,
        expires_before: expires_before(&details, machine, started_at),
        expiring: 0,
        progress: progress::counter("events read", None),
    };
    import.run(Lines::new(BufReader::with_capacity(1 << 16, input)))?;
    import.report(tenant, &workspace, started_at)
}

fn started_entry(tenant: &Tenant, workspace: &Workspace) -> AuditEntry {
    AuditEntry {
        tenant_id: Some(tenant.id),
        workspace_id: Some(workspace.id),
        detail: "import of exported events".to_owned(),
        outcome: AuditOutcome::Started,
        ..AuditEntry::default()
    }
}

/// Returns the time of receipt before which a server removes the tenant's events.
fn expires_before(
    details: &TenantDetails,
    machine: &Machine<'_>,
    now: Timestamp,
) -> Option<Timestamp> {
    const NAME: LimitName = LimitName::RetentionDays;
    // As a server in this environment reads it.
    let of_servers = (machine.setting)("MERCURIO_RETENTION_DAYS");
    let of_servers = of_servers.and_then(|text| NAME.parse_value(&text).ok());
    let days = details.limits.get(NAME).or(of_servers)?;
    let days = u32::try_from(days).ok()?;
    let retention = TenantRetention { tenant_id: details.tenant.id, days };
    due_removals(&[retention], now).into_iter().find_map(|removal| match removal {
        Removal::Received { before, .. } => Some(before),
        _ => None,
    })
}

/// Events that are stored together.
#[derive(Default)]
struct Group {
    submissions: Vec<Submission>,
    events: usize,
    bytes: usize,
}

impl Group {
    fn push(&mut self, owner: Owner, exported: ExportedEvent) {
        let ExportedEvent { received_at, event, .. } = exported;
        self.events += 1;
        // An event shares the text of its line.
        self.bytes += event.size_bytes().max(event.source_bytes());
        match self.submissions.last_mut() {
            Some(last) if last.received_at == received_at => last.events.push(event),
            _ => self.submissions.push(Submission { owner, received_at, events: vec![event] }),
        }
    }

    fn is_full(&self) -> bool {
        self.events >= GROUP_EVENTS || self.bytes >= GROUP_BYTES
    }
}

struct Import<'a> {
    store: &'a dyn Store,
    command: &'a ImportCommand,
    machine: &'a Machine<'a>,
    /// Gets the events.
    owner: Owner,
    now: Timestamp,
    started: AuditEntry,
    /// Whether the audit log has `started`.
    is_started: bool,
    /// Workspace of the first event.
    source: Option<Owner>,
    group: Group,
    tally: Tally,
    /// Duplicates of events in another workspace of the tenant.
    in_other_workspace: u64,
    expires_before: Option<Timestamp>,
    /// Events received before `expires_before`.
    expiring: u64,
    progress: ProgressBar,
}

impl Import<'_> {
    fn run(&mut self, mut lines: Lines<impl std::io::BufRead>) -> Result<(), AdminError> {
        loop {
            if (self.machine.interrupted)() {
                self.store_group()?;
                return Err(self.stopped(None));
            }
            let is_valid = match lines.next() {
                Ok(Some(line)) => {
                    let number = line.number;
                    let reason = self.take(number, &line.content)?;
                    if number == 1
                        && reason.is_some()
                        && let Some(format) = lines.foreign_format()
                    {
                        return Err(AdminError::ForeignFormat(format));
                    }
                    reason.is_none_or(|reason| self.reject(number, &reason))
                }
                Ok(None) => break,
                // The lines before it are stored.
                Err(source) => {
                    self.store_group()?;
                    let path = self.command.file.clone().unwrap_or_else(|| "stdin".into());
                    return Err(AdminError::Input { path, source });
                }
            };
            if !is_valid {
                break;
            }
            if self.group.is_full() {
                self.store_group()?;
            }
        }
        self.store_group()
    }

    /// Adds the event of a line to the group, or returns the reason to reject it.
    ///
    /// # Errors
    /// [`AdminError::OtherWorkspace`] if the first event is of another workspace.
    fn take(&mut self, number: u64, content: &Content<'_>) -> Result<Option<String>, AdminError> {
        self.tally.read += 1;
        let text = match content {
            Content::Text(text) => text,
            Content::TooLong => {
                return Ok(Some(format!("it has more than {} bytes", max_line_bytes())));
            }
            Content::NotUtf8 => return Ok(Some("it is not UTF-8".to_owned())),
        };
        let exported = match ExportedEvent::parse(text, self.now) {
            Ok(exported) => exported,
            // Its text has no part of the event.
            Err(error) => return Ok(Some(error.to_string())),
        };
        let is_meant = exported.owner == self.owner || self.command.remaps;
        if !is_meant && self.source.is_none() {
            // Most likely so are all others.
            let Owner { tenant_id, workspace_id } = exported.owner;
            return Err(AdminError::OtherWorkspace { line: number, tenant_id, workspace_id });
        }
        let source = *self.source.get_or_insert(exported.owner);
        if exported.owner != source {
            let Owner { tenant_id, workspace_id } = exported.owner;
            return Ok(Some(format!(
                "it is of the tenant id:{tenant_id} and its workspace {workspace_id}, unlike the \
                 lines before: export one workspace at a time"
            )));
        }
        if self.expires_before.is_some_and(|before| exported.received_at < before) {
            self.expiring += 1;
        }
        if !self.command.is_dry_run {
            self.group.push(self.owner, exported);
        }
        self.progress.set_position(self.tally.read);
        Ok(None)
    }

    /// Reports a line. Returns whether the import goes on.
    fn reject(&mut self, number: u64, reason: &str) -> bool {
        self.tally.rejected += 1;
        if self.tally.rejected <= MAX_REPORTS {
            (self.machine.notify)(&format!("line {number} is rejected: {reason}"));
        } else if self.tally.rejected == MAX_REPORTS + 1 {
            (self.machine.notify)("further rejected lines are only counted");
        }
        !self.command.stops_on_error
    }

    fn store_group(&mut self) -> Result<(), AdminError> {
        let group = std::mem::take(&mut self.group);
        if group.events == 0 {
            return Ok(());
        }
        if !self.is_started {
            // Before the first group: nothing is stored without an entry.
            self.store.record(&self.started)?;
            self.is_started = true;
        }
        let outcomes = match self.store.append(&group.submissions) {
            Ok(outcomes) => outcomes,
            // Nothing is changed: the plain error decides the exit code.
            Err(error) if self.tally.imported == 0 => return Err(error.into()),
            Err(error) => return Err(self.stopped(Some(error))),
        };
        for outcome in outcomes.into_iter().flatten() {
            match outcome {
                Outcome::Accepted => self.tally.imported += 1,
                Outcome::Duplicate => self.tally.duplicates += 1,
                Outcome::DuplicateIn(_) => {
                    self.tally.duplicates += 1;
                    self.in_other_workspace += 1;
                }
            }
        }
        Ok(())
    }

    fn stopped(&self, source: Option<StoreError>) -> AdminError {
        AdminError::ImportStopped { imported: self.tally.imported, source }
    }

    fn report(
        self,
        tenant: &Tenant,
        workspace: &Workspace,
        started_at: Timestamp,
    ) -> Result<Report, AdminError> {
        self.progress.finish_and_clear();
        let Tally { imported, duplicates, rejected, .. } = self.tally;
        if self.is_started {
            let detail = format!(
                "import stored {imported} events; {duplicates} were duplicates and {rejected} lines \
                 rejected"
            );
            self.store.record(&AuditEntry {
                detail,
                outcome: AuditOutcome::Done,
                ..self.started
            })?;
        }
        let mut report = Report::new(&ImportOutput {
            tenant: tenant.into(),
            workspace: workspace.into(),
            dry_run: self.command.is_dry_run,
            tally: self.tally,
            started_at,
            finished_at: self.machine.clock.now(),
        })?;
        if self.command.is_dry_run {
            report = report.with_note(DRY_RUN);
        }
        if self.tally.read == 0 {
            report = report.with_note("the input has no events");
        }
        if self.in_other_workspace > 0 {
            report = report.with_note(format!(
                "{} stored in another workspace of the tenant already",
                amounts(self.in_other_workspace, "duplicate is", "duplicates are")
            ));
        }
        if let Some(before) = self.expires_before.filter(|_| self.expiring > 0) {
            report = report.with_note(format!(
                "{} received before {before}: the retention removes them soon; raise the tenant's \
                 retention_days, or import fewer",
                amounts(self.expiring, "event was", "events were")
            ));
        }
        if rejected > 0 {
            let end = if self.command.stops_on_error { ": the import stopped there" } else { "" };
            let note = format!("{} rejected{end}", amounts(rejected, "line was", "lines were"));
            report = report.with_note(note).with_exit(Exit::Failed);
        }
        Ok(report)
    }
}

/// Returns `1 event was` or `1,234 events were`.
fn amounts(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {many}", HumanCount(count)) }
}
