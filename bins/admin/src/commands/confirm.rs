//! Asks before a command deletes data.

use crate::error::AdminError;
use crate::machine::Machine;

/// Returns if `yes` was given, or if the person at the terminal answers `expected`, in any case.
///
/// # Errors
/// [`AdminError::Usage`] without a terminal, so that a script fails instead of waiting. [`AdminError::NotConfirmed`] after
/// another answer.
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
        let message = "this needs a confirmation, and stdin is not a terminal: give --yes";
        return Err(AdminError::Usage(vec![message.to_owned()]));
    };
    // Case is ignored, as everywhere in names.
    if answer.trim().to_lowercase() == expected.trim().to_lowercase() {
        Ok(())
    } else {
        Err(AdminError::NotConfirmed)
    }
}
