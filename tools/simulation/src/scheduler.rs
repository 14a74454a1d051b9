//! Decides by a seed which thread runs next.
//!
//! The seed also selects one of three policies, because each finds other errors: a uniform choice,
//! long runs with few switches, and fixed priorities that change a few times (PCT, Burckhardt et
//! al. 2010).

use std::collections::BTreeMap;

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

use crate::sync::clock::CLOCK_TASK;

/// Steps within which the priorities change. Most runs are at least as long.
const CHANGE_WITHIN_STEPS: u64 = 2_000;

/// Number of priority changes in a run.
const CHANGES: usize = 3;

enum Policy {
    /// Every runnable thread is equally likely.
    Uniform,
    /// The current thread goes on, except once in so many steps.
    Sticky(u64),
    /// The thread with the highest priority runs.
    Priorities { of: BTreeMap<usize, u64>, change_at: Vec<u64>, lowest: u64 },
}

/// A scheduler for a single execution.
pub(crate) struct SeededScheduler {
    seed: u64,
    random: Random,
    policy: Policy,
    steps: u64,
    is_started: bool,
}

impl SeededScheduler {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let policy = match random.below(3) {
            0 => Policy::Uniform,
            1 => Policy::Sticky(2 + random.below(30)),
            _ => Policy::Priorities {
                of: BTreeMap::new(),
                change_at: (0..CHANGES).map(|_| random.below(CHANGE_WITHIN_STEPS)).collect(),
                // Above it, new threads draw their priorities; changes count down from it.
                lowest: u64::MAX / 2,
            },
        };
        Self { seed, random, policy, steps: 0, is_started: false }
    }
}

impl Scheduler for SeededScheduler {
    fn new_execution(&mut self) -> Option<Schedule> {
        if self.is_started {
            return None;
        }
        self.is_started = true;
        Some(Schedule::new(self.seed))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        self.steps += 1;
        let threads: Vec<usize> = runnable
            .iter()
            .map(|task| usize::from(task.id()))
            .filter(|id| *id != CLOCK_TASK)
            .collect();
        if threads.is_empty() {
            // Everyone waits, so time passes.
            return Some(TaskId::from(CLOCK_TASK));
        }
        let current = current.map(usize::from).filter(|id| threads.contains(id));
        let random = &mut self.random;
        let next = match &mut self.policy {
            Policy::Uniform => random.choose(&threads),
            Policy::Sticky(switch_in) => match current {
                Some(current) if !is_yielding && random.below(*switch_in) > 0 => current,
                _ => random.choose(&threads),
            },
            Policy::Priorities { of, change_at, lowest } => {
                for thread in &threads {
                    of.entry(*thread).or_insert_with(|| *lowest + random.below(u64::MAX / 2));
                }
                if let Some(current) = current
                    && (is_yielding || change_at.contains(&self.steps))
                {
                    *lowest -= 1;
                    of.insert(current, *lowest);
                }
                threads.iter().copied().max_by_key(|thread| of[thread])?
            }
        };
        Some(TaskId::from(next))
    }

    fn next_u64(&mut self) -> u64 {
        self.random.next()
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): any seed is a good one.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn choose(&mut self, threads: &[usize]) -> usize {
        let count = u64::try_from(threads.len()).unwrap_or(u64::MAX);
        let index = usize::try_from(self.below(count)).unwrap_or_default();
        threads[index]
    }
}
