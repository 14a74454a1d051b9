//! A thread that waits for a notification or a timeout.
//!
//! Not by `park`: shuttle wakes parked threads at any time, so the clock could not see that all
//! threads wait.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use shuttle::future::block_on;

/// One wait of one thread.
#[derive(Default)]
pub(super) struct Waiter {
    // The standard mutex: no thread is switched while it is locked.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_ended: bool,
    waker: Option<Waker>,
}

impl Waiter {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Whether nothing has ended the wait yet.
    pub(super) fn is_waiting(&self) -> bool {
        !self.state().is_ended
    }

    /// Ends the wait. Does not switch to another thread.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.is_ended = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Blocks the current thread until the wait ends.
    pub(super) fn wait(&self) {
        block_on(poll_fn(|context| {
            let mut state = self.state();
            if state.is_ended {
                return Poll::Ready(());
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        }));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
