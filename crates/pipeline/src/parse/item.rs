//! One event: its members, each string borrowed or unescaped, each payload a slice.
//!
//! [`scan`] reads a valid event with one look at each byte. It also learns whether a payload needs
//! a second look. [`read`] uses `serde_json` and reports every error.

use std::borrow::Cow;

use mercurio_domain::Timestamp;
use mercurio_domain::event::{EventDraft, Member, Origin, Pointer};
use mercurio_domain::hints::{ENCODED_TWICE, appended, is_json_in_string};
use mercurio_domain::payload::{JsonSlice, Scanner, read_members, scan_members, type_of};
use mercurio_domain::request::Item;
use mercurio_domain::verdict::{FieldError, FieldErrorCode, MAX_ERRORS_PER_EVENT, pointer_to};

use super::strings::{sent_at, string};
use super::unknown;

/// Reads the event at `index` of a batch. `text` is one valid JSON value.
pub(super) fn read(text: &str, index: usize) -> Item<'_> {
    let mut members = EventMembers::new(in_batch(index), SentAt::NotAllowed);
    members.read(text);
    members.finish(index, text)
}

/// Reads an event that is a whole body, and its `sent_at`.
pub(super) fn read_single(text: &str) -> Item<'_> {
    let mut members = EventMembers::new(BODY, SentAt::Missing);
    members.read(text);
    let sent_at = match members.sent_at.text().map(sent_at) {
        None => None,
        Some(Ok(sent_at)) => sent_at,
        Some(Err(error)) => {
            members.errors.push(error);
            None
        }
    };
    sent(members.finish(0, text), sent_at)
}

fn sent(mut item: Item<'_>, sent_at: Option<Timestamp>) -> Item<'_> {
    item.origin.sent_at = sent_at;
    item
}

const BODY: Pointer = Pointer::At("");

fn in_batch(index: usize) -> Pointer {
    Pointer::Item { array: "/events", index }
}

/// Reads the event at `index` of a batch in one pass. `None`: use the slow path.
pub(super) fn scan<'a>(body: &'a str, scanner: &mut Scanner<'a>, index: usize) -> Option<Item<'a>> {
    let mut members = EventMembers::new(in_batch(index), SentAt::NotAllowed);
    let text = members.scan(body, scanner)?;
    Some(members.finish(index, text))
}

/// Reads an event that is a whole body in one pass. `None`: use the slow path.
pub(super) fn scan_single(body: &str) -> Option<Item<'_>> {
    let mut scanner = Scanner::new(body);
    let mut members = EventMembers::new(BODY, SentAt::Missing);
    let text = members.scan(body, &mut scanner)?;
    let sent_at = members.sent_at.text().map(sent_at).transpose().ok()?.flatten();
    scanner.is_at_end().then(|| sent(members.finish(0, text), sent_at))
}

struct EventMembers<'a> {
    pointer: Pointer,
    draft: EventDraft<'a>,
    errors: Vec<FieldError>,
    /// One bit per known member.
    seen: u16,
    sent_at: SentAt<'a>,
}

/// The `sent_at` of a single event. In a batch it belongs to the outer object.
#[derive(Clone, Copy)]
enum SentAt<'a> {
    NotAllowed,
    Missing,
    Text(&'a str),
}

impl<'a> SentAt<'a> {
    fn text(self) -> Option<&'a str> {
        match self {
            Self::NotAllowed | Self::Missing => None,
            Self::Text(text) => Some(text),
        }
    }
}

impl<'a> EventMembers<'a> {
    fn new(pointer: Pointer, sent_at: SentAt<'a>) -> Self {
        Self { pointer, draft: EventDraft::default(), errors: Vec::new(), seen: 0, sent_at }
    }

    fn finish(self, index: usize, text: &'a str) -> Item<'a> {
        let origin = Origin::from(self.pointer);
        Item { index, origin, text, draft: self.draft, errors: self.errors }
    }

    /// Reads the object at the scanner and returns its text.
    fn scan(&mut self, body: &'a str, scanner: &mut Scanner<'a>) -> Option<&'a str> {
        scan_members(body, scanner, |name, value| self.add(name, value))
    }

    fn read(&mut self, text: &'a str) {
        if !text.starts_with('{') {
            let hint = appended(is_json_in_string(text).then_some(ENCODED_TWICE));
            let message = format!("the event is {}; an object is expected{hint}", type_of(text));
            return self.add_event_error(FieldErrorCode::WrongType, message);
        }
        // The text is valid JSON, and `serde_json` passes over values without decoding them: only a
        // name can fail.
        if read_members(text, |name, value| self.add(&name, value)).is_err() {
            let message = "a field name contains a lone surrogate, which is not a character";
            self.add_event_error(FieldErrorCode::LoneSurrogate, message.to_owned());
        }
    }

    fn add(&mut self, name: &str, value: JsonSlice<'a>) {
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
            "sent_at" => return self.add_sent_at(name, value),
            _ => return self.add_unknown(name),
        };
        // Only here: names repeated inside a payload stay, because the stores keep its text as sent
        // (ADR 5).
        let bit = 1 << member as u16;
        if self.seen & bit != 0 {
            return self.add_repeated(name);
        }
        self.seen |= bit;
        // `null` equals a missing member.
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
        }
    }

    fn add_sent_at(&mut self, name: &str, value: JsonSlice<'a>) {
        match self.sent_at {
            SentAt::NotAllowed => self.add_unknown(name),
            SentAt::Missing => self.sent_at = SentAt::Text(value.text()),
            SentAt::Text(_) => self.add_repeated(name),
        }
    }

    #[cold]
    fn add_repeated(&mut self, name: &str) {
        self.add_error(name, FieldErrorCode::DuplicateField, || format!("{name} appears twice"));
    }

    fn string(&mut self, name: &str, raw: &'a str) -> Option<Cow<'a, str>> {
        let pointer = self.pointer;
        string(raw, name, || pointer_to(&pointer.to_string(), name)).unwrap_or_else(|error| {
            self.errors.push(error);
            None
        })
    }

    #[cold]
    fn add_unknown(&mut self, name: &str) {
        let is_in_batch = matches!(self.sent_at, SentAt::NotAllowed);
        self.add_error(name, FieldErrorCode::UnknownField, || unknown::of_event(name, is_in_batch));
    }

    fn add_error(&mut self, name: &str, code: FieldErrorCode, message: impl FnOnce() -> String) {
        // The limit bounds the work too: a hint compares names.
        if self.errors.len() < MAX_ERRORS_PER_EVENT {
            let pointer = pointer_to(&self.pointer.to_string(), name);
            self.errors.push(FieldError::new(pointer, code, message()));
        }
    }

    fn add_event_error(&mut self, code: FieldErrorCode, message: String) {
        self.errors.push(FieldError::new(self.pointer.to_string(), code, message));
    }
}
