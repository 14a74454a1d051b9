//! A gate that a test opens when it has seen enough: waiting without sleeping.

use std::sync::{Condvar, Mutex, PoisonError};

/// Passes threads one at a time or all, and tells how many have come.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    arrived: usize,
    permits: usize,
    open: bool,
}

impl Gate {
    /// A gate that stands open until it is closed.
    #[must_use]
    pub fn opened() -> Self {
        let gate = Self::default();
        gate.open();
        gate
    }

    /// Arrives, and waits to be let through.
    pub fn pass(&self) {
        let mut state = self.lock();
        state.arrived += 1;
        self.changed.notify_all();
        while !state.open && state.permits == 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.open {
            state.permits -= 1;
        }
    }

    /// Waits until `count` threads have arrived since the gate was made.
    pub fn wait_for_arrivals(&self, count: usize) {
        let mut state = self.lock();
        while state.arrived < count {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns how many threads have arrived since the gate was made.
    #[must_use]
    pub fn arrivals(&self) -> usize {
        self.lock().arrived
    }

    /// Lets `count` threads through.
    pub fn let_through(&self, count: usize) {
        self.lock().permits += count;
        self.changed.notify_all();
    }

    /// Lets everybody through from now on.
    pub fn open(&self) {
        self.lock().open = true;
        self.changed.notify_all();
    }

    /// Holds everybody from now on.
    pub fn close(&self) {
        self.lock().open = false;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
