//! A run: rounds over everything that is to be measured, each case on a database of its own.

use std::path::Path;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::cases::{self, Case, Part, Sample, plain_name, shape};
use crate::load::{Load, Window};
use crate::server::Server;
use crate::sqlite::Watch;
use crate::tables::{Report, Row};
use crate::{Failure, baseline, preload, sqlite};

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Rounds; what is reported is their median.
    pub rounds: usize,
    /// How long each case takes in a round.
    pub length: Duration,
    /// Measure only cases whose name has one of these texts, or is what stands behind a `=`. Empty: all.
    pub only: Vec<String>,
    /// Leave out requests at a rate.
    pub closed: bool,
    /// Also measure with so many events stored.
    pub preload: Vec<u64>,
}

/// Sent before anything is counted.
const WARM_UP: Duration = Duration::from_millis(700);

/// A run under way.
struct Run<'p> {
    plan: &'p Plan,
    server_url: String,
    admin: PgConnection,
    report: Report,
    /// The floor as it was last measured, in rows per second.
    floor: f64,
}

/// Measures everything in `plan` on the PostgreSQL server of `url`, whose database is used for the floor.
///
/// # Errors
/// What ended the run.
pub fn run(plan: &Plan, url: &str) -> Result<Report, Failure> {
    let (server_url, _) = url.rsplit_once('/').ok_or("the URL names no database")?;
    let admin = PgConnection::establish(url)?;
    let mut run = Run {
        plan,
        server_url: server_url.to_owned(),
        admin,
        report: Report::default(),
        floor: 0.0,
    };
    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        run.floor = run.measure_floor()?;
        run.closed_and_open(round)?;
        run.naive(url)?;
        run.sqlite()?;
        run.fairness()?;
    }
    run.preload()?;
    Ok(run.report)
}

impl Run<'_> {
    fn wants(&self, name: &str) -> bool {
        let is_meant = |only: &String| {
            only.strip_prefix('=').map_or(name.contains(only), |exact| name == exact)
        };
        self.plan.only.is_empty() || self.plan.only.iter().any(is_meant)
    }

    fn window(&self) -> Window {
        Window { warm_up: WARM_UP, measured: self.plan.length }
    }

    fn measure_floor(&mut self) -> Result<f64, Failure> {
        let floor = baseline::measure(&mut self.admin, self.plan.length / 2)?;
        self.report.floor.push(floor);
        Ok(floor)
    }

    /// An empty database for each case, or the later ones would pay for the earlier.
    fn new_database(&mut self, name: &str) -> Result<String, Failure> {
        self.admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))?;
        self.admin.batch_execute(&format!("CREATE DATABASE {name}"))?;
        self.admin.batch_execute("CHECKPOINT")?;
        Ok(format!("{}/{name}", self.server_url))
    }

    fn measure(
        &mut self,
        case: &Case,
        server: &Server,
        rate: Option<f64>,
    ) -> Result<Sample, Failure> {
        let (window, admin) = (self.window(), &mut self.admin);
        cases::measure(case, server, &mut || wal_position(admin), window, rate)
    }

    fn closed_and_open(&mut self, round: usize) -> Result<(), Failure> {
        let mut cases = cases::closed();
        // Whoever is first differs from round to round.
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
            for percent in case.open_loop.iter().filter(|_| !self.plan.closed) {
                let name = format!("{}, {percent} %", case.name);
                let sample =
                    self.measure(&case, &server, Some(reached * f64::from(*percent) / 100.0))?;
                self.report.add(Part::Open, &name, Sample { baseline: reached, ..sample });
            }
            drop(server);
            // The floor before and after: a machine that slows down in between slows both.
            let before = self.floor;
            self.floor = self.measure_floor()?;
            sample.baseline = (before + self.floor) / 2.0;
            self.report.add(Part::Closed, &case.name, sample);
        }
        Ok(())
    }

    fn naive(&mut self, url: &str) -> Result<(), Failure> {
        for batch in [1, 50] {
            if self.wants(&plain_name(batch, 64)) {
                let rate = baseline::naive(url, 64, batch, self.plan.length)?;
                self.report.naive.push((batch, rate));
            }
        }
        Ok(())
    }

    fn sqlite(&mut self) -> Result<(), Failure> {
        let cases: Vec<Case> =
            cases::sqlite().into_iter().filter(|case| self.wants(&case.name)).collect();
        if cases.is_empty() {
            return Ok(());
        }
        let floor = |run: &Self| -> Result<f64, Failure> {
            sqlite::measure(tempfile::tempdir()?.path(), run.plan.length / 2)
        };
        let mut before = floor(self)?;
        for case in cases {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("bench.db");
            let server = Server::start(&format!("sqlite://{}", path.display()), case.tenants)?;
            let watch = Watch::start(Path::new(&format!("{}-wal", path.display())));
            let mut sample = cases::measure(&case, &server, &mut || Ok(0.0), self.window(), None)?;
            sample.largest_wal_bytes = watch.largest();
            drop((watch, server));
            let after = floor(self)?;
            sample.baseline = (before + after) / 2.0;
            before = after;
            self.report.add(Part::Sqlite, &case.name, sample);
        }
        Ok(())
    }

    /// One tenant alone makes the whole load; then it is another tenant that makes all of it but one connection.
    fn fairness(&mut self) -> Result<(), Failure> {
        for connections in [64, 256] {
            let name =
                format!("fairness, a tenant beside one with {} connections", connections - 1);
            if !self.wants(&name) {
                continue;
            }
            let url = self.new_database("bench")?;
            let server = Server::start(&url, 2)?;
            let load = |key: String, connections| Load {
                addr: server.addr,
                keys: vec![key],
                shape: shape(50),
                connections,
                rate: None,
            };
            let keys = server.keys(2);
            let [flooding, quiet] =
                [0, 1].map(|tenant| keys.get(tenant).cloned().unwrap_or_default());
            let (window, admin) = (self.window(), &mut self.admin);
            let mut wal = || wal_position(admin);
            let alone =
                cases::measure_all(&[load(quiet.clone(), connections)], &server, &mut wal, window)?;
            let both = [load(flooding, connections - 1), load(quiet, 1)];
            let beside = cases::measure_all(&both, &server, &mut wal, window)?;
            let baseline = alone.first().map_or(f64::NAN, |(_, sample)| sample.p99_ms);
            if let Some((_, sample)) = beside.into_iter().next_back() {
                self.report.add(Part::Fairness, &name, Sample { baseline, ..sample });
            }
        }
        Ok(())
    }

    /// Batches of 50 into an empty database and into one that holds many events, in turns.
    fn preload(&mut self) -> Result<(), Failure> {
        for count in self.plan.preload.clone() {
            eprintln!("filling a database with {count} events");
            let url = self.new_database("bench_full")?;
            // Makes the schema and the first tenant.
            drop(Server::start(&url, 1)?);
            preload::fill(&url, count)?;
            let case = Case {
                name: plain_name(50, 64),
                shape: shape(50),
                connections: 64,
                tenants: 1,
                monthly_events: 0,
                open_loop: &[],
            };
            for _ in 0..self.plan.rounds {
                let empty = self.new_database("bench")?;
                let server = Server::start(&empty, 1)?;
                let baseline = self.measure(&case, &server, None)?.events_per_second;
                drop(server);
                let server = Server::start(&url, 1)?;
                self.admin.batch_execute("CHECKPOINT")?;
                let sample = self.measure(&case, &server, None)?;
                self.report.add(
                    Part::Preload,
                    &format!("{count} events stored"),
                    Sample { baseline, ..sample },
                );
            }
            self.admin.batch_execute("DROP DATABASE bench_full WITH (FORCE)")?;
        }
        Ok(())
    }
}

#[derive(QueryableByName)]
struct Position {
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

fn wal_position(connection: &mut PgConnection) -> Result<f64, Failure> {
    let query = diesel::sql_query("SELECT (pg_current_wal_lsn() - '0/0')::bigint AS bytes");
    Ok(query.get_result::<Position>(connection)?.bytes as f64)
}

impl Report {
    fn add(&mut self, part: Part, name: &str, sample: Sample) {
        eprintln!(
            "  {name}: {:.0} events/s, {:.2} of {:.0}",
            sample.events_per_second,
            sample.ratio(),
            sample.baseline
        );
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.samples.push(sample),
            None => self.rows.push(Row { name: name.to_owned(), part, samples: vec![sample] }),
        }
    }
}
