//! The first stage: what was sent, and the check that makes a valid event of it.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use validator::Validate;

use super::stages::{EventParts, ValidEvent};
use super::{EventType, rules};
use crate::clock::{Timestamp, corrected};
use crate::ids::EventId;
use crate::limits::Limits;
#[cfg(feature = "openapi")]
use crate::openapi::{EventName, PersonId};
use crate::payload::{JsonObject, RawJson};
use crate::schema_version::SchemaVersion;
use crate::text::{Source, Text};
use crate::verdict::{FieldError, FieldErrorCode, pointer_to};

/// An event as sent: any member may be missing, and no text has been looked at. Serializes to what the server takes.
///
/// `validate()` (of the crate `validator`) checks the texts alone; [`EventDraft::check`] checks everything.
#[derive(Debug, Clone, Default, Serialize, Validate)]
#[validate(schema(function = "rules::whole", skip_on_field_errors = false))]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(as = Event, description = "An event. A member that is `null` counts as left out.")
)]
pub struct EventDraft<'a> {
    /// The client's id; left out, the server makes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = "rules::event_id"))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<EventId>, nullable))]
    pub event_id: Option<Cow<'a, str>>,
    /// The type; left out, `track`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<EventType>, nullable))]
    pub kind: Option<Cow<'a, str>>,
    /// The name; required for `track`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = "rules::event_name"))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<EventName>, nullable))]
    pub event_name: Option<Cow<'a, str>>,
    /// When it happened, by the client's clock (RFC 3339); left out, the time of receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Timestamp>, nullable))]
    pub timestamp: Option<Cow<'a, str>>,
    /// Who, before the person is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = "rules::anonymous_id"))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<PersonId>, nullable))]
    pub anonymous_id: Option<Cow<'a, str>>,
    /// Who, once the person is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = "rules::user_id"))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<PersonId>, nullable))]
    pub user_id: Option<Cow<'a, str>>,
    /// In which session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[validate(custom(function = "rules::session_id"))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<PersonId>, nullable))]
    pub session_id: Option<Cow<'a, str>>,
    /// The version of the schema; left out, the request's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<SchemaVersion>, nullable))]
    pub schema_version: Option<Cow<'a, str>>,
    /// What is to be known of what happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<JsonObject>, nullable))]
    pub properties: Option<RawJson<'a>>,
    /// What is to be known of the person or group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<JsonObject>, nullable))]
    pub traits: Option<RawJson<'a>>,
    /// Where it happened: page, app, library.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<JsonObject>, nullable))]
    pub context: Option<RawJson<'a>>,
}

/// A batch as a client sends it.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Batch<'a> {
    /// The events, in an order that the answer keeps.
    pub events: Vec<EventDraft<'a>>,
    /// The client's clock at sending, by which the server corrects the events' times.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable))]
    pub sent_at: Option<Timestamp>,
}

/// What the rules need to know of the request that an event came with.
#[derive(Debug, Clone)]
pub struct Reception {
    /// When the request came, by the server's clock.
    pub received_at: Timestamp,
    /// When the request went, by the client's clock, if it said so.
    pub sent_at: Option<Timestamp>,
    /// The version of the schema of events that name none.
    pub schema_version: SchemaVersion,
    /// What the tenant may send.
    pub limits: Limits,
    /// What drafts are slices of: the events made of them share it. Empty where they are not; their texts are then copied.
    pub source: Source,
}

impl Reception {
    /// A request without `sent_at` under the default limits.
    #[must_use]
    pub fn at(received_at: Timestamp) -> Self {
        let limits = Limits::default();
        let (schema_version, source) = (SchemaVersion::default(), Source::default());
        Self { received_at, sent_at: None, schema_version, limits, source }
    }
}

impl EventDraft<'_> {
    /// Checks every rule that needs no database, and makes a valid event where all hold.
    ///
    /// `pointer` is where the event stands in the body. `new_id` is called only for a valid event without an `event_id`.
    /// Faults are added to `errors`; the event is valid only where `errors` was empty and stays so.
    pub fn check(
        self,
        pointer: impl fmt::Display,
        reception: &Reception,
        new_id: impl FnOnce() -> EventId,
        errors: &mut Vec<FieldError>,
    ) -> Option<ValidEvent> {
        // Written out only for a fault.
        let pointer = &pointer;
        if let Err(found) = self.validate() {
            rules::field_errors(&found, &pointer.to_string(), errors);
        }
        let kind = self.kind(pointer, errors);
        let times = self.times(pointer, reception, errors);
        let schema_version = self.schema_version(pointer, reception, errors);
        let properties =
            payload(self.properties.as_ref(), reception, pointer, "properties", errors);
        let traits = payload(self.traits.as_ref(), reception, pointer, "traits", errors);
        let context = payload(self.context.as_ref(), reception, pointer, "context", errors);
        if self.event_name.is_none() && kind == Some(EventType::Track) {
            let message = "event_name is required for an event of type track";
            errors.push(FieldError::new(
                place(pointer, "event_name"),
                FieldErrorCode::Required,
                message,
            ));
        }
        if !errors.is_empty() {
            return None;
        }
        let (kind, (occurred_at, sent_timestamp)) = (kind?, times?);
        let text = |text: Cow<'_, str>| match text {
            Cow::Borrowed(text) => reception.source.share(text),
            Cow::Owned(text) => text.into(),
        };
        Some(ValidEvent::new(EventParts {
            event_id: self.event_id.map_or_else(new_id, |id| EventId::checked(text(id))),
            kind,
            event_name: self.event_name.map_or_else(|| Text::from(kind.as_str()), text),
            occurred_at,
            sent_timestamp,
            anonymous_id: self.anonymous_id.map(text),
            user_id: self.user_id.map(text),
            session_id: self.session_id.map(text),
            schema_version: schema_version?,
            properties,
            traits,
            context,
        }))
    }

    /// The `event_id`, where one was sent that holds its rules: a rejection may name it.
    #[must_use]
    pub fn sound_event_id(&self) -> Option<EventId> {
        let id = self.event_id.as_deref()?;
        rules::event_id(id).ok().map(|()| EventId::checked(id))
    }

    fn kind(&self, pointer: &impl fmt::Display, errors: &mut Vec<FieldError>) -> Option<EventType> {
        let Some(text) = self.kind.as_deref() else {
            return Some(EventType::default());
        };
        let kind = EventType::from_text(text);
        if kind.is_none() {
            let message = format!(
                "type is {:?}; it must be track, page, screen, identify, group or alias",
                excerpt(text)
            );
            errors.push(FieldError::new(
                place(pointer, "type"),
                FieldErrorCode::InvalidValue,
                message,
            ));
        }
        kind
    }

    fn schema_version(
        &self,
        pointer: &impl fmt::Display,
        reception: &Reception,
        errors: &mut Vec<FieldError>,
    ) -> Option<SchemaVersion> {
        let Some(text) = self.schema_version.as_deref() else {
            return Some(reception.schema_version.clone());
        };
        let version = SchemaVersion::parse(text);
        version
            .map_err(|error| {
                let message = format!("schema_version is {:?}: {error}", excerpt(text));
                let place = place(pointer, "schema_version");
                errors.push(FieldError::new(place, FieldErrorCode::InvalidSchemaVersion, message));
            })
            .ok()
    }

    /// When it happened by the server's clock, and the time as sent where the two differ because a clock was corrected.
    fn times(
        &self,
        pointer: &impl fmt::Display,
        reception: &Reception,
        errors: &mut Vec<FieldError>,
    ) -> Option<(Timestamp, Option<Timestamp>)> {
        let received_at = reception.received_at;
        let Some(text) = self.timestamp.as_deref() else {
            return Some((received_at, None));
        };
        let place = || place(pointer, "timestamp");
        let sent = match Timestamp::parse(text) {
            Ok(sent) => sent,
            Err(error) => {
                let message = format!("timestamp is {:?}: {error}", excerpt(text));
                errors.push(FieldError::new(place(), FieldErrorCode::InvalidTimestamp, message));
                return None;
            }
        };
        let (occurred_at, sent_timestamp) = match reception.sent_at {
            None => (Some(sent), None),
            Some(sent_at) => (corrected(sent, sent_at, received_at), Some(sent)),
        };
        let Some(occurred_at) = occurred_at else {
            let message = format!("timestamp {sent} corrected by sent_at is out of range");
            errors.push(FieldError::new(place(), FieldErrorCode::InvalidTimestamp, message));
            return None;
        };
        match window_fault(occurred_at, received_at, &reception.limits) {
            None => Some((occurred_at, sent_timestamp)),
            Some((code, message)) => {
                errors.push(FieldError::new(place(), code, message));
                None
            }
        }
    }
}

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

fn window_fault(
    occurred_at: Timestamp,
    received_at: Timestamp,
    limits: &Limits,
) -> Option<(FieldErrorCode, String)> {
    let ahead = occurred_at.micros_since(received_at);
    let max_ahead = i64::from(limits.max_event_future_seconds) * MICROS_PER_SECOND;
    if ahead > max_ahead {
        let message = format!(
            "timestamp {occurred_at} is {} s after the time of receipt {received_at}; the limit is {} s",
            ahead / MICROS_PER_SECOND,
            limits.max_event_future_seconds
        );
        return Some((FieldErrorCode::TimestampInFuture, message));
    }
    let max_age = i64::from(limits.max_event_age_days).saturating_mul(MICROS_PER_DAY);
    if limits.max_event_age_days > 0 && -ahead > max_age {
        let message = format!(
            "timestamp {occurred_at} is {} days before the time of receipt {received_at}; the limit is {} days",
            -ahead / MICROS_PER_DAY,
            limits.max_event_age_days
        );
        return Some((FieldErrorCode::TimestampTooOld, message));
    }
    None
}

fn payload(
    raw: Option<&RawJson<'_>>,
    reception: &Reception,
    pointer: &impl fmt::Display,
    member: &str,
    errors: &mut Vec<FieldError>,
) -> Option<JsonObject> {
    JsonObject::check(raw?, &reception.source, || place(pointer, member), errors)
}

fn place(pointer: &impl fmt::Display, member: &str) -> String {
    pointer_to(&pointer.to_string(), member)
}

/// What was sent, cut so that an answer stays short.
fn excerpt(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests;
