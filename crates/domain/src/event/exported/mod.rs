//! The way back from the JSON of a [`StoredEvent`](super::StoredEvent), as an export has it, to an
//! event for a store.
//!
//! The rules are those for a client's event, except the limits of age and future. `received_at`,
//! `sent_timestamp` and `enrichment` are kept, the last byte for byte.

use std::borrow::Cow;
use std::fmt;

use serde_json::error::Category;

use super::check::Reception;
use super::draft::EventDraft;
use super::stages::{EnrichedEvent, EnrichmentJson, ValidEvent};
use crate::clock::Timestamp;
use crate::enrichment::Enrichment;
use crate::ids::{EventId, Owner, TenantId, WorkspaceId};
use crate::limits::{Limits, MAX_EVENT_FUTURE_SECONDS};
use crate::payload::{JsonObject, JsonSlice, NotText, RawJson, read_members, text_of};
use crate::text::Source;
use crate::verdict::{FieldError, FieldErrorCode};

/// Tolerance for the clock of the server that received an event.
const MAX_AHEAD_MICROS: i64 = MAX_EVENT_FUTURE_SECONDS as i64 * 1_000_000;

/// An event read back from an export.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportedEvent {
    /// The workspace it was exported from.
    pub owner: Owner,
    /// The time of its receipt, by the server that received it.
    pub received_at: Timestamp,
    /// The event, with its enrichment.
    pub event: EnrichedEvent,
}

/// The members of an exported event, in their order: those of a stored event.
pub const EXPORTED_MEMBERS: [&str; 16] = [
    "event_id",
    "type",
    "event_name",
    "timestamp",
    "sent_timestamp",
    "received_at",
    "anonymous_id",
    "user_id",
    "session_id",
    "schema_version",
    "properties",
    "traits",
    "context",
    "enrichment",
    "tenant_id",
    "workspace_id",
];

/// Why a text is no exported event. Displays without any part of the text, so it may be logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportedEventError {
    /// The text is not JSON.
    #[error("it is not JSON from byte {column} on")]
    Malformed {
        /// From 1.
        column: usize,
    },
    /// The text ends within the JSON.
    #[error("it ends in the middle: the input was cut off")]
    CutOff,
    /// Another JSON value, or an object with a name that is no text.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// Members that break a rule.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Members(Vec<InvalidMember>),
}

/// A member that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidMember {
    /// Its name; `None` for the event as a whole, and for an unknown name, which is the client's.
    pub name: Option<&'static str>,
    /// The rule.
    pub code: FieldErrorCode,
}

impl fmt::Display for InvalidMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, code } = self;
        match (name, code) {
            (Some(name), code) => write!(f, "{name}: {code}"),
            (None, FieldErrorCode::UnknownField) => {
                f.write_str("unknown_field: it has a member that no export of this release has")
            }
            (None, FieldErrorCode::Required) => f.write_str("anonymous_id or user_id: required"),
            (None, code) => write!(f, "{code}"),
        }
    }
}

impl From<&FieldError> for InvalidMember {
    fn from(error: &FieldError) -> Self {
        // The rest of the pointer leads into a payload: its names are the client's.
        let first = error.pointer.split('/').nth(1).unwrap_or_default();
        let name = EXPORTED_MEMBERS.into_iter().find(|member| *member == first);
        Self { name, code: error.code }
    }
}

impl ExportedEvent {
    /// Reads the JSON of a stored event. Absent members and `null` are the same.
    ///
    /// # Errors
    /// [`ExportedEventError`] unless a server may have stored such an event before `now`.
    pub fn parse(json: &str, now: Timestamp) -> Result<Self, ExportedEventError> {
        let source = Source::from(json);
        // First the syntax: `read_members` ignores what follows the object.
        RawJson::parse(&*source).map_err(|error| match error.classify() {
            Category::Eof => ExportedEventError::CutOff,
            _ => ExportedEventError::Malformed { column: error.column().max(1) },
        })?;
        let mut reader = Reader::default();
        read_members(&source, |name, value| reader.add(&name, value))
            .map_err(|_| ExportedEventError::NotAnObject)?;
        reader.finish(&source, now)
    }
}

/// The members read so far.
#[derive(Default)]
struct Reader<'a> {
    values: [Option<JsonSlice<'a>>; EXPORTED_MEMBERS.len()],
    invalid: Vec<InvalidMember>,
}

impl<'a> Reader<'a> {
    fn add(&mut self, name: &str, value: JsonSlice<'a>) {
        match EXPORTED_MEMBERS.into_iter().position(|member| member == name) {
            None => {
                self.invalid.push(InvalidMember { name: None, code: FieldErrorCode::UnknownField })
            }
            Some(index) if self.values[index].is_some() => {
                self.refuse(EXPORTED_MEMBERS[index], FieldErrorCode::DuplicateField);
            }
            Some(index) => self.values[index] = Some(value),
        }
    }

    fn refuse(&mut self, name: &'static str, code: FieldErrorCode) {
        self.invalid.push(InvalidMember { name: Some(name), code });
    }

    /// Returns a value; `None` if it is absent.
    fn value(&self, name: &'static str) -> Option<JsonSlice<'a>> {
        let index = EXPORTED_MEMBERS.into_iter().position(|member| member == name);
        debug_assert!(index.is_some(), "{name} is a member");
        self.values[index?].filter(|value| value.text() != "null")
    }

    fn text(&mut self, name: &'static str) -> Option<Cow<'a, str>> {
        match text_of(self.value(name)?.text()) {
            Ok(text) => Some(text),
            Err(NotText::WrongType) => {
                self.refuse(name, FieldErrorCode::WrongType);
                None
            }
            Err(NotText::LoneSurrogate) => {
                self.refuse(name, FieldErrorCode::LoneSurrogate);
                None
            }
        }
    }

    fn required(&mut self, name: &'static str) -> Option<Cow<'a, str>> {
        if self.value(name).is_none() {
            self.refuse(name, FieldErrorCode::Required);
        }
        self.text(name)
    }

    fn time(&mut self, name: &'static str, text: Option<Cow<'a, str>>) -> Option<Timestamp> {
        let time = Timestamp::parse(&text?).ok();
        if time.is_none() {
            self.refuse(name, FieldErrorCode::InvalidTimestamp);
        }
        time
    }

    fn received_at(&mut self, now: Timestamp) -> Option<Timestamp> {
        let text = self.required("received_at");
        let received_at = self.time("received_at", text)?;
        // A server's own clock: each day of receipt becomes a partition.
        if received_at.as_micros() < 0 {
            self.refuse("received_at", FieldErrorCode::TimestampTooOld);
        }
        if received_at.micros_since(now) > MAX_AHEAD_MICROS {
            self.refuse("received_at", FieldErrorCode::TimestampInFuture);
        }
        Some(received_at)
    }

    fn number(&mut self, name: &'static str) -> Option<i64> {
        let number = self.required(name)?.parse().ok();
        if number.is_none() {
            self.refuse(name, FieldErrorCode::InvalidValue);
        }
        number
    }

    fn enrichment(&mut self, source: &Source) -> Option<EnrichmentJson> {
        const NAME: &str = "enrichment";
        let Some(value) = self.value(NAME) else {
            self.refuse(NAME, FieldErrorCode::Required);
            return None;
        };
        let mut errors = Vec::new();
        let pointer = || format!("/{NAME}");
        let object = JsonObject::check(&RawJson::from(value), source, pointer, &mut errors);
        self.invalid.extend(errors.iter().map(InvalidMember::from));
        // A newer release may have more facts. Those known have to be of their types: readers
        // rely on it.
        let object = object?;
        if serde_json::from_str::<Enrichment>(object.as_str()).is_err() {
            self.refuse(NAME, FieldErrorCode::WrongType);
            return None;
        }
        Some(EnrichmentJson::of_store(&object))
    }

    fn draft(&mut self) -> EventDraft<'a> {
        let payload = |value: Option<JsonSlice<'a>>| value.map(RawJson::from);
        EventDraft {
            event_id: self.required("event_id"),
            kind: self.required("type"),
            event_name: self.required("event_name"),
            timestamp: self.required("timestamp"),
            anonymous_id: self.text("anonymous_id"),
            user_id: self.text("user_id"),
            session_id: self.text("session_id"),
            schema_version: self.required("schema_version"),
            properties: payload(self.value("properties")),
            traits: payload(self.value("traits")),
            context: payload(self.value("context")),
        }
    }

    /// Whether `error` only follows from an error that its reader found.
    fn is_reported(&self, error: InvalidMember) -> bool {
        let has_error = |name| self.invalid.iter().any(|invalid| invalid.name == Some(name));
        match error.name {
            Some(name) => has_error(name),
            None => has_error("anonymous_id") || has_error("user_id"),
        }
    }

    fn finish(
        mut self,
        source: &Source,
        now: Timestamp,
    ) -> Result<ExportedEvent, ExportedEventError> {
        let received_at = self.received_at(now);
        let sent = self.text("sent_timestamp");
        let sent_timestamp = self.time("sent_timestamp", sent);
        let tenant_id = self.number("tenant_id").map(TenantId);
        let workspace_id = self.number("workspace_id").map(WorkspaceId);
        let enrichment = self.enrichment(source);
        let draft = self.draft();
        let reception = Reception {
            // The times are the server's own already.
            limits: Limits {
                max_event_age_days: 0,
                max_event_future_seconds: u32::MAX,
                ..Limits::default()
            },
            source: source.clone(),
            ..Reception::at(received_at.unwrap_or(now))
        };
        let mut errors = Vec::new();
        let valid = draft.check("", &reception, || EventId::lookup(""), &mut errors);
        for error in errors.iter().map(InvalidMember::from) {
            if !self.is_reported(error) {
                self.invalid.push(error);
            }
        }
        match (received_at, tenant_id, workspace_id, enrichment, valid) {
            (
                Some(received_at),
                Some(tenant_id),
                Some(workspace_id),
                Some(enrichment),
                Some(valid),
            ) if self.invalid.is_empty() => {
                let valid = ValidEvent::with_sent_timestamp(valid, sent_timestamp);
                let event = EnrichedEvent::new(valid, enrichment);
                let owner = Owner { tenant_id, workspace_id };
                Ok(ExportedEvent { owner, received_at, event })
            }
            _ => {
                debug_assert!(!self.invalid.is_empty(), "a missing value was reported");
                Err(ExportedEventError::Members(self.invalid))
            }
        }
    }
}

#[cfg(test)]
mod tests;
