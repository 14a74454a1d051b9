//! The later stages: valid, enriched, stored.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::EventType;
use crate::clock::Timestamp;
use crate::enrichment::Enrichment;
use crate::ids::{EventId, EventKey, Owner, TenantId, WorkspaceId};
#[cfg(feature = "openapi")]
use crate::openapi::{EventName, PersonId};
use crate::payload::JsonObject;
use crate::schema_version::SchemaVersion;
use crate::text::Text;

/// The members of an event, all rules applied and all defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct EventParts {
    /// The id, the client's or one that the server made.
    pub event_id: EventId,
    /// The type.
    pub kind: EventType,
    /// The name; that of the type where none was sent.
    pub event_name: Text,
    /// When it happened, by the server's clock.
    pub occurred_at: Timestamp,
    /// The time as sent, where the client's clock was corrected.
    pub sent_timestamp: Option<Timestamp>,
    /// Who, before the person is known.
    pub anonymous_id: Option<Text>,
    /// Who, once the person is known.
    pub user_id: Option<Text>,
    /// In which session.
    pub session_id: Option<Text>,
    /// The version of the schema.
    pub schema_version: SchemaVersion,
    /// As sent.
    pub properties: Option<JsonObject>,
    /// As sent.
    pub traits: Option<JsonObject>,
    /// As sent.
    pub context: Option<JsonObject>,
}

/// An event that holds every rule. Only [`super::EventDraft::check`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidEvent(EventParts);

impl ValidEvent {
    pub(super) fn new(parts: EventParts) -> Self {
        Self(parts)
    }

    /// The id.
    #[must_use]
    pub fn event_id(&self) -> &EventId {
        &self.0.event_id
    }

    /// The type.
    #[must_use]
    pub fn kind(&self) -> EventType {
        self.0.kind
    }

    /// The name.
    #[must_use]
    pub fn event_name(&self) -> &str {
        &self.0.event_name
    }

    /// When it happened, by the server's clock.
    #[must_use]
    pub fn occurred_at(&self) -> Timestamp {
        self.0.occurred_at
    }

    /// The time as sent, where the client's clock was corrected.
    #[must_use]
    pub fn sent_timestamp(&self) -> Option<Timestamp> {
        self.0.sent_timestamp
    }

    /// The version of the schema.
    #[must_use]
    pub fn schema_version(&self) -> &SchemaVersion {
        &self.0.schema_version
    }

    /// The context, as sent.
    #[must_use]
    pub fn context(&self) -> Option<&JsonObject> {
        self.0.context.as_ref()
    }
}

/// The text of an [`Enrichment`], shared by the events of a request that have the same one.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrichmentJson(Arc<str>);

impl EnrichmentJson {
    /// The text of `enrichment`.
    #[must_use]
    pub fn of(enrichment: &Enrichment) -> Self {
        // Serializing strings into a string has no way to fail.
        Self(serde_json::to_string(enrichment).unwrap_or_else(|_| "{}".to_owned()).into())
    }

    /// The text of a JSON object.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EnrichmentJson {
    /// Only the length: addresses stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrichmentJson({} bytes)", self.0.len())
    }
}

/// A valid event with what the service adds, ready to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct EnrichedEvent {
    key: EventKey,
    parts: EventParts,
    enrichment: EnrichmentJson,
}

impl EnrichedEvent {
    /// Adds `enrichment` to a valid event.
    #[must_use]
    pub fn new(event: ValidEvent, enrichment: EnrichmentJson) -> Self {
        Self { key: EventKey::of(event.event_id()), parts: event.0, enrichment }
    }

    /// The key by which the store tells duplicates.
    #[must_use]
    pub fn key(&self) -> EventKey {
        self.key
    }

    /// The members of the event.
    #[must_use]
    pub fn parts(&self) -> &EventParts {
        &self.parts
    }

    /// What the service added.
    #[must_use]
    pub fn enrichment(&self) -> &EnrichmentJson {
        &self.enrichment
    }

    /// About how many bytes the event takes on its way to the database, and in memory if its texts are its own.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let text = |text: &Option<Text>| text.as_deref().map_or(0, str::len);
        let json = |json: &Option<JsonObject>| json.as_ref().map_or(0, |json| json.as_str().len());
        let parts = &self.parts;
        size_of::<Self>()
            + parts.event_id.as_str().len()
            + parts.event_name.len()
            + text(&parts.anonymous_id)
            + text(&parts.user_id)
            + text(&parts.session_id)
            + json(&parts.properties)
            + json(&parts.traits)
            + json(&parts.context)
            + self.enrichment.as_str().len()
    }

    /// The bytes of the largest text that this event keeps alive: that of the whole request where its texts are slices of it.
    #[must_use]
    pub fn source_bytes(&self) -> usize {
        let parts = &self.parts;
        let texts = [&parts.anonymous_id, &parts.user_id, &parts.session_id].into_iter().flatten();
        let objects = [&parts.properties, &parts.traits, &parts.context].into_iter().flatten();
        let sizes =
            texts.map(Text::source_bytes).chain(objects.map(|object| object.text().source_bytes()));
        sizes
            .chain([parts.event_id.source_bytes(), parts.event_name.source_bytes()])
            .max()
            .unwrap_or_default()
    }
}

/// An event as read back from the store. Serializes to what the HTTP API answers: every member, `null` where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Whose it is.
    pub owner: Owner,
    /// When its request came.
    pub received_at: Timestamp,
    /// The members of the event.
    pub parts: EventParts,
    /// What the service added.
    pub enrichment: JsonObject,
}

/// An event as stored, with what the service added. Every member is there, `null` where there is none.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct StoredEventJson<'a> {
    /// The id: the client's, or the one that the server made.
    event_id: &'a EventId,
    /// The type.
    #[serde(rename = "type")]
    kind: EventType,
    /// The name; that of the type where none was sent.
    #[cfg_attr(feature = "openapi", schema(value_type = EventName))]
    event_name: &'a str,
    /// When it happened, by the server's clock.
    timestamp: Timestamp,
    /// The time as sent, where the client's clock was corrected.
    #[cfg_attr(feature = "openapi", schema(required))]
    sent_timestamp: Option<Timestamp>,
    /// When its request came.
    received_at: Timestamp,
    /// Who, before the person is known.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<PersonId>, required))]
    anonymous_id: Option<&'a str>,
    /// Who, once the person is known.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<PersonId>, required))]
    user_id: Option<&'a str>,
    /// In which session.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<PersonId>, required))]
    session_id: Option<&'a str>,
    /// The version of the schema.
    schema_version: &'a SchemaVersion,
    /// As sent.
    #[cfg_attr(feature = "openapi", schema(required))]
    properties: Option<&'a JsonObject>,
    /// As sent.
    #[cfg_attr(feature = "openapi", schema(required))]
    traits: Option<&'a JsonObject>,
    /// As sent.
    #[cfg_attr(feature = "openapi", schema(required))]
    context: Option<&'a JsonObject>,
    /// What the service added.
    #[cfg_attr(feature = "openapi", schema(value_type = Enrichment))]
    enrichment: &'a JsonObject,
    /// Whose it is.
    tenant_id: TenantId,
    /// In which workspace of the tenant.
    workspace_id: WorkspaceId,
}

impl Serialize for StoredEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = &self.parts;
        StoredEventJson {
            event_id: &parts.event_id,
            kind: parts.kind,
            event_name: &parts.event_name,
            timestamp: parts.occurred_at,
            sent_timestamp: parts.sent_timestamp,
            received_at: self.received_at,
            anonymous_id: parts.anonymous_id.as_deref(),
            user_id: parts.user_id.as_deref(),
            session_id: parts.session_id.as_deref(),
            schema_version: &parts.schema_version,
            properties: parts.properties.as_ref(),
            traits: parts.traits.as_ref(),
            context: parts.context.as_ref(),
            enrichment: &self.enrichment,
            tenant_id: self.owner.tenant_id,
            workspace_id: self.owner.workspace_id,
        }
        .serialize(serializer)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for StoredEvent {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        StoredEventJson::schema()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for StoredEvent {
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        StoredEventJson::schemas(schemas);
    }
}
