//! A report as tables in Markdown.

use crate::cases::{Part, Sample};
use crate::goals;
use crate::report::{Report, ReportRow, median};

/// A column of figures.
struct Column {
    head: &'static str,
    figure: fn(&Sample) -> f64,
    /// Digits after the point.
    digits: usize,
}

const fn column(head: &'static str, figure: fn(&Sample) -> f64, digits: usize) -> Column {
    Column { head, figure, digits }
}

const RATE: Column = column("events/s", |sample| sample.events_per_second, 0);
const P50: Column = column("p50 ms", |sample| sample.p50_ms, 1);
const P90: Column = column("p90 ms", |sample| sample.p90_ms, 1);
const P99: Column = column("p99 ms", |sample| sample.p99_ms, 1);
const P999: Column = column("p99.9 ms", |sample| sample.p999_ms, 1);
const SERVER: Column = column("server µs", |sample| sample.server_cpu_us, 2);
const DATABASE: Column = column("database µs", |sample| sample.database_cpu_us, 1);
const CLIENT: Column = column("client µs", |sample| sample.client_cpu_us, 1);
const WAL: Column = column("WAL B", |sample| sample.wal_bytes, 0);
const GROUP: Column = column("group", |sample| sample.group_events, 0);
const LARGEST: Column = column("largest", |sample| sample.largest_group as f64, 0);
const FALLBACKS: Column = column("fallbacks %", |sample| sample.fallbacks_percent, 1);
const MEMORY: Column = column("MiB", |sample| mebibytes(sample.server_memory_bytes), 0);
const FAILURES: Column = column("failed", |sample| sample.failures as f64, 0);
const TIMES_BASELINE: Column = column("× baseline", Sample::ratio, 2);

const CLOSED_COLUMNS: &[Column] = &[
    RATE,
    TIMES_BASELINE,
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
const OPEN_COLUMNS: &[Column] = &[RATE, P50, P90, P99, P999, SERVER, DATABASE, GROUP, FAILURES];
const SQLITE_COLUMNS: &[Column] = &[
    RATE,
    column("baseline", |sample| sample.reference, 0),
    TIMES_BASELINE,
    P50,
    P99,
    SERVER,
    GROUP,
    column("largest WAL MiB", |sample| mebibytes(sample.largest_wal_bytes), 1),
    MEMORY,
    FAILURES,
];
const FAIRNESS_COLUMNS: &[Column] = &[
    RATE,
    P50,
    P99,
    column("p99 ms alone", |sample| sample.reference, 1),
    column("ratio", |sample| sample.p99_ms / sample.reference, 2),
    FAILURES,
];
const PRELOAD_COLUMNS: &[Column] = &[
    RATE,
    column("into an empty table", |sample| sample.reference, 0),
    column("ratio", Sample::ratio, 2),
    P50,
    P99,
    DATABASE,
    WAL,
];

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Renders all figures and goals.
pub(crate) fn render(report: &Report) -> String {
    let baseline = median(report.baseline.iter().copied());
    let mut text = format!(
        "PostgreSQL baseline: {baseline:.0} rows/s (median of {})\n",
        report.baseline.len()
    );
    for batch in [1, 50] {
        let rate = median(report.insert_rates(batch));
        // NaN means the case was not run.
        if !rate.is_nan() {
            text += &format!("One INSERT per event, {batch} a request: {rate:.0} events/s\n");
        }
    }
    for (part, title, columns) in [
        (Part::Closed, "PostgreSQL, closed loop", CLOSED_COLUMNS),
        (Part::Open, "PostgreSQL, open loop at a share of the closed loop's rate", OPEN_COLUMNS),
        (Part::Sqlite, "SQLite, closed loop", SQLITE_COLUMNS),
        (Part::Fairness, "Fairness: the tenant with one connection", FAIRNESS_COLUMNS),
        (
            Part::Preload,
            "PostgreSQL with events stored, batches of 50, 64 connections",
            PRELOAD_COLUMNS,
        ),
    ] {
        text += &table(report, part, title, columns);
    }
    text += "\n## Goals\n\n| case | goal | measured | |\n| --- | --- | --- | --- |\n";
    for goal in goals::all(report) {
        text += &format!("{goal}\n");
    }
    text
}

/// Renders one part, or nothing if no case of it was measured.
fn table(report: &Report, part: Part, title: &str, columns: &[Column]) -> String {
    let rows: Vec<&ReportRow> = report.rows.iter().filter(|row| row.part == part).collect();
    if rows.is_empty() {
        return String::new();
    }
    let heads: Vec<&str> = columns.iter().map(|column| column.head).collect();
    let mut text = format!(
        "\n## {title}\n\n| case | {} |\n|{}\n",
        heads.join(" | "),
        " --- |".repeat(columns.len() + 1)
    );
    for row in rows {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| format!("{:.*}", column.digits, row.of(column.figure)))
            .collect();
        text += &format!("| {} | {} |\n", row.name, cells.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::InsertRate;

    fn sample(rate: f64, reference: f64) -> Sample {
        Sample { events_per_second: rate, reference, ..Sample::default() }
    }

    #[test]
    fn ratio_of_a_row_is_the_median_of_its_rounds() {
        // The ratios are 2, 1 and 3; the rates are 100, 10 and 900.
        let samples = vec![sample(100.0, 50.0), sample(10.0, 10.0), sample(900.0, 300.0)];
        let row = ReportRow { name: "a case".to_owned(), part: Part::Closed, samples };
        assert!((row.of(Sample::ratio) - 2.0).abs() < f64::EPSILON);
        let report = Report { rows: vec![row], ..Report::default() };
        let text = render(&report);
        assert!(text.contains("| a case | 100 | 2.00 |"), "{text}");
        assert!(!text.contains("INSERT per event, 1 a request"), "{text}");
    }

    #[test]
    fn rates_of_inserts_are_medians_by_batch_size() {
        let inserts = [(1, 5.0), (50, 90.0), (1, 7.0), (50, 80.0), (1, 6.0), (50, 70.0)]
            .map(|rate| InsertRate { batch: rate.0, events_per_second: rate.1 });
        let text = render(&Report { inserts: inserts.into(), ..Report::default() });
        assert!(text.contains("One INSERT per event, 1 a request: 6 events/s\n"), "{text}");
        assert!(text.contains("One INSERT per event, 50 a request: 80 events/s\n"), "{text}");
    }
}
