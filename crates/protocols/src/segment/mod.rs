//! Segment's protocol, as its own clients and RudderStack's and Jitsu's speak it: one message, or a
//! batch of them.
//!
//! A valid body is read in one pass over its bytes, and its contexts in a second one. Any other body
//! goes to `serde_json`, which finds every error and its position.

mod message;
mod names;
#[cfg(test)]
mod tests;
mod time;

use mercurio_domain::Timestamp;
use mercurio_domain::event::{EventType, Pointer};
use mercurio_domain::payload::{JsonSlice, Scanner, read_members, type_of};
use mercurio_domain::request::{Item, ParseError, events_of};
use mercurio_domain::verdict::{FieldError, FieldErrorCode};
use serde_json::value::RawValue;

use crate::{BodyKey, ForeignRequest, OTHER_LIBRARY};
use message::{Message, is_key};
use time::time;

/// The form of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Messages under `batch`.
    Batch,
    /// One message, of this type unless it names another.
    Message(EventType),
}

/// Size of a typical message: the list of a typical batch need not grow.
const TYPICAL_MESSAGE_BYTES: usize = 800;

/// Reads a body of this form: `{"batch": [ … ], "sentAt": "…"?, "writeKey": "…"?}`, or a message.
/// Other members of a batch have no effect.
///
/// # Errors
/// [`ParseError`]. Errors in single messages are not among them.
pub fn read(text: &str, form: Form, max_events: usize) -> Result<ForeignRequest<'_>, ParseError> {
    match form {
        Form::Batch => match scan_batch(text, max_events) {
            Some(request) => Ok(request),
            None => read_batch(text, max_events),
        },
        Form::Message(kind) => {
            let mut message = match scan_single(text, kind) {
                Some(message) => message,
                None => read_single(text, kind)?,
            };
            let (key, library) = (message.take_key(), message.library());
            Ok(ForeignRequest { items: vec![message.finish()], key, library })
        }
    }
}

fn read_single(text: &str, kind: EventType) -> Result<Message<'_>, ParseError> {
    let body: &RawValue = serde_json::from_str(text)?;
    let mut message = Message::new(0, Pointer::At(""), Some(kind));
    message.read(body.get());
    Ok(message)
}

fn scan_single(text: &str, kind: EventType) -> Option<Message<'_>> {
    let mut scanner = Scanner::new(text);
    let mut message = Message::new(0, Pointer::At(""), Some(kind));
    message.scan(text, &mut scanner)?;
    scanner.is_at_end().then_some(message)
}

/// A batch, as far as it is read.
struct Batch<'a> {
    key: BodyKey<'a>,
    sent_at: Option<Timestamp>,
    /// That of the first message.
    library: &'static str,
    items: Vec<Item<'a>>,
}

impl Default for Batch<'_> {
    fn default() -> Self {
        let (key, sent_at, items) = (BodyKey::Missing, None, Vec::new());
        Self { key, sent_at, library: OTHER_LIBRARY, items }
    }
}

impl<'a> Batch<'a> {
    fn add(&mut self, name: &str, value: JsonSlice<'a>) {
        match name {
            "sentAt" => self.sent_at = time(value.text()),
            name if is_key(name) => self.key.add(value.text()),
            _ => {}
        }
    }

    fn add_message(&mut self, mut message: Message<'a>) {
        // Browsers repeat the key in each message.
        self.key.add_key(message.take_key());
        if self.items.is_empty() {
            self.library = message.library();
        }
        self.items.push(message.finish());
    }

    fn finish(mut self) -> ForeignRequest<'a> {
        // A message's own time of sending goes before the batch's.
        for item in &mut self.items {
            item.origin.sent_at = item.origin.sent_at.or(self.sent_at);
        }
        ForeignRequest { items: self.items, key: self.key, library: self.library }
    }
}

fn in_batch<'a>(index: usize) -> Message<'a> {
    Message::new(index, Pointer::Item { array: "/batch", index }, None)
}

/// Reads a well-formed batch in one pass. `None`: use [`read_batch`].
fn scan_batch(text: &str, max_events: usize) -> Option<ForeignRequest<'_>> {
    let mut scanner = Scanner::new(text);
    let mut batch = Batch::default();
    scanner.take(b'{')?;
    loop {
        let name = scanner.plain_string()?;
        scanner.take(b':')?;
        // A repeated member leaves this path, and the slow path reports it.
        if name == "batch" && batch.items.is_empty() {
            scanner.take(b'[')?;
            batch.items.reserve((text.len() / TYPICAL_MESSAGE_BYTES + 1).min(max_events));
            loop {
                // The slow path counts all messages for the error.
                if batch.items.len() == max_events {
                    return None;
                }
                let mut message = in_batch(batch.items.len());
                message.scan(text, &mut scanner)?;
                batch.add_message(message);
                if !scanner.has_next(b']')? {
                    break;
                }
            }
        } else if name == "batch" {
            return None;
        } else {
            batch.add(name, scanner.value()?);
        }
        if !scanner.has_next(b'}')? {
            break;
        }
    }
    // A body without messages ends here too, and the slow path names what is missing.
    (!batch.items.is_empty() && scanner.is_at_end()).then(|| batch.finish())
}

fn read_batch(text: &str, max_events: usize) -> Result<ForeignRequest<'_>, ParseError> {
    // The whole syntax first: an error in it is the only one.
    let body: &RawValue = serde_json::from_str(text)?;
    if !body.get().starts_with('{') {
        let message = format!("the body is {}; an object is expected", type_of(body.get()));
        return Err(shape("", FieldErrorCode::WrongType, message));
    }
    let mut batch = Batch::default();
    let mut messages = Vec::new();
    read_members(body.get(), |name, value| match &*name {
        "batch" => messages.push(value.text()),
        name => batch.add(name, value),
    })?;
    let array = match *messages {
        [array] if array.starts_with('[') => array,
        [other] if other != "null" => {
            let message = format!("batch is {}; an array is expected", type_of(other));
            return Err(shape("/batch", FieldErrorCode::WrongType, message));
        }
        [] | [_] => {
            let message = "batch is required: an array of messages".to_owned();
            return Err(shape("/batch", FieldErrorCode::Required, message));
        }
        [..] => {
            let message = "batch appears twice".to_owned();
            return Err(shape("/batch", FieldErrorCode::DuplicateField, message));
        }
    };
    for (index, text) in events_of(array, max_events)?.into_iter().enumerate() {
        let mut message = in_batch(index);
        message.read(text);
        batch.add_message(message);
    }
    Ok(batch.finish())
}

fn shape(pointer: &str, code: FieldErrorCode, message: String) -> ParseError {
    ParseError::Shape(vec![FieldError::new(pointer, code, message)])
}
