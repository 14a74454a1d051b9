//! Pauses between attempts: exponential backoff with full jitter.

use std::time::Duration;

/// Limits of the pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Longest pause after the first failure.
    pub first: Duration,
    /// Longest pause after any failure.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), max: Duration::from_mins(5) }
    }
}

impl Backoff {
    /// Returns the longest pause after this many failures in a row: it doubles with each, up to
    /// `max`.
    #[must_use]
    pub fn ceiling(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.max)
    }

    /// Returns the pause after this many failures in a row. `random` is uniform in 0 to 1.
    ///
    /// The receiver's `Retry-After` is the least.
    #[must_use]
    pub fn pause(self, failures: u32, random: f64, at_least: Option<Duration>) -> Duration {
        // Full jitter: forwarders that failed together do not come back together.
        let pause = self.ceiling(failures).mul_f64(random.clamp(0.0, 1.0));
        pause.max(at_least.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ceiling_doubles_up_to_the_maximum() {
        let seconds = [0, 1, 2, 3, 4, 8, 9, 10, 11, 40, u32::MAX]
            .map(|failures| Backoff::default().ceiling(failures).as_secs());
        assert_eq!(seconds, [1, 1, 2, 4, 8, 128, 256, 300, 300, 300, 300]);
    }

    proptest! {
        #[test]
        fn pause_stays_within_its_bounds(
            failures in 0..200_u32,
            random in 0.0..1.0_f64,
            at_least in proptest::option::of(0..10_000_u64),
        ) {
            let backoff = Backoff::default();
            let at_least = at_least.map(Duration::from_secs);
            let pause = backoff.pause(failures, random, at_least);
            prop_assert!(pause >= at_least.unwrap_or_default());
            prop_assert!(pause <= backoff.ceiling(failures).max(at_least.unwrap_or_default()));
        }
    }
}
