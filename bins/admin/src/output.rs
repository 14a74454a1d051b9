//! Stdout: results as JSON for programs, or as tables for people.

use std::io::Write;

use rustix::fs::{FileType, fstat, stat};
use serde_json::Value;

use crate::error::AdminError;
use crate::{escape, table};

/// Where a command prints its result.
pub struct Output<'a> {
    /// Stdout.
    pub writer: &'a mut dyn Write,
    /// Prints JSON, not tables.
    pub json: bool,
}

impl Output<'_> {
    /// Prints a result. A closed stdout is an error: the result may contain a new key.
    pub(crate) fn print(&mut self, result: &Value) -> Result<(), AdminError> {
        let text = if self.json {
            escape::json(&serde_json::to_string_pretty(result)?).into_owned()
        } else {
            table::render(result)
        };
        // Flushed here: an error during the exit of the process would go unnoticed.
        let written = writeln!(self.writer, "{text}").and_then(|()| self.writer.flush());
        written.map_err(AdminError::Output)
    }
}

/// Whether all output to stdout is lost without an error.
///
/// Rust opens `/dev/null` in place of a closed stdout (`>&-`), so that no file of the program gets
/// its number.
#[must_use]
pub fn stdout_is_lost() -> bool {
    let (Ok(stdout), Ok(null)) = (fstat(std::io::stdout()), stat("/dev/null")) else {
        // Without /dev/null, a closed stdout cannot be asked.
        return false;
    };
    FileType::from_raw_mode(stdout.st_mode) == FileType::CharacterDevice
        && stdout.st_rdev == null.st_rdev
}
