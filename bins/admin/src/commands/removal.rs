//! Deletes many events in steps. Each step is a short transaction, so writers never wait long.

use std::time::Duration;

use mercurio_domain::Timestamp;
use mercurio_domain::store::{Removal, RemovalCounts, Removed, Store};

use super::progress;
use crate::error::AdminError;
use crate::machine::Machine;

/// Note after a dry run.
pub(super) const DRY_RUN: &str = "dry run: nothing was changed";

/// Counts what `removal` covers.
pub(super) fn count(store: &dyn Store, removal: &Removal) -> Result<RemovalCounts, AdminError> {
    let _spinner = progress::spinner("counting events");
    Ok(store.count_removal(removal)?)
}

/// Removes everything `removal` covers, and returns the sums of all steps. `before` counts the events
/// that earlier parts of the command removed; `None` if the command has changed nothing yet.
/// `expected` is the number of events, if they were counted.
///
/// # Errors
/// [`AdminError::Incomplete`] after an interruption between two steps, or if a step fails after a change. Finished steps
/// stay.
pub(super) fn remove_all(
    store: &dyn Store,
    removal: &Removal,
    removed_at: Timestamp,
    machine: &Machine<'_>,
    before: Option<u64>,
    expected: Option<u64>,
) -> Result<Removed, AdminError> {
    let progress = progress::counter("events removed", expected);
    let mut sum = Removed::default();
    loop {
        let events = before.unwrap_or_default() + sum.events;
        // Only between steps: each step is a transaction of its own.
        check_interrupted(machine, events)?;
        let step = match store.remove_events(removal, removed_at, sum.next.as_ref()) {
            Ok(step) => step,
            // Nothing is changed: the plain error decides the exit code.
            Err(error) if before.is_none() && sum.next.is_none() => return Err(error.into()),
            Err(error) => return Err(AdminError::Incomplete { events, source: Some(error) }),
        };
        sum = Removed {
            events: sum.events + step.events,
            keys: sum.keys + step.keys,
            rejections: sum.rejections + step.rejections,
            next: step.next,
        };
        progress.set_position(sum.events);
        if sum.next.is_none() {
            progress.finish_and_clear();
            return Ok(sum);
        }
    }
}

/// Waits for requests in flight, in short parts, so that an interruption takes effect soon.
///
/// # Errors
/// [`AdminError::Incomplete`] with `events` after an interruption.
pub(super) fn wait(machine: &Machine<'_>, length: Duration, events: u64) -> Result<(), AdminError> {
    // Short enough for a person at Ctrl-C.
    const PART: Duration = Duration::from_millis(200);
    let mut left = length;
    let progress = progress::countdown("waiting for requests in flight");
    while !left.is_zero() {
        check_interrupted(machine, events)?;
        progress.set_position(left.as_secs_f64().ceil() as u64);
        let part = left.min(PART);
        (machine.sleep)(part);
        left -= part;
    }
    Ok(())
}

/// Fails after an interruption.
///
/// # Errors
/// [`AdminError::Incomplete`] with `events`.
pub(super) fn check_interrupted(machine: &Machine<'_>, events: u64) -> Result<(), AdminError> {
    if (machine.interrupted)() {
        return Err(AdminError::Incomplete { events, source: None });
    }
    Ok(())
}
