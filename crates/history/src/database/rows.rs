//! The rows that both databases return.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use mercurio_domain::limits::Month;
use mercurio_domain::{Owner, TenantId, Timestamp, WorkspaceId};

use super::error::ReadError;
use crate::history::EventRef;
use crate::payload::Payload;
use crate::stored::{CountKey, StoredCount, StoredRow, StoredUsage};

/// A row of `events`. Times are microseconds since 1970.
#[derive(QueryableByName)]
pub(super) struct EventRow {
    #[diesel(sql_type = BigInt)]
    tenant_id: i64,
    #[diesel(sql_type = BigInt)]
    workspace_id: i64,
    #[diesel(sql_type = Text)]
    event_id: String,
    #[diesel(sql_type = Text)]
    event_name: String,
    #[diesel(sql_type = BigInt)]
    received_at: i64,
    #[diesel(sql_type = Nullable<Text>)]
    user_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    anonymous_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    session_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    properties: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    traits: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    context: Option<String>,
}

impl EventRow {
    pub(super) fn stored(&self) -> Result<StoredRow<'_>, ReadError> {
        Ok(StoredRow {
            owner: owner(self.tenant_id, self.workspace_id),
            event_id: self.event_id.as_str().into(),
            received_at: timestamp("events", "received_at", self.received_at)?,
            payload: Payload {
                event_name: &self.event_name,
                user_id: self.user_id.as_deref(),
                anonymous_id: self.anonymous_id.as_deref(),
                session_id: self.session_id.as_deref(),
                properties: self.properties.as_deref(),
                traits: self.traits.as_deref(),
                context: self.context.as_deref(),
            },
        })
    }
}

/// An event or a key without the other.
#[derive(QueryableByName)]
pub(super) struct OrphanRow {
    #[diesel(sql_type = BigInt)]
    pub(super) tenant_id: i64,
    /// The event's id or key.
    #[diesel(sql_type = Text)]
    pub(super) id: String,
}

impl OrphanRow {
    pub(super) fn event(self) -> EventRef {
        EventRef { tenant_id: TenantId(self.tenant_id), event_id: self.id.into() }
    }
}

/// A row of `event_counts`, or of the log that is still to be added to it.
#[derive(QueryableByName)]
pub(super) struct CountRow {
    #[diesel(sql_type = BigInt)]
    tenant_id: i64,
    #[diesel(sql_type = BigInt)]
    workspace_id: i64,
    #[diesel(sql_type = Text)]
    event_name: String,
    #[diesel(sql_type = BigInt)]
    hour: i64,
    #[diesel(sql_type = BigInt)]
    accepted: i64,
}

impl CountRow {
    pub(super) fn stored(self) -> Result<StoredCount, ReadError> {
        let hour = timestamp("event_counts", "hour", self.hour)?;
        let accepted = number("event_counts", "accepted", self.accepted)?;
        let owner = owner(self.tenant_id, self.workspace_id);
        Ok(StoredCount { key: CountKey { owner, event_name: self.event_name, hour }, accepted })
    }

    /// The usage that a row of the log adds.
    pub(super) fn usage(&self) -> Result<StoredUsage, ReadError> {
        let hour = timestamp("count_log", "hour", self.hour)?;
        let used = number("count_log", "counts", self.accepted)?;
        Ok(StoredUsage { tenant_id: TenantId(self.tenant_id), month: Month::of(hour), used })
    }
}

/// A row of `tenant_usage`.
#[derive(QueryableByName)]
pub(super) struct UsageRow {
    #[diesel(sql_type = BigInt)]
    tenant_id: i64,
    #[diesel(sql_type = BigInt)]
    month: i64,
    #[diesel(sql_type = BigInt)]
    used: i64,
}

impl UsageRow {
    pub(super) fn stored(&self) -> Result<StoredUsage, ReadError> {
        let Self { tenant_id, month, used } = *self;
        let first_day = format!("{}-{:02}-01T00:00:00Z", month / 100, month % 100);
        let month = Timestamp::parse(&first_day)
            .map(Month::of)
            .map_err(|_| impossible("tenant_usage", "month", month))?;
        let used = number("tenant_usage", "used", used)?;
        Ok(StoredUsage { tenant_id: TenantId(tenant_id), month, used })
    }
}

fn owner(tenant_id: i64, workspace_id: i64) -> Owner {
    Owner { tenant_id: TenantId(tenant_id), workspace_id: WorkspaceId(workspace_id) }
}

fn timestamp(
    table: &'static str,
    column: &'static str,
    micros: i64,
) -> Result<Timestamp, ReadError> {
    Timestamp::from_micros(micros).ok_or(impossible(table, column, micros))
}

fn number(table: &'static str, column: &'static str, value: i64) -> Result<u64, ReadError> {
    u64::try_from(value).map_err(|_| impossible(table, column, value))
}

fn impossible(table: &'static str, column: &'static str, value: i64) -> ReadError {
    ReadError::Row { table, column, value }
}
