//! Stdout: results as tables for people, or as JSON, YAML or CSV for programs.
//!
//! A member has the same name in every format. A pipe or a file gets JSON by default, and
//! never colours or a limit of width.

pub(crate) mod csv;
pub(crate) mod layout;
mod table;
mod words;
mod yaml;

use std::io::{self, Write};

use rustix::fs::{FileType, fstat, stat};
use serde_json::Value;

use crate::error::AdminError;
use crate::escape;
use crate::terminal::Terminal;
pub use layout::Layout;
use table::Look;

/// Formats of `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Format {
    Table,
    Json,
    Yaml,
    Csv,
}

impl Format {
    /// Names on the command line.
    pub(crate) const NAMES: [&'static str; 4] = ["table", "json", "yaml", "csv"];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "table" => Self::Table,
            "json" => Self::Json,
            "yaml" => Self::Yaml,
            "csv" => Self::Csv,
            _ => return None,
        })
    }
}

/// How a result was asked to be printed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// `None`: a table on a terminal, JSON otherwise.
    pub format: Option<Format>,
    /// The columns of the command's list.
    pub layout: Option<&'static Layout>,
    /// Chosen columns; empty: those of the layout.
    pub columns: Vec<&'static str>,
    /// All columns, and values in full.
    pub wide: bool,
}

/// Where a command prints its result.
pub struct Output<'a> {
    /// Stdout.
    pub writer: &'a mut dyn Write,
    /// How to print.
    pub style: Style,
    /// `None`: stdout is no terminal.
    pub terminal: Option<Terminal>,
}

impl Output<'_> {
    /// Prints a result. A closed stdout is an error: the result may contain a new key.
    pub(crate) fn print(&mut self, result: &Value) -> Result<(), AdminError> {
        let text = self.render(result)?;
        // Flushed here: an error during the exit of the process would go unnoticed.
        let written = self.writer.write_all(&text).and_then(|()| self.writer.flush());
        written.map_err(AdminError::Output)
    }

    /// Refuses columns for a format that always has all members. Call it before the command does
    /// anything.
    ///
    /// # Errors
    /// [`AdminError::Usage`].
    pub(crate) fn check(&self) -> Result<(), AdminError> {
        if !self.style.columns.is_empty() && matches!(self.format(), Format::Json | Format::Yaml) {
            let message = "--columns needs --output table or csv: JSON, which a pipe gets, and \
                           YAML have all members";
            return Err(AdminError::Usage(vec![message.to_owned()]));
        }
        Ok(())
    }

    fn format(&self) -> Format {
        let by_default = if self.terminal.is_some() { Format::Table } else { Format::Json };
        self.style.format.unwrap_or(by_default)
    }

    fn render(&self, result: &Value) -> Result<Vec<u8>, AdminError> {
        let Style { layout, ref columns, wide, .. } = self.style;
        let mut text = match self.format() {
            Format::Json => escape::json(&serde_json::to_string_pretty(result)?).into_owned(),
            Format::Yaml => return Ok(yaml::render(result).into_bytes()),
            Format::Csv => {
                let is_terminal = self.terminal.is_some();
                return csv::render(result, layout, columns, is_terminal)
                    .map_err(AdminError::Output);
            }
            Format::Table => {
                let width = self.terminal.map(|terminal| terminal.width).filter(|_| !wide);
                let colours = self.terminal.is_some_and(|terminal| terminal.colours);
                Look { layout, columns, wide, width, colours }.render(result)
            }
        };
        text.push('\n');
        Ok(text.into_bytes())
    }
}

/// Whether all output to stdout is lost without an error.
///
/// Rust opens `/dev/null` in place of a closed stdout (`>&-`), so that no file of the program gets
/// its number.
#[must_use]
pub fn stdout_is_lost() -> bool {
    let (Ok(stdout), Ok(null)) = (fstat(io::stdout()), stat("/dev/null")) else {
        // Without /dev/null, a closed stdout cannot be asked.
        return false;
    };
    FileType::from_raw_mode(stdout.st_mode) == FileType::CharacterDevice
        && stdout.st_rdev == null.st_rdev
}
