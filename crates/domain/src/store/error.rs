//! What can go wrong at a store. No type of a database driver gets out; the cause is kept for the log.

use std::error::Error;

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database can't be reached, or the connection was lost: what was asked may or may not have happened.
    #[error("the database is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The database refuses this data, now and whenever it is asked again. Nothing was changed.
    #[error("the database refuses the data")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// Anything else: a fault of this program or of the database. Nothing was changed.
    #[error("the store failed")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// Whether the same call may succeed later without any change.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
