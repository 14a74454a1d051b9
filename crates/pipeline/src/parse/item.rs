//! One event: its members told apart, each text borrowed or unescaped, each payload a slice.
//!
//! Twice the same: [`scan`] reads a sound event at one look a byte, the one that also tells whether a payload needs a second;
//! [`read`] reads one of which a parser has said already that it is JSON.

use std::borrow::Cow;
use std::fmt;

use mercurio_domain::Timestamp;
use mercurio_domain::event::EventDraft;
use mercurio_domain::payload::{JsonSlice, Scanner, type_of};
use mercurio_domain::verdict::{FieldError, FieldErrorCode, MAX_ERRORS_PER_EVENT, pointer_to};
use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Item, Pointer, sent_at, string};

/// The event at `index` of a batch.
pub(super) fn read(text: &str, index: usize) -> Item<'_> {
    read_at(text, index, Pointer::Event(index), None)
}

/// An event that is a whole body, and the `sent_at` beside its members.
pub(super) fn read_single(text: &str) -> (Item<'_>, Option<Timestamp>) {
    let mut sent = None;
    let mut item = read_at(text, 0, Pointer::Body, Some(&mut sent));
    let sent_at = match sent.map(sent_at) {
        None => None,
        Some(Ok(sent_at)) => sent_at,
        Some(Err(fault)) => {
            item.errors.push(fault);
            None
        }
    };
    (item, sent_at)
}

fn read_at<'a>(
    text: &'a str,
    index: usize,
    pointer: Pointer,
    sent_at: Option<&mut Option<&'a str>>,
) -> Item<'a> {
    let mut members =
        Members { pointer, draft: EventDraft::default(), errors: Vec::new(), seen: 0, sent_at };
    if text.starts_with('{') {
        members.read(text);
    } else {
        let message = format!("the event is {}; an object is expected", type_of(text));
        members.errors.push(FieldError::new(
            pointer.to_string(),
            FieldErrorCode::WrongType,
            message,
        ));
    }
    let Members { draft, errors, .. } = members;
    Item { index, pointer, text, draft, errors }
}

/// The object that `scanner` stands before, with the place at which its text begins and ends. `None`: ask a parser.
fn scan_at<'a>(
    body: &'a str,
    scanner: &mut Scanner<'a>,
    (index, pointer): (usize, Pointer),
    sent_at: Option<&mut Option<&'a str>>,
) -> Option<Item<'a>> {
    let mut members =
        Members { pointer, draft: EventDraft::default(), errors: Vec::new(), seen: 0, sent_at };
    scanner.take(b'{')?;
    let start = scanner.position() - 1;
    let mut has_next = scanner.peek()? != b'}' || scanner.has_next(b'}')?;
    while has_next {
        let name = scanner.plain_string()?;
        scanner.take(b':')?;
        members.take(name, scanner.value()?);
        has_next = scanner.has_next(b'}')?;
    }
    let text = body.get(start..scanner.position())?;
    let Members { draft, errors, .. } = members;
    Some(Item { index, pointer, text, draft, errors })
}

/// The event at `index` of a batch, in one pass. `None`: ask a parser.
pub(super) fn scan<'a>(body: &'a str, scanner: &mut Scanner<'a>, index: usize) -> Option<Item<'a>> {
    scan_at(body, scanner, (index, Pointer::Event(index)), None)
}

/// An event that is a whole body, in one pass. `None`: ask a parser.
pub(super) fn scan_single(body: &str) -> Option<(Item<'_>, Option<Timestamp>)> {
    let (mut scanner, mut sent) = (Scanner::new(body), None);
    let item = scan_at(body, &mut scanner, (0, Pointer::Body), Some(&mut sent))?;
    let sent_at = sent.map(sent_at).transpose().ok()?.flatten();
    scanner.is_at_end().then_some((item, sent_at))
}

struct Members<'m, 'a> {
    pointer: Pointer,
    draft: EventDraft<'a>,
    errors: Vec<FieldError>,
    /// A bit for each known member that was seen.
    seen: u16,
    /// Where a `sent_at` goes; none inside a batch, where it stands beside the events.
    sent_at: Option<&'m mut Option<&'a str>>,
}

/// The members that an event may have.
#[derive(Clone, Copy)]
enum Member {
    EventId,
    Type,
    EventName,
    Timestamp,
    AnonymousId,
    UserId,
    SessionId,
    SchemaVersion,
    Properties,
    Traits,
    Context,
    SentAt,
}

impl<'a> Members<'_, 'a> {
    /// Reads an object that a parser has read before.
    fn read(&mut self, text: &'a str) {
        // Fails only after the visitor stopped early: the syntax is right already.
        serde_json::Deserializer::from_str(text).deserialize_map(self).ok();
    }

    fn take(&mut self, name: &str, value: JsonSlice<'a>) {
        let member = match name {
            "event_id" => Member::EventId,
            "type" => Member::Type,
            "event_name" => Member::EventName,
            "timestamp" => Member::Timestamp,
            "anonymous_id" => Member::AnonymousId,
            "user_id" => Member::UserId,
            "session_id" => Member::SessionId,
            "schema_version" => Member::SchemaVersion,
            "properties" => Member::Properties,
            "traits" => Member::Traits,
            "context" => Member::Context,
            "sent_at" if self.sent_at.is_some() => Member::SentAt,
            _ => {
                let shown: String = name.chars().take(64).collect();
                return self.fault(
                    name,
                    FieldErrorCode::UnknownField,
                    format!("{shown:?} is no member of an event"),
                );
            }
        };
        let bit = 1 << member as u16;
        if self.seen & bit != 0 {
            return self.fault(
                name,
                FieldErrorCode::DuplicateField,
                format!("{name} stands twice"),
            );
        }
        self.seen |= bit;
        // Null is as good as left out.
        let raw = value.text();
        let payload = (raw != "null").then(|| value.into());
        match member {
            Member::EventId => self.draft.event_id = self.string(name, raw),
            Member::Type => self.draft.kind = self.string(name, raw),
            Member::EventName => self.draft.event_name = self.string(name, raw),
            Member::Timestamp => self.draft.timestamp = self.string(name, raw),
            Member::AnonymousId => self.draft.anonymous_id = self.string(name, raw),
            Member::UserId => self.draft.user_id = self.string(name, raw),
            Member::SessionId => self.draft.session_id = self.string(name, raw),
            Member::SchemaVersion => self.draft.schema_version = self.string(name, raw),
            Member::Properties => self.draft.properties = payload,
            Member::Traits => self.draft.traits = payload,
            Member::Context => self.draft.context = payload,
            Member::SentAt => {
                if let Some(place) = &mut self.sent_at {
                    **place = Some(raw);
                }
            }
        }
    }

    fn string(&mut self, name: &str, raw: &'a str) -> Option<Cow<'a, str>> {
        let pointer = self.pointer;
        string(raw, name, || pointer_to(&pointer.to_string(), name)).unwrap_or_else(|fault| {
            self.errors.push(fault);
            None
        })
    }

    fn fault(&mut self, name: &str, code: FieldErrorCode, message: String) {
        if self.errors.len() < MAX_ERRORS_PER_EVENT {
            self.errors.push(FieldError::new(
                pointer_to(&self.pointer.to_string(), name),
                code,
                message,
            ));
        }
    }
}

impl<'de> Visitor<'de> for &mut Members<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let Ok(name) = unescaped(name.get()) else {
                let message = "a member's name has half a surrogate pair, which is not a character";
                self.errors.push(FieldError::new(
                    self.pointer.to_string(),
                    FieldErrorCode::LoneSurrogate,
                    message,
                ));
                return Ok(());
            };
            self.take(&name, value.into());
        }
        Ok(())
    }
}

/// A name without its quotes and escapes.
fn unescaped(name: &str) -> serde_json::Result<Cow<'_, str>> {
    let inner = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or_default();
    if inner.contains('\\') {
        serde_json::from_str(name).map(Cow::Owned)
    } else {
        Ok(Cow::Borrowed(inner))
    }
}
