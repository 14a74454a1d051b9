//! Parsing: request bytes to event drafts.
//!
//! A valid batch is read in one pass over its bytes. Any other body goes to `serde_json`, which
//! finds every error and its position. Strings without escapes and all payloads stay slices of the
//! body. An error in the request is a [`ParseError`]; an error in one event goes into its
//! [`Item::errors`] and rejects no other event.

mod envelope;
mod item;
mod strings;
mod unknown;

use mercurio_domain::limits::Limits;
use mercurio_domain::payload::Scanner;
use mercurio_domain::request::{Item, ParseError};
use mercurio_domain::{Source, Timestamp};
use serde_json::value::RawValue;

use strings::sent_at;

/// Checks that a body is UTF-8 and copies it for the events to share. [`batch`] and [`single`] take
/// the result.
///
/// # Errors
/// [`ParseError::Malformed`] with the position of the first other byte.
pub fn source(body: &[u8]) -> Result<Source, ParseError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        // `str::from_utf8` gives an offset; clients get line and column like those of serde_json.
        let before = &body[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        // Bytes, not characters: serde_json counts bytes too.
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        ParseError::Malformed { line, column, message: "a byte is not UTF-8".to_owned() }
    })?;
    // RFC 8259, section 8.1, lets a reader skip a byte order mark. Some clients cannot omit it.
    Ok(Source::from(text.strip_prefix('\u{FEFF}').unwrap_or(text)))
}

/// Reads the body of a batch: `{"events": [ … ], "sent_at": "…"?}`.
///
/// # Errors
/// [`ParseError`]. Errors in single events are not among them.
pub fn batch<'a>(text: &'a str, limits: &Limits) -> Result<Vec<Item<'a>>, ParseError> {
    match scan_batch(text, limits.max_batch_events) {
        Some(items) => Ok(items),
        None => read_batch(text, limits.max_batch_events),
    }
}

fn read_batch(text: &str, max_events: usize) -> Result<Vec<Item<'_>>, ParseError> {
    let envelope = envelope::read(text, max_events)?;
    let events = envelope.events.iter().enumerate();
    let items = events.map(|(index, text)| item::read(text, index)).collect();
    Ok(sent(items, envelope.sent_at))
}

/// Notes the time of sending of a request in each of its events.
fn sent(mut items: Vec<Item<'_>>, sent_at: Option<Timestamp>) -> Vec<Item<'_>> {
    if sent_at.is_some() {
        for item in &mut items {
            item.origin.sent_at = sent_at;
        }
    }
    items
}

/// Size of a typical event: the list of a typical batch need not grow.
const TYPICAL_EVENT_BYTES: usize = 400;

/// Reads a valid batch in one pass. `None`: use [`read_batch`].
fn scan_batch(text: &str, max_events: usize) -> Option<Vec<Item<'_>>> {
    let mut scanner = Scanner::new(text);
    let (mut items, mut time) = (Vec::new(), None);
    scanner.take(b'{')?;
    loop {
        let name = scanner.plain_string()?;
        scanner.take(b':')?;
        match name {
            // A repeated member leaves this path, and the slow path reports it.
            "events" if items.is_empty() => {
                scanner.take(b'[')?;
                // The bound keeps a large body from reserving room for more events than a batch may
                // have.
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
            "sent_at" if time.is_none() => time = Some(scanner.value()?.text()),
            // An unknown member: the slow path reports it with its pointer.
            _ => return None,
        }
        if !scanner.has_next(b'}')? {
            break;
        }
    }
    // An invalid time is an error of the whole request, which the slow path reports.
    let sent_at = time.map(sent_at).transpose().ok()?.flatten();
    // A body without `events` ends here too, and the slow path names the missing member.
    (!items.is_empty() && scanner.is_at_end()).then(|| sent(items, sent_at))
}

/// Reads the body of a single event: an object with the members of an event and an optional
/// `sent_at`.
///
/// # Errors
/// [`ParseError`]. Errors in the event are not among them.
pub fn single(text: &str) -> Result<Vec<Item<'_>>, ParseError> {
    if let Some(item) = item::scan_single(text) {
        return Ok(vec![item]);
    }
    let raw: &RawValue = serde_json::from_str(text)?;
    Ok(vec![item::read_single(raw.get())])
}

#[cfg(test)]
mod tests;
