//! The step from a draft to a valid event: every rule that needs no database.

mod missing;

use std::borrow::Cow;

use validator::Validate;

use super::draft::EventDraft;
use super::origin::{Member, Origin};
use super::stages::{EventParts, ValidEvent};
use super::{EventType, rules};
use crate::clock::{Timestamp, TimestampError, corrected};
use crate::hints::{appended, nearest, time_hint};
use crate::ids::EventId;
use crate::limits::Limits;
use crate::payload::{JsonObject, RawJson};
use crate::schema_version::SchemaVersion;
use crate::text::{Source, Text};
use crate::verdict::{FieldError, FieldErrorCode};

/// The facts about a request that its events are checked against.
#[derive(Debug, Clone)]
pub struct Reception {
    /// The time of receipt, by the server's clock.
    pub received_at: Timestamp,
    /// The schema version of events that name none.
    pub schema_version: SchemaVersion,
    /// The limits of the tenant.
    pub limits: Limits,
    /// The body. Valid events share it if their drafts are slices of it; other texts are copied.
    pub source: Source,
}

impl Reception {
    /// A request without a body, under the default limits.
    #[must_use]
    pub fn at(received_at: Timestamp) -> Self {
        Self {
            received_at,
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
    /// Errors have the pointers and names of `origin`. `new_id` is called only for a valid event
    /// without an `event_id`. An event is also refused if `errors` has entries already, those of the
    /// parser.
    pub fn check(
        self,
        origin: impl Into<Origin>,
        reception: &Reception,
        new_id: impl FnOnce() -> EventId,
        errors: &mut Vec<FieldError>,
    ) -> Option<ValidEvent> {
        self.check_or_return(origin, reception, new_id, errors).ok()
    }

    /// Like [`EventDraft::check`], but keeps the draft of an invalid event.
    ///
    /// # Errors
    /// The draft, boxed because it is large and rarely returned.
    pub fn check_or_return(
        self,
        origin: impl Into<Origin>,
        reception: &Reception,
        new_id: impl FnOnce() -> EventId,
        errors: &mut Vec<FieldError>,
    ) -> Result<ValidEvent, Box<Self>> {
        let mut checker = Checker { origin: origin.into(), reception, errors };
        // All rules run after an error too, so that a client sees every mistake at once.
        if let Err(found) = self.validate() {
            rules::add_errors(&found, &checker.origin, checker.errors);
        }
        let kind = checker.kind(self.kind.as_deref(), self.event_name.is_some());
        // ADR 4: the clock is corrected here and not by enrichment, because the window must apply
        // to the corrected time.
        let time = checker.time(self.timestamp.as_deref());
        let schema_version = checker.schema_version(self.schema_version.as_deref());
        let properties = checker.payload(Member::Properties, self.properties.as_ref());
        let traits = checker.payload(Member::Traits, self.traits.as_ref());
        let context = checker.payload(Member::Context, self.context.as_ref());
        // With an invalid type the rule is unknown, and a second error would only confuse.
        if self.event_name.is_none() && kind == Some(EventType::Track) {
            let predicate = "is required for an event of type track";
            checker.add(Member::EventName, FieldErrorCode::Required, predicate);
        }
        if !checker.errors.is_empty() {
            missing::explain(&checker.origin.pointer.to_string(), checker.errors);
            return Err(Box::new(self));
        }
        debug_assert!(
            kind.is_some() && time.is_some() && schema_version.is_some(),
            "without errors every value is known"
        );
        // `None` is impossible here; the branch only satisfies the types.
        let (Some(kind), Some(time), Some(schema_version)) = (kind, time, schema_version) else {
            return Err(Box::new(self));
        };
        let EventTime { occurred_at, sent_timestamp } = time;
        // Copied or shared only now: a rejected event needs no text of its own.
        let shared = |text| share(text, &reception.source);
        Ok(ValidEvent::new(EventParts {
            event_id: self.event_id.map_or_else(new_id, |id| EventId::checked(shared(id))),
            kind,
            event_name: self.event_name.map_or_else(|| Text::from(kind.as_str()), shared),
            occurred_at,
            sent_timestamp,
            anonymous_id: self.anonymous_id.map(shared),
            user_id: self.user_id.map(shared),
            session_id: self.session_id.map(shared),
            schema_version,
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
struct Checker<'a> {
    origin: Origin,
    reception: &'a Reception,
    errors: &'a mut Vec<FieldError>,
}

impl Checker<'_> {
    /// Adds an error whose message is the name of the member and `predicate`.
    fn add(&mut self, member: Member, code: FieldErrorCode, predicate: &str) {
        let message = format!("{} {predicate}", self.origin.name_of(member));
        self.errors.push(FieldError::new(self.origin.pointer_to(member), code, message));
    }

    fn kind(&mut self, text: Option<&str>, has_name: bool) -> Option<EventType> {
        let Some(text) = text else {
            return Some(EventType::default());
        };
        let kind = EventType::from_text(text);
        if kind.is_none() {
            let name = (!has_name).then(|| self.origin.name_of(Member::EventName));
            let predicate = unknown_kind(text, name.as_deref());
            self.add(Member::Type, FieldErrorCode::InvalidValue, &predicate);
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
                let predicate = format!("is {:?}: {error}", excerpt(text));
                let code = FieldErrorCode::InvalidSchemaVersion;
                self.add(Member::SchemaVersion, code, &predicate);
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
                let predicate = no_time(text, error);
                self.add(Member::Timestamp, FieldErrorCode::InvalidTimestamp, &predicate);
                return None;
            }
        };
        let time = match self.origin.sent_at {
            None => EventTime { occurred_at: sent, sent_timestamp: None },
            Some(sent_at) => {
                let Some(occurred_at) = corrected(sent, sent_at, received_at) else {
                    let predicate = format!(
                        "{sent} corrected by the time of sending is outside the years 0000 to 9999"
                    );
                    self.add(Member::Timestamp, FieldErrorCode::InvalidTimestamp, &predicate);
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
            let predicate = format!(
                "{occurred_at} is {} s after the time of receipt {received_at}; the limit is {} s",
                ahead / MICROS_PER_SECOND,
                limits.max_event_future_seconds
            );
            self.add(Member::Timestamp, FieldErrorCode::TimestampInFuture, &predicate);
            return false;
        }
        // 0 disables this bound only; an offset into the future is always limited.
        if limits.max_event_age_days > 0 && -ahead > max_age {
            let predicate = format!(
                "{occurred_at} is {} days before the time of receipt {received_at}; the limit is {} days",
                -ahead / MICROS_PER_DAY,
                limits.max_event_age_days
            );
            self.add(Member::Timestamp, FieldErrorCode::TimestampTooOld, &predicate);
            return false;
        }
        true
    }

    fn payload(&mut self, member: Member, raw: Option<&RawJson<'_>>) -> Option<JsonObject> {
        let pointer = || self.origin.pointer_to(member);
        JsonObject::check(raw?, &self.reception.source, pointer, self.errors)
    }
}

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// Returns the predicate of a message about an unknown type, with its likely cause. `name` is that of
/// the missing name.
#[cold]
fn unknown_kind(text: &str, name: Option<&str>) -> String {
    let hint = match nearest(text, EventType::ALL.map(EventType::as_str)) {
        Some(kind) => format!("; did you mean {kind:?}?"),
        None => name.map_or_else(String::new, |name| {
            format!("; the name of the event belongs in {name:?}")
        }),
    };
    let text = excerpt(text);
    format!("is {text:?}; it must be track, page, screen, identify, group or alias{hint}")
}

/// Returns the predicate of a message about a text that is no time.
#[cold]
fn no_time(text: &str, error: TimestampError) -> String {
    let hint = appended(time_hint(text));
    format!("is {:?}: {error}{hint}", excerpt(text))
}

/// Cuts a value for a message, so that the response stays short.
fn excerpt(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests;
