//! Quantiles for `/health`, interpolated from exported histogram buckets like PromQL's `histogram_quantile`.

use prometheus::proto::{Histogram, MetricFamily};

/// Returns the value that the share `q` (clamped to 0.0 to 1.0, NaN is 0) of all observations does not exceed.
///
/// Observations of all histograms in `families` count together; they must share their bucket bounds. Within a bucket the
/// estimate is linear. Observations above the last bound count as that bound. Zero without observations.
pub(super) fn quantile(families: &[MetricFamily], q: f64) -> f64 {
    let metrics = families.iter().flat_map(MetricFamily::get_metric);
    let histograms: Vec<&Histogram> = metrics.map(|metric| metric.get_histogram()).collect();
    let total: u64 = histograms.iter().map(|histogram| histogram.get_sample_count()).sum();
    // All histograms of a family share their bounds, so the first one has them.
    let Some(first) = histograms.first().filter(|_| total > 0) else { return 0.0 };
    let q = if q.is_nan() { 0.0 } else { q.clamp(0.0, 1.0) };
    let rank = total as f64 * q;
    let mut lower = BucketBound::default();
    for (index, bucket) in first.get_bucket().iter().enumerate() {
        let counts = histograms.iter().map(|histogram| &histogram.get_bucket()[index]);
        let upper = BucketBound {
            bound: bucket.upper_bound(),
            count: counts.map(|bucket| bucket.cumulative_count()).sum(),
        };
        // An empty bucket holds no rank, and interpolation would divide by zero.
        if upper.count > lower.count && upper.count as f64 >= rank {
            return lower.interpolate(upper, rank);
        }
        lower = upper;
    }
    // The rank lies above the last bound, in the bucket up to infinity.
    lower.bound
}

/// A bucket's bound and the number of observations up to it.
#[derive(Clone, Copy, Default)]
struct BucketBound {
    bound: f64,
    count: u64,
}

impl BucketBound {
    fn interpolate(self, upper: Self, rank: f64) -> f64 {
        let share = (rank - self.count as f64).max(0.0) / (upper.count - self.count) as f64;
        self.bound + (upper.bound - self.bound) * share
    }
}

#[cfg(test)]
mod tests {
    use prometheus::core::Collector;
    use prometheus::{HistogramOpts, HistogramVec};

    use super::*;
    use proptest::prelude::*;

    fn histogram(values: &[f64]) -> Vec<MetricFamily> {
        let options = HistogramOpts::new("h", "Help.").buckets(vec![1.0, 2.0, 4.0]);
        let histogram = HistogramVec::new(options, &["route"]).unwrap();
        for (index, value) in values.iter().enumerate() {
            // Two label sets, because `/health` reports one quantile over all routes.
            histogram.with_label_values(&[["a", "b"][index % 2]]).observe(*value);
        }
        histogram.collect()
    }

    #[test]
    fn quantile_interpolates_within_a_bucket() {
        // Two in (0, 1], two in (1, 2], four in (2, 4].
        let families = histogram(&[0.5, 0.5, 1.5, 1.5, 3.0, 3.0, 3.0, 3.0]);
        for (q, expected) in
            [(0.0, 0.0), (0.125, 0.5), (0.25, 1.0), (0.5, 2.0), (0.75, 3.0), (1.0, 4.0)]
        {
            assert_eq!(quantile(&families, q), expected, "{q}");
        }
        for (q, nearest) in [(-1.0, 0.0), (7.0, 1.0), (f64::NAN, 0.0)] {
            assert_eq!(quantile(&families, q), quantile(&families, nearest), "{q}");
        }
    }

    #[test]
    fn quantile_without_observations_is_zero() {
        assert_eq!(quantile(&[], 0.5), 0.0);
        assert_eq!(quantile(&histogram(&[]), 0.5), 0.0);
    }

    #[test]
    fn quantile_skips_empty_buckets_and_stops_at_the_last_bound() {
        // The bucket of 3.0 begins at 2.
        assert_eq!(quantile(&histogram(&[3.0]), 0.0), 2.0);
        assert_eq!(quantile(&histogram(&[100.0]), 0.5), 4.0);
        assert_eq!(quantile(&histogram(&[0.5, 100.0]), 1.0), 4.0);
    }

    proptest! {
        #[test]
        fn quantile_lies_in_the_bucket_of_its_observation(
            mut values in prop::collection::vec(0.001..4.0_f64, 1..50),
            q in 0.01..=1.0_f64,
        ) {
            let estimate = quantile(&histogram(&values), q);
            values.sort_by(f64::total_cmp);
            // The nearest rank, without interpolation.
            let exact = values[(q * values.len() as f64).ceil() as usize - 1];
            let bounds = [0.0, 1.0, 2.0, 4.0];
            let upper = bounds.partition_point(|bound| *bound < exact);
            prop_assert!((bounds[upper - 1]..=bounds[upper]).contains(&estimate), "{estimate} {exact}");
        }
    }
}
