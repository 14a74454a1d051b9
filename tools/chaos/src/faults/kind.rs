//! A kind of fault, and the choice among several.

use std::ops::Range;
use std::time::Duration;

use crate::error::Error;
use crate::site::Site;

/// The details of a fault, `None` if it could not be caused.
pub(super) type Done = Result<Option<String>, Error>;

/// A kind of fault.
pub(super) struct Fault {
    pub(super) name: &'static str,
    /// How often it is chosen, relative to the others of its lane.
    pub(super) weight: u32,
    /// Causes the fault and undoes it.
    pub(super) run: fn(&Site, &mut fastrand::Rng) -> Done,
}

/// Chooses a fault by weight.
pub(super) fn choose<'a>(faults: &[&'a Fault], random: &mut fastrand::Rng) -> &'a Fault {
    let total: u32 = faults.iter().map(|fault| fault.weight).sum();
    let mut left = random.u32(0..total);
    for fault in faults {
        match left.checked_sub(fault.weight) {
            Some(rest) => left = rest,
            None => return fault,
        }
    }
    faults[0]
}

/// Sleeps for a random number of milliseconds.
pub(super) fn pause(random: &mut fastrand::Rng, millis: Range<u64>) {
    std::thread::sleep(Duration::from_millis(random.u64(millis)));
}
