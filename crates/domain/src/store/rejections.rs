//! Rejected events, kept for some days, and counts of all of them.
//!
//! They help to find out why an event was rejected, and are no part of the promise of the service: a
//! server writes them after the response, and keeps only a sample of a flood. The counts include
//! those that were not kept.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use super::rejected_event::without_nul;
use super::{Position, RejectedEvent, RejectionPage, StoreError};
use crate::clock::Timestamp;
use crate::ids::Owner;
use crate::limits::DEFAULT_PAGE_EVENTS;
use crate::verdict::FieldErrorCode;

/// What a count of rejections counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RejectionKind {
    /// Rejected events, whatever their errors.
    Event,
    /// Rejected events with one error. An event with two errors counts once for each.
    Error,
    /// Requests refused before their events were read, such as malformed JSON.
    Request,
}

impl RejectionKind {
    /// Every kind, in the order of totals.
    pub const ALL: [Self; 3] = [Self::Event, Self::Error, Self::Request];

    /// The name in JSON and in stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Error => "error",
            Self::Request => "request",
        }
    }

    /// The reverse of [`RejectionKind::as_str`].
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Maximum bytes of each text of a [`RejectionGroup`]; stores cut longer ones. All texts of a group
/// fit into an entry of PostgreSQL's index, of 2,704 bytes at most.
pub const MAX_GROUP_TEXT_BYTES: usize = 512;

/// What rejections have in common that are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RejectionGroup {
    /// The workspace.
    pub owner: Owner,
    /// Start of the hour of receipt, in UTC.
    pub hour: Timestamp,
    /// What is counted.
    pub kind: RejectionKind,
    /// The code of the error or of the problem; empty for [`RejectionKind::Event`].
    pub code: String,
    /// JSON pointer (RFC 6901) within the event; empty for the event itself and for a request.
    pub pointer: String,
    /// The name of the event; empty if it has none, and for [`RejectionKind::Event`]: one group of a
    /// workspace holds the number of all its events.
    pub event_name: String,
}

/// A count to add to a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RejectionCount {
    /// Number of events or requests.
    pub rejected: u64,
    /// The id of a kept one.
    pub example: Option<Uuid>,
}

/// Rejections to store in one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RejectionBatch {
    /// The events to keep.
    pub events: Vec<RejectedEvent>,
    /// Counts to add, of these and of others. Those of equal groups are added up.
    pub counts: Vec<(RejectionGroup, RejectionCount)>,
}

impl RejectionBatch {
    /// The batch as stores keep it.
    ///
    /// U+FFFD replaces U+0000, which PostgreSQL cannot store. Texts of groups are cut to
    /// [`MAX_GROUP_TEXT_BYTES`]. Groups come in their order and once each, without those of 0.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let mut counts: BTreeMap<RejectionGroup, RejectionCount> = BTreeMap::new();
        for (group, count) in self.counts.iter().filter(|(_, count)| count.rejected > 0) {
            let sum = counts.entry(group.normalized()).or_default();
            sum.rejected += count.rejected;
            sum.example = sum.example.or(count.example);
        }
        Self {
            events: self.events.iter().map(RejectedEvent::normalized).collect(),
            counts: counts.into_iter().collect(),
        }
    }
}

fn group_text(text: &str) -> String {
    let mut text = without_nul(text);
    text.truncate(text.floor_char_boundary(MAX_GROUP_TEXT_BYTES));
    text
}

impl RejectionGroup {
    fn normalized(&self) -> Self {
        Self {
            code: group_text(&self.code),
            pointer: group_text(&self.pointer),
            event_name: group_text(&self.event_name),
            ..*self
        }
    }
}

/// Selects rejected events of a workspace. They must match all filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectionQuery {
    /// Has an error with this code.
    pub code: Option<FieldErrorCode>,
    /// Exact id of the event, if it was valid.
    pub event_id: Option<String>,
    /// Exact event name.
    pub event_name: Option<String>,
    /// Inclusive lower bound of `received_at`.
    pub from: Option<Timestamp>,
    /// Exclusive upper bound of `received_at`.
    pub to: Option<Timestamp>,
    /// Returns only events strictly below this position: time of receipt and id.
    pub after: Option<Position>,
    /// Page size, 1 to [`crate::limits::MAX_PAGE_EVENTS`].
    pub limit: usize,
}

impl Default for RejectionQuery {
    fn default() -> Self {
        Self {
            code: None,
            event_id: None,
            event_name: None,
            from: None,
            to: None,
            after: None,
            limit: DEFAULT_PAGE_EVENTS,
        }
    }
}

/// Selects counts of rejections of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectionCountQuery {
    /// Inclusive lower bound of the hour of receipt.
    pub from: Timestamp,
    /// Exclusive upper bound of the hour of receipt.
    pub to: Timestamp,
    /// Maximum groups of each kind.
    pub limit: usize,
}

/// The rejections of a time with the same kind, code, pointer and event name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectionTotal {
    /// What is counted.
    pub kind: RejectionKind,
    /// The code of the error or of the problem; empty for [`RejectionKind::Event`].
    pub code: String,
    /// JSON pointer within the event; empty for the event itself and for a request.
    pub pointer: String,
    /// The name of the event; empty if it has none.
    pub event_name: String,
    /// Number of events or requests.
    pub rejected: u64,
    /// The newest hour of receipt.
    pub last_hour: Timestamp,
    /// A kept event of the newest hour that has one. `None` if there is none, or if the examples of
    /// the totals before it have more than [`crate::limits::MAX_PAGE_BYTES`].
    pub example: Option<RejectedEvent>,
}

/// What one call of [`Rejections::expire_rejections`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExpiredRejections {
    /// Number of kept events removed.
    pub events: u64,
    /// Number of rows of counts removed.
    pub counts: u64,
    /// Whether more may be left: call again.
    pub has_more: bool,
}

/// Keeps rejected events and their counts.
///
/// # Errors
/// Every method returns [`StoreError`] if the database fails.
pub trait Rejections: Send + Sync {
    /// Stores rejections in one transaction, see [`RejectionBatch::normalized`]. Those of a workspace
    /// that is deleted, or is being deleted, are left out.
    ///
    /// A group keeps its first example until that event is gone.
    ///
    /// # Errors
    /// After [`StoreError::Unavailable`] the batch may or may not be stored. Repeated, a stored batch
    /// with events is refused whole, by their ids.
    fn record_rejections(&self, batch: &RejectionBatch) -> Result<(), StoreError>;

    /// Returns a page of the kept rejected events of a workspace, newest first by time of receipt,
    /// then by id.
    ///
    /// A page with a `next` may have fewer events than `query.limit`, see
    /// [`RejectionPageBuilder`](super::RejectionPageBuilder).
    ///
    /// # Errors
    /// [`StoreError::TimedOut`] if it takes longer than the store's time limit for reads.
    fn rejections(&self, owner: Owner, query: &RejectionQuery)
    -> Result<RejectionPage, StoreError>;

    /// Returns the counts of a workspace, by kind, the highest of each kind first.
    ///
    /// # Errors
    /// [`StoreError::TimedOut`] if it takes longer than the store's time limit for reads.
    fn rejection_totals(
        &self,
        owner: Owner,
        query: &RejectionCountQuery,
    ) -> Result<Vec<RejectionTotal>, StoreError>;

    /// Counts the kept events received before a time, of one workspace or of all.
    fn count_rejections(&self, owner: Option<Owner>, before: Timestamp) -> Result<u64, StoreError>;

    /// Removes kept events received before a time, and counts of hours that began before it, of one
    /// workspace or of all. The whole hour of that time loses its counts.
    ///
    /// Each call is one transaction that removes up to some thousand rows, or a whole day in
    /// PostgreSQL. Call it again while [`ExpiredRejections::has_more`].
    fn expire_rejections(
        &self,
        owner: Option<Owner>,
        before: Timestamp,
    ) -> Result<ExpiredRejections, StoreError>;
}
