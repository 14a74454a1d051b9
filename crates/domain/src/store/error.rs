//! The error of every store method. Driver types stay inside the store; the cause is kept for the
//! log.

use std::error::Error;

/// Why a store call failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is unreachable or the connection broke. The call may or may not have taken
    /// effect.
    #[error("the database is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// A read of events ran into its time limit. A narrower one may succeed.
    #[error("the read ran into its time limit")]
    TimedOut(#[source] Box<dyn Error + Send + Sync>),
    /// The database rejects this data and will reject it again. Nothing was changed.
    #[error("the database refuses the data")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// Any other failure: a bug here or in the database. Nothing was changed.
    #[error("the store failed")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
