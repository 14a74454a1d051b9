//! The system's clock and id generator, behind the domain's traits.
//!
//! Start-up code passes them to everything that needs them. Tests pass `mercurio_domain::testing` instead.

use mercurio_domain::clock::{Clock, Timestamp};
use mercurio_domain::ids::IdGenerator;
use uuid::Uuid;

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from(chrono::Utc::now())
    }
}

/// UUIDs of version 7, in ascending order within the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct UuidV7Ids;

impl IdGenerator for UuidV7Ids {
    fn next_uuid(&self) -> Uuid {
        // Version 7 begins with the time (RFC 9562, section 5.7), so an index grows at its end.
        Uuid::now_v7()
    }
}
