//! A run: rounds over all cases, each case with an empty database.

use std::path::Path;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::cases::{self, Case, Part, Sample, plain_name};
use crate::error::Error;
use crate::events::Shape;
use crate::load::{Load, Window};
use crate::report::{InsertRate, Report};
use crate::server::Server;
use crate::sqlite::PeakSize;
use crate::{baseline, inserts, preload, sqlite};

/// The arguments of a run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// Duration of each case in a round.
    pub(crate) length: Duration,
    /// Measure only cases whose name contains one of these texts, or equals the text after `=`.
    /// Empty means all.
    pub(crate) only: Vec<String>,
    /// Skip the open loops.
    pub(crate) closed: bool,
    /// Numbers of stored events to measure with, too.
    pub(crate) preload: Vec<u64>,
}

/// Load before anything is counted.
const WARM_UP: Duration = Duration::from_millis(700);

/// A run under way.
struct Run<'p> {
    plan: &'p Plan,
    server_url: String,
    admin: PgConnection,
    report: Report,
    /// The last baseline, in rows per second.
    baseline: f64,
}

/// Measures everything in `plan` on the PostgreSQL server of `url`. The baseline uses the database
/// in `url`.
pub(crate) fn run(plan: &Plan, url: &str) -> Result<Report, Error> {
    // The cases replace the database in the URL by their own.
    let (server_url, _) = url.rsplit_once('/').ok_or("the URL names no database")?;
    let admin = PgConnection::establish(url)?;
    let mut run = Run {
        plan,
        server_url: server_url.to_owned(),
        admin,
        report: Report::default(),
        baseline: 0.0,
    };
    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        run.baseline = run.measure_baseline()?;
        run.closed_and_open(round)?;
        run.inserts(url)?;
        run.sqlite()?;
        run.fairness()?;
    }
    // Once, because filling takes much longer than a round.
    run.preload()?;
    Ok(run.report)
}

impl Run<'_> {
    fn wants(&self, name: &str) -> bool {
        let only = &self.plan.only;
        only.is_empty() || only.iter().any(|pattern| matches(pattern, name))
    }

    fn window(&self) -> Window {
        Window { warm_up: WARM_UP, measured: self.plan.length }
    }

    fn measure_baseline(&mut self) -> Result<f64, Error> {
        // Half of a case's time, because it runs before and after each case.
        let rate = baseline::measure(&mut self.admin, self.plan.length / 2)?;
        self.report.baseline.push(rate);
        Ok(rate)
    }

    /// Creates an empty database, so that no case pays for an earlier one.
    fn new_database(&mut self, name: &str) -> Result<String, Error> {
        // FORCE ends the connections of a killed server (PostgreSQL 13 and later).
        self.admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))?;
        self.admin.batch_execute(&format!("CREATE DATABASE {name}"))?;
        // The dirty pages of the last case must not be written during the next one.
        self.admin.batch_execute("CHECKPOINT")?;
        Ok(format!("{}/{name}", self.server_url))
    }

    fn measure(
        &mut self,
        case: &Case,
        server: &Server,
        rate: Option<f64>,
    ) -> Result<Sample, Error> {
        let (window, admin) = (self.window(), &mut self.admin);
        cases::measure(case, server, &mut || wal_position(admin), window, rate)
    }

    fn closed_and_open(&mut self, round: usize) -> Result<(), Error> {
        let mut cases = cases::closed();
        // Alternate the order: the first case of a round may have an advantage.
        if round % 2 == 1 {
            cases.reverse();
        }
        for case in cases {
            if !self.wants(&case.name) {
                continue;
            }
            let url = self.new_database("bench")?;
            let server = Server::with_quota(&url, case.tenants, case.monthly_events)?;
            let mut sample = self.measure(&case, &server, None)?;
            let reached = sample.requests_per_second;
            // Open loops continue on the same server and database.
            for percent in case.open_loop.iter().filter(|_| !self.plan.closed) {
                let name = format!("{}, {percent} %", case.name);
                let sample =
                    self.measure(&case, &server, Some(reached * f64::from(*percent) / 100.0))?;
                self.report.add(Part::Open, &name, Sample { reference: reached, ..sample });
            }
            drop(server);
            // The mean of before and after follows the drift of the machine.
            let before = self.baseline;
            self.baseline = self.measure_baseline()?;
            sample.reference = (before + self.baseline) / 2.0;
            self.report.add(Part::Closed, &case.name, sample);
        }
        Ok(())
    }

    fn inserts(&mut self, url: &str) -> Result<(), Error> {
        for batch in [1, 50] {
            if self.wants(&plain_name(batch, 64)) {
                let events_per_second = inserts::measure(url, 64, batch, self.plan.length)?;
                self.report.inserts.push(InsertRate { batch, events_per_second });
            }
        }
        Ok(())
    }

    fn sqlite(&mut self) -> Result<(), Error> {
        let cases: Vec<Case> =
            cases::sqlite().into_iter().filter(|case| self.wants(&case.name)).collect();
        if cases.is_empty() {
            return Ok(());
        }
        let mut before = self.sqlite_baseline()?;
        for case in cases {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("bench.db");
            let server = Server::start(&format!("sqlite://{}", path.display()), case.tenants)?;
            // SQLite appends `-wal` to the name of the file.
            let wal = PeakSize::start(Path::new(&format!("{}-wal", path.display())));
            // SQLite has no position in its WAL; the size of the file is measured instead.
            let mut sample = cases::measure(&case, &server, &mut || Ok(0.0), self.window(), None)?;
            sample.largest_wal_bytes = wal.bytes();
            // The baseline must not share the machine with the server.
            drop((wal, server));
            let after = self.sqlite_baseline()?;
            sample.reference = (before + after) / 2.0;
            before = after;
            self.report.add(Part::Sqlite, &case.name, sample);
        }
        Ok(())
    }

    fn sqlite_baseline(&self) -> Result<f64, Error> {
        sqlite::measure(tempfile::tempdir()?.path(), self.plan.length / 2)
    }

    /// One tenant makes the whole load. Then a second tenant makes all of it except for one
    /// connection, left to the first.
    fn fairness(&mut self) -> Result<(), Error> {
        for connections in [64, 256] {
            let name = format!("fairness, next to a tenant with {} connections", connections - 1);
            if !self.wants(&name) {
                continue;
            }
            let url = self.new_database("bench")?;
            let server = Server::start(&url, 2)?;
            let [flooding, quiet] = &server.keys(2)[..] else {
                return Err("the server has no two tenants".into());
            };
            let window = self.window();
            let admin = &mut self.admin;
            let mut wal = || wal_position(admin);
            let alone = [batches_of_50(&server, quiet, connections)];
            let alone = cases::measure_all(&alone, &server, &mut wal, window)?;
            let both = [
                batches_of_50(&server, flooding, connections - 1),
                batches_of_50(&server, quiet, 1),
            ];
            let both = cases::measure_all(&both, &server, &mut wal, window)?;
            if let ([alone], [_, quiet]) = (&alone[..], &both[..]) {
                let sample = Sample { reference: alone.p99_ms, ..quiet.clone() };
                self.report.add(Part::Fairness, &name, sample);
            }
        }
        Ok(())
    }

    /// Sends batches of 50 to an empty database and to one with many events, by turns.
    fn preload(&mut self) -> Result<(), Error> {
        for count in self.plan.preload.clone() {
            eprintln!("filling a database with {count} events");
            let url = self.new_database("bench_full")?;
            // Creates the schema and the first tenant.
            drop(Server::start(&url, 1)?);
            preload::fill(&url, count)?;
            let case = Case::plain(50, 64);
            for _ in 0..self.plan.rounds {
                let empty = self.new_database("bench")?;
                let server = Server::start(&empty, 1)?;
                let reference = self.measure(&case, &server, None)?.events_per_second;
                drop(server);
                let server = Server::start(&url, 1)?;
                // The empty database begins after a checkpoint too.
                self.admin.batch_execute("CHECKPOINT")?;
                let sample = self.measure(&case, &server, None)?;
                self.report.add(
                    Part::Preload,
                    &format!("{count} events stored"),
                    Sample { reference, ..sample },
                );
            }
            self.admin.batch_execute("DROP DATABASE bench_full WITH (FORCE)")?;
        }
        Ok(())
    }
}

/// Whether a name contains the pattern, or equals the text after `=`.
fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_prefix('=').map_or(name.contains(pattern), |exact| name == exact)
}

fn batches_of_50(server: &Server, key: &str, connections: usize) -> Load {
    Load {
        addr: server.addr,
        keys: vec![key.to_owned()],
        shape: Shape::plain(50),
        connections,
        rate: None,
    }
}

#[derive(QueryableByName)]
struct Position {
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

fn wal_position(connection: &mut PgConnection) -> Result<f64, Error> {
    // The difference of two positions is a number of bytes.
    let query = diesel::sql_query("SELECT (pg_current_wal_lsn() - '0/0')::bigint AS bytes");
    Ok(query.get_result::<Position>(connection)?.bytes as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: bool) {
        assert_eq!(matches(pattern, "batches of 50, a quota"), expected, "{pattern}");
    }

    #[test]
    fn pattern_matches_a_part_or_after_equals_the_whole_name() {
        check("quota", true);
        check("batches of 50", true);
        check("gzip", false);
        check("=batches of 50", false);
        check("=batches of 50, a quota", true);
    }
}
