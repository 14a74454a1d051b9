//! The figures of a run, and their medians over the rounds.

use serde::Serialize;

use crate::cases::{Part, Sample};

/// The samples of a case, in the order of the rounds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ReportRow {
    pub(crate) name: String,
    pub(crate) part: Part,
    pub(crate) samples: Vec<Sample>,
}

/// The rate of one `INSERT` per event, without the server.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct InsertRate {
    /// Events per transaction.
    pub(crate) batch: usize,
    pub(crate) events_per_second: f64,
}

/// All figures of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Report {
    /// Rows per second of each measurement of the PostgreSQL baseline.
    pub(crate) baseline: Vec<f64>,
    pub(crate) inserts: Vec<InsertRate>,
    pub(crate) rows: Vec<ReportRow>,
}

/// Returns the median; of an even count, the upper of the middle two. NaN without values.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    // NaN, a missing figure, sorts last.
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Report {
    pub(crate) fn row(&self, name: &str) -> Option<&ReportRow> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Returns the rates of one `INSERT` per event at a batch size, in the order of the rounds.
    pub(crate) fn insert_rates(&self, batch: usize) -> impl Iterator<Item = f64> {
        let rates = self.inserts.iter().filter(move |rate| rate.batch == batch);
        rates.map(|rate| rate.events_per_second)
    }

    /// Adds the sample of a round, and prints a line of progress.
    pub(crate) fn add(&mut self, part: Part, name: &str, sample: Sample) {
        eprintln!(
            "  {name}: {:.0} events/s, {:.2} of {:.0}",
            sample.events_per_second,
            sample.ratio(),
            sample.reference
        );
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.samples.push(sample),
            None => {
                self.rows.push(ReportRow { name: name.to_owned(), part, samples: vec![sample] })
            }
        }
    }
}

impl ReportRow {
    /// Returns the median of a figure.
    pub(crate) fn of(&self, figure: fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(figure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_value_in_the_middle() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!(median([]).is_nan());
    }
}
