//! `events erase` and `events purge`: delete the events of a person, and old events.

use mercurio_domain::Timestamp;
use mercurio_domain::store::{
    AuditEntry, AuditOutcome, Person, Removal, RemovalCounts, Removed, Store,
};
use mercurio_domain::tenant::Tenant;
use serde::Serialize;

use super::amount::amount;
use super::confirm::{Question, confirm};
use super::lookup::IdAndName;
use super::removal;
use super::report::Report;
use crate::cli::{Consent, TimeArg};
use crate::error::AdminError;
use crate::machine::Machine;

const DAY_MICROS: i64 = 86_400_000_000;

/// Receipt of `events erase`. It omits the person's id, so that the receipt can be kept.
#[derive(Serialize)]
struct ErasureOutput {
    tenant: IdAndName,
    /// `user_id` or `anonymous_id`.
    erased_by: &'static str,
    removed: ErasedRows,
    started_at: Timestamp,
    finished_at: Timestamp,
}

/// Result of `events erase --dry-run`.
#[derive(Serialize)]
struct ErasureDryRun {
    dry_run: bool,
    tenant: IdAndName,
    erased_by: &'static str,
    would_remove: ErasedRows,
}

#[derive(Serialize)]
struct ErasedRows {
    events: u64,
    /// Kept rejected events that mention the person.
    rejections: u64,
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

/// Result of `events purge --dry-run`.
#[derive(Serialize)]
struct PurgeDryRun {
    dry_run: bool,
    tenant: Option<IdAndName>,
    received_before: Timestamp,
    would_remove: PurgedRows,
}

#[derive(Serialize)]
struct PurgedRows {
    events: u64,
    /// Keys received at least 30 days before `received_before`.
    event_keys: u64,
}

pub(super) fn erase(
    store: &dyn Store,
    tenant: &Tenant,
    person: &Person,
    consent: Consent,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    let removal = Removal::Person { tenant_id: tenant.id, person: person.clone() };
    let (erased_by, id) = match person {
        Person::User(id) => ("user_id", id),
        Person::Anonymous(id) => ("anonymous_id", id),
    };
    if consent == Consent::DryRun {
        let RemovalCounts { events, rejections, .. } = removal::count(store, &removal)?;
        let would_remove = ErasedRows { events, rejections };
        let output =
            ErasureDryRun { dry_run: true, tenant: tenant.into(), erased_by, would_remove };
        return Ok(Report::new(&output)?.with_note(removal::DRY_RUN));
    }
    let mut expected = None;
    confirm(machine, consent == Consent::Given, || {
        let RemovalCounts { events, rejections, .. } = removal::count(store, &removal)?;
        expected = Some(events);
        Ok(Question::yes(&format!(
            "This permanently deletes {} and {} of the person with {erased_by} {id:?} in the tenant {:?}.",
            amount(events, "event"),
            amount(rejections, "rejection"),
            tenant.name.as_str()
        )))
    })?;
    let started_at = machine.clock.now();
    // Without the person's id, like the receipt: the log is kept for ever.
    let started = AuditEntry {
        tenant_id: Some(tenant.id),
        detail: format!("erasure of one person by {erased_by}"),
        outcome: AuditOutcome::Started,
        ..AuditEntry::default()
    };
    // Before the first step: nothing is removed without an entry.
    store.record(&started)?;
    let removed = removal::remove_all(store, &removal, started_at, machine, None, expected)?;
    let Removed { events, rejections, .. } = removed;
    let detail = format!("erasure removed {events} events and {rejections} rejections");
    store.record(&AuditEntry { detail, outcome: AuditOutcome::Done, ..started })?;
    let report = Report::new(&ErasureOutput {
        tenant: tenant.into(),
        erased_by,
        removed: ErasedRows { events, rejections },
        started_at,
        finished_at: machine.clock.now(),
    })?;
    let note = "events in flight are not covered: run the command again after the client stopped";
    Ok(report.with_note(note))
}

pub(super) fn purge(
    store: &dyn Store,
    tenant: Option<&Tenant>,
    older_than: TimeArg,
    consent: Consent,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    let started_at = machine.clock.now();
    // Whole days for all tenants only: a partition holds the events of every tenant.
    let before = purge_boundary(older_than.before(started_at), tenant.is_none());
    let tenant_id = tenant.map(|tenant| tenant.id);
    let removal = Removal::Received { tenant_id, before };
    if consent == Consent::DryRun {
        let RemovalCounts { events, keys, .. } = removal::count(store, &removal)?;
        let report = Report::new(&PurgeDryRun {
            dry_run: true,
            tenant: tenant.map(IdAndName::from),
            received_before: before,
            would_remove: PurgedRows { events, event_keys: keys },
        })?;
        return Ok(report.with_note(removal::DRY_RUN));
    }
    let tenants = match tenant {
        None => "all tenants".to_owned(),
        Some(tenant) => format!("the tenant {:?}", tenant.name.as_str()),
    };
    let mut expected = None;
    confirm(machine, consent == Consent::Given, || {
        let events = removal::count(store, &removal)?.events;
        expected = Some(events);
        Ok(Question::yes(&format!(
            "This permanently deletes {} of {tenants} received before {before}.",
            amount(events, "event")
        )))
    })?;
    let started = AuditEntry {
        tenant_id,
        detail: format!("purge of events of {tenants} received before {before}"),
        outcome: AuditOutcome::Started,
        ..AuditEntry::default()
    };
    store.record(&started)?;
    let removed = removal::remove_all(store, &removal, started_at, machine, None, expected)?;
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
fn purge_boundary(before: Timestamp, whole_days: bool) -> Timestamp {
    let micros = before.as_micros();
    // `rem_euclid` rounds down before 1970 as well.
    let rest = if whole_days { micros.rem_euclid(DAY_MICROS) } else { 0 };
    Timestamp::from_micros_clamped(micros - rest)
}
