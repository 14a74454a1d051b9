//! The goals of the write path, compared with a report.

use std::fmt;

use crate::cases::{Sample, plain_name};
use crate::report::{Report, ReportRow, median};

/// A goal and its measurement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Goal {
    case: &'static str,
    bound: Bound,
    /// Printed after the figure.
    unit: &'static str,
    /// `None` if the case was not run.
    measured: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn at_least(case: &'static str, bound: f64, unit: &'static str, measured: Option<f64>) -> Self {
        Self { case, bound: Bound::AtLeast(bound), unit, measured }
    }

    fn at_most(case: &'static str, bound: f64, unit: &'static str, measured: Option<f64>) -> Self {
        Self { case, bound: Bound::AtMost(bound), unit, measured }
    }

    /// `None` if the case was not run.
    fn is_met(&self) -> Option<bool> {
        self.measured.map(|measured| match self.bound {
            Bound::AtLeast(bound) => measured >= bound,
            Bound::AtMost(bound) => measured <= bound,
        })
    }
}

impl fmt::Display for Goal {
    /// Writes a row of a Markdown table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, bound, unit, measured } = self;
        let (sign, bound) = match bound {
            Bound::AtLeast(bound) => ("≥", bound),
            Bound::AtMost(bound) => ("≤", bound),
        };
        let verdict = match self.is_met() {
            Some(true) => "met",
            Some(false) => "not met",
            None => "not run",
        };
        write!(f, "| {case} | {sign} {bound}{unit} | ")?;
        match measured {
            Some(measured) => write!(f, "{measured:.2}{unit}")?,
            None => write!(f, "–")?,
        }
        write!(f, " | {verdict} |")
    }
}

/// Returns every goal.
pub(crate) fn all(report: &Report) -> Vec<Goal> {
    let figures = Figures { report };
    let mut goals = throughput(&figures);
    goals.extend(latency_and_cost(&figures));
    goals
}

fn throughput(figures: &Figures<'_>) -> Vec<Goal> {
    let ratio = Sample::ratio;
    let times = " × baseline";
    vec![
        Goal::at_least(
            "PostgreSQL, batches of 50, 64 connections",
            2.0,
            times,
            figures.plain(50, 64, ratio),
        ),
        Goal::at_least(
            "PostgreSQL, batches of 10, 64 connections",
            1.5,
            times,
            figures.plain(10, 64, ratio),
        ),
        Goal::at_least(
            "PostgreSQL, single events, 64 connections",
            0.6,
            times,
            figures.plain(1, 64, ratio),
        ),
        Goal::at_least(
            "single events, against one `INSERT` per event",
            10.0,
            " ×",
            figures.against_inserts(1),
        ),
        Goal::at_least(
            "batches of 50, against one `INSERT` per event",
            8.0,
            " ×",
            figures.against_inserts(50),
        ),
        Goal::at_least(
            "50 million events stored, batches of 50",
            0.8,
            " of the empty rate",
            figures.of("50000000 events stored", ratio),
        ),
        Goal::at_least(
            "1 % duplicates",
            1.0,
            " × 0 %",
            figures.against_plain("1 % duplicates", ratio),
        ),
        Goal::at_least(
            "50 % duplicates",
            1.0,
            " × 0 %",
            figures.against_plain("50 % duplicates", ratio),
        ),
        Goal::at_least(
            "SQLite, batches of 50, 64 connections",
            0.8,
            " × its baseline",
            figures.of("SQLite, batches of 50, 64 connections", ratio),
        ),
    ]
}

fn latency_and_cost(figures: &Figures<'_>) -> Vec<Goal> {
    let open = format!("{}, 30 %", plain_name(10, 64));
    vec![
        Goal::at_most(
            "single events, p99",
            4.0,
            " × p50",
            figures.plain(1, 64, |sample| sample.p99_ms / sample.p50_ms),
        ),
        Goal::at_most(
            "open loop at 30 %, batches of 10, p50",
            3.0,
            " ms",
            figures.of(&open, |sample| sample.p50_ms),
        ),
        Goal::at_most(
            "open loop at 30 %, batches of 10, p99",
            12.0,
            " ms",
            figures.of(&open, |sample| sample.p99_ms),
        ),
        Goal::at_most("server memory, 256 connections", 96.0, " MiB", figures.server_mebibytes()),
        Goal::at_most(
            "SQLite WAL",
            64.0,
            " MiB",
            figures
                .of("SQLite, batches of 50, 64 connections", |row| row.largest_wal_bytes as f64)
                .map(to_mebibytes),
        ),
        Goal::at_most(
            "server CPU, batches of 50",
            1.5,
            " µs an event",
            figures.plain(50, 64, |sample| sample.server_cpu_us),
        ),
        Goal::at_most(
            "Segment, batches of 50, server CPU",
            1.3,
            " × own API",
            figures.against_plain("Segment", |sample| sample.server_cpu_us),
        ),
        Goal::at_most(
            "fairness: p99 during a flood",
            2.0,
            " × alone at the same load",
            figures.worst_fairness(),
        ),
    ]
}

/// Looks up figures; each is `None` if its case was not run.
struct Figures<'r> {
    report: &'r Report,
}

impl Figures<'_> {
    fn of(&self, name: &str, figure: fn(&Sample) -> f64) -> Option<f64> {
        self.report.row(name).map(|row| row.of(figure))
    }

    fn plain(&self, batch: usize, connections: usize, figure: fn(&Sample) -> f64) -> Option<f64> {
        self.of(&plain_name(batch, connections), figure)
    }

    /// Returns the largest peak memory of the cases with 256 connections.
    fn server_mebibytes(&self) -> Option<f64> {
        let peaks = [1, 10, 50]
            // A case may be absent, because `--only` selects some.
            .into_iter()
            .filter_map(|batch| self.plain(batch, 256, |sample| sample.server_memory_bytes as f64));
        peaks.reduce(f64::max).map(to_mebibytes)
    }

    fn worst_fairness(&self) -> Option<f64> {
        let rows = self.report.rows.iter().filter(|row| row.name.starts_with("fairness"));
        rows.map(|row| row.of(|sample| sample.p99_ms / sample.reference)).reduce(f64::max)
    }

    fn against_inserts(&self, batch: usize) -> Option<f64> {
        let row = self.report.row(&plain_name(batch, 64))?;
        // Each pair is from one round, so the drift of the machine cancels out.
        let pairs = row.samples.iter().zip(self.report.insert_rates(batch));
        let ratio = median(pairs.map(|pair| pair.0.events_per_second / pair.1));
        // The median of no pairs is NaN.
        Some(ratio).filter(|ratio| ratio.is_finite())
    }

    /// Compares the ratios to the baseline round by round, so that the drift of the machine cancels
    /// out.
    fn against_plain(&self, special: &str, figure: fn(&Sample) -> f64) -> Option<f64> {
        let plain = self.report.row(&plain_name(50, 64))?;
        let special: &ReportRow = self.report.row(&format!("{}, {special}", plain.name))?;
        let pairs = special.samples.iter().zip(&plain.samples);
        Some(median(pairs.map(|pair| figure(pair.0) / figure(pair.1))))
    }
}

fn to_mebibytes(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Part;
    use crate::report::InsertRate;

    fn row(name: &str, sample: Sample) -> ReportRow {
        ReportRow { name: name.to_owned(), part: Part::Closed, samples: vec![sample] }
    }

    fn sample(events_per_second: f64) -> Sample {
        // A reference of 100 rows per second makes 200 events per second a ratio of 2.
        Sample { events_per_second, reference: 100.0, server_cpu_us: 2.0, ..Sample::default() }
    }

    #[test]
    fn goal_is_met_missed_or_not_run() {
        let rows = vec![
            row(&plain_name(50, 64), sample(200.0)),
            row("batches of 50, 64 connections, 1 % duplicates", sample(190.0)),
        ];
        let inserts = vec![InsertRate { batch: 50, events_per_second: 10.0 }];
        let report = Report { inserts, rows, ..Report::default() };
        let goals: Vec<String> = all(&report).iter().map(ToString::to_string).collect();
        for line in [
            "| PostgreSQL, batches of 50, 64 connections | ≥ 2 × baseline | 2.00 × baseline | met |",
            "| PostgreSQL, batches of 10, 64 connections | ≥ 1.5 × baseline | – | not run |",
            "| batches of 50, against one `INSERT` per event | ≥ 8 × | 20.00 × | met |",
            "| 1 % duplicates | ≥ 1 × 0 % | 0.95 × 0 % | not met |",
            "| server CPU, batches of 50 | ≤ 1.5 µs an event | 2.00 µs an event | not met |",
        ] {
            assert!(goals.iter().any(|goal| goal == line), "{line}\n{goals:#?}");
        }
        // 9 for throughput, 8 for latency and cost.
        assert_eq!(goals.len(), 17);
    }
}
