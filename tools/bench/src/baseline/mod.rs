//! The raw floor: the same rows by COPY BINARY from one connection, in groups, into the plainest table that keeps the promise
//! of no duplicates. The baseline of every ratio; it stays as it is when the product's own tables change.
//!
//! And the naive way, for comparison: a transaction for each request and an INSERT for each event, from as many connections
//! as there are clients.

use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use diesel::connection::SimpleConnection;
use diesel::pg::CopyFormat;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::Failure;
use crate::events::Random;

mod schema;

use schema::floor;

const TABLE: &str = "
    CREATE TABLE floor (
        tenant_id bigint NOT NULL, event_id text NOT NULL, workspace_id bigint NOT NULL, event_name text NOT NULL,
        occurred_at timestamptz NOT NULL, received_at timestamptz NOT NULL, user_id text, session_id text,
        properties jsonb, context jsonb, PRIMARY KEY (tenant_id, event_id));
    CREATE INDEX floor_by_time ON floor (tenant_id, workspace_id, occurred_at);";

/// Rows of a COPY.
const GROUP: usize = 2_000;
/// Microseconds from 1970 to 2000, where PostgreSQL's time begins.
const EPOCH_OFFSET: i64 = 946_684_800_000_000;

/// Makes the table, empty.
///
/// # Errors
/// The database's.
pub fn prepare(connection: &mut PgConnection) -> Result<(), Failure> {
    connection.batch_execute("DROP TABLE IF EXISTS floor")?;
    connection.batch_execute(TABLE)?;
    Ok(())
}

/// Copies for `length`, and returns the rows per second.
///
/// # Errors
/// The database's.
pub fn measure(connection: &mut PgConnection, length: Duration) -> Result<f64, Failure> {
    prepare(connection)?;
    let mut random = Random::fresh(0);
    let (mut rows, start) = (0, Instant::now());
    while start.elapsed() < length {
        let group = group(&mut random);
        let send = |writer: &mut dyn Write| {
            writer
                .write_all(&group)
                .map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))
        };
        rows += diesel::copy_from(floor::table)
            .from_raw_data(floor::table, send)
            .with_format(CopyFormat::Binary)
            .execute(connection)?;
    }
    Ok(rows as f64 / start.elapsed().as_secs_f64())
}

/// A group of rows in the format of COPY BINARY (PostgreSQL's manual, COPY, "Binary Format"), sorted by key.
fn group(random: &mut Random) -> Vec<u8> {
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
            - EPOCH_OFFSET;
    let mut rows: Vec<(i64, String)> = (0..GROUP)
        .map(|_| {
            let id = (u128::from(random.number()) << 64) | u128::from(random.number());
            let id = uuid::Builder::from_random_bytes(id.to_be_bytes()).into_uuid();
            (random.below(100) as i64, id.to_string())
        })
        .collect();
    rows.sort_unstable();
    let mut out = Vec::with_capacity(GROUP * 500);
    out.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    for (tenant_id, event_id) in rows {
        out.extend_from_slice(&10_i16.to_be_bytes());
        field(&mut out, &tenant_id.to_be_bytes());
        field(&mut out, event_id.as_bytes());
        field(&mut out, &tenant_id.to_be_bytes());
        field(&mut out, b"order_completed");
        field(&mut out, &now.to_be_bytes());
        field(&mut out, &now.to_be_bytes());
        field(&mut out, format!("user-{}", random.below(100_000)).as_bytes());
        field(&mut out, format!("session-{}", random.below(100_000)).as_bytes());
        field(&mut out, format!("\x01{}", properties(random)).as_bytes());
        field(&mut out, format!("\x01{CONTEXT}").as_bytes());
    }
    out.extend_from_slice(&(-1_i16).to_be_bytes());
    out
}

pub(crate) const CONTEXT: &str = r#"{"app":{"name":"shop","version":"4.2.1"},"locale":"de-DE","screen":{"width":1179,"height":2556}}"#;

pub(crate) fn properties(random: &mut Random) -> String {
    let order = random.below(1_000_000);
    format!(
        r#"{{"order":{order},"total":129.90,"currency":"EUR","items":3,"coupon":null,"express":true,"note":""}}"#
    )
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    // No field of ours comes near the limit of 2 GiB.
    out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// The naive way: each of `connections` threads stores requests of `batch` events, each request a transaction and each
/// event an INSERT. Returns the events per second.
///
/// # Errors
/// The database's.
pub fn naive(
    url: &str,
    connections: usize,
    batch: usize,
    length: Duration,
) -> Result<f64, Failure> {
    let mut first = PgConnection::establish(url)?;
    prepare(&mut first)?;
    let start = Instant::now();
    let stored: Result<Vec<usize>, Failure> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|client| {
                scope.spawn(move || naive_client(url, client as u64, batch, start, length))
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap_or_else(|_| Err("a client panicked".into())))
            .collect()
    });
    Ok(stored?.iter().sum::<usize>() as f64 / start.elapsed().as_secs_f64())
}

fn naive_client(
    url: &str,
    seed: u64,
    batch: usize,
    start: Instant,
    length: Duration,
) -> Result<usize, Failure> {
    let mut connection = PgConnection::establish(url)?;
    let mut random = Random::fresh(seed);
    let mut stored = 0;
    while start.elapsed() < length {
        connection.transaction::<_, diesel::result::Error, _>(|connection| {
            for _ in 0..batch {
                insert(connection, &mut random)?;
            }
            Ok(())
        })?;
        stored += batch;
    }
    Ok(stored)
}

fn insert(connection: &mut PgConnection, random: &mut Random) -> QueryResult<usize> {
    let id = (u128::from(random.number()) << 64) | u128::from(random.number());
    let id = uuid::Builder::from_random_bytes(id.to_be_bytes()).into_uuid().to_string();
    diesel::sql_query(
        "INSERT INTO floor VALUES ($1, $2, $1, 'order_completed', now(), now(), $3, $4, $5::jsonb, $6::jsonb) \
         ON CONFLICT DO NOTHING",
    )
    .bind::<BigInt, _>(random.below(100) as i64)
    .bind::<Text, _>(id)
    .bind::<Text, _>(format!("user-{}", random.below(100_000)))
    .bind::<Text, _>(format!("session-{}", random.below(100_000)))
    .bind::<Text, _>(properties(random))
    .bind::<Text, _>(CONTEXT)
    .execute(connection)
}
