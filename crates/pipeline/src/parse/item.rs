//! One event: its members told apart, each text borrowed or unescaped, each payload a slice.
//!
//! That the text is JSON is known by now, so the members are found by one look at each byte: the one that also tells
//! whether a payload needs a second.

use std::borrow::Cow;

use mercurio_domain::Timestamp;
use mercurio_domain::event::EventDraft;
use mercurio_domain::payload::{RawJson, type_of};
use mercurio_domain::verdict::{Fault, FaultCode, MAX_FAULTS_PER_EVENT, pointer_to};

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
            item.faults.push(fault);
            None
        }
    };
    (item, sent_at)
}

fn read_at<'a>(text: &'a str, index: usize, pointer: Pointer, sent_at: Option<&mut Option<&'a str>>) -> Item<'a> {
    let mut members = Members { pointer, draft: EventDraft::default(), faults: Vec::new(), seen: 0, sent_at };
    if text.starts_with('{') {
        members.read(text);
    } else {
        let message = format!("the event is {}; an object is expected", type_of(text));
        members.faults.push(Fault::new(pointer.to_string(), FaultCode::WrongType, message));
    }
    let Members { draft, faults, .. } = members;
    Item { index, pointer, text, draft, faults }
}

struct Members<'m, 'a> {
    pointer: Pointer,
    draft: EventDraft<'a>,
    faults: Vec<Fault>,
    /// A bit for each known member that was seen.
    seen: u16,
    /// Where a `sent_at` goes; none inside a batch, where it stands beside the events.
    sent_at: Option<&'m mut Option<&'a str>>,
}

impl<'a> Members<'_, 'a> {
    /// Reads an object, of whose syntax nothing is left to doubt.
    fn read(&mut self, text: &'a str) {
        let mut rest = after(&text[1..], b',');
        while rest.starts_with('"') {
            let name = &rest[..RawJson::first_of(rest).get().len()];
            rest = after(&rest[name.len()..], b':');
            let value = RawJson::first_of(rest);
            let raw = &rest[..value.get().len()];
            rest = after(&rest[raw.len()..], b',');
            match unescaped(name) {
                Ok(name) => self.take(&name, raw, value),
                Err(_) => {
                    let message = "a member's name has half a surrogate pair, which is not a character";
                    self.faults.push(Fault::new(self.pointer.to_string(), FaultCode::LoneSurrogate, message));
                    return;
                }
            }
        }
    }

    fn take(&mut self, name: &str, raw: &'a str, value: RawJson<'a>) {
        let Some(bit) = self.bit_of(name) else {
            let shown: String = name.chars().take(64).collect();
            return self.fault(name, FaultCode::UnknownField, format!("{shown:?} is no member of an event"));
        };
        if self.seen & bit != 0 {
            return self.fault(name, FaultCode::DuplicateField, format!("{name} stands twice"));
        }
        self.seen |= bit;
        // Null is as good as left out.
        let payload = (raw != "null").then_some(value);
        match name {
            "event_id" => self.draft.event_id = self.string(name, raw),
            "type" => self.draft.kind = self.string(name, raw),
            "event_name" => self.draft.event_name = self.string(name, raw),
            "timestamp" => self.draft.timestamp = self.string(name, raw),
            "anonymous_id" => self.draft.anonymous_id = self.string(name, raw),
            "user_id" => self.draft.user_id = self.string(name, raw),
            "session_id" => self.draft.session_id = self.string(name, raw),
            "schema_version" => self.draft.schema_version = self.string(name, raw),
            "properties" => self.draft.properties = payload,
            "traits" => self.draft.traits = payload,
            "context" => self.draft.context = payload,
            _ => {
                if let Some(place) = &mut self.sent_at {
                    **place = Some(raw);
                }
            }
        }
    }

    fn bit_of(&self, name: &str) -> Option<u16> {
        let place = match name {
            "event_id" => 0,
            "type" => 1,
            "event_name" => 2,
            "timestamp" => 3,
            "anonymous_id" => 4,
            "user_id" => 5,
            "session_id" => 6,
            "schema_version" => 7,
            "properties" => 8,
            "traits" => 9,
            "context" => 10,
            "sent_at" if self.sent_at.is_some() => 11,
            _ => return None,
        };
        Some(1 << place)
    }

    fn string(&mut self, name: &str, raw: &'a str) -> Option<Cow<'a, str>> {
        let pointer = self.pointer;
        string(raw, name, || pointer_to(&pointer.to_string(), name)).unwrap_or_else(|fault| {
            self.faults.push(fault);
            None
        })
    }

    fn fault(&mut self, name: &str, code: FaultCode, message: String) {
        if self.faults.len() < MAX_FAULTS_PER_EVENT {
            self.faults.push(Fault::new(pointer_to(&self.pointer.to_string(), name), code, message));
        }
    }
}

/// What follows white space, one `separator` at most, and white space.
fn after(text: &str, separator: u8) -> &str {
    let text = text.trim_ascii_start();
    match text.as_bytes().first() {
        Some(byte) if *byte == separator => text[1..].trim_ascii_start(),
        _ => text,
    }
}

/// A name without its quotes and escapes.
fn unescaped(name: &str) -> serde_json::Result<Cow<'_, str>> {
    let inner = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or_default();
    if inner.contains('\\') { serde_json::from_str(name).map(Cow::Owned) } else { Ok(Cow::Borrowed(inner)) }
}
