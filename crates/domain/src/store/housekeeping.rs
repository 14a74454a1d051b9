//! The port of what admins do with many events at once: counting them, and removing them in steps.
//!
//! Nothing here takes a lock that a writer would wait for. A removal is many short transactions; who asks for the next step
//! decides the pace, and a removal that was cut off is simply begun again.

use super::StoreError;
use crate::clock::Timestamp;
use crate::ids::{Owner, TenantId};

/// Whose events to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// All of a tenant, and the keys by which they are known: an id that comes again is new.
    Tenant(TenantId),
    /// Those of one person of a tenant. Their keys stay: an event that is sent again stays a duplicate.
    Person {
        /// Whose person it is.
        tenant_id: TenantId,
        /// The person.
        person: Person,
    },
    /// Those that were received before a time, and the keys of those that were received [`KEY_DAYS`] days before it.
    Received {
        /// Of one tenant; `None`: of all.
        tenant_id: Option<TenantId>,
        /// The time. Where all tenants are meant, it is the beginning of a day in UTC.
        before: Timestamp,
    },
}

/// Days by which the key of an event outlives it at least: what is sent again within them is still a duplicate.
pub const KEY_DAYS: i64 = 30;

impl Removal {
    /// The tenant whose events go; `None`: all tenants.
    #[must_use]
    pub fn tenant_id(&self) -> Option<TenantId> {
        match self {
            Self::Tenant(tenant_id) | Self::Person { tenant_id, .. } => Some(*tenant_id),
            Self::Received { tenant_id, .. } => *tenant_id,
        }
    }

    /// Before which keys go too; `None`: they stay, or all go.
    #[must_use]
    pub fn keys_before(&self) -> Option<Timestamp> {
        match self {
            Self::Received { before, .. } => before.checked_add_micros(-KEY_DAYS * 86_400_000_000),
            Self::Tenant(_) | Self::Person { .. } => None,
        }
    }
}

/// Names a person as events do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Person {
    /// By `user_id`.
    User(String),
    /// By `anonymous_id`.
    Anonymous(String),
}

/// A place in a removal, whose form is the store's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(pub String);

/// What one step removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Events.
    pub events: u64,
    /// Keys by which events are known to have been stored.
    pub keys: u64,
    /// Where the next step begins; `None`: the removal has come to its end.
    pub next: Option<Place>,
}

/// What went with a tenant, in all steps of its deletion together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TenantRows {
    /// Its events.
    pub events: u64,
    /// The keys of its events.
    pub event_keys: u64,
    /// Its workspaces.
    pub workspaces: u64,
    /// Its API keys.
    pub api_keys: u64,
}

/// A duty that one server at a time performs for all servers of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseKind {
    /// Removes events that have been kept long enough.
    Retention,
    /// Sums the log of counts, see [`EventCounts::sum_counts`](super::EventCounts::sum_counts).
    Counts,
}

/// The leader lease for a [`LeaseKind`]. Dropping it gives it up, and so does the end of the process.
pub trait Lease: Send {
    /// Makes sure that it still holds, and tells the time by the database's own clock; `None`: it has none.
    ///
    /// # Errors
    /// [`StoreError`]: it is lost, or nobody knows.
    fn hold(&mut self) -> Result<Option<Timestamp>, StoreError>;
}

/// What admins do with many events at once.
pub trait Housekeeping: Send + Sync {
    /// Takes the leader lease for `kind`. `None`: another server holds it. A removal on request needs none.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not answer.
    fn lease(&self, kind: LeaseKind) -> Result<Option<Box<dyn Lease>>, StoreError>;

    /// How many events the workspace has.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not say.
    fn count_events(&self, owner: Owner) -> Result<u64, StoreError>;

    /// From now on the tenant is being deleted: no server serves it any more, and nothing makes it active again. Returns since
    /// when; a second call changes nothing. `None`: no such tenant.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not answer.
    fn begin_deletion(
        &self,
        tenant_id: TenantId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;

    /// Removes some events, a few thousand at most, in one transaction. Begins with `None`, goes on with the place that the
    /// step before told.
    ///
    /// # Errors
    /// [`StoreError`]; the steps before stay.
    fn remove_events(
        &self,
        which: &Removal,
        removed_at: Timestamp,
        from: Option<&Place>,
    ) -> Result<Removed, StoreError>;

    /// Removes what is left of a tenant that is being deleted: workspaces, API keys, limits, itself; and tells what went in all
    /// steps, however often they were cut off. `None`: there is no such tenant, or nobody began to delete it.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not answer; nothing is removed then.
    fn finish_deletion(&self, tenant_id: TenantId) -> Result<Option<TenantRows>, StoreError>;
}
