//! The PostgreSQL baseline: the same rows by `COPY BINARY` from one connection, in groups, into one table with the constraints
//! that exclude duplicates.
//!
//! Every ratio refers to it, so it stays as it is when Mercurio's own tables change.

use std::io::Write;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::CopyFormat;
use diesel::prelude::*;
use mercurio_domain::Clock;
use mercurio_runtime::system::SystemClock;

use crate::error::Error;
use crate::events::{Ids, Random};

mod schema;

use schema::baseline;

const TABLE: &str = "
    CREATE TABLE baseline (
        tenant_id bigint NOT NULL, event_id text NOT NULL, workspace_id bigint NOT NULL, event_name text NOT NULL,
        occurred_at timestamptz NOT NULL, received_at timestamptz NOT NULL, user_id text, session_id text,
        properties jsonb, context jsonb, PRIMARY KEY (tenant_id, event_id));
    CREATE INDEX baseline_by_time ON baseline (tenant_id, workspace_id, occurred_at);";

/// Rows of a `COPY`.
const GROUP: usize = 2_000;
/// Microseconds from 1970 to 2000, the epoch of PostgreSQL.
const EPOCH_OFFSET: i64 = 946_684_800_000_000;

/// Creates the table, empty.
pub(crate) fn prepare(connection: &mut PgConnection) -> Result<(), Error> {
    connection.batch_execute("DROP TABLE IF EXISTS baseline")?;
    connection.batch_execute(TABLE)?;
    Ok(())
}

/// Copies for `length` and returns the rows per second.
pub(crate) fn measure(connection: &mut PgConnection, length: Duration) -> Result<f64, Error> {
    prepare(connection)?;
    // The seed contains the time, so no run repeats the keys of another.
    let mut random = Random::fresh(0);
    let mut rows = 0;
    let start = Instant::now();
    // The last group ends late, so the rate uses the elapsed time.
    while start.elapsed() < length {
        rows += copy(connection, &group(&mut random))?;
    }
    Ok(rows as f64 / start.elapsed().as_secs_f64())
}

fn copy(connection: &mut PgConnection, group: &[u8]) -> QueryResult<usize> {
    diesel::copy_from(baseline::table)
        .from_raw_data(baseline::table, |writer: &mut dyn Write| {
            writer
                .write_all(group)
                .map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))
        })
        .with_format(CopyFormat::Binary)
        .execute(connection)
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct BaselineKey {
    tenant_id: i64,
    event_id: String,
}

/// Returns a group of rows in the format of `COPY BINARY`, sorted by key. See "Binary Format" at `COPY` in the PostgreSQL manual.
fn group(random: &mut Random) -> Vec<u8> {
    // One reading of the clock serves the whole group.
    let now = (SystemClock.now().as_micros() - EPOCH_OFFSET).to_be_bytes();
    let mut keys = Vec::with_capacity(GROUP);
    for _ in 0..GROUP {
        let event_id = random.uuid(Ids::Random).to_string();
        keys.push(BaselineKey { tenant_id: random.below(100) as i64, event_id });
    }
    // Sorted keys visit each page of the index once.
    keys.sort_unstable();
    let mut out = Vec::with_capacity(GROUP * 500);
    // Signature, flags, and the length of the header's extension.
    out.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    for BaselineKey { tenant_id, event_id } in keys {
        out.extend_from_slice(&10_i16.to_be_bytes());
        field(&mut out, &tenant_id.to_be_bytes());
        field(&mut out, event_id.as_bytes());
        field(&mut out, &tenant_id.to_be_bytes());
        field(&mut out, b"order_completed");
        field(&mut out, &now);
        field(&mut out, &now);
        field(&mut out, format!("user-{}", random.below(100_000)).as_bytes());
        field(&mut out, format!("session-{}", random.below(100_000)).as_bytes());
        // A binary `jsonb` begins with its version, 1.
        field(&mut out, format!("\x01{}", properties(random)).as_bytes());
        field(&mut out, format!("\x01{CONTEXT}").as_bytes());
    }
    // In place of a number of fields, -1 ends the data.
    out.extend_from_slice(&(-1_i16).to_be_bytes());
    out
}

/// The context of every baseline row, as [`crate::events`] sends it.
pub(crate) const CONTEXT: &str = r#"{"app":{"name":"shop","version":"4.2.1"},"locale":"de-DE","screen":{"width":1179,"height":2556}}"#;

/// Returns the properties of a baseline row, like those of [`crate::events`].
pub(crate) fn properties(random: &mut Random) -> String {
    let order = random.below(1_000_000);
    format!(
        r#"{{"order":{order},"total":129.90,"currency":"EUR","items":3,"coupon":null,"express":true,"note":""}}"#
    )
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    // PostgreSQL limits a field to 2 GiB; ours have a few hundred bytes.
    out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes);
}
