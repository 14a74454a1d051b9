//! `COPY … WITH (FORMAT binary)`: encodes events straight into the wire format, without
//! intermediate rows. See PostgreSQL's manual, COPY, "Binary Format".

use std::io::Write;

use diesel::pg::{CopyFormat, CopyTarget};
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use mercurio_domain::Timestamp;

use super::super::schema::{event_keys, events};
use super::super::values::EPOCH_MICROS;
use crate::verdicts::Candidate;

/// The signature, no flags, and an empty header extension.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Ends the data, in place of a row's number of columns.
const TRAILER: i16 = -1;
/// A NULL, in place of a field's length.
const NULL: i32 = -1;
/// Buffer size in bytes: about what the socket takes at once, and small enough for the CPU cache.
const BUFFER_BYTES: usize = 64 * 1024;

/// Copies the keys of `rows` into `event_keys`, in their order, at a position of the feed. One
/// duplicate fails the statement.
pub(super) fn keys(
    connection: &mut PgConnection,
    rows: &[Candidate<'_>],
    position: i64,
) -> QueryResult<usize> {
    use event_keys::{
        key, occurred_at, position as position_column, received_at, table, tenant_id, workspace_id,
    };
    // The order of `write_key`, which encodes the fields.
    let columns = (tenant_id, key, workspace_id, occurred_at, received_at, position_column);
    copy(connection, table, columns, rows, |row, out| write_key(row, position, out))
}

/// Copies `rows` into `events`, in their order.
pub(super) fn events(connection: &mut PgConnection, rows: &[Candidate<'_>]) -> QueryResult<usize> {
    copy(connection, events::table, events::all_columns, rows, write_event)
}

fn write_key(row: &Candidate<'_>, position: i64, out: &mut CopyBuffer) {
    // The number of fields precedes each row in the binary format.
    out.begin_row(6);
    out.bigint(row.owner.tenant_id.0);
    out.field(row.event.key().0.as_bytes());
    out.bigint(row.owner.workspace_id.0);
    out.timestamptz(row.event.parts().occurred_at);
    out.timestamptz(row.received_at);
    out.bigint(position);
}

/// The fields in the order of `schema.rs`.
fn write_event(row: &Candidate<'_>, out: &mut CopyBuffer) {
    let parts = row.event.parts();
    out.begin_row(17);
    out.bigint(row.owner.tenant_id.0);
    out.bigint(row.owner.workspace_id.0);
    out.field(row.event.key().0.as_bytes());
    // `text` in binary form is its UTF-8 bytes.
    out.field(parts.event_id.as_str().as_bytes());
    out.field(parts.kind.as_str().as_bytes());
    out.field(parts.event_name.as_bytes());
    out.timestamptz(parts.occurred_at);
    out.timestamptz(row.received_at);
    match parts.sent_timestamp {
        Some(sent) => out.timestamptz(sent),
        None => out.null(),
    }
    out.optional_text(parts.anonymous_id.as_deref());
    out.optional_text(parts.user_id.as_deref());
    out.optional_text(parts.session_id.as_deref());
    out.field(parts.schema_version.as_str().as_bytes());
    // `json` too; `jsonb` would have a version byte in front.
    for object in [&parts.properties, &parts.traits, &parts.context] {
        out.optional_text(object.as_ref().map(|object| object.as_str()));
    }
    out.field(row.event.enrichment().as_str().as_bytes());
}

fn copy<T: Table, C: CopyTarget<Table = T>>(
    connection: &mut PgConnection,
    table: T,
    columns: C,
    rows: &[Candidate<'_>],
    write: impl Fn(&Candidate<'_>, &mut CopyBuffer),
) -> QueryResult<usize> {
    diesel::copy_from(table)
        .from_raw_data(columns, |sink: &mut dyn Write| {
            send(sink, rows, &write)
                // The write fails when the connection broke, and the retry detects that itself.
                .map_err(|error| DieselError::SerializationError(Box::new(error)))
        })
        .with_format(CopyFormat::Binary)
        .execute(connection)
}

fn send(
    sink: &mut dyn Write,
    rows: &[Candidate<'_>],
    write: &impl Fn(&Candidate<'_>, &mut CopyBuffer),
) -> std::io::Result<()> {
    let mut out = CopyBuffer { bytes: Vec::with_capacity(BUFFER_BYTES) };
    out.bytes.extend_from_slice(HEADER);
    for row in rows {
        write(row, &mut out);
        // At half, so that the next row rarely grows the buffer.
        if out.bytes.len() >= BUFFER_BYTES / 2 {
            sink.write_all(&out.bytes)?;
            out.bytes.clear();
        }
    }
    out.begin_row(TRAILER);
    sink.write_all(&out.bytes)
}

/// Encoded rows not yet sent.
struct CopyBuffer {
    bytes: Vec<u8>,
}

impl CopyBuffer {
    fn begin_row(&mut self, columns: i16) {
        // All integers of the protocol are in network byte order.
        self.bytes.extend_from_slice(&columns.to_be_bytes());
    }

    fn field(&mut self, bytes: &[u8]) {
        // Request limits keep every field far below 2 GiB.
        debug_assert!(i32::try_from(bytes.len()).is_ok(), "a field is shorter than 2 GiB");
        self.bytes.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.bytes.extend_from_slice(bytes);
    }

    fn null(&mut self) {
        self.bytes.extend_from_slice(&NULL.to_be_bytes());
    }

    fn optional_text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.field(text.as_bytes()),
            None => self.null(),
        }
    }

    fn bigint(&mut self, value: i64) {
        self.field(&value.to_be_bytes());
    }

    fn timestamptz(&mut self, time: Timestamp) {
        // Saturates only for times far outside the domain's range.
        self.bigint(time.as_micros().saturating_sub(EPOCH_MICROS));
    }
}
