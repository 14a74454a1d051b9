//! What the write path is to reach, next to what it reached.

use std::fmt;

use crate::cases::{Sample, plain_name};
use crate::tables::{Report, Row, median};

/// A goal, and what was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    what: &'static str,
    bound: Bound,
    /// What it is counted in, after the figure.
    unit: &'static str,
    measured: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    /// Whether it was reached; `None` where it was not measured.
    #[must_use]
    pub fn is_met(&self) -> Option<bool> {
        self.measured.map(|measured| match self.bound {
            Bound::AtLeast(bound) => measured >= bound,
            Bound::AtMost(bound) => measured <= bound,
        })
    }
}

impl fmt::Display for Goal {
    /// A row of a table in Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, bound) = match self.bound {
            Bound::AtLeast(bound) => ("≥", bound),
            Bound::AtMost(bound) => ("≤", bound),
        };
        let measured = self
            .measured
            .map_or("–".to_owned(), |measured| format!("{measured:.2}{}", self.unit));
        let verdict = match self.is_met() {
            Some(true) => "met",
            Some(false) => "not met",
            None => "not run",
        };
        write!(f, "| {} | {sign} {bound}{} | {measured} | {verdict} |", self.what, self.unit)
    }
}

/// Every goal.
#[must_use]
pub fn all(report: &Report) -> Vec<Goal> {
    use Bound::{AtLeast, AtMost};
    let figure =
        |name: &str, figure: fn(&Sample) -> f64| report.row(name).map(|row| row.of(figure));
    let plain = |batch, connections, of| figure(&plain_name(batch, connections), of);
    let memory = [1, 10, 50]
        .iter()
        .filter_map(|batch| plain(*batch, 256, |sample| sample.server_memory_bytes as f64));
    let memory = memory.reduce(f64::max).map(|bytes| bytes / f64::from(1 << 20));
    let wal =
        figure("SQLite, batches of 50, 64 connections", |sample| sample.largest_wal_bytes as f64);
    let fairness = report.rows.iter().filter(|row| row.name.starts_with("fairness"));
    let fairness =
        fairness.map(|row| row.of(|sample| sample.p99_ms / sample.baseline)).reduce(f64::max);
    let goal = |what, bound, unit, measured| Goal { what, bound, unit, measured };
    vec![
        goal(
            "PostgreSQL, batches of 50, 64 connections",
            AtLeast(2.0),
            " × floor",
            plain(50, 64, Sample::ratio),
        ),
        goal(
            "PostgreSQL, batches of 10, 64 connections",
            AtLeast(1.5),
            " × floor",
            plain(10, 64, Sample::ratio),
        ),
        goal(
            "PostgreSQL, single events, 64 connections",
            AtLeast(0.6),
            " × floor",
            plain(1, 64, Sample::ratio),
        ),
        goal(
            "single events, p99",
            AtMost(4.0),
            " × p50",
            plain(1, 64, |sample| sample.p99_ms / sample.p50_ms),
        ),
        goal("against the naive way, single events", AtLeast(10.0), " ×", against_naive(report, 1)),
        goal("against the naive way, batches of 50", AtLeast(8.0), " ×", against_naive(report, 50)),
        goal(
            "50 million events stored, batches of 50",
            AtLeast(0.8),
            " of the empty rate",
            figure("50000000 events stored", Sample::ratio),
        ),
        goal("1 % duplicates", AtLeast(1.0), " × 0 %", against_plain(report, "1 % duplicates")),
        goal("50 % duplicates", AtLeast(1.0), " × 0 %", against_plain(report, "50 % duplicates")),
        goal(
            "open loop at 30 %, batches of 10, p50",
            AtMost(3.0),
            " ms",
            figure(&open(10, 30), |sample| sample.p50_ms),
        ),
        goal(
            "open loop at 30 %, batches of 10, p99",
            AtMost(12.0),
            " ms",
            figure(&open(10, 30), |sample| sample.p99_ms),
        ),
        goal("server memory, 256 connections", AtMost(96.0), " MiB", memory),
        goal(
            "SQLite, batches of 50, 64 connections",
            AtLeast(0.8),
            " × its floor",
            figure("SQLite, batches of 50, 64 connections", Sample::ratio),
        ),
        goal("SQLite's WAL", AtMost(64.0), " MiB", wal.map(|bytes| bytes / f64::from(1 << 20))),
        goal(
            "CPU of the server, batches of 50",
            AtMost(1.5),
            " µs an event",
            plain(50, 64, |sample| sample.server_cpu_us),
        ),
        goal("fairness: p99 beside a flood", AtMost(2.0), " × alone at the same load", fairness),
    ]
}

fn open(batch: usize, percent: u32) -> String {
    format!("{}, {percent} %", plain_name(batch, 64))
}

fn against_naive(report: &Report, batch: usize) -> Option<f64> {
    let naive = report.naive.iter().filter(|(events, _)| *events == batch).map(|(_, rate)| *rate);
    let row = report.row(&plain_name(batch, 64))?;
    Some(median(
        row.samples.iter().zip(naive).map(|(sample, naive)| sample.events_per_second / naive),
    ))
    .filter(|ratio| ratio.is_finite())
}

/// Ratio by ratio of the same round: the floors stand beside each case, and are divided out.
fn against_plain(report: &Report, special: &str) -> Option<f64> {
    let plain = report.row(&plain_name(50, 64))?;
    let special: &Row = report.row(&format!("{}, {special}", plain.name))?;
    Some(median(
        special
            .samples
            .iter()
            .zip(&plain.samples)
            .map(|(special, plain)| special.ratio() / plain.ratio()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Part;

    fn row(name: &str, sample: Sample) -> Row {
        Row { name: name.to_owned(), part: Part::Closed, samples: vec![sample] }
    }

    #[test]
    fn a_goal_is_met_missed_or_not_run() {
        let sample = |rate| Sample {
            events_per_second: rate,
            baseline: 100.0,
            server_cpu_us: 2.0,
            ..Sample::default()
        };
        let rows = vec![
            row(&plain_name(50, 64), sample(200.0)),
            row("batches of 50, 64 connections, 1 % duplicates", sample(190.0)),
        ];
        let report = Report { naive: vec![(50, 10.0)], rows, ..Report::default() };
        let told: Vec<String> = all(&report).iter().map(ToString::to_string).collect();
        for line in [
            "| PostgreSQL, batches of 50, 64 connections | ≥ 2 × floor | 2.00 × floor | met |",
            "| PostgreSQL, batches of 10, 64 connections | ≥ 1.5 × floor | – | not run |",
            "| against the naive way, batches of 50 | ≥ 8 × | 20.00 × | met |",
            "| 1 % duplicates | ≥ 1 × 0 % | 0.95 × 0 % | not met |",
            "| CPU of the server, batches of 50 | ≤ 1.5 µs an event | 2.00 µs an event | not met |",
        ] {
            assert!(told.iter().any(|goal| goal == line), "{line}\n{told:#?}");
        }
    }
}
