//! The simulated counterpart of `crates/pipeline/src/sync.rs`, with the same names.

pub(crate) mod clock;
mod condvar;
mod mutex;
pub(crate) mod oneshot;
mod waiter;

pub(crate) use clock::Instant;
pub(crate) use condvar::Condvar;
pub(crate) use mutex::{Mutex, MutexGuard};

pub(crate) mod thread {
    //! Threads of the simulation.

    pub(crate) use shuttle::thread::{Builder, JoinHandle};

    /// Always false: a panicking writer thread fails the run, and must not abort the test program.
    pub(crate) fn panicking() -> bool {
        false
    }
}
