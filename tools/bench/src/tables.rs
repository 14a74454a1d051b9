//! The figures of a run: medians over its rounds, as tables and as JSON.

use serde::Serialize;

use crate::cases::{Part, Sample};
use crate::goals;

/// A case over all rounds.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What it is called.
    pub name: String,
    /// Where it stands in the report.
    pub part: Part,
    /// The samples, in the order of the rounds.
    pub samples: Vec<Sample>,
}

/// A run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Rows per second of PostgreSQL's floor, each time that it was measured.
    pub floor: Vec<f64>,
    /// Events per second of the naive way, by events a request.
    pub naive: Vec<(usize, f64)>,
    /// The cases.
    pub rows: Vec<Row>,
}

/// The median; of an even count the upper one of the two in the middle.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Sample {
    /// The rate, as a ratio to what it is compared with.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.events_per_second / self.baseline
    }
}

impl Row {
    /// The median of a figure.
    #[must_use]
    pub fn of(&self, figure: fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(figure))
    }
}

/// A column: its head, its figure, and how many digits it has after the point.
type Column = (&'static str, fn(&Sample) -> f64, usize);

const RATE: Column = ("events/s", |sample| sample.events_per_second, 0);
const P50: Column = ("p50 ms", |sample| sample.p50_ms, 1);
const P90: Column = ("p90 ms", |sample| sample.p90_ms, 1);
const P99: Column = ("p99 ms", |sample| sample.p99_ms, 1);
const P999: Column = ("p99.9 ms", |sample| sample.p999_ms, 1);
const SERVER: Column = ("server µs", |sample| sample.server_cpu_us, 2);
const DATABASE: Column = ("database µs", |sample| sample.database_cpu_us, 1);
const CLIENT: Column = ("client µs", |sample| sample.client_cpu_us, 1);
const WAL: Column = ("WAL B", |sample| sample.wal_bytes, 0);
const GROUP: Column = ("group", |sample| sample.group_events, 0);
const LARGEST: Column = ("largest", |sample| sample.largest_group as f64, 0);
const FALLBACKS: Column = ("fallbacks %", |sample| sample.fallbacks_percent, 1);
const MEMORY: Column = ("MiB", |sample| sample.server_memory_bytes as f64 / f64::from(1 << 20), 0);
const FAILURES: Column = ("failed", |sample| sample.failures as f64, 0);

impl Report {
    /// The row of that name.
    #[must_use]
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// The tables for people, in Markdown.
    #[must_use]
    pub fn tables(&self) -> String {
        let floor = median(self.floor.iter().copied());
        let mut text =
            format!("PostgreSQL's floor: {floor:.0} rows/s (median of {})\n", self.floor.len());
        for (batch, _) in self.naive.iter().take(2) {
            let rates =
                self.naive.iter().filter(|(events, _)| events == batch).map(|(_, rate)| *rate);
            text += &format!("The naive way, {batch} a request: {:.0} events/s\n", median(rates));
        }
        let all = [
            RATE,
            ("× floor", Sample::ratio, 2),
            P50,
            P90,
            P99,
            P999,
            SERVER,
            DATABASE,
            CLIENT,
            WAL,
            GROUP,
            LARGEST,
            FALLBACKS,
            MEMORY,
            FAILURES,
        ];
        text += &self.table(Part::Closed, "PostgreSQL, closed loop", &all);
        text += &self.table(
            Part::Open,
            "PostgreSQL, open loop at a share of the rate reached",
            &[RATE, P50, P90, P99, P999, SERVER, DATABASE, GROUP, FAILURES],
        );
        let wal = (
            "largest WAL MiB",
            (|sample| sample.largest_wal_bytes as f64 / f64::from(1 << 20)) as fn(&Sample) -> f64,
            1,
        );
        text += &self.table(
            Part::Sqlite,
            "SQLite, closed loop",
            &[
                RATE,
                ("floor", |sample| sample.baseline, 0),
                ("× floor", Sample::ratio, 2),
                P50,
                P99,
                SERVER,
                GROUP,
                wal,
                MEMORY,
                FAILURES,
            ],
        );
        text += &self.table(
            Part::Fairness,
            "Fairness: the tenant with one connection",
            &[
                RATE,
                P50,
                P99,
                ("p99 ms alone", |sample| sample.baseline, 1),
                ("ratio", |sample| sample.p99_ms / sample.baseline, 2),
                FAILURES,
            ],
        );
        text += &self.table(
            Part::Preload,
            "PostgreSQL with events stored, batches of 50, 64 connections",
            &[
                RATE,
                ("into an empty table", |sample| sample.baseline, 0),
                ("ratio", Sample::ratio, 2),
                P50,
                P99,
                DATABASE,
                WAL,
            ],
        );
        text += "\n## Goals\n\n| what | goal | measured | |\n| --- | --- | --- | --- |\n";
        for goal in goals::all(self) {
            text += &format!("{goal}\n");
        }
        text
    }

    fn table(&self, part: Part, title: &str, columns: &[Column]) -> String {
        let rows: Vec<&Row> = self.rows.iter().filter(|row| row.part == part).collect();
        if rows.is_empty() {
            return String::new();
        }
        let heads: Vec<&str> = columns.iter().map(|(head, ..)| *head).collect();
        let mut text = format!(
            "\n## {title}\n\n| case | {} |\n|{}\n",
            heads.join(" | "),
            " --- |".repeat(columns.len() + 1)
        );
        for row in rows {
            let cells: Vec<String> = columns
                .iter()
                .map(|(_, figure, digits)| format!("{:.*}", digits, row.of(*figure)))
                .collect();
            text += &format!("| {} | {} |\n", row.name, cells.join(" | "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_value_in_the_middle() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!(median([]).is_nan());
    }

    #[test]
    fn the_ratio_of_a_row_is_the_median_of_its_rounds() {
        let sample =
            |rate, baseline| Sample { events_per_second: rate, baseline, ..Sample::default() };
        let samples = vec![sample(100.0, 50.0), sample(10.0, 10.0), sample(900.0, 300.0)];
        let row = Row { name: "a case".to_owned(), part: Part::Closed, samples };
        assert!((row.of(Sample::ratio) - 2.0).abs() < f64::EPSILON);
        let report = Report { rows: vec![row], ..Report::default() };
        assert!(report.tables().contains("| a case | 100 | 2.00 |"), "{}", report.tables());
    }
}
