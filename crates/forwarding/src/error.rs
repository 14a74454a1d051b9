//! Why forwarding ends.

use mercurio_domain::store::{FeedCursorError, StoreError};

use crate::outcome::DeliveryError;

/// Why forwarding ended before it was stopped.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The receiver wants no more events.
    #[error(transparent)]
    Ended(DeliveryError),
    /// The receiver did not take a batch for too long. The next run sends it again.
    #[error("gave up, failed attempts: {failures}; nothing is lost, the next run continues here")]
    GaveUp {
        /// Attempts in a row.
        failures: u32,
        /// The last one.
        #[source]
        source: DeliveryError,
    },
    /// Another process moved the cursor.
    #[error(
        "another process forwards under the name {0:?}, or its workspace was deleted: choose another --name, or stop \
         the other process"
    )]
    NameInUse(String),
    /// The stored cursor does not belong to the feed.
    #[error("the cursor of {name:?} is unusable: forward under another --name to start again")]
    Cursor {
        /// The consumer.
        name: String,
        /// Cause.
        #[source]
        source: FeedCursorError,
    },
    /// A stored payload is not JSON.
    #[error("an event cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The database failed for good.
    #[error(transparent)]
    Store(#[from] StoreError),
}
