//! Waiting for another process by polling: it offers no channel. All other code of tests waits on
//! channels or through these functions, and never sleeps.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any start or reaction takes, on any machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// Repeats `attempt` until it succeeds, and returns its value.
///
/// # Panics
/// After a minute, with `expected` and the last error.
#[track_caller]
pub fn wait_for<T, E: Debug>(expected: &str, attempt: impl FnMut() -> Result<T, E>) -> T {
    match poll(PATIENCE, attempt) {
        Ok(value) => value,
        Err(error) => panic!("{expected}: not after {} s: {error:?}", PATIENCE.as_secs()),
    }
}

/// Waits until `is_true` returns true.
///
/// # Panics
/// After a minute, with `expected`.
#[track_caller]
pub fn wait_until(expected: &str, mut is_true: impl FnMut() -> bool) {
    wait_for(expected, || is_true().then_some(()).ok_or("still false"));
}

/// Returns the first value, or the last error at the deadline.
fn poll<T, E>(patience: Duration, mut attempt: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let deadline = Instant::now() + patience;
    loop {
        let result = attempt();
        if result.is_ok() || Instant::now() >= deadline {
            return result;
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poll_returns_the_first_value() {
        let mut left = [Err("a"), Err("b"), Ok(1), Ok(2)].into_iter();
        assert_eq!(poll(PATIENCE, || left.next().unwrap()), Ok(1));
    }

    #[test]
    fn poll_returns_the_last_error_at_the_deadline() {
        let mut attempts = 0;
        let result: Result<(), u32> = poll(PAUSE * 3, || {
            attempts += 1;
            Err(attempts)
        });
        assert_eq!(result, Err(attempts));
        assert!(attempts > 1);
    }
}
