//! What a database holds: rows, counts and usage.

use mercurio_domain::limits::Month;
use mercurio_domain::{Owner, TenantId, Timestamp};

use crate::payload::Payload;

/// A row of the events table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow<'a> {
    /// Its tenant and workspace.
    pub owner: Owner,
    /// The client's id.
    pub event_id: Box<str>,
    /// The time of receipt.
    pub received_at: Timestamp,
    /// The members kept as sent.
    pub payload: Payload<'a>,
}

/// Selects a count: events of one name, received by a workspace in one hour.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub struct CountKey {
    pub owner: Owner,
    pub event_name: String,
    /// Start of the hour, in UTC.
    pub hour: Timestamp,
}

/// A count as stored. Several of one key add up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct StoredCount {
    pub key: CountKey,
    pub accepted: u64,
}

/// The usage of a tenant in a month as stored. Several of one month add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct StoredUsage {
    pub tenant_id: TenantId,
    pub month: Month,
    pub used: u64,
}
