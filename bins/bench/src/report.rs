//! The figures of a run: medians over its rounds, as a table and as JSON.

use serde::Serialize;

use crate::cases::Sample;

/// A case over all rounds.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What it is called.
    pub name: String,
    /// The ratio to the floor of the same round: median over the rounds.
    pub ratio: f64,
    /// The goal of that ratio.
    pub goal: Option<f64>,
    /// The samples, in the order of the rounds.
    pub samples: Vec<Sample>,
}

/// A run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Rows per second of the floor, by round.
    pub floor: Vec<f64>,
    /// Events per second of the naive way by events a request, by round.
    pub naive: Vec<(usize, Vec<f64>)>,
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

impl Report {
    /// The table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut lines = vec![
            format!("floor: {:.0} rows/s (median of {} rounds)", median(self.floor.iter().copied()), self.floor.len()),
            "| case | events/s | × floor | goal | p50 ms | p99 ms | server µs/event | database µs/event | WAL B/event | server MiB |".to_owned(),
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |".to_owned(),
        ];
        for row in &self.rows {
            let of = |value: fn(&Sample) -> f64| median(row.samples.iter().map(value));
            let goal = row.goal.map_or("–".to_owned(), |goal| format!("{goal:.1}"));
            lines.push(format!(
                "| {} | {:.0} | {:.2} | {goal} | {:.1} | {:.1} | {:.2} | {:.2} | {:.0} | {:.0} |",
                row.name,
                of(|sample| sample.events_per_second),
                row.ratio,
                of(|sample| sample.p50_ms),
                of(|sample| sample.p99_ms),
                of(|sample| sample.server_cpu_us),
                of(|sample| sample.database_cpu_us),
                of(|sample| sample.wal_bytes),
                of(|sample| sample.server_memory_bytes as f64 / f64::from(1 << 20)),
            ));
        }
        for (batch, rates) in &self.naive {
            lines.push(format!("naive way, {batch} a request: {:.0} events/s", median(rates.iter().copied())));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_value_in_the_middle() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!(median([]).is_nan());
    }
}
