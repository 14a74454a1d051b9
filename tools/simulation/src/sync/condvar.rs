//! A condition variable with everything the standard one may do: timeouts, spurious wake-ups, and
//! any order of the woken threads. Shuttle's own has none of the first two.

use std::sync::{Arc, LockResult, PoisonError};
use std::time::Duration;

use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use super::clock;
use super::mutex::MutexGuard;
use super::waiter::Waiter;

/// Share of the waits that end at once, without a notification.
const SPURIOUS: f64 = 0.05;

#[derive(Default)]
pub(crate) struct Condvar {
    // The standard mutex: no thread is switched while it is locked.
    waiters: std::sync::Mutex<Vec<Arc<Waiter>>>,
}

/// Whether a wait ended by its timeout.
pub(crate) struct WaitTimeoutResult;

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let mutex = guard.unlock();
        let waiter = self.enter();
        waiter.wait();
        mutex.lock()
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        duration: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let mutex = guard.unlock();
        let waiter = self.enter();
        let timer = clock::start_timer(duration, &waiter);
        waiter.wait();
        clock::stop_timer(timer);
        Ok((mutex.lock().unwrap_or_else(PoisonError::into_inner), WaitTimeoutResult))
    }

    pub(crate) fn notify_one(&self) {
        thread::yield_now();
        let waiters = self.waiting();
        if waiters.is_empty() {
            return;
        }
        let waiter = &waiters[thread_rng().gen_range(0..waiters.len())];
        waiter.end();
    }

    pub(crate) fn notify_all(&self) {
        thread::yield_now();
        for waiter in self.waiting() {
            waiter.end();
        }
    }

    fn enter(&self) -> Arc<Waiter> {
        let waiter = Waiter::new();
        if thread_rng().gen_bool(SPURIOUS) {
            waiter.end();
        }
        self.lock().push(Arc::clone(&waiter));
        waiter
    }

    /// Returns the threads that nothing has woken yet.
    fn waiting(&self) -> Vec<Arc<Waiter>> {
        let mut waiters = self.lock();
        waiters.retain(|waiter| waiter.is_waiting());
        waiters.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Waiter>>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
