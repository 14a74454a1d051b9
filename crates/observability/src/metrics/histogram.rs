//! A histogram that many threads fill without a lock, fine enough for quantiles and exact at the bounds that are exported.
//!
//! Values are whole numbers: nanoseconds, bytes, events. Up to 100 each has a bucket of its own; above, a bucket holds what
//! has the same first two digits, so that any bound of two significant digits is the edge of a bucket. Prometheus gets a
//! choice of those bounds, `/health` gets quantiles, and an observation is two relaxed additions for both. (The histogram of
//! `prometheus-client` has a lock, and does not tell what is in it.) Not here: what is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// What is larger counts as this: a hundred seconds in nanoseconds, or a hundred billion bytes.
const MAX: u64 = 100_000_000_000;
/// Up to here each number has its own bucket.
const EXACT: u64 = 100;
/// Buckets of a decade above that: its numbers of two digits.
const PARTS: usize = 90;
/// The decades from [`EXACT`] to [`MAX`].
const DECADES: usize = (MAX.ilog10() - EXACT.ilog10()) as usize;
const BUCKETS: usize = EXACT as usize + 1 + DECADES * PARTS;

/// What the numbers stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Nanoseconds, exported as seconds.
    Time,
    /// Bytes.
    Bytes,
    /// Things that are counted, such as events.
    Count,
}

impl Measure {
    /// The upper bounds that are exported, in the histogram's own unit. Each has two significant digits at most.
    fn bounds(self) -> &'static [u64] {
        const MICRO: u64 = 1_000;
        const MILLI: u64 = 1_000_000;
        const SECOND: u64 = 1_000_000_000;
        match self {
            Self::Time => &[
                100 * MICRO,
                250 * MICRO,
                500 * MICRO,
                MILLI,
                2_500 * MICRO,
                5 * MILLI,
                10 * MILLI,
                25 * MILLI,
                50 * MILLI,
                100 * MILLI,
                250 * MILLI,
                500 * MILLI,
                SECOND,
                2_500 * MILLI,
                5 * SECOND,
                10 * SECOND,
            ],
            Self::Bytes => &[
                100,
                1_000,
                2_500,
                10_000,
                25_000,
                100_000,
                250_000,
                1_000_000,
                2_500_000,
                10_000_000,
                100_000_000,
            ],
            Self::Count => &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000],
        }
    }

    /// A number of the histogram's own unit in the base unit.
    fn in_base_unit(self, number: u64) -> f64 {
        // Divided and not multiplied: 0.0001 is then the double nearest to it, and printed so.
        if self == Self::Time { number as f64 / 1e9 } else { number as f64 }
    }
}

/// The histogram; clones are hands on the same one. It takes 7 KiB.
///
/// Reading while others record sees each record at most once and may miss the latest.
#[derive(Clone, Debug)]
pub struct Histogram {
    measure: Measure,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Histogram {
    /// An empty histogram.
    #[must_use]
    pub fn new(measure: Measure) -> Self {
        let shared =
            Shared { buckets: std::array::from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0) };
        Self { measure, shared: Arc::new(shared) }
    }

    /// Counts one number; what is above a hundred billion counts as that.
    pub fn record(&self, number: u64) {
        let number = number.min(MAX);
        self.shared.buckets[bucket(number)].fetch_add(1, Ordering::Relaxed);
        self.shared.sum.fetch_add(number, Ordering::Relaxed);
    }

    /// Counts a time.
    pub fn record_time(&self, time: Duration) {
        self.record(u64::try_from(time.as_nanos()).unwrap_or(MAX));
    }

    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.shared.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// The sum of what was recorded.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.shared.sum.load(Ordering::Relaxed)
    }

    /// The largest number recorded, within 5 %. Zero while nothing is.
    #[must_use]
    pub fn max(&self) -> u64 {
        let last =
            self.shared.buckets.iter().rposition(|bucket| bucket.load(Ordering::Relaxed) > 0);
        last.map_or(0, middle)
    }
}

/// The number that the share `q` (0.0 to 1.0, else the nearest of these) of all that was recorded in `histograms` does not
/// exceed, within 5 %. Zero while nothing is recorded.
#[must_use]
pub fn quantile(histograms: &[Histogram], q: f64) -> u64 {
    let mut counts = [0_u64; BUCKETS];
    for histogram in histograms {
        for (count, bucket) in counts.iter_mut().zip(&histogram.shared.buckets) {
            *count += bucket.load(Ordering::Relaxed);
        }
    }
    let total: u64 = counts.iter().sum();
    // The smallest rank that covers the share; NaN becomes 0, as `as` has it.
    let rank = ((total as f64 * q.clamp(0.0, 1.0)).ceil() as u64).clamp(1, total.max(1));
    let mut below = 0;
    for (index, count) in counts.iter().enumerate() {
        below += count;
        if below >= rank {
            return middle(index);
        }
    }
    0
}

/// The bucket of a number.
fn bucket(number: u64) -> usize {
    if number <= EXACT {
        return number as usize;
    }
    // A bucket holds its upper edge and not its lower one, as Prometheus's buckets do.
    let below = number - 1;
    let decade = below.ilog10();
    let part = (below / 10_u64.pow(decade - 1)) as usize - 10;
    EXACT as usize + 1 + (decade - EXACT.ilog10()) as usize * PARTS + part
}

/// The largest number of a bucket.
fn upper_edge(index: usize) -> u64 {
    match index.checked_sub(EXACT as usize + 1) {
        None => index as u64,
        Some(above) => {
            let width = 10_u64.pow((above / PARTS) as u32 + 1);
            width * ((above % PARTS) as u64 + 11)
        }
    }
}

fn middle(index: usize) -> u64 {
    match index.checked_sub(1) {
        Some(before) if upper_edge(index) > EXACT => {
            u64::midpoint(upper_edge(before), upper_edge(index))
        }
        _ => upper_edge(index),
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        // The encoder adds the buckets up.
        let mut buckets: Vec<(f64, u64)> = self
            .measure
            .bounds()
            .iter()
            .map(|bound| (self.measure.in_base_unit(*bound), 0))
            .collect();
        buckets.push((f64::INFINITY, 0));
        let mut count = 0;
        for (index, bucket) in self.shared.buckets.iter().enumerate() {
            let number = bucket.load(Ordering::Relaxed);
            count += number;
            let place = self.measure.bounds().partition_point(|bound| *bound < upper_edge(index));
            buckets[place].1 += number;
        }
        encoder.encode_histogram::<NoLabelSet>(
            self.measure.in_base_unit(self.sum()),
            count,
            &buckets,
            None,
        )
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_close(actual: u64, expected: u64) -> bool {
        actual.abs_diff(expected) as f64 <= expected as f64 * 0.05
    }

    #[test]
    fn quantiles_are_within_five_percent() {
        let histograms = [Histogram::new(Measure::Time), Histogram::new(Measure::Time)];
        for millis in 1..=1000 {
            histograms[millis as usize % 2].record_time(Duration::from_millis(millis));
        }
        for (q, millis) in [
            (0.0, 1),
            (0.001, 1),
            (0.5, 500),
            (0.95, 950),
            (0.99, 990),
            (1.0, 1000),
            (7.0, 1000),
            (-1.0, 1),
        ] {
            let actual = quantile(&histograms, q);
            assert!(is_close(actual, millis * 1_000_000), "{q}: {actual}");
        }
        let (count, sum) = (
            histograms[0].count() + histograms[1].count(),
            histograms[0].sum() + histograms[1].sum(),
        );
        assert_eq!((count, sum), (1000, 500_500_000_000));
        assert!(is_close(histograms[0].max(), 1_000_000_000));
    }

    #[test]
    fn an_empty_histogram_has_zero_quantiles() {
        for q in [0.0, 0.5, 1.0, f64::NAN] {
            assert_eq!(quantile(&[Histogram::new(Measure::Count)], q), 0);
        }
        assert_eq!((quantile(&[], 0.5), Histogram::new(Measure::Bytes).max()), (0, 0));
    }

    #[test]
    fn small_numbers_are_told_exactly_and_what_is_too_large_as_the_largest() {
        for number in 0..=EXACT {
            let histogram = Histogram::new(Measure::Count);
            histogram.record(number);
            assert_eq!(histogram.max(), number);
        }
        let histogram = Histogram::new(Measure::Time);
        histogram.record_time(Duration::MAX);
        assert!(is_close(histogram.max(), MAX));
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for index in 1..BUCKETS {
            assert_eq!(bucket(upper_edge(index)), index);
            assert_eq!(bucket(upper_edge(index - 1) + 1), index);
        }
        assert_eq!(upper_edge(BUCKETS - 1), MAX);
    }

    #[test]
    fn every_exported_bound_is_the_edge_of_a_bucket() {
        for measure in [Measure::Time, Measure::Bytes, Measure::Count] {
            assert!(measure.bounds().is_sorted());
            for bound in measure.bounds() {
                assert_eq!(upper_edge(bucket(*bound)), *bound, "{measure:?}");
            }
        }
    }

    #[test]
    fn threads_that_record_at_once_lose_nothing() {
        let histogram = Histogram::new(Measure::Count);
        std::thread::scope(|scope| {
            for thread in 1..=4 {
                let histogram = &histogram;
                scope.spawn(move || (0..10_000).for_each(|_| histogram.record(thread)));
            }
        });
        assert_eq!((histogram.count(), histogram.sum()), (40_000, 100_000));
    }

    proptest! {
        #[test]
        fn any_number_in_the_range_is_told_within_five_percent(number in 0..=MAX) {
            let histogram = Histogram::new(Measure::Bytes);
            histogram.record(number);
            prop_assert!(is_close(quantile(&[histogram], 0.5), number));
        }
    }
}
