//! What commands share that remove many events: asking first, going on to the end, and showing how far it is.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use mercurio_domain::Timestamp;
use mercurio_domain::store::{Removal, Removed, Store};

use crate::{AdminError, Machine};

/// Goes on where `yes` was given, or where the person at the terminal answers `expected`.
///
/// # Errors
/// [`AdminError::Usage`] where nobody can be asked, [`AdminError::NotConfirmed`] for another answer.
pub(super) fn confirm(
    machine: &Machine<'_>,
    yes: bool,
    question: &str,
    expected: &str,
) -> Result<(), AdminError> {
    if yes {
        return Ok(());
    }
    let Some(answer) = (machine.ask)(question) else {
        return Err(AdminError::Usage(vec![
            "this needs --yes where nobody can be asked".to_owned(),
        ]));
    };
    if answer.trim().to_lowercase() == expected.trim().to_lowercase() {
        Ok(())
    } else {
        Err(AdminError::NotConfirmed)
    }
}

/// Removes to the end; the sum of all steps.
///
/// # Errors
/// [`AdminError::Partly`] where it was ended between two steps, or the database failed after some.
pub(super) fn sweep(
    store: &dyn Store,
    which: &Removal,
    removed_at: Timestamp,
    machine: &Machine<'_>,
) -> Result<Removed, AdminError> {
    let progress = progress("events removed");
    let mut sum = Removed::default();
    loop {
        stop_if_asked(machine, sum.events)?;
        let step =
            store.remove_events(which, removed_at, sum.next.as_ref()).map_err(|error| match sum
                .next
            {
                None => AdminError::Store(error),
                Some(_) => AdminError::Partly { events: sum.events, source: Some(error) },
            })?;
        sum = Removed {
            events: sum.events + step.events,
            keys: sum.keys + step.keys,
            next: step.next,
        };
        progress.set_position(sum.events);
        if sum.next.is_none() {
            progress.finish_and_clear();
            return Ok(sum);
        }
    }
}

/// Waits, but not for longer than nobody asks the program to end.
pub(super) fn wait(machine: &Machine<'_>, length: Duration, events: u64) -> Result<(), AdminError> {
    const PART: Duration = Duration::from_millis(200);
    let mut left = length;
    while !left.is_zero() {
        stop_if_asked(machine, events)?;
        let part = left.min(PART);
        (machine.sleep)(part);
        left -= part;
    }
    Ok(())
}

fn stop_if_asked(machine: &Machine<'_>, events: u64) -> Result<(), AdminError> {
    if (machine.interrupted)() { Err(AdminError::Partly { events, source: None }) } else { Ok(()) }
}

/// A counter on stderr, where that is a terminal.
pub(super) fn progress(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what);
    // A template that can't be read would be a mistake of ours, and the default still counts.
    match ProgressStyle::with_template("{spinner} {human_pos} {msg} ({per_sec})") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
