//! The simulated time. It stands still while any thread runs, and moves to the next timeout when
//! all wait.
//!
//! Work therefore takes no time, unless a scenario lets time pass. Bounds on time are exact.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Add;
use std::sync::Arc;
use std::time::Duration;

use shuttle::thread;

use super::waiter::Waiter;

/// The thread of the clock. It is spawned first, after the main thread.
pub(crate) const CLOCK_TASK: usize = 1;

thread_local! {
    // One per run: shuttle runs all simulated threads on one real thread.
    static CLOCK: RefCell<Clock> = RefCell::default();
}

#[derive(Default)]
struct Clock {
    now: Duration,
    /// Waits by their end, and by a number for those that end together.
    timers: BTreeMap<Timer, Arc<Waiter>>,
    started: u64,
    /// The clock's thread while no timer runs.
    idle: Option<Arc<Waiter>>,
    is_stopped: bool,
}

/// A running timer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    due: Duration,
    number: u64,
}

/// Runs `body` with a clock that starts at zero.
pub(crate) fn with_clock(body: &dyn Fn()) {
    CLOCK.replace(Clock::default());
    let hand = thread::spawn(turn);
    body();
    CLOCK.with_borrow_mut(Clock::stop);
    // A panic of the clock has already failed the run.
    hand.join().ok();
}

/// Time since the run began.
#[must_use]
pub fn now() -> Duration {
    CLOCK.with_borrow(|clock| clock.now)
}

/// Blocks the current simulated thread while others run.
pub fn pass_time(duration: Duration) {
    let waiter = Waiter::new();
    start_timer(duration, &waiter);
    waiter.wait();
}

/// Ends the wait of `waiter` after `duration`.
pub(super) fn start_timer(duration: Duration, waiter: &Arc<Waiter>) -> Timer {
    CLOCK.with_borrow_mut(|clock| clock.start_timer(duration, Arc::clone(waiter)))
}

pub(super) fn stop_timer(timer: Timer) {
    CLOCK.with_borrow_mut(|clock| clock.timers.remove(&timer));
}

/// The clock's thread. The scheduler runs it only when all others wait.
fn turn() {
    while let Some(due) = CLOCK.with_borrow_mut(Clock::advance) {
        // All at once, so that threads with the same timeout race.
        for waiter in &due {
            waiter.end();
        }
        if due.is_empty() {
            // Now only another thread can go on. If none can, shuttle reports a deadlock.
            let idle = Waiter::new();
            CLOCK.with_borrow_mut(|clock| clock.idle = Some(Arc::clone(&idle)));
            idle.wait();
        } else {
            thread::yield_now();
        }
    }
}

impl Clock {
    fn start_timer(&mut self, duration: Duration, waiter: Arc<Waiter>) -> Timer {
        self.started += 1;
        let timer = Timer { due: self.now + duration, number: self.started };
        self.timers.insert(timer, waiter);
        self.wake();
        timer
    }

    fn stop(&mut self) {
        self.is_stopped = true;
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(idle) = self.idle.take() {
            idle.end();
        }
    }

    /// Moves to the next timeout, and returns the waits that end there. `None` after the end.
    fn advance(&mut self) -> Option<Vec<Arc<Waiter>>> {
        if self.is_stopped {
            return None;
        }
        let Some(next) = self.timers.keys().next().map(|timer| timer.due) else {
            return Some(Vec::new());
        };
        debug_assert!(next >= self.now, "timers lie ahead");
        self.now = next;
        let later = self.timers.split_off(&Timer { due: next, number: u64::MAX });
        Some(std::mem::replace(&mut self.timers, later).into_values().collect())
    }
}

/// A point of the simulated time, like [`std::time::Instant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(Duration);

impl Instant {
    pub(crate) fn now() -> Self {
        Self(now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        now().saturating_sub(self.0)
    }

    pub(crate) fn saturating_duration_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}
