//! Conversion of rows to domain types. Both databases select the same columns in the same order.
//!
//! [`Micros`] and [`JsonText`] have another SQL type in each database; `values` of each backend
//! encodes and decodes them.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::prelude::Queryable;
use diesel::sql_types::{BigInt, Json, Text, Timestamptz};
use mercurio_domain::api_key::{ApiKey, Origins, Scopes, SecretHash};
use mercurio_domain::event::{EventParts, EventType, StoredEvent};
use mercurio_domain::limits::LimitOverrides;
use mercurio_domain::payload::JsonObject;
use mercurio_domain::schema_version::SchemaVersion;
use mercurio_domain::store::{AuditEntry, AuditOutcome, AuditRecord, KeyDetails};
use mercurio_domain::tenant::{Name, Tenant, TenantStatus, Workspace};
use mercurio_domain::{ApiKeyId, EventId, Owner, TenantId, Timestamp, WorkspaceId};

use crate::error::Error;

/// A time in microseconds since 1970: `timestamptz` in PostgreSQL, an integer in SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Timestamptz)]
#[diesel(sql_type = BigInt)]
pub(crate) struct Micros(pub(crate) i64);

impl From<Timestamp> for Micros {
    fn from(timestamp: Timestamp) -> Self {
        Self(timestamp.as_micros())
    }
}

/// A UUID: `uuid` in PostgreSQL, 16 bytes in SQLite, ordered alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = diesel::sql_types::Uuid)]
#[diesel(sql_type = diesel::sql_types::Binary)]
pub(crate) struct RowId(pub(crate) uuid::Uuid);

/// JSON text read byte for byte: `json` in PostgreSQL, text in SQLite.
#[derive(Debug, AsExpression, FromSqlRow)]
#[diesel(sql_type = Json)]
#[diesel(sql_type = Text)]
pub(crate) struct JsonText(pub(crate) String);

/// JSON text to write.
#[derive(Debug, Clone, Copy, AsExpression)]
#[diesel(sql_type = Json)]
#[diesel(sql_type = Text)]
pub(crate) struct JsonStr<'a>(pub(crate) &'a str);

impl<'a> JsonStr<'a> {
    pub(crate) fn of(object: Option<&'a JsonObject>) -> Option<Self> {
        object.map(|object| Self(object.as_str()))
    }
}

/// Clamps a time out of range, so that one bad row does not make its whole page unreadable.
pub(crate) fn timestamp(micros: Micros) -> Timestamp {
    Timestamp::from_micros_clamped(micros.0)
}

pub(crate) fn optional_timestamp(micros: Option<Micros>) -> Option<Timestamp> {
    micros.map(timestamp)
}

/// A row of `events`. The query fixes its tenant and workspace.
#[derive(Debug, Queryable)]
pub(crate) struct EventRow {
    event_id: String,
    kind: String,
    event_name: String,
    occurred_at: Micros,
    received_at: Micros,
    sent_timestamp: Option<Micros>,
    anonymous_id: Option<String>,
    user_id: Option<String>,
    session_id: Option<String>,
    schema_version: String,
    properties: Option<JsonText>,
    traits: Option<JsonText>,
    context: Option<JsonText>,
    enrichment: JsonText,
}

impl EventRow {
    pub(crate) fn into_event(self, owner: Owner) -> Result<StoredEvent, Error> {
        let object = |text: JsonText| JsonObject::from_store(text.0);
        let parts = EventParts {
            // Unchecked: the rules were applied before the event was stored.
            event_id: EventId::lookup(self.event_id),
            kind: EventType::from_text(&self.kind)
                .ok_or_else(|| Error::unreadable("an event's type"))?,
            event_name: self.event_name.into(),
            occurred_at: timestamp(self.occurred_at),
            sent_timestamp: optional_timestamp(self.sent_timestamp),
            anonymous_id: self.anonymous_id.map(Into::into),
            user_id: self.user_id.map(Into::into),
            session_id: self.session_id.map(Into::into),
            schema_version: SchemaVersion::parse(&self.schema_version)
                .map_err(|_| Error::unreadable("a schema version"))?,
            properties: self.properties.map(object),
            traits: self.traits.map(object),
            context: self.context.map(object),
        };
        Ok(StoredEvent {
            owner,
            received_at: timestamp(self.received_at),
            parts,
            enrichment: object(self.enrichment),
        })
    }
}

/// A row of `tenants`.
#[derive(Debug, Queryable)]
pub(crate) struct TenantRow {
    id: i64,
    name: String,
    status: String,
    created_at: Micros,
    deleted_at: Option<Micros>,
}

/// Deletion takes precedence over suspension.
fn status(text: &str, deleted_at: Option<Micros>) -> Result<TenantStatus, Error> {
    match deleted_at {
        Some(_) => Ok(TenantStatus::Deleting),
        None => TenantStatus::from_text(text).ok_or_else(|| Error::unreadable("a tenant's status")),
    }
}

/// A row of `tenant_limits`.
#[derive(Debug, Queryable)]
pub(crate) struct LimitRow {
    name: String,
    value: i64,
}

/// A limit and its tenant.
#[derive(Debug, Queryable)]
pub(crate) struct TenantLimitRow {
    pub(crate) tenant_id: i64,
    pub(crate) limit: LimitRow,
}

/// The limits of a tenant. Limits known only to a newer release are skipped.
pub(crate) fn limits(rows: &[LimitRow]) -> LimitOverrides {
    let mut limits = LimitOverrides::default();
    for LimitRow { name, value } in rows {
        // An older program reads limits of a newer release during an upgrade.
        if let (Ok(name), Ok(value)) = (name.parse(), u64::try_from(*value)) {
            limits.set(name, Some(value));
        }
    }
    limits
}

impl TenantRow {
    pub(crate) fn into_tenant(self) -> Result<Tenant, Error> {
        Ok(Tenant {
            id: TenantId(self.id),
            name: Name::from_store(self.name),
            status: status(&self.status, self.deleted_at)?,
            created_at: timestamp(self.created_at),
        })
    }
}

/// A row of `audit_log`.
#[derive(Debug, Queryable)]
pub(crate) struct AuditRow {
    recorded_at: Micros,
    actor: String,
    database_role: Option<String>,
    command: String,
    tenant_id: Option<i64>,
    workspace_id: Option<i64>,
    api_key_id: Option<String>,
    detail: String,
    outcome: String,
}

impl AuditRow {
    pub(crate) fn into_record(self) -> Result<AuditRecord, Error> {
        let outcome = AuditOutcome::from_text(&self.outcome)
            .ok_or_else(|| Error::unreadable("the outcome of an audit entry"))?;
        Ok(AuditRecord {
            recorded_at: timestamp(self.recorded_at),
            actor: self.actor,
            database_role: self.database_role,
            command: self.command,
            entry: AuditEntry {
                tenant_id: self.tenant_id.map(TenantId),
                workspace_id: self.workspace_id.map(WorkspaceId),
                api_key_id: self.api_key_id.map(ApiKeyId::new),
                detail: self.detail,
                outcome,
            },
        })
    }
}

/// A row of `workspaces`. The query fixes its tenant.
#[derive(Debug, Queryable)]
pub(crate) struct WorkspaceRow {
    id: i64,
    name: String,
    created_at: Micros,
    deleted_at: Option<Micros>,
}

impl WorkspaceRow {
    pub(crate) fn into_workspace(self, tenant_id: TenantId) -> Result<Workspace, Error> {
        let created_at = timestamp(self.created_at);
        Ok(Workspace {
            id: WorkspaceId(self.id),
            tenant_id,
            name: Name::from_store(self.name),
            created_at,
            is_deleting: self.deleted_at.is_some(),
        })
    }
}

/// A row of `api_keys` joined with its workspace and tenant.
#[derive(Debug, Queryable)]
pub(crate) struct ApiKeyRow {
    id: String,
    tenant_id: i64,
    workspace_id: i64,
    name: String,
    scopes: String,
    secret_sha256: Vec<u8>,
    created_at: Micros,
    expires_at: Option<Micros>,
    revoked_at: Option<Micros>,
    last_used_at: Option<Micros>,
    origins: Option<String>,
    workspace_deleted_at: Option<Micros>,
    tenant_status: String,
    tenant_deleted_at: Option<Micros>,
}

impl ApiKeyRow {
    pub(crate) fn tenant_id(&self) -> TenantId {
        TenantId(self.tenant_id)
    }

    pub(crate) fn into_api_key(self, tenant_limits: LimitOverrides) -> Result<ApiKey, Error> {
        // A constraint fixes the length; a wrong one means another program wrote the row.
        let secret = self
            .secret_sha256
            .try_into()
            .map_err(|_| Error::unreadable("the hash of a key's secret"))?;
        Ok(ApiKey {
            id: ApiKeyId::new(self.id),
            owner: Owner {
                tenant_id: TenantId(self.tenant_id),
                workspace_id: WorkspaceId(self.workspace_id),
            },
            name: Name::from_store(self.name),
            scopes: Scopes::parse(&self.scopes).map_err(|_| Error::unreadable("a key's scopes"))?,
            origins: self.origins.map(Origins::from_store),
            secret_hash: SecretHash::from_bytes(secret),
            created_at: timestamp(self.created_at),
            expires_at: optional_timestamp(self.expires_at),
            // Read at each look-up, so that a key created while the deletion began is revoked too.
            revoked_at: optional_timestamp(self.revoked_at.or(self.workspace_deleted_at)),
            last_used_at: optional_timestamp(self.last_used_at),
            tenant_status: status(&self.tenant_status, self.tenant_deleted_at)?,
            tenant_limits,
        })
    }
}

/// An [`ApiKeyRow`] with the names of its tenant and workspace.
#[derive(Debug, Queryable)]
pub(crate) struct KeyDetailsRow {
    key: ApiKeyRow,
    tenant: String,
    workspace: String,
}

impl KeyDetailsRow {
    pub(crate) fn tenant_id(&self) -> TenantId {
        self.key.tenant_id()
    }

    pub(crate) fn into_details(self, tenant_limits: LimitOverrides) -> Result<KeyDetails, Error> {
        Ok(KeyDetails {
            key: self.key.into_api_key(tenant_limits)?,
            tenant: Name::from_store(self.tenant),
            workspace: Name::from_store(self.workspace),
        })
    }
}
