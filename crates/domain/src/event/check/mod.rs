//! The step from a draft to a valid event: every rule that needs no database.

mod missing;

use std::borrow::Cow;
use std::fmt;

use validator::Validate;

use super::draft::EventDraft;
use super::stages::{EventParts, ValidEvent};
use super::{EventType, rules};
use crate::clock::{Timestamp, TimestampError, corrected};
use crate::hints::{appended, nearest, time_hint};
use crate::ids::EventId;
use crate::limits::Limits;
use crate::payload::{JsonObject, RawJson};
use crate::schema_version::SchemaVersion;
use crate::text::{Source, Text};
use crate::verdict::{FieldError, FieldErrorCode, pointer_to};

/// The facts about a request that its events are checked against.
#[derive(Debug, Clone)]
pub struct Reception {
    /// The time of receipt, by the server's clock.
    pub received_at: Timestamp,
    /// The time of sending, by the client's clock.
    pub sent_at: Option<Timestamp>,
    /// The schema version of events that name none.
    pub schema_version: SchemaVersion,
    /// The limits of the tenant.
    pub limits: Limits,
    /// The body. Valid events share it if their drafts are slices of it; other texts are copied.
    pub source: Source,
}

impl Reception {
    /// A request without `sent_at` and body, under the default limits.
    #[must_use]
    pub fn at(received_at: Timestamp) -> Self {
        Self {
            received_at,
            sent_at: None,
            schema_version: SchemaVersion::default(),
            limits: Limits::default(),
            source: Source::default(),
        }
    }
}

/// The time of an event by the server's clock.
struct EventTime {
    occurred_at: Timestamp,
    /// The time as sent, if `sent_at` corrected it.
    sent_timestamp: Option<Timestamp>,
}

impl EventDraft<'_> {
    /// Checks every rule that needs no database. Returns the valid event, or adds every error to
    /// `errors`.
    ///
    /// `pointer` is the position of the event in the body. `new_id` is called only for a valid
    /// event without an `event_id`. An event is also refused if `errors` has entries already, those
    /// of the parser.
    pub fn check(
        self,
        pointer: impl fmt::Display,
        reception: &Reception,
        new_id: impl FnOnce() -> EventId,
        errors: &mut Vec<FieldError>,
    ) -> Option<ValidEvent> {
        // A valid event never formats its pointer.
        let mut checker = Checker { pointer: &pointer, reception, errors };
        // All rules run after an error too, so that a client sees every mistake at once.
        if let Err(found) = self.validate() {
            rules::add_errors(&found, &pointer.to_string(), checker.errors);
        }
        let kind = checker.kind(self.kind.as_deref(), self.event_name.is_some());
        // ADR 4: the clock is corrected here and not by enrichment, because the window must apply
        // to the corrected time.
        let time = checker.time(self.timestamp.as_deref());
        let schema_version = checker.schema_version(self.schema_version.as_deref());
        let properties = checker.payload("properties", self.properties.as_ref());
        let traits = checker.payload("traits", self.traits.as_ref());
        let context = checker.payload("context", self.context.as_ref());
        // With an invalid type the rule is unknown, and a second error would only confuse.
        if self.event_name.is_none() && kind == Some(EventType::Track) {
            let message = "event_name is required for an event of type track";
            checker.add("event_name", FieldErrorCode::Required, message);
        }
        if !checker.errors.is_empty() {
            missing::explain(&pointer.to_string(), checker.errors);
            return None;
        }
        debug_assert!(
            kind.is_some() && time.is_some() && schema_version.is_some(),
            "without errors every value is known"
        );
        // `None` is impossible here; `?` only satisfies the types.
        let kind = kind?;
        let EventTime { occurred_at, sent_timestamp } = time?;
        // Copied or shared only now: a rejected event needs no text of its own.
        let shared = |text| share(text, &reception.source);
        Some(ValidEvent::new(EventParts {
            event_id: self.event_id.map_or_else(new_id, |id| EventId::checked(shared(id))),
            kind,
            event_name: self.event_name.map_or_else(|| Text::from(kind.as_str()), shared),
            occurred_at,
            sent_timestamp,
            anonymous_id: self.anonymous_id.map(shared),
            user_id: self.user_id.map(shared),
            session_id: self.session_id.map(shared),
            schema_version: schema_version?,
            properties,
            traits,
            context,
        }))
    }
}

fn share(text: Cow<'_, str>, source: &Source) -> Text {
    match text {
        // Only a text with escapes was decoded and is no slice of the body.
        Cow::Borrowed(text) => source.share(text),
        Cow::Owned(text) => text.into(),
    }
}

/// Reads the members that need more than a look at their text. Each method returns `None` after it
/// added an error.
struct Checker<'a, P> {
    pointer: &'a P,
    reception: &'a Reception,
    errors: &'a mut Vec<FieldError>,
}

impl<P: fmt::Display> Checker<'_, P> {
    fn add(&mut self, member: &str, code: FieldErrorCode, message: impl Into<Cow<'static, str>>) {
        self.errors.push(FieldError::new(self.pointer_to(member), code, message));
    }

    fn pointer_to(&self, member: &str) -> String {
        pointer_to(&self.pointer.to_string(), member)
    }

    fn kind(&mut self, text: Option<&str>, has_name: bool) -> Option<EventType> {
        let Some(text) = text else {
            return Some(EventType::default());
        };
        let kind = EventType::from_text(text);
        if kind.is_none() {
            self.add("type", FieldErrorCode::InvalidValue, unknown_kind(text, has_name));
        }
        kind
    }

    fn schema_version(&mut self, text: Option<&str>) -> Option<SchemaVersion> {
        let Some(text) = text else {
            return Some(self.reception.schema_version.clone());
        };
        match SchemaVersion::parse(text) {
            Ok(version) => Some(version),
            Err(error) => {
                let message = format!("schema_version is {:?}: {error}", excerpt(text));
                self.add("schema_version", FieldErrorCode::InvalidSchemaVersion, message);
                None
            }
        }
    }

    fn time(&mut self, text: Option<&str>) -> Option<EventTime> {
        let received_at = self.reception.received_at;
        let Some(text) = text else {
            return Some(EventTime { occurred_at: received_at, sent_timestamp: None });
        };
        let sent = match Timestamp::parse(text) {
            Ok(sent) => sent,
            Err(error) => {
                self.add("timestamp", FieldErrorCode::InvalidTimestamp, no_time(text, error));
                return None;
            }
        };
        let time = match self.reception.sent_at {
            None => EventTime { occurred_at: sent, sent_timestamp: None },
            Some(sent_at) => {
                let Some(occurred_at) = corrected(sent, sent_at, received_at) else {
                    let message = format!(
                        "timestamp {sent} corrected by sent_at is outside the years 0000 to 9999"
                    );
                    self.add("timestamp", FieldErrorCode::InvalidTimestamp, message);
                    return None;
                };
                EventTime { occurred_at, sent_timestamp: Some(sent) }
            }
        };
        self.is_in_window(time.occurred_at).then_some(time)
    }

    fn is_in_window(&mut self, occurred_at: Timestamp) -> bool {
        let Reception { received_at, limits, .. } = *self.reception;
        let ahead = occurred_at.micros_since(received_at);
        // A `u32` of seconds in microseconds fits into an `i64`.
        let max_ahead = i64::from(limits.max_event_future_seconds) * MICROS_PER_SECOND;
        // A `u32` of days is at most 3.7e20 µs: beyond an `i64`, but also beyond any age.
        let max_age = i64::from(limits.max_event_age_days).saturating_mul(MICROS_PER_DAY);
        if ahead > max_ahead {
            let message = format!(
                "timestamp {occurred_at} is {} s after the time of receipt {received_at}; the limit is {} s",
                ahead / MICROS_PER_SECOND,
                limits.max_event_future_seconds
            );
            self.add("timestamp", FieldErrorCode::TimestampInFuture, message);
            return false;
        }
        // 0 disables this bound only; an offset into the future is always limited.
        if limits.max_event_age_days > 0 && -ahead > max_age {
            let message = format!(
                "timestamp {occurred_at} is {} days before the time of receipt {received_at}; the limit is {} days",
                -ahead / MICROS_PER_DAY,
                limits.max_event_age_days
            );
            self.add("timestamp", FieldErrorCode::TimestampTooOld, message);
            return false;
        }
        true
    }

    fn payload(&mut self, member: &str, raw: Option<&RawJson<'_>>) -> Option<JsonObject> {
        let pointer = self.pointer;
        let pointer_to_member = || pointer_to(&pointer.to_string(), member);
        JsonObject::check(raw?, &self.reception.source, pointer_to_member, self.errors)
    }
}

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// Returns the message about an unknown type, with its likely cause.
#[cold]
fn unknown_kind(text: &str, has_name: bool) -> String {
    let hint = match nearest(text, EventType::ALL.map(EventType::as_str)) {
        Some(kind) => format!("; did you mean {kind:?}?"),
        None if has_name => String::new(),
        None => "; the name of the event belongs in \"event_name\"".to_owned(),
    };
    let text = excerpt(text);
    format!("type is {text:?}; it must be track, page, screen, identify, group or alias{hint}")
}

/// Returns the message about a text that is no time.
#[cold]
fn no_time(text: &str, error: TimestampError) -> String {
    let hint = appended(time_hint(text));
    format!("timestamp is {:?}: {error}{hint}", excerpt(text))
}

/// Cuts a value for a message, so that the response stays short.
fn excerpt(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests;
