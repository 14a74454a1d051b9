//! What is measured, and its goals.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::Failure;
use crate::events::{Ids, Shape};
use crate::load::{self, Load};
use crate::process;
use crate::server::Server;

/// A case: the load, and what its rate is compared with.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    /// How events are made.
    pub shape: Shape,
    /// Connections.
    pub connections: usize,
    /// The goal, as a ratio to the floor of the same round, if it has one.
    pub goal: Option<f64>,
}

/// What was measured of a case in one round.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Sample {
    /// Events per second.
    pub events_per_second: f64,
    /// Times of requests, in milliseconds.
    pub p50_ms: f64,
    /// See above.
    pub p90_ms: f64,
    /// See above.
    pub p99_ms: f64,
    /// See above.
    pub p999_ms: f64,
    /// Requests that got no 200.
    pub failures: u64,
    /// CPU time of the server, in microseconds an event.
    pub server_cpu_us: f64,
    /// CPU time of the database, in microseconds an event.
    pub database_cpu_us: f64,
    /// CPU time of the clients, in microseconds an event.
    pub client_cpu_us: f64,
    /// WAL, in bytes an event.
    pub wal_bytes: f64,
    /// The most memory that the server has had, in bytes.
    pub server_memory_bytes: u64,
}

/// The cases of a whole run.
#[must_use]
pub fn all() -> Vec<Case> {
    let shape = Shape { batch: 50, ids: Ids::Random, duplicates_percent: 0, padding_bytes: 0 };
    let case = |name, batch, connections, goal| Case { name, shape: Shape { batch, ..shape }, connections, goal };
    vec![
        case("batches of 50, 64 connections", 50, 64, Some(2.0)),
        case("batches of 10, 64 connections", 10, 64, Some(1.5)),
        case("single events, 64 connections", 1, 64, Some(0.6)),
        case("batches of 50, 16 connections", 50, 16, None),
        case("batches of 50, 256 connections", 50, 256, None),
        case("batches of 10, 256 connections", 10, 256, None),
        Case { shape: Shape { duplicates_percent: 1, ..shape }, ..case("batches of 50, 1 % duplicates", 50, 64, None) },
        Case {
            shape: Shape { duplicates_percent: 50, ..shape },
            ..case("batches of 50, 50 % duplicates", 50, 64, None)
        },
        Case {
            shape: Shape { ids: Ids::Ordered, ..shape },
            ..case("batches of 50, ids ordered in time", 50, 64, None)
        },
        Case { shape: Shape { ids: Ids::Text, ..shape }, ..case("batches of 50, ids of any text", 50, 64, None) },
    ]
}

/// Measures a case once.
///
/// # Errors
/// Where the load breaks off or the database does not say how much WAL it wrote.
pub fn measure(
    case: &Case,
    server: &Server,
    connection: Option<&mut PgConnection>,
    length: Duration,
) -> Result<Sample, Failure> {
    let load = Load {
        addr: server.addr,
        keys: server.keys.iter().map(|key| key.expose().to_owned()).collect(),
        shape: case.shape,
        connections: case.connections,
        length,
        rate: None,
    };
    let cpu = || (process::cpu(server.pid()), process::cpu_of_all("postgres"), process::cpu(std::process::id()));
    let mut connection = connection;
    let wal = connection.as_deref_mut().map(wal_position).transpose()?;
    let before = cpu();
    let outcome = load::run(&load)?;
    let after = cpu();
    let wal = match (wal, connection) {
        (Some(start), Some(connection)) => (wal_position(connection)? - start) as f64,
        _ => 0.0,
    };
    let events = outcome.events.max(1) as f64;
    let each = |before: Duration, after: Duration| (after - before).as_secs_f64() * 1e6 / events;
    Ok(Sample {
        events_per_second: outcome.rate(),
        p50_ms: outcome.quantile_ms(0.5),
        p90_ms: outcome.quantile_ms(0.9),
        p99_ms: outcome.quantile_ms(0.99),
        p999_ms: outcome.quantile_ms(0.999),
        failures: outcome.failures,
        server_cpu_us: each(before.0, after.0),
        database_cpu_us: each(before.1, after.1),
        client_cpu_us: each(before.2, after.2),
        wal_bytes: wal / events,
        server_memory_bytes: process::peak_memory(server.pid()),
    })
}

#[derive(QueryableByName)]
struct Position {
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

fn wal_position(connection: &mut PgConnection) -> Result<i64, Failure> {
    let query = diesel::sql_query("SELECT (pg_current_wal_lsn() - '0/0')::bigint AS bytes");
    Ok(query.get_result::<Position>(connection)?.bytes)
}
