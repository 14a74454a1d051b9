//! The answer to a submission.

use mercurio_domain::verdict::Outcome;

use crate::sync::oneshot;

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

/// The answer to one submission, in the order of its events.
pub(super) type Answer = Result<Vec<Outcome>, SubmitError>;
pub(super) type AnswerReceiver = oneshot::Receiver<Answer>;
