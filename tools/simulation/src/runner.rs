//! Runs a scenario once, with one seed.

use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use crate::scheduler::SeededScheduler;
use crate::sync::{clock, oneshot};

/// Switches between threads after which a run counts as hanging. Ordinary runs need a few thousand.
const MAX_STEPS: usize = 500_000;

/// Stack of a simulated thread. Frames of an unoptimized build are large.
const STACK_BYTES: usize = 512 * 1024;

/// Runs `scenario` as the main thread of a simulation.
///
/// # Panics
/// If a simulated thread panics, all threads wait for each other, or the run does not end.
pub fn run(seed: u64, scenario: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(MAX_STEPS);
    // The seed repeats the run; a printed schedule would only be long.
    config.failure_persistence = FailurePersistence::None;
    oneshot::reset();
    Runner::new(SeededScheduler::new(seed), config).run(move || clock::with_clock(&scenario));
}
