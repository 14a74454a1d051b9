//! Rows for `COPY … WITH (FORMAT binary)`, written as they go over the wire: from an event's members straight into a
//! buffer, without a row in between. (PostgreSQL's manual, COPY, "Binary Format".)

use std::io::Write;

use diesel::pg::{CopyFormat, CopyTarget};
use diesel::prelude::*;
use diesel::result::Error;

use super::super::quota::{self, GroupKey};
use super::super::schema::{event_keys, events};
use super::super::values::EPOCH_MICROS;
use crate::verdicts::Candidate;
use mercurio_domain::Timestamp;

/// Signature, flags, and the length of a header extension that there is not.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// In place of a row's number of columns: the end.
const TRAILER: i16 = -1;
/// In place of a field's length: no value.
const NULL: i32 = -1;
/// The number of the type `bigint` in every PostgreSQL.
const BIGINT: i32 = 20;
/// The bytes in front of an array's elements: how many dimensions, whether values are missing, the type, and a dimension's length and
/// first index.
const ARRAY_HEADER: usize = 20;
/// How much is gathered before it is handed on: what the socket takes at once, and small enough to stay in a cache.
const BUFFER_BYTES: usize = 64 * 1024;

/// Copies the keys of `rows` into `event_keys`, in their order, behind that of their group, where it has one. One that is taken fails
/// them all.
pub(super) fn keys(
    connection: &mut PgConnection,
    group: &[GroupKey],
    rows: &[Candidate<'_>],
) -> QueryResult<usize> {
    use event_keys::*;
    let columns = (tenant_id, key, workspace_id, occurred_at, received_at);
    if group.is_empty() {
        return copy(connection, (table, columns), rows, |row, out| out.key(5, row));
    }
    let columns = (tenant_id, key, workspace_id, occurred_at, received_at, counted);
    let first = |out: &mut Rows| {
        for row in group {
            out.row(6);
            out.bigint(quota::NOBODY.0);
            out.field(row.key.as_bytes());
            out.bigint(0);
            out.timestamptz(row.received_at);
            out.timestamptz(row.received_at);
            out.bigints(&row.counted);
        }
    };
    copy_behind(connection, (table, columns), first, rows, |row, out| {
        out.key(6, row);
        out.null();
    })
}

/// Copies the events of `rows` into `events`, in their order.
pub(super) fn events(connection: &mut PgConnection, rows: &[Candidate<'_>]) -> QueryResult<usize> {
    copy(connection, (events::table, events::all_columns), rows, |row, out| {
        let parts = row.event.parts();
        out.row(17);
        out.bigint(row.owner.tenant_id.0);
        out.bigint(row.owner.workspace_id.0);
        out.field(row.event.key().0.as_bytes());
        out.field(parts.event_id.as_str().as_bytes());
        out.field(parts.kind.as_str().as_bytes());
        out.field(parts.event_name.as_bytes());
        out.timestamptz(parts.occurred_at);
        out.timestamptz(row.received_at);
        match parts.sent_timestamp {
            Some(sent) => out.timestamptz(sent),
            None => out.null(),
        }
        out.text_if_any(parts.anonymous_id.as_deref());
        out.text_if_any(parts.user_id.as_deref());
        out.text_if_any(parts.session_id.as_deref());
        out.field(parts.schema_version.as_str().as_bytes());
        for object in [&parts.properties, &parts.traits, &parts.context] {
            out.text_if_any(object.as_ref().map(|object| object.as_str()));
        }
        out.field(row.event.enrichment().as_str().as_bytes());
    })
}

fn copy<T: Table, C: CopyTarget<Table = T>>(
    connection: &mut PgConnection,
    target: (T, C),
    rows: &[Candidate<'_>],
    write: impl Fn(&Candidate<'_>, &mut Rows),
) -> QueryResult<usize> {
    copy_behind(connection, target, |_| {}, rows, write)
}

/// Copies `rows` behind those that `first` writes.
fn copy_behind<T: Table, C: CopyTarget<Table = T>>(
    connection: &mut PgConnection,
    (table, columns): (T, C),
    first: impl Fn(&mut Rows),
    rows: &[Candidate<'_>],
    write: impl Fn(&Candidate<'_>, &mut Rows),
) -> QueryResult<usize> {
    let send = |sink: &mut dyn Write| -> Result<(), Error> {
        let failed = |error| Error::SerializationError(Box::new(error));
        let mut out = Rows { buffer: Vec::with_capacity(BUFFER_BYTES) };
        out.buffer.extend_from_slice(HEADER);
        first(&mut out);
        for row in rows {
            write(row, &mut out);
            if out.buffer.len() >= BUFFER_BYTES / 2 {
                sink.write_all(&out.buffer).map_err(failed)?;
                out.buffer.clear();
            }
        }
        out.row(TRAILER);
        sink.write_all(&out.buffer).map_err(failed)
    };
    diesel::copy_from(table)
        .from_raw_data(columns, send)
        .with_format(CopyFormat::Binary)
        .execute(connection)
}

/// Rows on their way to the socket.
struct Rows {
    buffer: Vec<u8>,
}

impl Rows {
    /// Begins a row of so many columns.
    fn row(&mut self, columns: i16) {
        self.buffer.extend_from_slice(&columns.to_be_bytes());
    }

    /// Begins a row of `event_keys`.
    fn key(&mut self, columns: i16, row: &Candidate<'_>) {
        self.row(columns);
        self.bigint(row.owner.tenant_id.0);
        self.field(row.event.key().0.as_bytes());
        self.bigint(row.owner.workspace_id.0);
        self.timestamptz(row.event.parts().occurred_at);
        self.timestamptz(row.received_at);
    }

    fn field(&mut self, bytes: &[u8]) {
        // The limits of requests keep every field far below 2 GiB.
        self.buffer.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.buffer.extend_from_slice(bytes);
    }

    fn null(&mut self) {
        self.buffer.extend_from_slice(&NULL.to_be_bytes());
    }

    fn text_if_any(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.field(text.as_bytes()),
            None => self.null(),
        }
    }

    fn bigint(&mut self, value: i64) {
        self.field(&value.to_be_bytes());
    }

    /// An array of one dimension that is counted from 1.
    fn bigints(&mut self, values: &[i64]) {
        let length = (ARRAY_HEADER + 12 * values.len()) as i32;
        for word in [length, 1, 0, BIGINT, values.len() as i32, 1] {
            self.buffer.extend_from_slice(&word.to_be_bytes());
        }
        for value in values {
            self.bigint(*value);
        }
    }

    fn timestamptz(&mut self, time: Timestamp) {
        // Every time of the domain is far from the ends of i64.
        self.bigint(time.as_micros().saturating_sub(EPOCH_MICROS));
    }
}
