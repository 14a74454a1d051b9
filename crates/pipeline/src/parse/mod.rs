//! Bytes to drafts. Each event keeps its place in the request; what is wrong with one is its own fault and no other's.
//!
//! A body in which all is as it should be is read in one pass. Any other goes to a parser, which tells what is wrong with it and
//! where. Texts without escapes and all payloads stay slices of the body. What makes
//! the whole request unusable is a [`ParseError`]; what makes one event unusable goes into its [`Item::errors`].

mod envelope;
mod item;

use std::fmt;

use mercurio_domain::event::EventDraft;
use mercurio_domain::limits::Limits;
use mercurio_domain::payload::{Scanner, type_of};
use mercurio_domain::verdict::{FieldError, FieldErrorCode};
use mercurio_domain::{EventId, Source, Timestamp};
use serde_json::value::RawValue;

/// The events of a request.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// The events, in the order of the request.
    pub items: Vec<Item<'a>>,
    /// The client's clock at sending.
    pub sent_at: Option<Timestamp>,
}

/// An event of a request, as far as its form could be read.
#[derive(Debug)]
pub struct Item<'a> {
    /// Its place in the request, from 0.
    pub index: usize,
    /// Where it stands in the body.
    pub pointer: Pointer,
    /// Its bytes as sent, without the white space around them.
    pub text: &'a str,
    /// What was read of it.
    pub draft: EventDraft<'a>,
    /// What is wrong with its form: members of a wrong type, unknown ones, ones that stand twice.
    pub errors: Vec<FieldError>,
}

/// Where an event stands in a body: a JSON pointer that is written out only where something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pointer {
    /// It is the body.
    Body,
    /// It is an event of a batch, counted from 0.
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

/// Why nothing of a request can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The body is not JSON in UTF-8.
    #[error("{message} at line {line}, column {column}")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// The byte in the line, from 1; 0 where the body ends before it.
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
        /// How many it may have.
        limit: usize,
        /// How many it has.
        actual: usize,
    },
    /// The body is JSON, but not of the shape of a request.
    #[error("the body does not have the shape of a request")]
    Shape(Vec<FieldError>),
}

/// Reads the body of a batch: `{"events": [ … ], "sent_at": "…"?}`.
///
/// # Errors
/// [`ParseError`]; errors of single events are not among them.
pub fn batch<'a>(body: &'a [u8], limits: &Limits) -> Result<Envelope<'a>, ParseError> {
    let text = text_of(body)?;
    if let Some(envelope) = scan_batch(text, limits.max_batch_events) {
        return Ok(envelope);
    }
    let envelope = envelope::read(text, limits.max_batch_events)?;
    let items = envelope
        .events
        .iter()
        .enumerate()
        .map(|(index, raw)| item::read(raw.get(), index))
        .collect();
    Ok(Envelope { items, sent_at: envelope.sent_at })
}

/// Room is made for as many events of this size as a body may hold, so that a list of usual ones need not grow.
const USUAL_EVENT_BYTES: usize = 400;

/// A batch of whose form nothing is to be said, in one pass over its bytes. `None`: ask the parser.
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
                items.reserve((text.len() / USUAL_EVENT_BYTES + 1).min(max_events));
                loop {
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

/// Reads the body of a single event, an object that may have a `sent_at` beside the event's own members.
///
/// # Errors
/// [`ParseError`]; the event's own errors are not among them.
pub fn single(body: &[u8]) -> Result<Envelope<'_>, ParseError> {
    let text = text_of(body)?;
    if let Some((item, sent_at)) = item::scan_single(text) {
        return Ok(Envelope { items: vec![item], sent_at });
    }
    let raw: &RawValue = serde_json::from_str(text).map_err(malformed)?;
    let (item, sent_at) = item::read_single(raw.get());
    Ok(Envelope { items: vec![item], sent_at })
}

/// The `event_id` of an event's bytes, where it has one that holds its rules: a rejection may name it.
pub(crate) fn sound_event_id(text: &str) -> Option<EventId> {
    serde_json::from_str::<&RawValue>(text).ok()?;
    item::read(text, 0).draft.valid_event_id()
}

/// A body as the source that its events share.
///
/// # Errors
/// [`ParseError::Malformed`] where it is not UTF-8.
pub fn source(body: &[u8]) -> Result<Source, ParseError> {
    text_of(body).map(Source::from)
}

fn text_of(body: &[u8]) -> Result<&str, ParseError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let before = &body[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        ParseError::Malformed { line, column, message: "the body is not UTF-8".to_owned() }
    })?;
    // RFC 8259, section 8.1, lets a reader pass over a byte order mark, which some clients cannot help sending.
    Ok(text.strip_prefix('\u{FEFF}').unwrap_or(text))
}

fn malformed(error: serde_json::Error) -> ParseError {
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    let place = format!(" at line {line} column {column}");
    ParseError::Malformed {
        line,
        column,
        message: message.strip_suffix(&place).unwrap_or(&message).to_owned(),
    }
}

/// A text: borrowed from the body where it has no escapes. `None` where it is null.
fn string<'a>(
    text: &'a str,
    member: &str,
    pointer: impl Fn() -> String,
) -> Result<Option<std::borrow::Cow<'a, str>>, FieldError> {
    if text == "null" {
        return Ok(None);
    }
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        let message = format!("{member} is {}; a string is expected", type_of(text));
        return Err(FieldError::new(pointer(), FieldErrorCode::WrongType, message));
    };
    if !inner.contains('\\') {
        return Ok(Some(inner.into()));
    }
    // The syntax is known to be right: only half a surrogate pair is left to fail.
    serde_json::from_str::<String>(text).map(|text| Some(text.into())).map_err(|_| {
        let message = format!("{member} has half a surrogate pair, which is not a character");
        FieldError::new(pointer(), FieldErrorCode::LoneSurrogate, message)
    })
}

/// A `sent_at`; `None` where it is null.
fn sent_at(raw: &str) -> Result<Option<Timestamp>, FieldError> {
    let place = || "/sent_at".to_owned();
    let Some(text) = string(raw, "sent_at", place)? else {
        return Ok(None);
    };
    Timestamp::parse(&text).map(Some).map_err(|error| {
        let shown: String = text.chars().take(64).collect();
        FieldError::new(
            place(),
            FieldErrorCode::InvalidTimestamp,
            format!("sent_at is {shown:?}: {error}"),
        )
    })
}

#[cfg(test)]
mod tests;
