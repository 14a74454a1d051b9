//! The thread that writes rejections.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mercurio_domain::store::{RejectionBatch, Rejections, StoreError};
use mercurio_domain::{Owner, TenantId};
use mercurio_observability::{chain, keys};
use slog::{Logger, warn};

use super::shared::{Shared, queued_bytes};
use crate::line_limit::LineLimit;

/// Maximum events of a transaction. With the pause it bounds the load of all tenants together: 2,000
/// events a second.
const MAX_BATCH_EVENTS: usize = 400;
/// Maximum bytes of events of a transaction.
const MAX_BATCH_BYTES: usize = 2 * 1024 * 1024;
/// Maximum wait for the events of a request that is copying them.
const COPY_TIME: Duration = Duration::from_millis(50);
/// Pause between two log lines about failed writes.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The pauses of the thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pauses {
    /// After a write.
    pub(super) between: Duration,
    /// After a failed write.
    pub(super) retry: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { between: Duration::from_millis(200), retry: Duration::from_secs(2) }
    }
}

pub(super) struct WriterThread {
    shared: Arc<Shared>,
    store: Arc<dyn Rejections>,
    log: Logger,
    lines: LineLimit<()>,
    pauses: Pauses,
}

/// The result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Done,
    /// The database is away.
    Unavailable,
}

impl WriterThread {
    pub(super) fn new(
        shared: Arc<Shared>,
        store: Arc<dyn Rejections>,
        log: Logger,
        pauses: Pauses,
    ) -> Self {
        Self { shared, store, log, lines: LineLimit::once_in(LOG_EVERY), pauses }
    }

    /// Writes until the recorder is closed and everything is written, or cannot be.
    pub(super) fn run(self) {
        while let Some(batch) = self.next() {
            let written = self.write(batch);
            let is_failing = written == Written::Unavailable;
            self.shared.lock().is_failing = is_failing;
            let pause = if is_failing { self.pauses.retry } else { self.pauses.between };
            let is_closed = self.pause(pause);
            if is_closed && is_failing {
                return;
            }
        }
    }

    /// Waits for something to write. `None` once the recorder is closed and empty.
    fn next(&self) -> Option<RejectionBatch> {
        let state = self.shared.lock();
        let mut state = self
            .shared
            .pending
            .wait_while(state, |state| state.is_idle() && !state.is_closed)
            .unwrap_or_else(PoisonError::into_inner);
        if state.is_idle() {
            return None;
        }
        // An event goes with its count, unless its request is slow to copy it.
        let copied =
            self.shared.copied.wait_timeout_while(state, COPY_TIME, |state| state.is_copying());
        (state, _) = copied.unwrap_or_else(PoisonError::into_inner);
        let (mut events, mut bytes) = (Vec::new(), 0);
        while events.len() < MAX_BATCH_EVENTS && bytes < MAX_BATCH_BYTES {
            let Some(event) = state.queue.pop_front() else { break };
            bytes += queued_bytes(&event);
            events.push(event);
        }
        state.queue_bytes -= bytes;
        Some(RejectionBatch { events, counts: state.counts.take() })
    }

    /// Pauses, unless the recorder is closed. Returns whether it is.
    fn pause(&self, pause: Duration) -> bool {
        let state = self.shared.lock();
        let (state, _) = self
            .shared
            .closed
            .wait_timeout_while(state, pause, |state| !state.is_closed)
            .unwrap_or_else(PoisonError::into_inner);
        state.is_closed
    }

    fn write(&self, batch: RejectionBatch) -> Written {
        match self.try_write(&batch) {
            Ok(()) => Written::Done,
            Err(error) if error.is_unavailable() => self.give_back(batch),
            // One of its tenants may be gone, or one of its events may be unstorable.
            Err(_) => {
                let mut written = Written::Done;
                for part in by_tenant(batch) {
                    written = match written {
                        Written::Done => self.write_part(part),
                        // Those of the other tenants wait too.
                        Written::Unavailable => self.give_back(part),
                    };
                }
                written
            }
        }
    }

    /// Writes the rejections of one tenant: with its events, or without, or not at all.
    fn write_part(&self, mut part: RejectionBatch) -> Written {
        for is_last in [false, true] {
            match self.try_write(&part) {
                Ok(()) => return Written::Done,
                Err(error) if error.is_unavailable() => return self.give_back(part),
                Err(_) => {
                    add(&self.shared.totals.dropped, part.events.len() as u64);
                    part.events.clear();
                    if is_last || part.counts.is_empty() {
                        let lost = part.counts.iter().map(|(_, count)| count.rejected).sum();
                        add(&self.shared.totals.dropped_counts, lost);
                        return Written::Done;
                    }
                }
            }
        }
        Written::Done
    }

    fn try_write(&self, batch: &RejectionBatch) -> Result<(), StoreError> {
        // A panic, logged by its hook, must not end the thread for ever.
        let write = AssertUnwindSafe(|| self.store.record_rejections(batch));
        let written = catch_unwind(write);
        let written =
            written.unwrap_or_else(|_| Err(StoreError::Internal("the store panicked".into())));
        match &written {
            Ok(()) => add(&self.shared.totals.kept, batch.events.len() as u64),
            Err(error) => {
                add(&self.shared.totals.write_failures, 1);
                if let Some(not_logged) = self.lines.admit((), Instant::now()) {
                    warn!(self.log, "rejections not stored"; keys::ERROR => chain(error),
                        keys::NOT_LOGGED => Some(not_logged).filter(|number| *number > 0));
                }
            }
        }
        written
    }

    /// Keeps the counts for the next write, and drops the events.
    fn give_back(&self, batch: RejectionBatch) -> Written {
        let mut state = self.shared.lock();
        let waiting = state.queue.len();
        state.queue.clear();
        state.queue_bytes = 0;
        let lost = state.counts.give_back(batch.counts);
        drop(state);
        add(&self.shared.totals.dropped, (batch.events.len() + waiting) as u64);
        add(&self.shared.totals.dropped_counts, lost);
        Written::Unavailable
    }
}

fn add(total: &AtomicU64, number: u64) {
    total.fetch_add(number, Ordering::Relaxed);
}

/// Splits a batch by tenant.
fn by_tenant(batch: RejectionBatch) -> Vec<RejectionBatch> {
    let mut parts: std::collections::BTreeMap<TenantId, RejectionBatch> = Default::default();
    let tenant = |owner: Owner| owner.tenant_id;
    for event in batch.events {
        parts.entry(tenant(event.owner)).or_default().events.push(event);
    }
    for (group, count) in batch.counts {
        parts.entry(tenant(group.owner)).or_default().counts.push((group, count));
    }
    parts.into_values().collect()
}
