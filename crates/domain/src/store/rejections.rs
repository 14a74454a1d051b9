//! Rejected events, kept for some days, and counts of all of them.
//!
//! They help to find out why an event was rejected, and are no part of the promise of the service: a
//! server writes them after the response, and keeps only a sample of a flood. The counts include
//! those that were not kept.

use serde::Serialize;
use uuid::Uuid;

use super::{Position, StoreError};
use crate::clock::Timestamp;
use crate::ids::{ApiKeyId, Owner};
use crate::limits::DEFAULT_PAGE_EVENTS;
use crate::verdict::{FieldError, FieldErrorCode};

/// A rejected event as it was sent, and the reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedEvent {
    /// The id of the rejection, a UUIDv7 by the server.
    pub id: Uuid,
    /// The workspace it was sent to.
    pub owner: Owner,
    /// Time of receipt of the request.
    pub received_at: Timestamp,
    /// The client's id, if it is valid.
    pub event_id: Option<String>,
    /// The name, if it could be read.
    pub event_name: Option<String>,
    /// The person, if one could be read, so that an erasure finds the event.
    pub user_id: Option<String>,
    /// Like `user_id`.
    pub anonymous_id: Option<String>,
    /// All errors of the event. Never empty.
    pub errors: Vec<FieldError>,
    /// The event as sent: JSON text, up to the limit of an event. May be cut.
    pub event: String,
    /// Whether `event` lacks its end.
    pub is_cut: bool,
    /// `X-Request-Id` of the response.
    pub request_id: String,
    /// The key it was sent with.
    pub api_key_id: ApiKeyId,
    /// The protocol it was sent in, such as `segment`; `mercurio` for this server's own.
    pub protocol: String,
    /// Name and version of the client's library, if it reports them.
    pub sdk: Option<String>,
    /// `User-Agent` of the request.
    pub user_agent: Option<String>,
}

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
    /// The name of the event; empty if it has none.
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
    /// Counts to add, of these and of others; each group once.
    pub counts: Vec<(RejectionGroup, RejectionCount)>,
}

/// Selects rejected events of a workspace. They must match all filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectionQuery {
    /// Has an error with this code.
    pub code: Option<FieldErrorCode>,
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
            event_name: None,
            from: None,
            to: None,
            after: None,
            limit: DEFAULT_PAGE_EVENTS,
        }
    }
}

/// A page of rejected events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectionPage {
    /// Newest first.
    pub events: Vec<RejectedEvent>,
    /// Start of the next page; `None` on the last page.
    pub next: Option<Position>,
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
    /// A kept event; `None` if there is none or it has expired.
    pub example: Option<RejectedEvent>,
}

/// Keeps rejected events and their counts.
///
/// # Errors
/// Every method returns [`StoreError`] if the database fails.
pub trait Rejections: Send + Sync {
    /// Stores rejections in one transaction.
    fn record_rejections(&self, batch: &RejectionBatch) -> Result<(), StoreError>;

    /// Returns a page of the kept rejected events of a workspace, newest first by time of receipt.
    ///
    /// A page ends at [`crate::limits::MAX_PAGE_BYTES`] too.
    fn rejections(&self, owner: Owner, query: &RejectionQuery)
    -> Result<RejectionPage, StoreError>;

    /// Returns the counts of a workspace, the highest of each kind first.
    fn rejection_totals(
        &self,
        owner: Owner,
        query: &RejectionCountQuery,
    ) -> Result<Vec<RejectionTotal>, StoreError>;

    /// Removes rejected events and counts received before a time, of one workspace or of all.
    /// Returns the number of events removed. Each call removes up to some thousand rows of one
    /// workspace; call it again until it returns 0.
    fn expire_rejections(&self, owner: Option<Owner>, before: Timestamp)
    -> Result<u64, StoreError>;
}
