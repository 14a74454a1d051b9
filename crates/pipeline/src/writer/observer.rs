//! What the writer reports to logs and metrics.

use std::time::Duration;

use mercurio_domain::store::StoreError;

/// Receives events of the writer, for logs and metrics. The writer threads call it, so it must not
/// block.
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
    /// Bytes in the group, counted by
    /// [`Submission::size_bytes`](mercurio_domain::store::Submission::size_bytes).
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
