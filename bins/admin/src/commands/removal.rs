//! What commands share that remove many events: asking first, going on to the end, and showing how far it is.

use indicatif::{ProgressBar, ProgressStyle};
use mercurio_domain::Timestamp;
use mercurio_domain::store::{Removal, Removed, Store};

use crate::{AdminError, Machine};

/// Goes on where `yes` was given, or where the person at the terminal answers `expected`.
///
/// # Errors
/// [`AdminError::Usage`] where nobody can be asked, [`AdminError::NotConfirmed`] for another answer.
pub(super) fn confirm(machine: &Machine<'_>, yes: bool, question: &str, expected: &str) -> Result<(), AdminError> {
    if yes {
        return Ok(());
    }
    let Some(answer) = (machine.ask)(question) else {
        return Err(AdminError::Usage(vec!["this needs --yes where nobody can be asked".to_owned()]));
    };
    if answer.trim().to_lowercase() == expected.trim().to_lowercase() { Ok(()) } else { Err(AdminError::NotConfirmed) }
}

/// Removes to the end; the sum of all steps.
pub(super) fn sweep(store: &dyn Store, which: &Removal, removed_at: Timestamp) -> Result<Removed, AdminError> {
    let progress = progress("events removed");
    let mut sum = Removed::default();
    loop {
        let step = store.remove_events(which, removed_at, sum.next.as_ref())?;
        sum = Removed { events: sum.events + step.events, keys: sum.keys + step.keys, next: step.next };
        progress.set_position(sum.events);
        if sum.next.is_none() {
            progress.finish_and_clear();
            return Ok(sum);
        }
    }
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
