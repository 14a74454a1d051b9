//! Asks before a command deletes data or ends a key.

use crate::error::AdminError;
use crate::machine::Machine;

/// What the person at the terminal is asked.
pub(super) struct Question {
    /// Says what will be done, and ends with the answer to type.
    pub(super) text: String,
    /// The answer, in any case.
    pub(super) expected: String,
}

impl Question {
    /// Asks for a `yes` after `text`.
    pub(super) fn yes(text: &str) -> Self {
        Self { text: format!("{text}\nType yes to continue: "), expected: "yes".to_owned() }
    }
}

/// Returns if `yes` was given, or if the person at the terminal gives the expected answer. The
/// question is made only if it is asked: it may count rows.
///
/// # Errors
/// [`AdminError::Usage`] without a terminal, so that a script fails instead of waiting. [`AdminError::NotConfirmed`] after
/// another answer.
pub(super) fn confirm(
    machine: &Machine<'_>,
    yes: bool,
    question: impl FnOnce() -> Result<Question, AdminError>,
) -> Result<(), AdminError> {
    if yes {
        return Ok(());
    }
    if !machine.stdin_is_terminal {
        let message = "this needs a confirmation, and stdin is not a terminal: give --yes";
        return Err(AdminError::Usage(vec![message.to_owned()]));
    }
    let Question { text, expected } = question()?;
    let answer = (machine.ask)(&text).ok_or(AdminError::NotConfirmed)?;
    // Case is ignored, as everywhere in names.
    if answer.trim().to_lowercase() == expected.trim().to_lowercase() {
        Ok(())
    } else {
        Err(AdminError::NotConfirmed)
    }
}
