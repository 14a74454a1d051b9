//! The cases: loads on the server, and their figures.

use std::time::Duration;

use serde::Serialize;

use crate::error::Error;
use crate::events::{Ids, Shape, Wire};
use crate::load::{self, Load, LoadOutcome, Window};
use crate::process;
use crate::server::{Groups, Server};

/// The part of the report in which a case appears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// PostgreSQL, closed loop.
    Closed,
    /// PostgreSQL, open loop.
    Open,
    Sqlite,
    /// Two tenants at once.
    Fairness,
    /// PostgreSQL with many events stored.
    Preload,
}

/// A load to measure.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) connections: usize,
    /// Tenants, by turns.
    pub(crate) tenants: usize,
    /// Monthly quota of each tenant. 0 disables it.
    pub(crate) monthly_events: u64,
    /// Open loops that follow, in percent of the closed loop's rate.
    pub(crate) open_loop: &'static [u32],
}

/// Large enough for any run: the case measures the cost of counting, not of refusing.
const QUOTA: u64 = 1_000_000_000_000;

/// Returns the name of a case with nothing special.
pub(crate) fn plain_name(batch: usize, connections: usize) -> String {
    let events =
        if batch == 1 { "single events".to_owned() } else { format!("batches of {batch}") };
    format!("{events}, {connections} connections")
}

impl Case {
    /// One tenant without a quota, and random ids. 64 connections are followed by open loops.
    pub(crate) fn plain(batch: usize, connections: usize) -> Self {
        Self {
            name: plain_name(batch, connections),
            shape: Shape::plain(batch),
            connections,
            tenants: 1,
            monthly_events: 0,
            // One number of connections has open loops, to bound the time of a run.
            open_loop: if connections == 64 { &[30, 70] } else { &[] },
        }
    }

    /// A variant of the plain case with 64 connections, without open loops.
    fn special(batch: usize, name: &str) -> Self {
        let plain = Self::plain(batch, 64);
        Self { name: format!("{}, {name}", plain.name), open_loop: &[], ..plain }
    }

    fn duplicates(percent: u64) -> Self {
        let mut case = Self::special(50, &format!("{percent} % duplicates"));
        case.shape.duplicates_percent = percent;
        case
    }

    fn ids(name: &str, ids: Ids) -> Self {
        let mut case = Self::special(50, name);
        case.shape.ids = ids;
        case
    }

    fn tenants(batch: usize) -> Self {
        Self { tenants: 1_000, ..Self::special(batch, "1,000 tenants") }
    }

    fn quota(batch: usize) -> Self {
        Self { monthly_events: QUOTA, ..Self::special(batch, "a quota") }
    }

    fn tenants_with_quotas(batch: usize) -> Self {
        let case = Self::special(batch, "1,000 tenants, each with a quota");
        Self { tenants: 1_000, monthly_events: QUOTA, ..case }
    }

    fn large_events(batch: usize) -> Self {
        let mut case = Self::special(batch, "4 KiB an event");
        // A plain event has about 410 bytes, so a padded one has slightly less than 4 KiB.
        case.shape.padding_bytes = 4096 - 450;
        case
    }

    fn segment() -> Self {
        let mut case = Self::special(50, "Segment");
        case.shape.wire = Wire::Segment;
        case
    }

    fn gzip() -> Self {
        let mut case = Self::special(50, "gzip");
        case.shape.gzip = true;
        case
    }
}

/// Returns the cases on PostgreSQL in a closed loop. Cases to compare are neighbours.
pub(crate) fn closed() -> Vec<Case> {
    vec![
        Case::plain(50, 64),
        Case::segment(),
        Case::duplicates(1),
        Case::duplicates(50),
        Case::ids("ids ordered in time", Ids::Ordered),
        Case::ids("ids of any text", Ids::Text),
        Case::tenants(50),
        Case::quota(50),
        Case::tenants_with_quotas(50),
        Case::gzip(),
        Case::large_events(50),
        Case::large_events(10),
        Case::tenants(1),
        Case::tenants_with_quotas(1),
        Case::quota(1),
        Case::plain(1, 64),
        Case::plain(10, 64),
        Case::plain(50, 16),
        Case::plain(10, 16),
        Case::plain(1, 16),
        Case::plain(50, 256),
        Case::plain(10, 256),
        Case::plain(1, 256),
    ]
}

/// Returns the cases on SQLite.
pub(crate) fn sqlite() -> Vec<Case> {
    let mut cases = Vec::new();
    for batch in [50, 10, 1] {
        let plain = Case::plain(batch, 64);
        cases.push(Case { name: format!("SQLite, {}", plain.name), open_loop: &[], ..plain });
    }
    cases
}

/// The figures of a case in one round.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Sample {
    pub(crate) events_per_second: f64,
    pub(crate) requests_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    /// Requests without a 200.
    pub(crate) failures: u64,
    /// CPU time in microseconds per event, user and system.
    pub(crate) server_cpu_us: f64,
    pub(crate) database_cpu_us: f64,
    pub(crate) client_cpu_us: f64,
    /// WAL bytes per event.
    pub(crate) wal_bytes: f64,
    /// Peak resident memory of the server.
    pub(crate) server_memory_bytes: u64,
    /// Average events per group.
    pub(crate) group_events: f64,
    pub(crate) largest_group: u64,
    /// Groups with an unexpected duplicate, in percent.
    pub(crate) fallbacks_percent: f64,
    /// The figure to compare with: rows per second of the baseline, the same figure of the other
    /// case, or, in an open loop, the requests per second of the closed loop.
    pub(crate) reference: f64,
    /// Peak size of SQLite's WAL file.
    pub(crate) largest_wal_bytes: u64,
}

impl Sample {
    /// Returns the rate as a multiple of its reference.
    pub(crate) fn ratio(&self) -> f64 {
        self.events_per_second / self.reference
    }
}

/// Returns the number of WAL bytes written so far.
pub(crate) type WalPosition<'a> = &'a mut dyn FnMut() -> Result<f64, Error>;

/// Measures a case once, at `rate` requests per second or as fast as the server responds.
pub(crate) fn measure(
    case: &Case,
    server: &Server,
    wal: WalPosition<'_>,
    window: Window,
    rate: Option<f64>,
) -> Result<Sample, Error> {
    let load = Load {
        addr: server.addr,
        keys: server.keys(case.tenants),
        shape: case.shape,
        connections: case.connections,
        rate,
    };
    let samples = measure_all(&[load], server, wal, window)?;
    samples.into_iter().next().ok_or_else(|| "no load".into())
}

/// Measures several loads at once. CPU, WAL and groups of each sample are those of all loads
/// together.
pub(crate) fn measure_all(
    loads: &[Load],
    server: &Server,
    wal: WalPosition<'_>,
    window: Window,
) -> Result<Vec<Sample>, Error> {
    let mut before = None;
    // `load::run` takes the first snapshot when the warm-up ends.
    let outcomes = load::run(loads, window, || before = Some(Snapshot::take(server, wal)))?;
    let before = before.ok_or("the load ended before its warm-up did")??;
    let after = Snapshot::take(server, wal)?;
    // At least 1, because a load without any success must not divide by zero.
    let events = outcomes.iter().map(|outcome| outcome.events).sum::<u64>().max(1) as f64;
    let groups = (after.groups.committed - before.groups.committed).max(1) as f64;
    let shared = Sample {
        server_cpu_us: micros_between(before.server, after.server) / events,
        database_cpu_us: micros_between(before.database, after.database) / events,
        client_cpu_us: micros_between(before.client, after.client) / events,
        wal_bytes: (after.wal - before.wal) / events,
        // The kernel keeps the peak since the start, so the warm-up counts.
        server_memory_bytes: process::peak_memory(server.pid()),
        group_events: (after.groups.events - before.groups.events) as f64 / groups,
        largest_group: after.groups.largest,
        fallbacks_percent: (after.groups.fallbacks - before.groups.fallbacks) as f64 / groups
            * 100.0,
        ..Sample::default()
    };
    Ok(outcomes.iter().map(|outcome| with_outcome(&shared, outcome)).collect())
}

fn with_outcome(shared: &Sample, outcome: &LoadOutcome) -> Sample {
    Sample {
        events_per_second: outcome.rate(),
        requests_per_second: outcome.requests as f64 / outcome.seconds,
        p50_ms: outcome.quantile_ms(0.5),
        p90_ms: outcome.quantile_ms(0.9),
        p99_ms: outcome.quantile_ms(0.99),
        p999_ms: outcome.quantile_ms(0.999),
        failures: outcome.failures,
        ..shared.clone()
    }
}

/// A PostgreSQL process that ends takes its CPU time along, so the later figure can be the smaller
/// one.
fn micros_between(before: Duration, after: Duration) -> f64 {
    after.saturating_sub(before).as_secs_f64() * 1e6
}

/// The use of all processes at one moment.
struct Snapshot {
    server: Duration,
    database: Duration,
    client: Duration,
    wal: f64,
    groups: Groups,
}

impl Snapshot {
    fn take(server: &Server, wal: WalPosition<'_>) -> Result<Self, Error> {
        Ok(Self {
            server: process::cpu(server.pid()),
            // All processes of the name: backends, WAL writer, checkpointer.
            database: process::cpu_of_all("postgres"),
            client: process::cpu(std::process::id()),
            wal: wal()?,
            groups: server.groups()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn cases_have_distinct_names_and_quotas_where_named() {
        let cases = [closed(), sqlite()].concat();
        let names: HashSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        // 23 cases on PostgreSQL and 3 on SQLite.
        assert_eq!((cases.len(), names.len()), (26, 26));
        for case in &cases {
            assert_eq!(case.name.contains("quota"), case.monthly_events > 0, "{}", case.name);
            assert_eq!(case.name.contains("1,000 tenants"), case.tenants > 1, "{}", case.name);
        }
        assert!(names.contains("batches of 50, 64 connections, a quota"));
    }
}
