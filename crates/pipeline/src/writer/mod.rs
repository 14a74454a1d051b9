//! The group-commit writer: many requests in one transaction, and an answer to each after the commit.
//!
//! A [`GroupWriter`] owns a few threads. Each takes the waiting submissions, up to a bound, writes them as one group, answers
//! them and starts again. There is no timer: while one group commits, the next one gathers. A lone request never waits, and
//! load makes groups larger.
//!
//! Guarantees:
//! - Every submission gets exactly one answer, after its commit or failure. It is stored even if its client disconnects.
//! - A full queue, an unavailable store and a shutdown are answered at once.
//! - A submission the store refuses fails alone: see `split`.
//! - A tenant can fill only a share of the queue, and tenants take turns in the groups: see `queue`.
//! - A panic in a writer thread aborts the process: see `worker`.

mod queue;
mod split;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mercurio_domain::store::{EventWriter, StoreError, Submission};
use mercurio_domain::verdict::Outcome;
use tokio::sync::oneshot;

use queue::{PendingSubmission, SubmissionQueue};

/// Threads and bounds of a [`GroupWriter`].
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// Writer threads. Each uses one database connection.
    pub threads: usize,
    /// Maximum events in the queue.
    pub queue_events: usize,
    /// Maximum bytes in the queue, counted by [`Submission::size_bytes`].
    pub queue_bytes: usize,
    /// Maximum share of the queue for one tenant, in percent: 1 to 100.
    pub tenant_share_percent: usize,
    /// Maximum events in a group. A larger submission is a group of its own.
    pub group_events: usize,
    /// Maximum bytes in a group. A larger submission is a group of its own.
    pub group_bytes: usize,
    /// Queued events from which an idle writer thread starts a second transaction in parallel. Below it, the busy thread takes
    /// them after its commit: two small transactions cost more than one of twice the size.
    pub join_events: usize,
    /// First pause between two probes of an unavailable store. It doubles after each failed probe, up to ten times this value.
    pub probe_interval: Duration,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            threads: 2,
            queue_events: 50_000,
            queue_bytes: 64 * 1024 * 1024,
            tenant_share_percent: 50,
            group_events: 4_000,
            group_bytes: 8 * 1024 * 1024,
            join_events: 256,
            probe_interval: Duration::from_millis(100),
        }
    }
}

/// Why a submission was not stored, or is not known to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The queue, or the tenant's share of it, is full. Nothing was stored.
    #[error("the write queue is full")]
    Overloaded,
    /// The store is unavailable. The events may be stored or not.
    #[error("the store is unavailable")]
    Unavailable,
    /// The writer is closed. Nothing was stored.
    #[error("the writer is shutting down")]
    ShuttingDown,
    /// The store refused this submission alone. Nothing was stored.
    #[error("the store refused this submission")]
    Failed,
}

/// Receives events of the writer, for logs and metrics. The writer threads call it, so it must not block.
pub trait WriterObserver: Send + Sync {
    /// A submission left the queue after `wait`.
    fn waited(&self, wait: Duration);
    /// A group was committed.
    fn committed(&self, group: CommittedGroup);
    /// A group failed as a whole.
    fn failed(&self, submissions: usize, error: &StoreError);
    /// A failed group is split in half.
    fn split(&self);
    /// Submissions were answered with an error of the store.
    fn refused(&self, submissions: usize);
    /// The store became unavailable or available.
    fn availability(&self, available: bool);
}

/// A committed group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommittedGroup {
    /// Submissions in the group.
    pub submissions: usize,
    /// Events in the group.
    pub events: usize,
    /// Bytes in the group, counted by [`Submission::size_bytes`].
    pub bytes: usize,
    /// Duration of the store's call.
    pub took: Duration,
}

/// An observer that ignores everything.
#[derive(Debug, Clone, Copy)]
pub struct NoopObserver;

impl WriterObserver for NoopObserver {
    fn waited(&self, _: Duration) {}
    fn committed(&self, _: CommittedGroup) {}
    fn failed(&self, _: usize, _: &StoreError) {}
    fn split(&self) {}
    fn refused(&self, _: usize) {}
    fn availability(&self, _: bool) {}
}

/// The answer to one submission, in the order of its events.
type Answer = Result<Vec<Outcome>, SubmitError>;
type AnswerReceiver = oneshot::Receiver<Answer>;

/// Owns the writer threads. Dropping it closes the queue and waits for them.
pub struct GroupWriter {
    shared: Arc<SharedWriter>,
    threads: Vec<JoinHandle<()>>,
}

/// Used by the threads and the handles.
struct SharedWriter {
    queue: SubmissionQueue,
    store: Arc<dyn EventWriter>,
    observer: Arc<dyn WriterObserver>,
    probe_interval: Duration,
}

impl GroupWriter {
    /// Starts the writer threads.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn start(
        store: Arc<dyn EventWriter>,
        options: &WriterOptions,
        observer: Arc<dyn WriterObserver>,
    ) -> std::io::Result<Self> {
        let queue = SubmissionQueue::new(options);
        let shared = Arc::new(SharedWriter {
            queue,
            store,
            observer,
            probe_interval: options.probe_interval,
        });
        let mut writer = Self { shared, threads: Vec::new() };
        for number in 0..options.threads.max(1) {
            let shared = Arc::clone(&writer.shared);
            let worker = std::thread::Builder::new()
                .name(format!("writer-{number}"))
                .spawn(move || worker::run(&shared))?;
            writer.threads.push(worker);
        }
        Ok(writer)
    }

    /// Returns a handle. Handles may outlive the writer and then return [`SubmitError::ShuttingDown`].
    #[must_use]
    pub fn handle(&self) -> GroupWriterHandle {
        GroupWriterHandle { shared: Arc::clone(&self.shared) }
    }

    /// Refuses new submissions and waits for the queued ones. Returns false if some are left after `grace`. Blocks.
    pub fn close(&self, grace: Duration) -> bool {
        self.shared.queue.close();
        self.shared.queue.wait_until_idle(Instant::now() + grace)
    }
}

impl Drop for GroupWriter {
    fn drop(&mut self) {
        self.shared.queue.close();
        for worker in self.threads.drain(..) {
            // A panic in a writer thread would have aborted the process.
            worker.join().ok();
        }
    }
}

/// Submits to a [`GroupWriter`]. Cheap to clone.
#[derive(Clone)]
pub struct GroupWriterHandle {
    shared: Arc<SharedWriter>,
}

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

impl GroupWriterHandle {
    /// Submits events and waits for the commit. Returns the outcomes in the order of the events.
    ///
    /// The first poll queues the submission. Dropping the future later does not cancel it.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit(&self, submission: Submission) -> Result<Vec<Outcome>, SubmitError> {
        self.submit_timed(submission, &QueueTime::default()).await
    }

    /// Like [`GroupWriterHandle::submit`], and sets `queued` when the submission leaves the queue.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit_timed(
        &self,
        submission: Submission,
        queued: &QueueTime,
    ) -> Result<Vec<Outcome>, SubmitError> {
        let answer = self.enqueue_timed(submission, queued)?;
        // A writer thread that drops its answer has panicked, and the process aborts.
        answer.await.unwrap_or(Err(SubmitError::Unavailable))
    }

    #[cfg(test)]
    fn enqueue(&self, submission: Submission) -> Result<AnswerReceiver, SubmitError> {
        self.enqueue_timed(submission, &QueueTime::default())
    }

    fn enqueue_timed(
        &self,
        submission: Submission,
        queued: &QueueTime,
    ) -> Result<AnswerReceiver, SubmitError> {
        let (answer, receiver) = oneshot::channel();
        self.shared.queue.push(PendingSubmission::new(submission, answer, queued.clone()))?;
        Ok(receiver)
    }

    /// Returns the load of the queue.
    #[must_use]
    pub fn depth(&self) -> QueueDepth {
        self.shared.queue.depth()
    }

    /// Returns whether the store accepted the last write or probe, and the writer is not closed.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.shared.queue.is_available()
    }
}

#[cfg(test)]
mod tests;
