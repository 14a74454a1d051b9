//! A histogram of latencies that many threads fill without a lock.
//!
//! Buckets grow exponentially: each doubling is cut into 16 equal parts, so that a quantile is off by at most 1/32
//! (3.2 %) at any size. Not here: what is measured, and how it is shown.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The range told apart; what lies outside counts as its nearest end.
const MIN: Duration = Duration::from_micros(1);
const MAX: Duration = Duration::from_secs(100);

/// Parts of a doubling, as a power of two.
const PART_BITS: u32 = 4;
const PARTS: usize = 1 << PART_BITS;
/// The powers of two that hold [`MIN`] and [`MAX`] in nanoseconds.
const FIRST_POWER: u32 = MIN.as_nanos().ilog2();
const LAST_POWER: u32 = MAX.as_nanos().ilog2();
const BUCKETS: usize = (LAST_POWER - FIRST_POWER + 1) as usize * PARTS;

/// Latencies from 1 µs to 100 s in 448 buckets (3.5 KiB).
///
/// Recording is two relaxed additions. Reading while others record sees each record at most once and may miss the
/// latest.
#[derive(Debug)]
pub struct LatencyHistogram {
    buckets: [AtomicU64; BUCKETS],
    sum_nanos: AtomicU64,
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), sum_nanos: AtomicU64::new(0) }
    }
}

impl LatencyHistogram {
    /// An empty histogram.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one latency; shorter than 1 µs counts as 1 µs, longer than 100 s as 100 s.
    pub fn record(&self, latency: Duration) {
        let nanos = latency.clamp(MIN, MAX).as_nanos() as u64;
        self.buckets[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.load().iter().sum()
    }

    /// The sum of what was recorded.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos.load(Ordering::Relaxed))
    }

    /// The latency that the share `q` (0.0 to 1.0, else the nearest of these) of the records doesn't exceed, within
    /// 3.2 %. Zero while nothing is recorded.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Duration {
        let counts = self.load();
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
        Duration::ZERO
    }

    fn load(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|index| self.buckets[index].load(Ordering::Relaxed))
    }
}

/// The bucket of a latency within the range.
fn bucket(nanos: u64) -> usize {
    let power = nanos.ilog2();
    let part = (nanos >> (power - PART_BITS)) as usize - PARTS;
    (power - FIRST_POWER) as usize * PARTS + part
}

/// The middle of a bucket.
fn middle(index: usize) -> Duration {
    let power = FIRST_POWER + (index / PARTS) as u32;
    let width = 1_u64 << (power - PART_BITS);
    let start = (1 << power) + width * (index % PARTS) as u64;
    Duration::from_nanos(start + width / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_close(actual: Duration, expected: Duration) -> bool {
        (actual.as_secs_f64() - expected.as_secs_f64()).abs() <= expected.as_secs_f64() * 0.04
    }

    #[test]
    fn quantiles_are_within_four_percent() {
        let histogram = LatencyHistogram::new();
        for millis in 1..=1000 {
            histogram.record(Duration::from_millis(millis));
        }
        for (q, millis) in
            [(0.0, 1), (0.001, 1), (0.5, 500), (0.95, 950), (0.99, 990), (1.0, 1000), (7.0, 1000), (-1.0, 1)]
        {
            let actual = histogram.quantile(q);
            assert!(is_close(actual, Duration::from_millis(millis)), "{q}: {actual:?}");
        }
        assert_eq!((histogram.count(), histogram.sum()), (1000, Duration::from_millis(500_500)));
    }

    #[test]
    fn an_empty_histogram_has_zero_quantiles() {
        for q in [0.0, 0.5, 1.0, f64::NAN] {
            assert_eq!(LatencyHistogram::new().quantile(q), Duration::ZERO);
        }
    }

    #[test]
    fn what_lies_outside_the_range_counts_as_its_nearest_end() {
        for (latency, end) in [
            (Duration::ZERO, MIN),
            (Duration::from_nanos(1), MIN),
            (Duration::from_secs(101), MAX),
            (Duration::MAX, MAX),
        ] {
            let histogram = LatencyHistogram::new();
            histogram.record(latency);
            assert!(is_close(histogram.quantile(0.5), end), "{latency:?}");
        }
    }

    #[test]
    fn threads_that_record_at_once_lose_nothing() {
        let histogram = LatencyHistogram::new();
        std::thread::scope(|scope| {
            for thread in 1..=4 {
                let histogram = &histogram;
                scope.spawn(move || (0..10_000).for_each(|_| histogram.record(Duration::from_millis(thread))));
            }
        });
        assert_eq!(histogram.count(), 40_000);
    }

    proptest! {
        #[test]
        fn any_latency_in_the_range_is_told_within_four_percent(nanos in 1_000_u64..=100_000_000_000) {
            let histogram = LatencyHistogram::new();
            histogram.record(Duration::from_nanos(nanos));
            prop_assert!(is_close(histogram.quantile(0.5), Duration::from_nanos(nanos)));
        }
    }
}
