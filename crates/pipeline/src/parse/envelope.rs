//! The outer object of a batch, read by `serde_json`: the path for a batch with any error.

use std::borrow::Cow;
use std::fmt;

use mercurio_domain::Timestamp;
use mercurio_domain::hints::{ENCODED_TWICE, appended, is_json_in_string};
use mercurio_domain::payload::type_of;
use mercurio_domain::request::{ParseError, events_of};
use mercurio_domain::verdict::{FieldError, FieldErrorCode, MAX_ERRORS_PER_EVENT, pointer_to};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::strings::sent_at;
use super::unknown;

/// The outer object. Each event is a slice of the body.
pub(super) struct RawEnvelope<'a> {
    pub(super) events: Vec<&'a str>,
    pub(super) sent_at: Option<Timestamp>,
}

/// Reads a batch of at most `max_events` events.
pub(super) fn read(text: &str, max_events: usize) -> Result<RawEnvelope<'_>, ParseError> {
    let mut members = EnvelopeMembers { max_events, ..EnvelopeMembers::default() };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // `deserialize_map` on another type would count as malformed JSON; this is `wrong_type`.
    if text.trim_start().starts_with('{') {
        deserializer.deserialize_map(&mut members)?;
    } else {
        let raw = <&RawValue>::deserialize(&mut deserializer)?;
        members.errors.push(wrong_type("", "the body", raw, "an object"));
    }
    deserializer.end()?;
    members.finish()
}

fn wrong_type(pointer: &str, name: &str, actual: &RawValue, expected: &str) -> FieldError {
    let actual = actual.get();
    let hint = appended(is_json_in_string(actual).then_some(ENCODED_TWICE));
    let message = format!("{name} is {}; {expected} is expected{hint}", type_of(actual));
    FieldError::new(pointer, FieldErrorCode::WrongType, message)
}

#[derive(Default)]
struct EnvelopeMembers<'a> {
    max_events: usize,
    events: Option<&'a RawValue>,
    sent_at: Option<&'a RawValue>,
    errors: Vec<FieldError>,
}

impl<'a> EnvelopeMembers<'a> {
    fn finish(mut self) -> Result<RawEnvelope<'a>, ParseError> {
        let sent_at = match self.sent_at.map(|raw| sent_at(raw.get())) {
            None => None,
            Some(Ok(sent_at)) => sent_at,
            Some(Err(error)) => {
                self.errors.push(error);
                None
            }
        };
        match self.events {
            Some(events) if !events.get().starts_with('[') => {
                let mut error = wrong_type("/events", "events", events, "an array");
                if events.get().starts_with('{') {
                    error.message += "; put the event into [ ]";
                }
                self.errors.push(error);
            }
            // A body that is no object has one error already; a missing member would be its
            // consequence.
            None if !self.errors.iter().any(|error| error.pointer.is_empty()) => {
                let message = self.missing_events();
                self.errors.push(FieldError::new("/events", FieldErrorCode::Required, message));
            }
            _ => {}
        }
        match self.events {
            // The array is read last: an error in the outer object rejects the request whatever it
            // holds.
            Some(events) if self.errors.is_empty() => {
                let events = events_of(events.get(), self.max_events)?;
                Ok(RawEnvelope { events, sent_at })
            }
            _ => Err(ParseError::Shape(self.errors)),
        }
    }

    fn add_unknown(&mut self, name: &str) {
        if self.errors.len() < MAX_ERRORS_PER_EVENT {
            let message = unknown::of_batch(name);
            self.add_error(name, FieldErrorCode::UnknownField, message);
        }
    }

    /// Returns the message about missing events, with the unknown member that was probably meant.
    fn missing_events(&self) -> String {
        let sent = self.errors.iter().find_map(unknown::instead_of_events);
        let hint = sent.map(|name| format!("did you mean \"events\" instead of {name:?}?"));
        format!("events is required{}", appended(hint.as_deref()))
    }

    fn add_error(&mut self, name: &str, code: FieldErrorCode, message: String) {
        if self.errors.len() < MAX_ERRORS_PER_EVENT {
            self.errors.push(FieldError::new(pointer_to("", name), code, message));
        }
    }
}

impl<'de> Visitor<'de> for &mut EnvelopeMembers<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            let raw: &RawValue = map.next_value()?;
            let member = match &*name {
                "events" => &mut self.events,
                "sent_at" => &mut self.sent_at,
                _ => {
                    self.add_unknown(&name);
                    continue;
                }
            };
            // The first value stays. Taking the last one, as many parsers do, would hide the
            // mistake.
            if member.is_none() {
                *member = Some(raw);
            } else {
                let message = format!("{name} appears twice");
                self.add_error(&name, FieldErrorCode::DuplicateField, message);
            }
        }
        Ok(())
    }
}

/// The name of a member. Borrowed unless it has escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
