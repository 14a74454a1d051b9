//! A limit on the CPU time of this thread.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Returns the CPU time this thread has used. Waiting does not count.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // Never negative.
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// The CPU time left for one body, on the thread that created it.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuBudget {
    end: Duration,
}

impl CpuBudget {
    pub(super) fn new(allowed: Duration) -> Self {
        Self { end: thread_time().saturating_add(allowed) }
    }

    pub(super) fn is_used_up(self) -> bool {
        thread_time() > self.end
    }
}
