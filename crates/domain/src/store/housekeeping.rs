//! The store trait for bulk work: counting events and removing them in steps.
//!
//! A removal is a series of short transactions, so writers never wait for it. The caller sets the
//! pace, and restarts an interrupted removal from the beginning.

use super::StoreError;
use crate::clock::Timestamp;
use crate::ids::{Owner, TenantId, WorkspaceId};

/// Days an event's key outlives the event. A resent event stays a duplicate for that long.
pub const KEY_DAYS: i64 = 30;

/// The subject of a deletion: everything that belongs to it goes, and then it goes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deletion {
    /// A tenant with all its workspaces.
    Tenant(TenantId),
    /// One workspace. Its tenant stays, and so does the tenant's usage, as quotas count it.
    Workspace(Owner),
}

impl Deletion {
    /// The tenant deleted or concerned.
    #[must_use]
    pub fn tenant_id(self) -> TenantId {
        match self {
            Self::Tenant(tenant_id) => tenant_id,
            Self::Workspace(owner) => owner.tenant_id,
        }
    }

    /// Whether what belongs to `owner` is deleted.
    #[must_use]
    pub fn covers(self, owner: Owner) -> bool {
        match self {
            Self::Tenant(tenant_id) => owner.tenant_id == tenant_id,
            Self::Workspace(workspace) => owner == workspace,
        }
    }

    /// The workspace deleted; `None` if all of the tenant are.
    #[must_use]
    pub fn workspace_id(self) -> Option<WorkspaceId> {
        match self {
            Self::Tenant(_) => None,
            Self::Workspace(owner) => Some(owner.workspace_id),
        }
    }
}

/// Selects the events to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// All events of a tenant or workspace, and their keys. A resent event is accepted again. Also
    /// rejected events and their counts.
    All(Deletion),
    /// All events of one person. The keys stay, so a resent event is a duplicate. Also rejected
    /// events that mention the person, see [`RejectedEvent::concerns`](super::RejectedEvent::concerns).
    Person {
        /// The tenant the person belongs to.
        tenant_id: TenantId,
        /// The person as identified in events.
        person: Person,
    },
    /// Events received before a time, and keys received [`KEY_DAYS`] days before it. Rejected events
    /// stay: [`Rejections::expire_rejections`](super::Rejections::expire_rejections) removes those.
    Received {
        /// Limits the removal to one tenant; `None` covers all tenants.
        tenant_id: Option<TenantId>,
        /// Exclusive upper bound. Must be midnight UTC if `tenant_id` is `None`.
        before: Timestamp,
    },
}

impl Removal {
    /// The tenant affected, or `None` for all tenants.
    #[must_use]
    pub fn tenant_id(&self) -> Option<TenantId> {
        match self {
            Self::All(deletion) => Some(deletion.tenant_id()),
            Self::Person { tenant_id, .. } => Some(*tenant_id),
            Self::Received { tenant_id, .. } => *tenant_id,
        }
    }

    /// Keys received before this time are removed too. `None` for removals without a time bound.
    #[must_use]
    pub fn keys_before(&self) -> Option<Timestamp> {
        match self {
            // Microseconds of a day. Out of range, no key is that old, and `None` keeps them all.
            Self::Received { before, .. } => before.checked_add_micros(-KEY_DAYS * 86_400_000_000),
            Self::All(_) | Self::Person { .. } => None,
        }
    }
}

/// Identifies a person the way events do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Person {
    /// Matches `user_id`.
    User(String),
    /// Matches `anonymous_id`.
    Anonymous(String),
}

impl Person {
    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::User(id) | Self::Anonymous(id) => id,
        }
    }
}

/// An opaque position in a removal. Each store has its own format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovalCursor(pub String);

/// Result of one removal step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Number of events removed.
    pub events: u64,
    /// Number of event keys removed.
    pub keys: u64,
    /// Number of kept rejected events removed.
    pub rejections: u64,
    /// Start of the next step; `None` when the removal is complete.
    pub next: Option<RemovalCursor>,
}

/// Rows that a removal would remove now, over all its steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemovalCounts {
    /// Number of events.
    pub events: u64,
    /// Number of event keys.
    pub keys: u64,
    /// Number of kept rejected events.
    pub rejections: u64,
}

/// Rows removed by a deletion, summed over all its steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field counts the rows it is named after")]
pub struct DeletedRows {
    pub events: u64,
    pub event_keys: u64,
    pub rejections: u64,
    pub workspaces: u64,
    pub api_keys: u64,
}

/// A job of one server at a time, for all servers of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseKind {
    /// Deletes expired events.
    Retention,
    /// Sums the log of counts, see [`EventCounts::sum_counts`](super::EventCounts::sum_counts).
    Counts,
}

/// The leader lease for a [`LeaseKind`]. Released on drop and when the process ends.
pub trait Lease: Send {
    /// Confirms the lease is still held. Returns the database's clock, if it has one of its own.
    ///
    /// # Errors
    /// [`StoreError`] if the lease is lost or its state is unknown.
    fn hold(&mut self) -> Result<Option<Timestamp>, StoreError>;
}

/// Bulk operations on events.
///
/// # Errors
/// Every method returns [`StoreError`] if the database fails. Its own transaction is then undone.
pub trait Housekeeping: Send + Sync {
    /// Tries to take the leader lease for `kind`. Returns `None` if another server holds it.
    ///
    /// Removals requested by an admin need no lease.
    fn lease(&self, kind: LeaseKind) -> Result<Option<Box<dyn Lease>>, StoreError>;

    /// Counts the events of a workspace.
    fn count_events(&self, owner: Owner) -> Result<u64, StoreError>;

    /// Counts the rows that [`Self::remove_events`] would remove until it is complete. Changes
    /// nothing.
    fn count_removal(&self, which: &Removal) -> Result<RemovalCounts, StoreError>;

    /// Marks a tenant or workspace as being deleted. Servers stop accepting its keys: those of a
    /// tenant as if it were suspended, those of a workspace as if they were revoked. The tenant
    /// cannot be resumed, and the workspace gets no new key.
    ///
    /// Returns the time of the first call; later calls change nothing. `None` if there is no such
    /// tenant or workspace.
    fn begin_deletion(
        &self,
        deletion: Deletion,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;

    /// Removes up to a few thousand events in one transaction.
    ///
    /// Start with `from: None`, then pass [`Removed::next`] of the previous step.
    /// Earlier steps stay committed if one fails.
    fn remove_events(
        &self,
        which: &Removal,
        removed_at: Timestamp,
        from: Option<&RemovalCursor>,
    ) -> Result<Removed, StoreError>;

    /// Removes the remaining rows of a tenant or workspace marked for deletion, such as keys,
    /// counts and limits, and the tenant or workspace itself.
    ///
    /// Returns the totals over all steps, including interrupted runs. `None` if the tenant or
    /// workspace does not exist or is not marked.
    fn finish_deletion(&self, deletion: Deletion) -> Result<Option<DeletedRows>, StoreError>;
}
