//! The first stage: an event as sent, with no text checked yet.

use std::borrow::Cow;

use serde::Serialize;
use validator::{Validate, ValidationError};

#[cfg(feature = "openapi")]
use super::EventType;
use super::rules;
use crate::clock::Timestamp;
use crate::ids::EventId;
#[cfg(feature = "openapi")]
use crate::openapi::{EventName, PersonId};
#[cfg(feature = "openapi")]
use crate::payload::JsonObject;
use crate::payload::RawJson;
#[cfg(feature = "openapi")]
use crate::schema_version::SchemaVersion;

/// An event as sent: any member may be missing. Serializes to the JSON that the server takes.
///
/// `validate()` of the crate `validator` checks the texts alone; [`EventDraft::check`] checks every
/// rule.
#[derive(Debug, Clone, Default, Serialize, Validate)]
// `skip_on_field_errors = false`: a bad id must not hide the missing person.
#[validate(schema(function = "names_a_person", skip_on_field_errors = false))]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(as = Event, description = "An event. A member that is `null` counts as left out.")
)]
pub struct EventDraft<'a> {
    /// The client's id; without one, the server makes a UUIDv7.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = "rules::event_id"))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<EventId>, nullable))]
    pub event_id: Option<Cow<'a, str>>,
    /// The type; `track` by default.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<EventType>, nullable))]
    pub kind: Option<Cow<'a, str>>,
    /// The name; required for `track`, the type by default for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = "rules::event_name"))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<EventName>, nullable))]
    pub event_name: Option<Cow<'a, str>>,
    /// When the event happened, by the client's clock (RFC 3339); the time of receipt by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Timestamp>, nullable))]
    pub timestamp: Option<Cow<'a, str>>,
    /// The person, before it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = "rules::person_id"))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<PersonId>, nullable))]
    pub anonymous_id: Option<Cow<'a, str>>,
    /// The person, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = "rules::person_id"))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<PersonId>, nullable))]
    pub user_id: Option<Cow<'a, str>>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = "rules::person_id"))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<PersonId>, nullable))]
    pub session_id: Option<Cow<'a, str>>,
    /// The schema version of the event; the request's by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<SchemaVersion>, nullable))]
    pub schema_version: Option<Cow<'a, str>>,
    /// Facts about the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<JsonObject>, nullable))]
    pub properties: Option<RawJson<'a>>,
    /// Facts about the person or group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<JsonObject>, nullable))]
    pub traits: Option<RawJson<'a>>,
    /// The surroundings of the event: page, app, library.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<JsonObject>, nullable))]
    pub context: Option<RawJson<'a>>,
}

/// A batch as a client sends it.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Batch<'a> {
    /// The events; results come back in the same order.
    pub events: Vec<EventDraft<'a>>,
    /// The client's clock at sending, used to correct the times of the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable))]
    pub sent_at: Option<Timestamp>,
}

impl EventDraft<'_> {
    /// Returns the client's `event_id` if it is valid, so that a rejection can name it.
    #[must_use]
    pub fn valid_event_id(&self) -> Option<EventId> {
        let id = self.event_id.as_deref()?;
        rules::event_id(id).ok().map(|()| EventId::checked(id))
    }
}

fn names_a_person(draft: &EventDraft<'_>) -> Result<(), ValidationError> {
    if draft.anonymous_id.is_none() && draft.user_id.is_none() {
        return Err(rules::no_person());
    }
    Ok(())
}
