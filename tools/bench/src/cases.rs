//! What is measured of the server, and how.

use std::time::Duration;

use serde::Serialize;

use crate::Failure;
use crate::events::{Ids, Shape};
use crate::load::{self, Load, Outcome, Window};
use crate::process;
use crate::server::{Groups, Server};

/// The part of the report that a case belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// PostgreSQL, clients that send as fast as they are answered.
    Closed,
    /// PostgreSQL, requests at a rate.
    Open,
    /// SQLite.
    Sqlite,
    /// Several tenants at once.
    Fairness,
    /// PostgreSQL with many events stored.
    Preload,
}

/// A case: the load.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is called.
    pub name: String,
    /// How events are made.
    pub shape: Shape,
    /// Connections.
    pub connections: usize,
    /// Tenants that take turns.
    pub tenants: usize,
    /// Their quota of a month; 0: none.
    pub monthly_events: u64,
    /// Shares of the reached rate, in percent, at which the open loop follows.
    pub open_loop: &'static [u32],
}

/// A quota that nobody reaches: what it costs is that it is counted.
const QUOTA: u64 = 1_000_000_000_000;

/// Random ids, nothing special.
#[must_use]
pub fn shape(batch: usize) -> Shape {
    Shape { batch, ids: Ids::Random, duplicates_percent: 0, padding_bytes: 0, gzip: false }
}

/// The name of a case without anything special.
#[must_use]
pub fn plain_name(batch: usize, connections: usize) -> String {
    let events =
        if batch == 1 { "single events".to_owned() } else { format!("batches of {batch}") };
    format!("{events}, {connections} connections")
}

fn case(batch: usize, connections: usize) -> Case {
    let open_loop: &[u32] = if connections == 64 { &[30, 70] } else { &[] };
    Case {
        name: plain_name(batch, connections),
        shape: shape(batch),
        connections,
        tenants: 1,
        monthly_events: 0,
        open_loop,
    }
}

/// The cases on PostgreSQL in a closed loop. Those that are compared stand side by side.
#[must_use]
pub fn closed() -> Vec<Case> {
    let mut cases = vec![case(50, 64)];
    let special = |name: &str, batch, change: &dyn Fn(&mut Case)| {
        let mut case = case(batch, 64);
        case.name = format!("{}, {name}", case.name);
        case.open_loop = &[];
        change(&mut case);
        case
    };
    cases.push(special("1 % duplicates", 50, &|case| case.shape.duplicates_percent = 1));
    cases.push(special("50 % duplicates", 50, &|case| case.shape.duplicates_percent = 50));
    cases.push(special("ids ordered in time", 50, &|case| case.shape.ids = Ids::Ordered));
    cases.push(special("ids of any text", 50, &|case| case.shape.ids = Ids::Text));
    cases.push(special("1,000 tenants", 50, &|case| case.tenants = 1_000));
    cases.push(special("a quota", 50, &|case| case.monthly_events = QUOTA));
    cases.push(special("1,000 tenants, each with a quota", 50, &|case| {
        (case.tenants, case.monthly_events) = (1_000, QUOTA);
    }));
    cases.push(special("gzip", 50, &|case| case.shape.gzip = true));
    cases.push(special("4 KiB an event", 50, &|case| case.shape.padding_bytes = 4096 - 450));
    cases.push(special("4 KiB an event", 10, &|case| case.shape.padding_bytes = 4096 - 450));
    cases.push(special("1,000 tenants", 1, &|case| case.tenants = 1_000));
    cases.push(special("1,000 tenants, each with a quota", 1, &|case| {
        (case.tenants, case.monthly_events) = (1_000, QUOTA);
    }));
    cases.push(special("a quota", 1, &|case| case.monthly_events = QUOTA));
    for (batch, connections) in
        [(1, 64), (10, 64), (50, 16), (10, 16), (1, 16), (50, 256), (10, 256), (1, 256)]
    {
        cases.push(case(batch, connections));
    }
    cases
}

/// The cases on SQLite.
#[must_use]
pub fn sqlite() -> Vec<Case> {
    let on_sqlite = |batch| Case {
        name: format!("SQLite, {}", plain_name(batch, 64)),
        open_loop: &[],
        ..case(batch, 64)
    };
    [50, 10, 1].map(on_sqlite).into()
}

/// What was measured of a case in one round.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Sample {
    /// Events per second.
    pub events_per_second: f64,
    /// Requests per second.
    pub requests_per_second: f64,
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
    /// Events of a group, on average.
    pub group_events: f64,
    /// Events of the largest group.
    pub largest_group: u64,
    /// Groups that took the slower way, in a hundred.
    pub fallbacks_percent: f64,
    /// Beside the case: the floor's rows per second (the rate of the case that it is compared with, where that is another).
    pub baseline: f64,
    /// SQLite's largest WAL, in bytes.
    pub largest_wal_bytes: u64,
}

/// Reads how many bytes of WAL were written.
pub type WalPosition<'a> = &'a mut dyn FnMut() -> Result<f64, Failure>;

/// Measures a case once, at `rate` requests per second where there is one.
///
/// # Errors
/// Where the load breaks off or the database does not say how much WAL it wrote.
pub fn measure(
    case: &Case,
    server: &Server,
    wal: WalPosition<'_>,
    window: Window,
    rate: Option<f64>,
) -> Result<Sample, Failure> {
    let load = Load {
        addr: server.addr,
        keys: server.keys(case.tenants),
        shape: case.shape,
        connections: case.connections,
        rate,
    };
    let outcomes = measure_all(&[load], server, wal, window)?;
    outcomes.into_iter().next().map(|(_, sample)| sample).ok_or_else(|| "no load".into())
}

/// Measures several loads at once. The CPU, WAL and groups of each sample are those of all of them together.
///
/// # Errors
/// See [`measure`].
pub fn measure_all(
    loads: &[Load],
    server: &Server,
    wal: WalPosition<'_>,
    window: Window,
) -> Result<Vec<(Outcome, Sample)>, Failure> {
    let mut before = None;
    let outcomes = load::run(loads, window, || before = Some(Snapshot::take(server, wal)))?;
    let before = before.ok_or("the load ended before it was warm")??;
    let after = Snapshot::take(server, wal)?;
    let events = outcomes.iter().map(|outcome| outcome.events).sum::<u64>().max(1) as f64;
    let each = |before: Duration, after: Duration| {
        after.saturating_sub(before).as_secs_f64() * 1e6 / events
    };
    let groups = (after.groups.committed - before.groups.committed).max(1) as f64;
    let sample = Sample {
        server_cpu_us: each(before.server, after.server),
        database_cpu_us: each(before.database, after.database),
        client_cpu_us: each(before.client, after.client),
        wal_bytes: (after.wal - before.wal) / events,
        server_memory_bytes: process::peak_memory(server.pid()),
        group_events: (after.groups.events - before.groups.events) as f64 / groups,
        largest_group: after.groups.largest,
        fallbacks_percent: (after.groups.fallbacks - before.groups.fallbacks) as f64 / groups
            * 100.0,
        ..Sample::default()
    };
    let told = |outcome: Outcome| {
        let sample = Sample {
            events_per_second: outcome.rate(),
            requests_per_second: outcome.requests as f64 / outcome.seconds,
            p50_ms: outcome.quantile_ms(0.5),
            p90_ms: outcome.quantile_ms(0.9),
            p99_ms: outcome.quantile_ms(0.99),
            p999_ms: outcome.quantile_ms(0.999),
            failures: outcome.failures,
            ..sample.clone()
        };
        (outcome, sample)
    };
    Ok(outcomes.into_iter().map(told).collect())
}

/// What the processes had used at one moment.
struct Snapshot {
    server: Duration,
    database: Duration,
    client: Duration,
    wal: f64,
    groups: Groups,
}

impl Snapshot {
    fn take(server: &Server, wal: WalPosition<'_>) -> Result<Self, Failure> {
        Ok(Self {
            server: process::cpu(server.pid()),
            database: process::cpu_of_all("postgres"),
            client: process::cpu(std::process::id()),
            wal: wal()?,
            groups: server.groups()?,
        })
    }
}
