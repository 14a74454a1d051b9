//! Parsing: request bytes to event drafts.
//!
//! A batch without mistakes is read in one pass over its bytes. Any other body goes to `serde_json`, which finds every
//! mistake and its position. Strings without escapes and all payloads stay slices of the body. A mistake in the request is a
//! [`ParseError`]; a mistake in one event goes into its [`Item::errors`] and rejects no other event.

mod envelope;
mod item;

use std::borrow::Cow;
use std::fmt;

use mercurio_domain::event::EventDraft;
use mercurio_domain::limits::Limits;
use mercurio_domain::payload::{Scanner, type_of};
use mercurio_domain::verdict::{FieldError, FieldErrorCode};
use mercurio_domain::{EventId, Source, Timestamp};
use serde_json::value::RawValue;

/// The events of a request, in order.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// The events.
    pub items: Vec<Item<'a>>,
    /// Client time of sending.
    pub sent_at: Option<Timestamp>,
}

/// One event, before the rules of the domain.
#[derive(Debug)]
pub struct Item<'a> {
    /// Index in the request, from 0.
    pub index: usize,
    /// Position in the body.
    pub pointer: Pointer,
    /// The event as sent, without surrounding white space.
    pub text: &'a str,
    /// The members read so far.
    pub draft: EventDraft<'a>,
    /// Members of the wrong type, unknown members and repeated ones.
    pub errors: Vec<FieldError>,
}

/// Position of an event in the body. `Display` writes it as a JSON pointer, so that a valid event needs no string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pointer {
    /// The event is the body.
    Body,
    /// Index of the event in a batch, from 0.
    Event(usize),
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => Ok(()),
            Self::Event(index) => write!(f, "/events/{index}"),
        }
    }
}

/// Why no event of a request can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The body is not JSON in UTF-8.
    #[error("{message} at line {line}, column {column}")]
    Malformed {
        /// Line, from 1.
        line: usize,
        /// Byte in the line, from 1; 0 if the body ends before it.
        column: usize,
        /// What was expected or found.
        message: String,
    },
    /// A batch without events.
    #[error("the batch has no events; at least 1 is required")]
    BatchEmpty,
    /// A batch with more events than the limit.
    #[error("the batch has {actual} events; the limit is {limit}")]
    BatchTooLarge {
        /// Maximum events.
        limit: usize,
        /// Events in the batch.
        actual: usize,
    },
    /// The body is JSON, but not a request.
    #[error("the body is not a valid request")]
    Shape(Vec<FieldError>),
}

/// Checks that a body is UTF-8 and copies it for the events to share. [`batch`] and [`single`] take the result.
///
/// # Errors
/// [`ParseError::Malformed`] with the position of the first other byte.
pub fn source(body: &[u8]) -> Result<Source, ParseError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let before = &body[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        ParseError::Malformed { line, column, message: "the body is not UTF-8".to_owned() }
    })?;
    // RFC 8259, section 8.1, lets a reader skip a byte order mark. Some clients cannot omit it.
    Ok(Source::from(text.strip_prefix('\u{FEFF}').unwrap_or(text)))
}

/// Reads the body of a batch: `{"events": [ … ], "sent_at": "…"?}`.
///
/// # Errors
/// [`ParseError`]. Mistakes in single events are no error.
pub fn batch<'a>(text: &'a str, limits: &Limits) -> Result<Envelope<'a>, ParseError> {
    match scan_batch(text, limits.max_batch_events) {
        Some(envelope) => Ok(envelope),
        None => read_batch(text, limits.max_batch_events),
    }
}

fn read_batch(text: &str, max_events: usize) -> Result<Envelope<'_>, ParseError> {
    let envelope = envelope::read(text, max_events)?;
    let events = envelope.events.iter().enumerate();
    let items = events.map(|(index, raw)| item::read(raw.get(), index)).collect();
    Ok(Envelope { items, sent_at: envelope.sent_at })
}

/// Size of a typical event: the list of a typical batch need not grow.
const TYPICAL_EVENT_BYTES: usize = 400;

/// Reads a batch without mistakes in one pass. `None`: use [`read_batch`].
fn scan_batch(text: &str, max_events: usize) -> Option<Envelope<'_>> {
    let mut scanner = Scanner::new(text);
    let (mut items, mut sent) = (Vec::new(), None);
    scanner.take(b'{')?;
    loop {
        let name = scanner.plain_string()?;
        scanner.take(b':')?;
        match name {
            "events" if items.is_empty() => {
                scanner.take(b'[')?;
                items.reserve((text.len() / TYPICAL_EVENT_BYTES + 1).min(max_events));
                loop {
                    // The slow path counts all events for the error.
                    if items.len() == max_events {
                        return None;
                    }
                    items.push(item::scan(text, &mut scanner, items.len())?);
                    if !scanner.has_next(b']')? {
                        break;
                    }
                }
            }
            "sent_at" if sent.is_none() => sent = Some(scanner.value()?.text()),
            _ => return None,
        }
        if !scanner.has_next(b'}')? {
            break;
        }
    }
    let sent_at = sent.map(sent_at).transpose().ok()?.flatten();
    (!items.is_empty() && scanner.is_at_end()).then_some(Envelope { items, sent_at })
}

/// Reads the body of a single event: an object with the members of an event and an optional `sent_at`.
///
/// # Errors
/// [`ParseError`]. Mistakes in the event are no error.
pub fn single(text: &str) -> Result<Envelope<'_>, ParseError> {
    if let Some((item, sent_at)) = item::scan_single(text) {
        return Ok(Envelope { items: vec![item], sent_at });
    }
    let raw: &RawValue = serde_json::from_str(text).map_err(malformed)?;
    let (item, sent_at) = item::read_single(raw.get());
    Ok(Envelope { items: vec![item], sent_at })
}

/// Returns the `event_id` of an event if it is valid, so that a rejection can name it.
pub(crate) fn valid_event_id(text: &str) -> Option<EventId> {
    serde_json::from_str::<&RawValue>(text).ok()?;
    item::read(text, 0).draft.valid_event_id()
}

fn malformed(error: serde_json::Error) -> ParseError {
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    let position = format!(" at line {line} column {column}");
    ParseError::Malformed {
        line,
        column,
        message: message.strip_suffix(&position).unwrap_or(&message).to_owned(),
    }
}

/// Reads a string member: borrowed from the body unless it has escapes. `None` for null.
fn string<'a>(
    text: &'a str,
    name: &str,
    pointer: impl Fn() -> String,
) -> Result<Option<Cow<'a, str>>, FieldError> {
    if text == "null" {
        return Ok(None);
    }
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        let message = format!("{name} is {}; a string is expected", type_of(text));
        return Err(FieldError::new(pointer(), FieldErrorCode::WrongType, message));
    };
    if !inner.contains('\\') {
        return Ok(Some(inner.into()));
    }
    // The syntax is valid already, so only a lone surrogate can fail.
    serde_json::from_str::<String>(text).map(|text| Some(text.into())).map_err(|_| {
        let message = format!("{name} contains a lone surrogate, which is not a character");
        FieldError::new(pointer(), FieldErrorCode::LoneSurrogate, message)
    })
}

/// Reads a `sent_at`. `None` for null.
fn sent_at(raw: &str) -> Result<Option<Timestamp>, FieldError> {
    let pointer = || "/sent_at".to_owned();
    let Some(text) = string(raw, "sent_at", pointer)? else {
        return Ok(None);
    };
    Timestamp::parse(&text).map(Some).map_err(|error| {
        let shown: String = text.chars().take(64).collect();
        let message = format!("sent_at is {shown:?}: {error}");
        FieldError::new(pointer(), FieldErrorCode::InvalidTimestamp, message)
    })
}

#[cfg(test)]
mod tests;
