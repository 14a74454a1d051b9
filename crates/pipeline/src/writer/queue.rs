//! The queue of submissions: bounded in events and bytes, and fair between tenants.
//!
//! Each tenant has its own line, and the tenants take turns: a group takes one submission of each
//! tenant, then a second of each, until it is full. A tenant flooding the queue gets only the room
//! in the groups left by the others, and can fill only its share of the queue.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use mercurio_domain::TenantId;
use mercurio_domain::store::Submission;

use crate::sync::{Condvar, Instant, Mutex, MutexGuard, oneshot};

use super::answer::{Answer, SubmitError};
use super::options::WriterOptions;

/// Time of a submission in the queue. Clones share the value.
#[derive(Debug, Clone, Default)]
pub struct QueueTime(Arc<AtomicU64>);

impl QueueTime {
    fn set(&self, waited: Duration) {
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        // Zero means unset.
        self.0.store(nanos.max(1), Ordering::Relaxed);
    }

    /// Returns `None` while the submission is queued, and if it was refused.
    #[must_use]
    pub fn get(&self) -> Option<Duration> {
        Some(self.0.load(Ordering::Relaxed)).filter(|nanos| *nanos > 0).map(Duration::from_nanos)
    }
}

/// Load of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// Events in the queue.
    pub events: usize,
    /// Bytes in the queue.
    pub bytes: usize,
    /// Maximum events in the queue.
    pub capacity: usize,
}

/// A queued submission and the channel of its answer.
pub(super) struct PendingSubmission {
    pub(super) submission: Submission,
    pub(super) answer: oneshot::Sender<Answer>,
    bytes: usize,
    since: Instant,
    queued: QueueTime,
}

impl PendingSubmission {
    pub(super) fn new(
        submission: Submission,
        answer: oneshot::Sender<Answer>,
        queued: QueueTime,
    ) -> Self {
        let bytes = submission.size_bytes();
        Self { submission, answer, bytes, since: Instant::now(), queued }
    }

    /// Records and returns the time in the queue.
    pub(super) fn end_wait(&self) -> Duration {
        let waited = self.since.elapsed();
        self.queued.set(waited);
        waited
    }

    fn events(&self) -> usize {
        self.submission.events.len()
    }
}

/// The next task of a writer thread.
pub(super) enum NextWork {
    /// Write these submissions as one group.
    Group(Vec<PendingSubmission>),
    /// Probe the unavailable store.
    Probe,
    /// End: the queue is closed and empty.
    Closed,
}

pub(super) struct SubmissionQueue {
    state: Mutex<QueueState>,
    /// Signals a submission, the end, or a change of the store's availability.
    work: Condvar,
    /// Signals an answered group.
    idle: Condvar,
    queue_bound: QueueLoad,
    tenant_bound: QueueLoad,
    group_bound: QueueLoad,
    join_events: usize,
}

#[derive(Clone, Copy, Default)]
struct QueueLoad {
    events: usize,
    bytes: usize,
}

impl QueueLoad {
    fn add(&mut self, pending: &PendingSubmission) {
        self.events += pending.events();
        self.bytes += pending.bytes;
    }

    fn remove(&mut self, pending: &PendingSubmission) {
        self.events -= pending.events();
        self.bytes -= pending.bytes;
    }

    fn has_room_for(self, pending: &PendingSubmission, bound: Self) -> bool {
        self.events + pending.events() <= bound.events && self.bytes + pending.bytes <= bound.bytes
    }
}

#[derive(Default)]
struct QueueState {
    lines: HashMap<TenantId, TenantLine>,
    /// The tenants with a non-empty line, in the order of their turns.
    ring: VecDeque<TenantId>,
    load: QueueLoad,
    /// Groups taken and not yet answered.
    in_flight: usize,
    closed: bool,
    /// The last write or probe found the store unavailable.
    unavailable: bool,
    /// A writer thread probes the store. One is enough.
    probing: bool,
}

#[derive(Default)]
struct TenantLine {
    pending: VecDeque<PendingSubmission>,
    load: QueueLoad,
}

/// The effect of [`SubmissionQueue::set_unavailable`].
pub(super) struct Outage {
    /// The store was available before.
    pub(super) is_new: bool,
    /// All queued submissions, to be refused in the order of the tenants' turns.
    pub(super) pending: Vec<PendingSubmission>,
}

impl SubmissionQueue {
    pub(super) fn new(options: &WriterOptions) -> Self {
        let share =
            // Saturating: a configured bound near `usize::MAX` must not overflow.
            |whole: usize| whole.saturating_mul(options.tenant_share_percent.clamp(1, 100)) / 100;
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            idle: Condvar::new(),
            queue_bound: QueueLoad { events: options.queue_events, bytes: options.queue_bytes },
            tenant_bound: QueueLoad {
                events: share(options.queue_events),
                bytes: share(options.queue_bytes),
            },
            group_bound: QueueLoad { events: options.group_events, bytes: options.group_bytes },
            join_events: options.join_events,
        }
    }

    /// Queues a submission, or refuses it at once.
    pub(super) fn push(&self, pending: PendingSubmission) -> Result<(), SubmitError> {
        let mut state = self.lock();
        if state.closed {
            return Err(SubmitError::ShuttingDown);
        }
        // Refused at once: a queue in front of a dead store would only delay the client's retry.
        if state.unavailable {
            return Err(SubmitError::Unavailable);
        }
        let tenant_id = pending.submission.owner.tenant_id;
        let waiting = state.lines.get(&tenant_id).map(|line| line.load).unwrap_or_default();
        // An empty line takes a submission beyond its share, or a small queue could never take a
        // large batch.
        let in_share = waiting.events == 0 || waiting.has_room_for(&pending, self.tenant_bound);
        let in_queue =
            state.load.events == 0 || state.load.has_room_for(&pending, self.queue_bound);
        if !in_share || !in_queue {
            return Err(SubmitError::Overloaded);
        }
        state.load.add(&pending);
        let line = state.lines.entry(tenant_id).or_default();
        line.load.add(&pending);
        line.pending.push_back(pending);
        // A tenant takes its place in the ring with its first submission.
        if line.pending.len() == 1 {
            state.ring.push_back(tenant_id);
        }
        let wake = self.needs_another_worker(&state);
        // Unlock first, or the woken thread would block on the lock.
        drop(state);
        if wake {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Returns whether an idle writer thread should start a group now: if no other thread is busy,
    /// or if the queue holds enough events to pay for a second transaction. Otherwise the busy
    /// thread takes them after its commit.
    fn needs_another_worker(&self, state: &QueueState) -> bool {
        !state.ring.is_empty()
            && (state.in_flight == 0 || state.load.events >= self.join_events || state.closed)
    }

    /// Waits for the next task. After a group, the caller must answer it and then call
    /// [`SubmissionQueue::done`].
    pub(super) fn next(&self) -> NextWork {
        let mut state = self.lock();
        loop {
            if state.unavailable && !state.probing && !state.closed {
                state.probing = true;
                return NextWork::Probe;
            }
            if self.needs_another_worker(&state) {
                // Under the lock of the removal below, so `wait_until_idle` sees one or the other.
                state.in_flight += 1;
                return NextWork::Group(self.take_group(&mut state));
            }
            // After the queue is empty: a closed queue still drains.
            if state.closed {
                return NextWork::Closed;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes submissions in turns until the next one does not fit. The first always fits.
    fn take_group(&self, state: &mut QueueState) -> Vec<PendingSubmission> {
        let mut group = Vec::new();
        let mut taken = QueueLoad::default();
        while let Some(tenant_id) = state.ring.pop_front() {
            let Some(line) = state.lines.get_mut(&tenant_id) else { continue };
            // Oversized submissions fit alone, or they would block their tenant's line.
            let fits = line
                .pending
                .front()
                .is_some_and(|next| group.is_empty() || taken.has_room_for(next, self.group_bound));
            if !fits {
                // The tenant keeps its turn for the next group.
                state.ring.push_front(tenant_id);
                break;
            }
            if let Some(pending) = line.pending.pop_front() {
                line.load.remove(&pending);
                state.load.remove(&pending);
                taken.add(&pending);
                group.push(pending);
            }
            if line.pending.is_empty() {
                // Removed, or the map would grow with every tenant seen since start-up.
                state.lines.remove(&tenant_id);
            } else {
                state.ring.push_back(tenant_id);
            }
        }
        group
    }

    /// Reports that a group is answered.
    pub(super) fn done(&self) {
        self.lock().in_flight -= 1;
        // Only `wait_until_idle` listens. This thread itself takes the next group, so no other is
        // woken.
        self.idle.notify_all();
    }

    /// Empties the queue and refuses submissions until [`SubmissionQueue::set_available`].
    pub(super) fn set_unavailable(&self) -> Outage {
        let mut state = self.lock();
        let is_new = !state.unavailable;
        state.unavailable = true;
        // Ring, load and lines change together: each submission counts in all three.
        state.load = QueueLoad::default();
        let mut pending = Vec::new();
        for tenant_id in std::mem::take(&mut state.ring) {
            if let Some(line) = state.lines.remove(&tenant_id) {
                pending.extend(line.pending);
            }
        }
        drop(state);
        // An idle writer thread can probe the store while this one still answers.
        self.work.notify_all();
        Outage { is_new, pending }
    }

    /// Accepts submissions again.
    pub(super) fn set_available(&self) {
        let mut state = self.lock();
        state.unavailable = false;
        state.probing = false;
        drop(state);
        self.work.notify_all();
    }

    /// Waits between two probes. Returns false if the queue is closed, because no probe is needed
    /// then.
    pub(super) fn pause(&self, interval: Duration) -> bool {
        // A fixed end: wake-ups meant for other threads must not prolong the pause.
        let until = Instant::now() + interval;
        let mut state = self.lock();
        while !state.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    /// Refuses new submissions. Queued ones are still written.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }

    /// Waits until the queue is empty and every group is answered. Returns false at `deadline`.
    pub(super) fn wait_until_idle(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        // The last group in flight may be answered after the queue is empty.
        while state.in_flight > 0 || !state.ring.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.idle.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    pub(super) fn depth(&self) -> QueueDepth {
        let load = self.lock().load;
        QueueDepth { events: load.events, bytes: load.bytes, capacity: self.queue_bound.events }
    }

    pub(super) fn is_available(&self) -> bool {
        let state = self.lock();
        !state.unavailable && !state.closed
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // A panic of a writer thread aborts the process, so the lock is never left poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
