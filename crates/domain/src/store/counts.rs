//! Counts of stored events: by event name and hour of receipt, and by tenant and month for quotas.

use super::StoreError;
use crate::clock::Timestamp;
use crate::ids::{Owner, TenantId};
use crate::limits::Month;

/// Reads and sums the counts of stored events. A store keeps them in the transactions of the
/// events.
///
/// Every stored event is counted once, by its time of receipt. Erasing a person and retention lower
/// no count. Deleting a tenant removes its counts; deleting a workspace removes the workspace's, and
/// leaves the usage of the tenant.
///
/// # Errors
/// Every method returns [`StoreError`] if the database fails.
pub trait EventCounts: Send + Sync {
    /// Returns the events each of `tenants` stored in `month`, in the order of `tenants`. Exact at
    /// the moment of the call.
    fn usage(&self, tenants: &[TenantId], month: Month) -> Result<Vec<u64>, StoreError>;

    /// Returns the counts of a workspace, sorted by event name and hour. Exact at the moment of the
    /// call.
    fn event_counts(&self, query: &CountQuery) -> Result<Vec<EventCount>, StoreError>;

    /// Adds the log of counts to the tables of counts and empties it, in one transaction.
    ///
    /// Returns the number of groups summed, always 0 for a store without a log. Counts of deleted
    /// tenants and workspaces are dropped.
    fn sum_counts(&self) -> Result<u64, StoreError>;
}

/// Selects counts of one workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountQuery {
    /// The tenant and workspace.
    pub owner: Owner,
    /// Exact event name; `None` selects all.
    pub event_name: Option<String>,
    /// Inclusive lower bound of the hour.
    pub from: Timestamp,
    /// Exclusive upper bound of the hour.
    pub to: Timestamp,
}

/// Events of one name received in one hour.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventCount {
    /// The name of the events.
    pub event_name: String,
    /// Start of the hour, in UTC.
    pub hour: Timestamp,
    /// Number of events stored.
    pub accepted: u64,
}
