//! `events export`: writes events to stdout page by page, so memory does not grow with their
//! number.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};

use mercurio_domain::event::{EXPORTED_MEMBERS, StoredEvent};
use mercurio_domain::store::{EventQuery, Store};
use mercurio_domain::tenant::Workspace;
use serde_json::value::RawValue;

use super::amount::amount;
use super::report::Report;
use super::{lookup, progress};
use crate::cli::ExportFormat;
use crate::error::AdminError;
use crate::escape;
use crate::output::csv;

/// How events are written.
#[derive(Clone, Copy)]
pub(super) struct Export {
    pub(super) format: ExportFormat,
    /// Escapes unprintable characters of CSV too; those of NDJSON always are.
    pub(super) is_terminal: bool,
}

impl Export {
    /// Writes the events that match `query` to `out`, one workspace after the other.
    ///
    /// # Errors
    /// [`AdminError::Export`] if `out` fails, [`AdminError::Store`] if the database does. Events already written stay
    /// written.
    pub(super) fn run(
        self,
        store: &dyn Store,
        workspaces: &[Workspace],
        query: &EventQuery,
        out: &mut dyn Write,
    ) -> Result<Report, AdminError> {
        let report = Report::without_result();
        match self.write_all(store, workspaces, query, out) {
            Ok(written) => Ok(report.with_note(format!("exported {}", amount(written, "event")))),
            // The reader has read enough, as `head` does.
            Err(AdminError::Export { source, .. })
                if source.kind() == io::ErrorKind::BrokenPipe =>
            {
                Ok(report)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the number of events written.
    fn write_all(
        self,
        store: &dyn Store,
        workspaces: &[Workspace],
        query: &EventQuery,
        out: &mut dyn Write,
    ) -> Result<u64, AdminError> {
        let mut writer =
            // 64 KiB: one system call for many events.
            EventWriter { out: BufWriter::with_capacity(1 << 16, out), export: self, written: 0 };
        writer.write_header()?;
        let progress = progress::counter("events written", None);
        for workspace in workspaces {
            // The cursor of one workspace must not carry over to the next.
            let mut query = query.clone();
            loop {
                // One query a page, without a long transaction: writers and vacuum are not held up.
                let page = store.events(lookup::owner(workspace), &query)?;
                for event in &page.events {
                    writer.write(event)?;
                }
                progress.set_position(writer.written);
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
        }
        progress.finish_and_clear();
        // The drop of a `BufWriter` ignores errors.
        writer.flush()?;
        Ok(writer.written)
    }

    /// Prepares the CSV cell of a JSON value.
    fn cell(self, json: &str) -> String {
        let cell = csv_cell(json);
        let cell = match self.format {
            ExportFormat::Csv { raw: true } => cell,
            _ => escape::formula(cell),
        };
        if self.is_terminal { escape::cell(&cell).into_owned() } else { cell }
    }
}

struct EventWriter<'a> {
    out: BufWriter<&'a mut dyn Write>,
    export: Export,
    written: u64,
}

impl EventWriter<'_> {
    fn write_header(&mut self) -> Result<(), AdminError> {
        match self.export.format {
            ExportFormat::Ndjson => Ok(()),
            ExportFormat::Csv { .. } => self.write_record(EXPORTED_MEMBERS),
        }
    }

    fn write(&mut self, event: &StoredEvent) -> Result<(), AdminError> {
        let line = serde_json::to_string(event)?;
        match self.export.format {
            ExportFormat::Ndjson => {
                self.write_bytes(escape::json_line(&line).as_bytes())?;
                self.write_bytes(b"\n")?;
            }
            ExportFormat::Csv { .. } => {
                // Raw values, so that numbers in payloads keep all their digits.
                let members: HashMap<&str, &RawValue> = serde_json::from_str(&line)?;
                debug_assert_eq!(
                    members.len(),
                    EXPORTED_MEMBERS.len(),
                    "an event has other members"
                );
                self.write_record(EXPORTED_MEMBERS.map(|column| match members.get(column) {
                    Some(value) => self.export.cell(value.get()),
                    None => String::new(),
                }))?;
            }
        }
        self.written += 1;
        Ok(())
    }

    fn write_record<T: AsRef<[u8]>>(
        &mut self,
        cells: impl IntoIterator<Item = T>,
    ) -> Result<(), AdminError> {
        let bytes = csv::record(cells).map_err(|source| self.stopped(source))?;
        self.write_bytes(&bytes)
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), AdminError> {
        self.out.write_all(bytes).map_err(|source| self.stopped(source))
    }

    fn flush(&mut self) -> Result<(), AdminError> {
        self.out.flush().map_err(|source| self.stopped(source))
    }

    fn stopped(&self, source: io::Error) -> AdminError {
        AdminError::Export { written: self.written, source }
    }
}

/// Converts JSON to a CSV cell: strings without quotes and escapes, an empty cell for `null`,
/// anything more complex as JSON.
fn csv_cell(json: &str) -> String {
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).unwrap_or_else(|_| json.to_owned()),
        // Only `null` begins with n.
        Some(b'n') => String::new(),
        _ => json.to_owned(),
    }
}
