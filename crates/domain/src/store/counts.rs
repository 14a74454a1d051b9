//! Counts of stored events: by event name and hour of receipt, and by tenant and month for quotas.

use super::StoreError;
use crate::clock::Timestamp;
use crate::ids::{Owner, TenantId};
use crate::limits::Month;

/// Reads and sums the counts of stored events. A store keeps them in the transactions of the events.
///
/// Every stored event is counted once, by the time of its receipt. Erasing a person and retention lower no count; deleting a
/// tenant removes its counts.
pub trait EventCounts: Send + Sync {
    /// Returns how many events each of `tenants` stored in `month`, in the order of `tenants`. Exact at the moment of the call.
    ///
    /// # Errors
    /// [`StoreError`] if the database does not answer.
    fn usage(&self, tenants: &[TenantId], month: Month) -> Result<Vec<u64>, StoreError>;

    /// Returns the counts of a workspace by event name and hour, in that order. Exact at the moment of the call.
    ///
    /// # Errors
    /// [`StoreError`] if the database does not answer.
    fn event_counts(&self, query: &CountQuery) -> Result<Vec<EventCount>, StoreError>;

    /// Adds the log of counts to the tables of counts and empties it, in one transaction. Returns the number of groups
    /// summed. A store without a log returns 0. Counts of deleted tenants are dropped.
    ///
    /// # Errors
    /// [`StoreError`] if the database does not answer; the log then stays as it was.
    fn sum_counts(&self) -> Result<u64, StoreError>;
}

/// Selects counts of one workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountQuery {
    /// The tenant and workspace.
    pub owner: Owner,
    /// One event name; `None` selects all.
    pub event_name: Option<String>,
    /// First hour, inclusive.
    pub from: Timestamp,
    /// Last hour, exclusive.
    pub to: Timestamp,
}

/// Events of one name received in one hour.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventCount {
    /// The event name.
    pub event_name: String,
    /// Start of the hour, in UTC.
    pub hour: Timestamp,
    /// Events stored.
    pub accepted: u64,
}
