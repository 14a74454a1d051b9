//! The stages after the draft: valid, enriched, stored.

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

/// The members of an event, checked and with all defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct EventParts {
    /// The client's id or the server's.
    pub event_id: EventId,
    /// The type.
    pub kind: EventType,
    /// The name; by default that of the type.
    pub event_name: Text,
    /// The time of the event, by the server's clock.
    pub occurred_at: Timestamp,
    /// The time as sent, if the client's clock was corrected.
    pub sent_timestamp: Option<Timestamp>,
    /// The person, before it is known.
    pub anonymous_id: Option<Text>,
    /// The person, once it is known.
    pub user_id: Option<Text>,
    /// The session.
    pub session_id: Option<Text>,
    /// The schema version: the event's, the request's or `1.0.0`.
    pub schema_version: SchemaVersion,
    /// Byte for byte as sent.
    pub properties: Option<JsonObject>,
    /// Byte for byte as sent.
    pub traits: Option<JsonObject>,
    /// Byte for byte as sent.
    pub context: Option<JsonObject>,
}

impl EventParts {
    fn optional_texts(&self) -> impl Iterator<Item = &Text> {
        let ids = [&self.anonymous_id, &self.user_id, &self.session_id].into_iter().flatten();
        let payloads = [&self.properties, &self.traits, &self.context].into_iter().flatten();
        ids.chain(payloads.map(JsonObject::text))
    }

    /// Bytes of all texts.
    fn text_bytes(&self) -> usize {
        let optional: usize = self.optional_texts().map(|text| text.len()).sum();
        self.event_id.as_str().len() + self.event_name.len() + optional
    }
}

/// An event that passed every rule. Only [`super::EventDraft::check`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidEvent(EventParts);

impl ValidEvent {
    pub(super) fn new(parts: EventParts) -> Self {
        Self(parts)
    }

    /// Replaces the time as sent: `check` has only that of a request.
    pub(super) fn with_sent_timestamp(event: Self, sent_timestamp: Option<Timestamp>) -> Self {
        Self(EventParts { sent_timestamp, ..event.0 })
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

    /// The name; by default that of the type.
    #[must_use]
    pub fn event_name(&self) -> &str {
        &self.0.event_name
    }

    /// The time of the event, by the server's clock.
    #[must_use]
    pub fn occurred_at(&self) -> Timestamp {
        self.0.occurred_at
    }

    /// The time as sent, if the client's clock was corrected.
    #[must_use]
    pub fn sent_timestamp(&self) -> Option<Timestamp> {
        self.0.sent_timestamp
    }

    /// The schema version: the event's, the request's or `1.0.0`.
    #[must_use]
    pub fn schema_version(&self) -> &SchemaVersion {
        &self.0.schema_version
    }

    /// The context, byte for byte as sent.
    #[must_use]
    pub fn context(&self) -> Option<&JsonObject> {
        self.0.context.as_ref()
    }
}

/// An [`Enrichment`] as JSON, shared by all events of a request with the same one.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrichmentJson(Arc<str>);

impl EnrichmentJson {
    /// Serializes `enrichment`.
    #[must_use]
    pub fn of(enrichment: &Enrichment) -> Self {
        let json = serde_json::to_string(enrichment);
        debug_assert!(json.is_ok(), "strings serialize into a string");
        Self(json.unwrap_or_else(|_| "{}".to_owned()).into())
    }

    /// Takes the enrichment of a stored event, byte for byte.
    pub(super) fn of_store(object: &JsonObject) -> Self {
        Self(object.as_str().into())
    }

    /// Borrows the text, a JSON object.
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

/// A valid event with its enrichment, ready to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct EnrichedEvent {
    key: EventKey,
    parts: EventParts,
    enrichment: EnrichmentJson,
}

impl EnrichedEvent {
    /// Adds `enrichment` to a valid event, and computes its key.
    #[must_use]
    pub fn new(event: ValidEvent, enrichment: EnrichmentJson) -> Self {
        // Computed once here: the queue, the group and the store all compare keys.
        Self { key: EventKey::of(event.event_id()), parts: event.0, enrichment }
    }

    /// The key under which the store recognizes duplicates.
    #[must_use]
    pub fn key(&self) -> EventKey {
        self.key
    }

    /// The members of the event.
    #[must_use]
    pub fn parts(&self) -> &EventParts {
        &self.parts
    }

    /// The facts added by the service.
    #[must_use]
    pub fn enrichment(&self) -> &EnrichmentJson {
        &self.enrichment
    }

    /// Approximate bytes of the event on its way to the database, and in memory if it owns its
    /// texts.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        // Counts the fields too: for tiny events they outweigh the texts.
        size_of::<Self>() + self.parts.text_bytes() + self.enrichment.as_str().len()
    }

    /// Bytes of the largest source this event keeps in memory: the whole body, if its texts are
    /// slices of it.
    #[must_use]
    pub fn source_bytes(&self) -> usize {
        let EventParts { event_id, event_name, .. } = &self.parts;
        // The maximum, not the sum: slices of one body keep it in memory once.
        let required = event_id.source_bytes().max(event_name.source_bytes());
        self.parts.optional_texts().map(Text::source_bytes).fold(required, usize::max)
    }
}

/// An event as read back from the store. Serializes to the JSON of the HTTP API: every member,
/// `null` if absent.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// The workspace it belongs to.
    pub owner: Owner,
    /// The time of receipt.
    pub received_at: Timestamp,
    /// The members of the event.
    pub parts: EventParts,
    /// The facts added by the service.
    pub enrichment: JsonObject,
}

/// A stored event with the facts added by the service. Every member is present, `null` if absent
/// from the event.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct StoredEventJson<'a> {
    /// The client's id or the server's.
    event_id: &'a EventId,
    /// The type.
    #[serde(rename = "type")]
    kind: EventType,
    /// The name; by default that of the type.
    #[cfg_attr(feature = "openapi", schema(value_type = EventName))]
    event_name: &'a str,
    /// The time of the event, by the server's clock.
    timestamp: Timestamp,
    /// The time as sent, if the client's clock was corrected.
    #[cfg_attr(feature = "openapi", schema(required))]
    sent_timestamp: Option<Timestamp>,
    /// The time of receipt.
    received_at: Timestamp,
    /// The person, before it is known.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<PersonId>, required))]
    anonymous_id: Option<&'a str>,
    /// The person, once it is known.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<PersonId>, required))]
    user_id: Option<&'a str>,
    /// The session.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<PersonId>, required))]
    session_id: Option<&'a str>,
    /// The schema version: the event's, the request's or `1.0.0`.
    schema_version: &'a SchemaVersion,
    /// Byte for byte as sent.
    #[cfg_attr(feature = "openapi", schema(required))]
    properties: Option<&'a JsonObject>,
    /// Byte for byte as sent.
    #[cfg_attr(feature = "openapi", schema(required))]
    traits: Option<&'a JsonObject>,
    /// Byte for byte as sent.
    #[cfg_attr(feature = "openapi", schema(required))]
    context: Option<&'a JsonObject>,
    /// The facts added by the service.
    #[cfg_attr(feature = "openapi", schema(value_type = Enrichment))]
    enrichment: &'a JsonObject,
    /// The tenant it belongs to.
    tenant_id: TenantId,
    /// The workspace of the tenant.
    workspace_id: WorkspaceId,
}

impl StoredEvent {
    /// Approximate bytes of the event in memory, and of its JSON.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.parts.text_bytes() + self.enrichment.as_str().len()
    }
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
