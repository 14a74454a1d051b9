//! The group-commit writer: many requests in one transaction, one answer for each, given after the commit.
//!
//! A [`GroupWriter`] owns a few threads, its threads. A writer thread takes what is waiting, up to a bound, hands it to the store as one
//! group, answers every submission of it, and starts again. There is no timer: while one group is being committed the next
//! one gathers, so that a lone request never waits and a flood makes large groups.
//!
//! Promises:
//! - Every submission gets exactly one answer, after its commit or its failure; one whose caller is gone is stored all the same.
//! - A full queue, an unavailable store and a writer that is closing answer at once.
//! - One submission that the store refuses fails alone: see `split`.
//! - One tenant can fill only a share of the queue, and tenants take turns in the groups: see `queue`.
//! - A panic in a writer thread ends the process, since after it nobody knows what was promised.

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

use queue::{Pending, SubmissionQueue};

/// How much the writer takes on.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// Threads that write at the same time.
    pub threads: usize,
    /// Events that may wait.
    pub queue_events: usize,
    /// Bytes that may wait, counted by [`Submission::size_bytes`].
    pub queue_bytes: usize,
    /// How much of the queue one tenant may fill, in percent: 1 to 100.
    pub tenant_share_percent: usize,
    /// Events after which a group takes no further submission.
    pub group_events: usize,
    /// Bytes after which a group takes no further submission.
    pub group_bytes: usize,
    /// Events that must wait before another writer thread joins those that are at work: two small transactions cost more than one
    /// that is twice as large.
    pub join_events: usize,
    /// How long to wait before an unavailable store is asked again; doubled up to ten times as long.
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

/// Why a submission was not stored, or not known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The queue is full, or the tenant's share of it. Nothing was stored.
    #[error("the queue of the writer is full")]
    Overloaded,
    /// The store is away. The events may or may not be stored.
    #[error("the store is unavailable")]
    Unavailable,
    /// The writer takes nothing any more. Nothing was stored.
    #[error("the writer is closing")]
    Closing,
    /// The store failed on this submission alone. Nothing was stored.
    #[error("the store failed on this submission")]
    Failed,
}

/// What the writer tells of its work, for logs and metrics. Called from its threads: it must be quick.
pub trait WriterObserver: Send + Sync {
    /// A submission waited so long for its group to begin.
    fn waited(&self, wait: Duration);
    /// A group was committed.
    fn committed(&self, group: Committed);
    /// A group failed as a whole.
    fn failed(&self, submissions: usize, error: &StoreError);
    /// The group that failed is written in halves.
    fn split(&self);
    /// So many submissions were answered with an error of the store.
    fn refused(&self, submissions: usize);
    /// The store is away, or back.
    fn availability(&self, available: bool);
}

/// A group that was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Its submissions.
    pub submissions: usize,
    /// Their events.
    pub events: usize,
    /// Their bytes, as [`Submission::size_bytes`] counts them.
    pub bytes: usize,
    /// How long the store took.
    pub took: Duration,
}

/// An observer that looks away.
#[derive(Debug, Clone, Copy)]
pub struct NoopObserver;

impl WriterObserver for NoopObserver {
    fn waited(&self, _: Duration) {}
    fn committed(&self, _: Committed) {}
    fn failed(&self, _: usize, _: &StoreError) {}
    fn split(&self) {}
    fn refused(&self, _: usize) {}
    fn availability(&self, _: bool) {}
}

/// The threads. Dropping it closes the queue and waits for them.
pub struct GroupWriter {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    queue: SubmissionQueue,
    store: Arc<dyn EventWriter>,
    observer: Arc<dyn WriterObserver>,
    probe_interval: Duration,
}

impl GroupWriter {
    /// Starts the threads.
    ///
    /// # Errors
    /// Where the operating system gives no thread.
    pub fn start(
        store: Arc<dyn EventWriter>,
        options: &WriterOptions,
        observer: Arc<dyn WriterObserver>,
    ) -> std::io::Result<Self> {
        let queue = SubmissionQueue::new(options);
        let shared =
            Arc::new(Shared { queue, store, observer, probe_interval: options.probe_interval });
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

    /// The way in. Handles may outlive the writer: they then answer [`SubmitError::Closing`].
    #[must_use]
    pub fn handle(&self) -> GroupWriterHandle {
        GroupWriterHandle { shared: Arc::clone(&self.shared) }
    }

    /// Takes nothing more, and waits at most `grace` until all that was taken is answered. Whether it was. Blocks.
    pub fn close(&self, grace: Duration) -> bool {
        self.shared.queue.close();
        self.shared.queue.wait_until_idle(Instant::now() + grace)
    }
}

impl Drop for GroupWriter {
    fn drop(&mut self) {
        self.shared.queue.close();
        for worker in self.threads.drain(..) {
            // A writer thread that panicked has ended the process.
            worker.join().ok();
        }
    }
}

/// The way into a [`GroupWriter`]. Cheap to clone.
#[derive(Clone)]
pub struct GroupWriterHandle {
    shared: Arc<Shared>,
}

/// How long a submission waited for its group. Clones tell of the same one.
#[derive(Debug, Clone, Default)]
pub struct QueueTime(Arc<AtomicU64>);

impl QueueTime {
    fn set(&self, waited: Duration) {
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.0.store(nanos.max(1), Ordering::Relaxed);
    }

    /// `None`: it waits still, or was never taken.
    #[must_use]
    pub fn get(&self) -> Option<Duration> {
        Some(self.0.load(Ordering::Relaxed)).filter(|nanos| *nanos > 0).map(Duration::from_nanos)
    }
}

/// How full the queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// Events that wait.
    pub events: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Events that may wait.
    pub capacity: usize,
}

impl GroupWriterHandle {
    /// Submits events, and waits until their group is committed. The outcomes are in the order of the events.
    ///
    /// The submission is on its way as soon as the future is first polled; dropping the future does not take it back.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit(&self, submission: Submission) -> Result<Vec<Outcome>, SubmitError> {
        self.submit_timed(submission, &QueueTime::default()).await
    }

    /// As [`GroupWriterHandle::submit`]; `queued` tells, during and afterwards, how long the submission waited for its group.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit_timed(
        &self,
        submission: Submission,
        queued: &QueueTime,
    ) -> Result<Vec<Outcome>, SubmitError> {
        let answer = self.enqueue_timed(submission, queued)?;
        // A writer thread that is gone without an answer has ended the process.
        answer.await.unwrap_or(Err(SubmitError::Unavailable))
    }

    #[cfg(test)]
    fn enqueue(
        &self,
        submission: Submission,
    ) -> Result<oneshot::Receiver<Result<Vec<Outcome>, SubmitError>>, SubmitError> {
        self.enqueue_timed(submission, &QueueTime::default())
    }

    fn enqueue_timed(
        &self,
        submission: Submission,
        queued: &QueueTime,
    ) -> Result<oneshot::Receiver<Result<Vec<Outcome>, SubmitError>>, SubmitError> {
        let (answer, receiver) = oneshot::channel();
        self.shared.queue.push(Pending::new(submission, answer, queued.clone()))?;
        Ok(receiver)
    }

    /// How full the queue is.
    #[must_use]
    pub fn depth(&self) -> QueueDepth {
        self.shared.queue.depth()
    }

    /// Whether the store answered when it was last asked, and the writer is not closing.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.shared.queue.is_available()
    }
}

#[cfg(test)]
mod tests;
