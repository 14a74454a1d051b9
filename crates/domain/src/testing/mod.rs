//! Shared by the tests of all crates: a clock and an id generator under control, builders, a gate,
//! and the store in memory.

mod builders;
mod gate;
mod memory_store;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use crate::clock::{Clock, Timestamp};
use crate::ids::IdGenerator;

pub use builders::{enriched, provisioning, rejection, submission};
pub use gate::Gate;
pub use memory_store::MemoryStore;

/// Reads an RFC 3339 time; panics on any other text.
#[must_use]
pub fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A clock that moves only when set.
#[derive(Debug)]
pub struct FixedClock(Mutex<Timestamp>);

impl FixedClock {
    /// Starts at `text` (RFC 3339).
    #[must_use]
    pub fn at(text: &str) -> Self {
        Self(Mutex::new(at(text)))
    }

    /// Moves the clock, forward or back.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = now;
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Ids that count from 1: `00000000-0000-0000-0000-000000000001` is the first.
#[derive(Debug, Default)]
pub struct CountingIds(AtomicU64);

impl IdGenerator for CountingIds {
    fn next_uuid(&self) -> Uuid {
        // Version 0, so that no generated id looks like a hashed key.
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed) + 1))
    }
}
