//! A limit on similar log lines: a number per key in a second, or in a longer time. Omitted lines
//! are counted, and the next line of their key reports the count.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Number of keys above which idle keys are forgotten. Bounds the memory.
const SWEEP_ABOVE: usize = 1_000;

/// Limits the log lines of each key.
#[derive(Debug)]
pub struct LineLimit<K> {
    /// Maximum lines in each window.
    lines: u32,
    window: Duration,
    windows: Mutex<Windows<K>>,
}

#[derive(Debug)]
struct Windows<K> {
    by_key: HashMap<K, Window>,
    /// Number of keys at which the next sweep is due.
    sweep_at: usize,
}

#[derive(Debug)]
struct Window {
    start: Instant,
    logged: u32,
    /// Lines omitted since the last one.
    not_logged: u64,
}

impl<K: Eq + Hash> LineLimit<K> {
    /// Returns a limit of `per_second` lines per second and key. 0 omits every line.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self::in_window(per_second, Duration::from_secs(1))
    }

    /// Returns a limit of one line per key in every `window`.
    #[must_use]
    pub fn once_in(window: Duration) -> Self {
        Self::in_window(1, window)
    }

    fn in_window(lines: u32, window: Duration) -> Self {
        let windows = Windows { by_key: HashMap::new(), sweep_at: SWEEP_ABOVE };
        Self { lines, window, windows: Mutex::new(windows) }
    }

    /// Returns the number of lines omitted before this one, or `None` if this one must be omitted
    /// too.
    pub fn admit(&self, key: K, now: Instant) -> Option<u64> {
        if self.lines == 0 {
            return None;
        }
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.sweep(now, self.window);
        let window = windows.by_key.entry(key);
        let window = window.or_insert(Window { start: now, logged: 0, not_logged: 0 });
        if now.duration_since(window.start) >= self.window {
            // The omitted lines stay for the first line of the new window.
            (window.start, window.logged) = (now, 0);
        }
        if window.logged >= self.lines {
            window.not_logged += 1;
            return None;
        }
        window.logged += 1;
        Some(std::mem::take(&mut window.not_logged))
    }
}

impl<K: Eq + Hash> Windows<K> {
    fn sweep(&mut self, now: Instant, lifetime: Duration) {
        if self.by_key.len() < self.sweep_at {
            return;
        }
        // A window with a count stays until a line reports it.
        self.by_key.retain(|_, window| {
            window.not_logged > 0 || now.duration_since(window.start) < lifetime
        });
        // Doubling keeps sweeps rare if most keys are active.
        self.sweep_at = SWEEP_ABOVE.max(2 * self.by_key.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn lines_over_the_limit_are_counted_in_the_next_one() {
        let limit = LineLimit::new(2);
        let start = Instant::now();
        for (key, millis, expected) in [
            ("a", 0, Some(0)),
            ("a", 1, Some(0)),
            ("a", 2, None),
            ("a", 999, None),
            // Another key has lines of its own.
            ("b", 3, Some(0)),
            // The next window reports the two omitted ones.
            ("a", 1_000, Some(2)),
            ("a", 1_001, Some(0)),
        ] {
            assert_eq!(limit.admit(key, after(start, millis)), expected, "{key} at {millis} ms");
        }
        assert_eq!(LineLimit::new(0).admit("a", start), None);
    }

    #[test]
    fn longer_window_admits_one_line() {
        let limit = LineLimit::once_in(Duration::from_secs(60));
        let start = Instant::now();
        for (millis, expected) in [(0, Some(0)), (1, None), (59_999, None), (60_000, Some(2))] {
            assert_eq!(limit.admit((), after(start, millis)), expected, "{millis} ms");
        }
    }

    #[test]
    fn sweep_forgets_idle_keys() {
        let limit = LineLimit::new(1);
        let start = Instant::now();
        for key in 0..10 * SWEEP_ABOVE as u64 {
            // One key every 2 ms, so 500 windows are recent at any time.
            limit.admit(key, after(start, key * 2));
        }
        assert!(limit.windows.lock().unwrap().by_key.len() <= SWEEP_ABOVE);
    }

    #[test]
    fn sweep_keeps_the_counts_of_omitted_lines() {
        let limit = LineLimit::new(1);
        let start = Instant::now();
        for _ in 0..8 {
            limit.admit(0, start);
        }
        for key in 1..3 * SWEEP_ABOVE as u64 {
            limit.admit(key, after(start, key * 2));
        }
        assert_eq!(limit.admit(0, after(start, 10_000)), Some(7));
    }

    #[test]
    fn sweeps_are_rare_while_all_keys_are_active() {
        let limit = LineLimit::new(1);
        let now = Instant::now();
        let mut sweeps = 0;
        for key in 0..20 * SWEEP_ABOVE {
            let before = limit.windows.lock().unwrap().sweep_at;
            limit.admit(key, now);
            sweeps += usize::from(limit.windows.lock().unwrap().sweep_at != before);
        }
        // At 1,000, 2,000, 4,000, 8,000 and 16,000 keys.
        assert_eq!(sweeps, 5);
    }
}
