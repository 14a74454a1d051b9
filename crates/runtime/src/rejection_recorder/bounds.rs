//! The bounds of a tenant's kept rejections: events and bytes a second, as token buckets.

use std::time::Instant;

/// Share of a bucket for the first events of their kind. A flood of one error leaves room for an
/// example of another.
const RESERVE: f64 = 0.2;
/// Below this rate a reserve would be less than one event.
const MIN_RATE_WITH_RESERVE: u32 = 5;

/// The bounds of a tenant on one server, above which rejected events are counted but not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectionBounds {
    /// Maximum kept events a second; 0 keeps none.
    pub events_per_second: u32,
    /// Maximum bytes of kept events a second; 0 keeps none.
    pub bytes_per_second: u64,
}

impl Default for RejectionBounds {
    /// 20 events and 128 KiB a second: of usual events about 1.4 GB a day.
    fn default() -> Self {
        Self { events_per_second: 20, bytes_per_second: 128 * 1024 }
    }
}

/// The buckets of a tenant. Each holds the tokens of one second.
#[derive(Debug)]
pub(super) struct Buckets {
    events: f64,
    /// Below zero after an event larger than the level: the tenant waits longer for the next one.
    bytes: f64,
    filled_at: Instant,
}

impl Buckets {
    pub(super) fn full(bounds: &RejectionBounds, now: Instant) -> Self {
        Self {
            events: f64::from(bounds.events_per_second),
            bytes: bounds.bytes_per_second as f64,
            filled_at: now,
        }
    }

    /// Takes the tokens of an event, or none. `is_first`: no event of its kind was seen in this hour.
    pub(super) fn take(
        &mut self,
        bounds: &RejectionBounds,
        bytes: usize,
        is_first: bool,
        now: Instant,
    ) -> bool {
        self.fill(bounds, now);
        let has_reserve = !is_first && bounds.events_per_second >= MIN_RATE_WITH_RESERVE;
        let reserve = if has_reserve { RESERVE } else { 0.0 };
        let events = f64::from(bounds.events_per_second) * reserve;
        let reserved_bytes = bounds.bytes_per_second as f64 * reserve;
        if self.events < events + 1.0 || self.bytes <= reserved_bytes {
            return false;
        }
        self.events -= 1.0;
        self.bytes -= bytes as f64;
        true
    }

    fn fill(&mut self, bounds: &RejectionBounds, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        let (events, bytes) = (f64::from(bounds.events_per_second), bounds.bytes_per_second as f64);
        self.events = (self.events + events * seconds).min(events);
        self.bytes = (self.bytes + bytes * seconds).min(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BOUNDS: RejectionBounds =
        RejectionBounds { events_per_second: 100, bytes_per_second: 10_000 };

    #[test]
    fn flood_keeps_the_rate_and_leaves_a_reserve() {
        let start = Instant::now();
        let mut buckets = Buckets::full(&BOUNDS, start);
        let (mut kept, mut last) = (0, start);
        for millis in 0..10_000 {
            last = start + Duration::from_millis(millis);
            for _ in 0..50 {
                kept += usize::from(buckets.take(&BOUNDS, 1, false, last));
            }
        }
        // 80 at once, then 100 a second.
        assert!((1_075..=1_080).contains(&kept), "{kept}");
        let first = (0..100).filter(|_| buckets.take(&BOUNDS, 1, true, last)).count();
        assert_eq!(first, 20);
    }

    #[test]
    fn large_event_delays_the_next_one() {
        let start = Instant::now();
        let mut buckets = Buckets::full(&BOUNDS, start);
        // 10,000 of 30,000 bytes: two seconds of debt, and the reserve.
        for (seconds, is_taken) in [(0, true), (1, false), (2, false), (3, true)] {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(buckets.take(&BOUNDS, 30_000, false, now), is_taken, "{seconds}");
        }
    }

    #[test]
    fn bound_of_zero_keeps_nothing() {
        let now = Instant::now();
        for bounds in [
            RejectionBounds { events_per_second: 0, ..BOUNDS },
            RejectionBounds { bytes_per_second: 0, ..BOUNDS },
        ] {
            assert!(!Buckets::full(&bounds, now).take(&bounds, 1, true, now), "{bounds:?}");
        }
        let one = RejectionBounds { events_per_second: 1, ..BOUNDS };
        assert!(Buckets::full(&one, now).take(&one, 1, false, now));
    }
}
