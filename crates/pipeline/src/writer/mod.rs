//! The group-commit writer: many requests in one transaction, and an answer to each after the
//! commit.
//!
//! A [`GroupWriter`] owns a few threads. Each takes the waiting submissions, up to a bound, writes
//! them as one group, answers them and starts again. There is no timer: while one group commits,
//! the next one gathers. A lone request never waits, and load makes groups larger.
//!
//! Guarantees:
//! - Every submission gets exactly one answer, after its commit or failure. It is stored even if
//!   its client disconnects.
//! - A full queue, an unavailable store and a shutdown are answered at once.
//! - A submission the store refuses fails alone: see `split`.
//! - A tenant can fill only a share of the queue, and tenants take turns in the groups: see
//!   `queue`.
//! - A panic in a writer thread aborts the process: see `worker`.

mod answer;
mod observer;
mod options;
mod queue;
mod split;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use mercurio_domain::store::{EventWriter, Submission};
use mercurio_domain::verdict::Outcome;

use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Instant, oneshot};

use answer::AnswerReceiver;
use queue::{PendingSubmission, SubmissionQueue};
use worker::SharedWriter;

pub use answer::SubmitError;
pub use observer::{CommittedGroup, NoopObserver, WriterObserver};
pub use options::WriterOptions;
pub use queue::{QueueDepth, QueueTime};

/// Owns the writer threads. Dropping it closes the queue and waits for them.
pub struct GroupWriter {
    shared: Arc<SharedWriter>,
    threads: Vec<JoinHandle<()>>,
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
        // Without a thread, every submission would wait forever.
        for number in 0..options.threads.max(1) {
            let shared = Arc::clone(&writer.shared);
            // If a spawn fails, `writer` is dropped and ends the threads started before.
            let worker = thread::Builder::new()
                .name(format!("writer-{number}"))
                .spawn(move || worker::run(&shared))?;
            writer.threads.push(worker);
        }
        Ok(writer)
    }

    /// Returns a handle. Handles may outlive the writer and then return
    /// [`SubmitError::ShuttingDown`].
    #[must_use]
    pub fn handle(&self) -> GroupWriterHandle {
        GroupWriterHandle { shared: Arc::clone(&self.shared) }
    }

    /// Refuses new submissions and waits for the queued ones. Returns false if some are left after
    /// `grace`. Blocks.
    pub fn close(&self, grace: Duration) -> bool {
        self.shared.queue.close();
        // After the close: a submission accepted later could extend the wait.
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
        // Nothing is awaited before, so the first poll queues the submission.
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
