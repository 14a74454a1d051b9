//! What waits for a writer thread: bounded in events and bytes, shared fairly between tenants.
//!
//! Each tenant has a line of its own, and the tenants take turns: a group takes one submission of each in the ring, then a
//! second of each, until it is full. So a tenant that floods the queue fills the groups only as far as the others leave
//! them empty, and what it may keep waiting is a share of the whole.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mercurio_domain::TenantId;
use mercurio_domain::store::Submission;
use mercurio_domain::verdict::Outcome;
use tokio::sync::oneshot;

use super::{QueueDepth, QueueTime, SubmitError, WriterOptions};

/// A submission that waits, and where its answer goes.
pub(super) struct Pending {
    pub(super) submission: Submission,
    pub(super) answer: oneshot::Sender<Result<Vec<Outcome>, SubmitError>>,
    bytes: usize,
    since: Instant,
    queued: QueueTime,
}

impl Pending {
    pub(super) fn new(
        submission: Submission,
        answer: oneshot::Sender<Result<Vec<Outcome>, SubmitError>>,
        queued: QueueTime,
    ) -> Self {
        let bytes = submission.size_bytes();
        Self { submission, answer, bytes, since: Instant::now(), queued }
    }

    /// Its wait is over. How long it was.
    pub(super) fn end_wait(&self) -> Duration {
        let waited = self.since.elapsed();
        self.queued.set(waited);
        waited
    }

    fn events(&self) -> usize {
        self.submission.events.len()
    }
}

/// What a writer thread finds when it comes.
pub(super) enum NextWork {
    /// Submissions to write as one group.
    Group(Vec<Pending>),
    /// The store was away: ask it again.
    Probe,
    /// Nothing will ever come again.
    Closed,
}

pub(super) struct SubmissionQueue {
    state: Mutex<State>,
    /// Something was pushed, the queue was closed, or the store is back.
    work: Condvar,
    /// A writer thread has finished.
    idle: Condvar,
    queue: Load,
    tenant: Load,
    group: Load,
    /// Events from which on another writer thread joins in.
    join_events: usize,
}

#[derive(Clone, Copy, Default)]
struct Load {
    events: usize,
    bytes: usize,
}

impl Load {
    fn add(&mut self, pending: &Pending) {
        self.events += pending.events();
        self.bytes += pending.bytes;
    }

    fn remove(&mut self, pending: &Pending) {
        self.events -= pending.events();
        self.bytes -= pending.bytes;
    }

    fn has_room_for(self, pending: &Pending, bound: Self) -> bool {
        self.events + pending.events() <= bound.events && self.bytes + pending.bytes <= bound.bytes
    }
}

#[derive(Default)]
struct State {
    lines: HashMap<TenantId, Line>,
    /// The tenants with something in their line, in the order of their turns.
    ring: VecDeque<TenantId>,
    load: Load,
    /// Groups that threads have taken and not yet answered.
    in_flight: usize,
    closed: bool,
    /// The store was away when it was last asked.
    unavailable: bool,
    /// A writer thread is asking it again.
    probing: bool,
}

#[derive(Default)]
struct Line {
    pending: VecDeque<Pending>,
    load: Load,
}

impl SubmissionQueue {
    pub(super) fn new(options: &WriterOptions) -> Self {
        let share =
            |whole: usize| whole.saturating_mul(options.tenant_share_percent.clamp(1, 100)) / 100;
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            idle: Condvar::new(),
            queue: Load { events: options.queue_events, bytes: options.queue_bytes },
            tenant: Load { events: share(options.queue_events), bytes: share(options.queue_bytes) },
            group: Load { events: options.group_events, bytes: options.group_bytes },
            join_events: options.join_events,
        }
    }

    /// Takes a submission in, or says at once why not.
    pub(super) fn push(&self, pending: Pending) -> Result<(), SubmitError> {
        let mut state = self.lock();
        if state.closed {
            return Err(SubmitError::Closing);
        }
        if state.unavailable {
            return Err(SubmitError::Unavailable);
        }
        let tenant_id = pending.submission.owner.tenant_id;
        let waiting = state.lines.get(&tenant_id).map(|line| line.load).unwrap_or_default();
        // An empty line takes anything that the queue has room for, or a small queue could never take a large batch.
        let in_share = waiting.events == 0 || waiting.has_room_for(&pending, self.tenant);
        let in_queue = state.load.events == 0 || state.load.has_room_for(&pending, self.queue);
        if !in_share || !in_queue {
            return Err(SubmitError::Overloaded);
        }
        state.load.add(&pending);
        let line = state.lines.entry(tenant_id).or_default();
        line.load.add(&pending);
        line.pending.push_back(pending);
        if line.pending.len() == 1 {
            state.ring.push_back(tenant_id);
        }
        let wake = self.needs_another_worker(&state);
        drop(state);
        if wake {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Whether what waits should be written now: always where no writer thread is at work, and else once it makes a group that pays
    /// for a transaction of its own. What is left waits for the writer thread that is at work, which comes back for it.
    fn needs_another_worker(&self, state: &State) -> bool {
        !state.ring.is_empty()
            && (state.in_flight == 0 || state.load.events >= self.join_events || state.closed)
    }

    /// Waits for work. Whoever gets a group must call [`SubmissionQueue::done`] after it has answered.
    pub(super) fn next(&self) -> NextWork {
        let mut state = self.lock();
        loop {
            if state.unavailable && !state.probing && !state.closed {
                state.probing = true;
                return NextWork::Probe;
            }
            if self.needs_another_worker(&state) {
                state.in_flight += 1;
                return NextWork::Group(self.take_group(&mut state));
            }
            if state.closed {
                return NextWork::Closed;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take_group(&self, state: &mut State) -> Vec<Pending> {
        let mut group = Vec::new();
        let mut taken = Load::default();
        while let Some(tenant_id) = state.ring.pop_front() {
            let Some(line) = state.lines.get_mut(&tenant_id) else { continue };
            let fits = line
                .pending
                .front()
                .is_some_and(|next| group.is_empty() || taken.has_room_for(next, self.group));
            if !fits {
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
                state.lines.remove(&tenant_id);
            } else {
                state.ring.push_back(tenant_id);
            }
        }
        group
    }

    /// A writer thread has answered a group.
    pub(super) fn done(&self) {
        self.lock().in_flight -= 1;
        self.idle.notify_all();
    }

    /// The store is away. Whatever waits is handed back, to be answered so; what comes is refused until it is back. Whether
    /// that is news.
    pub(super) fn set_unavailable(&self) -> (bool, Vec<Pending>) {
        let mut state = self.lock();
        let news = !state.unavailable;
        state.unavailable = true;
        state.ring.clear();
        state.load = Load::default();
        let waiting =
            std::mem::take(&mut state.lines).into_values().flat_map(|line| line.pending).collect();
        drop(state);
        // Another writer thread may be waiting: one of them must ask the store again.
        self.work.notify_all();
        (news, waiting)
    }

    /// The store is back.
    pub(super) fn set_available(&self) {
        let mut state = self.lock();
        state.unavailable = false;
        state.probing = false;
        drop(state);
        self.work.notify_all();
    }

    /// Waits before the store is asked again; `false` where the queue was closed meanwhile, and asking is moot.
    pub(super) fn pause(&self, interval: Duration) -> bool {
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

    /// Takes nothing more. What waits is still written.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }

    /// Waits until nothing waits and nothing is in flight; `false` where that takes beyond `deadline`.
    pub(super) fn wait_until_idle(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
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
        QueueDepth { events: load.events, bytes: load.bytes, capacity: self.queue.events }
    }

    pub(super) fn is_available(&self) -> bool {
        let state = self.lock();
        !state.unavailable && !state.closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
