//! A gate holding threads until a test opens it. No test has to sleep.

use std::sync::{Condvar, Mutex, PoisonError};

/// Lets threads through one at a time or all, and counts arrivals.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    arrived: usize,
    permits: usize,
    open: bool,
}

impl Gate {
    /// An open gate.
    #[must_use]
    pub fn opened() -> Self {
        let gate = Self::default();
        gate.open();
        gate
    }

    /// Arrives, and blocks until let through.
    pub fn pass(&self) {
        let mut state = self.lock();
        // Before the wait, so that a test can wait for the threads the gate holds.
        state.arrived += 1;
        self.changed.notify_all();
        while !state.open && state.permits == 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // An open gate consumes no permit, or closing it again would find too few.
        if !state.open {
            state.permits -= 1;
        }
    }

    /// Blocks until `count` threads have arrived in total.
    pub fn wait_for_arrivals(&self, count: usize) {
        let mut state = self.lock();
        while state.arrived < count {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Number of threads that have arrived since the gate was made.
    #[must_use]
    pub fn arrivals(&self) -> usize {
        self.lock().arrived
    }

    /// Lets `count` threads through.
    pub fn let_through(&self, count: usize) {
        self.lock().permits += count;
        self.changed.notify_all();
    }

    /// Lets all threads through from now on.
    pub fn open(&self) {
        self.lock().open = true;
        self.changed.notify_all();
    }

    /// Holds all threads from now on.
    pub fn close(&self) {
        self.lock().open = false;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
