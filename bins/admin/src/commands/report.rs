//! Return value of a command.

use serde::Serialize;
use serde_json::Value;

use crate::error::{AdminError, Exit};

/// Output of a successful command. Not `Debug`, because the result may contain a new key.
pub struct Report {
    /// Goes to stdout; `None` if the command wrote there itself.
    pub result: Option<Value>,
    /// Messages for people; they go to stderr, one per line.
    pub notes: Vec<String>,
    /// [`Exit::Done`], unless `doctor` found an error.
    pub exit: Exit,
}

impl Report {
    pub(super) fn new(result: &impl Serialize) -> Result<Self, AdminError> {
        let result = Some(serde_json::to_value(result)?);
        Ok(Self { result, notes: Vec::new(), exit: Exit::Done })
    }

    pub(super) fn without_result() -> Self {
        Self { result: None, notes: Vec::new(), exit: Exit::Done }
    }

    pub(super) fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub(super) fn with_exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }
}
