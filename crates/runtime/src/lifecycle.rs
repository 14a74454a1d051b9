//! The start time of the process, and its shutdown.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The stage of a server's life.
#[derive(Debug)]
pub struct Lifecycle {
    /// Start of the process.
    pub started: Instant,
    draining: AtomicBool,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { started: Instant::now(), draining: AtomicBool::new(false) }
    }
}

impl Lifecycle {
    /// Starts the shutdown: from now on the server is not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether the shutdown has started.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }
}
