//! The machine's clock and its randomness, behind the ports of the domain.
//!
//! Start-up hands them to whatever needs them; nothing else in the service asks the system. Not here: what tests use
//! in their place (`mercurio_domain::testing`).

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

/// UUIDs of version 7 from the system's clock and generator of random numbers: ordered in time within the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct UuidV7Ids;

impl IdGenerator for UuidV7Ids {
    fn next_uuid(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_tells_microseconds_of_this_age() {
        let first = SystemClock.now();
        assert!(first > Timestamp::parse("2025-01-01T00:00:00Z").unwrap(), "{first}");
    }

    #[test]
    fn ids_are_of_version_seven_and_ascend() {
        let ids: Vec<Uuid> = (0..1000).map(|_| UuidV7Ids.next_uuid()).collect();
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert!(ids.is_sorted_by(|a, b| a < b));
    }
}
