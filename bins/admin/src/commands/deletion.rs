//! `tenant delete` and `workspace delete`: marks the tenant or workspace, removes its events while
//! servers refuse it, waits for requests in flight, and removes the rest.

use std::time::Duration;

use mercurio_domain::Timestamp;
use mercurio_domain::store::{DeletedRows, Deletion, KeySelection, Removal, Store, TenantRef};
use mercurio_domain::tenant::{Name, Tenant, Workspace};
use serde::Serialize;

use super::amount::amount;
use super::confirm::{Question, confirm};
use super::lookup::{self, IdAndName};
use super::removal;
use super::report::Report;
use crate::cli::Consent;
use crate::database;
use crate::error::AdminError;
use crate::machine::Machine;

/// Time for requests in flight when a deletion starts. A server without its listening connection
/// needs 5 seconds to look the key up again, a body arrives within 1 second or has its key checked
/// again, and a request then waits up to 10 seconds for its commit. The rest is a margin.
// The first and the last are defaults of settings: longer ones are not covered.
const GRACE: Duration = Duration::from_secs(20);

/// A tenant, or one of its workspaces.
pub(super) struct Target<'a> {
    pub(super) tenant: &'a Tenant,
    /// `None`: the whole tenant.
    pub(super) workspace: Option<&'a Workspace>,
}

/// Receipt of a deletion.
#[derive(Serialize)]
struct DeletionOutput {
    tenant: IdAndName,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<IdAndName>,
    removed: Rows,
    /// Start of the first run. Servers refuse the keys since then.
    deleted_at: Timestamp,
    finished_at: Timestamp,
}

/// Result of a dry run.
#[derive(Serialize)]
struct DryRunOutput {
    dry_run: bool,
    tenant: IdAndName,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<IdAndName>,
    would_remove: Rows,
}

/// Rows of a tenant or workspace; in a receipt those that all runs of the command deleted.
#[derive(Clone, Copy, Serialize)]
struct Rows {
    events: u64,
    /// Includes the keys of events that were removed before.
    event_keys: u64,
    /// Kept rejected events.
    rejections: u64,
    /// Only of a tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    workspaces: Option<u64>,
    api_keys: u64,
}

impl Target<'_> {
    fn deletion(&self) -> Deletion {
        match self.workspace {
            None => Deletion::Tenant(self.tenant.id),
            Some(workspace) => Deletion::Workspace(lookup::owner(workspace)),
        }
    }

    fn noun(&self) -> &'static str {
        if self.workspace.is_some() { "workspace" } else { "tenant" }
    }

    fn name(&self) -> &Name {
        self.workspace.map_or(&self.tenant.name, |workspace| &workspace.name)
    }

    /// Another command finished the deletion.
    fn not_found(&self) -> AdminError {
        match self.workspace {
            None => lookup::tenant_not_found(&TenantRef::Id(self.tenant.id)),
            Some(workspace) => lookup::workspace_not_found(&workspace.name),
        }
    }

    fn workspace_output(&self) -> Option<IdAndName> {
        self.workspace.map(IdAndName::from)
    }

    /// Counts the rows that the deletion would remove.
    fn rows(&self, store: &dyn Store) -> Result<Rows, AdminError> {
        let keys = store.api_keys(&KeySelection::Tenant(self.tenant.id))?;
        let deletion = self.deletion();
        let api_keys = keys.iter().filter(|found| deletion.covers(found.key.owner)).count();
        let workspaces = match self.workspace {
            None => Some(store.workspaces(self.tenant.id)?.len() as u64),
            Some(_) => None,
        };
        let counts = removal::count(store, &Removal::All(deletion))?;
        Ok(Rows {
            events: counts.events,
            event_keys: counts.keys,
            rejections: counts.rejections,
            workspaces,
            api_keys: api_keys as u64,
        })
    }

    /// The question shows the extent of the deletion. The answer is the name, not `yes`: it shows
    /// that the right one is meant.
    fn question(&self, rows: Rows) -> Question {
        let tenant = format!("the tenant {:?}", self.tenant.name.as_str());
        let what = match self.workspace {
            None => tenant,
            Some(workspace) => format!("the workspace {:?} of {tenant}", workspace.name.as_str()),
        };
        let workspaces = rows.workspaces.map(|count| format!("{}, ", amount(count, "workspace")));
        let text = format!(
            "This permanently deletes {what} with {}{} and {}.\nType the {}'s name to continue: ",
            workspaces.unwrap_or_default(),
            amount(rows.api_keys, "API key"),
            amount(rows.events, "event"),
            self.noun(),
        );
        Question { text, expected: self.name().to_string() }
    }
}

pub(super) fn run(
    store: &dyn Store,
    target: &Target<'_>,
    consent: Consent,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    // Its rows in unknown tables of a newer release would stay.
    database::refuse_unknown_migrations(store)?;
    if consent == Consent::DryRun {
        let report = Report::new(&DryRunOutput {
            dry_run: true,
            tenant: target.tenant.into(),
            workspace: target.workspace_output(),
            would_remove: target.rows(store)?,
        })?;
        return Ok(report.with_note(removal::DRY_RUN));
    }
    let mut expected = None;
    confirm(machine, consent == Consent::Given, || {
        let rows = target.rows(store)?;
        expected = Some(rows.events);
        Ok(target.question(rows))
    })?;
    delete(store, target, expected, machine)
}

/// `expected` is the number of events, if they were counted.
fn delete(
    store: &dyn Store,
    target: &Target<'_>,
    expected: Option<u64>,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    let deletion = target.deletion();
    let started_at = machine.clock.now();
    // Servers refuse its keys from now on, and the mark survives an interruption.
    let begun = store.begin_deletion(deletion, started_at)?;
    let deleted_at = begun.ok_or_else(|| target.not_found())?;
    let noun = target.noun();
    (machine.notify)(&format!("every server refuses the {noun} within a second; removing events"));
    let which = Removal::All(deletion);
    // From the mark on, every failure leaves a part of the work: the same command finishes it.
    let removed = removal::remove_all(store, &which, started_at, machine, Some(0), expected)?;
    // Counted from the first run: a later run need not wait again.
    let left = GRACE.saturating_sub(elapsed(deleted_at, machine.clock.now()));
    let removed_so_far = format!("removed {}", amount(removed.events, "event"));
    if left.is_zero() {
        (machine.notify)(&removed_so_far);
    } else {
        let seconds = left.as_secs_f64().ceil();
        (machine.notify)(&format!(
            "{removed_so_far}; waiting {seconds} s for requests in flight, whose events go too"
        ));
    }
    removal::wait(machine, left, removed.events)?;
    // Requests in flight may have stored events behind the first pass.
    let before = Some(removed.events);
    let late = removal::remove_all(store, &which, started_at, machine, before, None)?;
    if late.events > 0 {
        (machine.notify)(&format!("removed {}", amount(late.events, "late event")));
    }
    let events = removed.events + late.events;
    let finished = store
        .finish_deletion(deletion)
        .map_err(|error| AdminError::Incomplete { events, source: Some(error) })?;
    // The store adds up all runs.
    let DeletedRows { events, event_keys, rejections, workspaces, api_keys } =
        finished.ok_or_else(|| target.not_found())?;
    let workspaces = target.workspace.is_none().then_some(workspaces);
    let report = Report::new(&DeletionOutput {
        tenant: target.tenant.into(),
        workspace: target.workspace_output(),
        removed: Rows { events, event_keys, rejections, workspaces, api_keys },
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
    Duration::from_micros(u64::try_from(now.micros_since(since)).unwrap_or(0))
}
