//! One event: its members told apart, each text borrowed or unescaped, each payload a slice.

use std::borrow::Cow;
use std::fmt;

use mercurio_domain::Timestamp;
use mercurio_domain::event::EventDraft;
use mercurio_domain::payload::type_of;
use mercurio_domain::verdict::{Fault, FaultCode, MAX_FAULTS_PER_EVENT, pointer_to};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::envelope::Name;
use super::{Item, sent_at, string};

/// The event at `index` of a batch.
pub(super) fn read(raw: &RawValue, index: usize) -> Item<'_> {
    read_at(raw, index, format!("/events/{index}"), None)
}

/// An event that is a whole body, and the `sent_at` beside its members.
pub(super) fn read_single(raw: &RawValue) -> (Item<'_>, Option<Timestamp>) {
    let mut sent = None;
    let mut item = read_at(raw, 0, String::new(), Some(&mut sent));
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

fn read_at<'a>(
    raw: &'a RawValue,
    index: usize,
    pointer: String,
    sent_at: Option<&mut Option<&'a RawValue>>,
) -> Item<'a> {
    let text = raw.get();
    let mut members = Members { pointer: &pointer, draft: EventDraft::default(), faults: Vec::new(), seen: 0, sent_at };
    if text.starts_with('{') {
        // The syntax is known to be right: only a name with half a surrogate pair is left to fail.
        if serde_json::Deserializer::from_str(text).deserialize_map(&mut members).is_err() {
            let message = "a member's name has half a surrogate pair, which is not a character";
            members.faults.push(Fault::new(pointer.as_str(), FaultCode::LoneSurrogate, message));
        }
    } else {
        let message = format!("the event is {}; an object is expected", type_of(text));
        members.faults.push(Fault::new(pointer.as_str(), FaultCode::WrongType, message));
    }
    let Members { draft, faults, .. } = members;
    Item { index, pointer, text, draft, faults }
}

struct Members<'m, 'a> {
    pointer: &'m str,
    draft: EventDraft<'a>,
    faults: Vec<Fault>,
    /// A bit for each known member that was seen.
    seen: u16,
    /// Where a `sent_at` goes; none inside a batch, where it stands beside the events.
    sent_at: Option<&'m mut Option<&'a RawValue>>,
}

impl<'de> Visitor<'de> for &mut Members<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            let raw: &'de RawValue = map.next_value()?;
            self.take(&name, raw);
        }
        Ok(())
    }
}

impl<'a> Members<'_, 'a> {
    fn take(&mut self, name: &str, raw: &'a RawValue) {
        let Some(bit) = self.bit_of(name) else {
            let shown: String = name.chars().take(64).collect();
            return self.fault(name, FaultCode::UnknownField, format!("{shown:?} is no member of an event"));
        };
        if self.seen & bit != 0 {
            return self.fault(name, FaultCode::DuplicateField, format!("{name} stands twice"));
        }
        self.seen |= bit;
        match name {
            "event_id" => self.draft.event_id = self.string(name, raw),
            "type" => self.draft.kind = self.string(name, raw),
            "event_name" => self.draft.event_name = self.string(name, raw),
            "timestamp" => self.draft.timestamp = self.string(name, raw),
            "anonymous_id" => self.draft.anonymous_id = self.string(name, raw),
            "user_id" => self.draft.user_id = self.string(name, raw),
            "session_id" => self.draft.session_id = self.string(name, raw),
            "schema_version" => self.draft.schema_version = self.string(name, raw),
            "properties" => self.draft.properties = payload(raw),
            "traits" => self.draft.traits = payload(raw),
            "context" => self.draft.context = payload(raw),
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

    fn string(&mut self, name: &str, raw: &'a RawValue) -> Option<Cow<'a, str>> {
        let pointer = self.pointer;
        string(raw, name, || pointer_to(pointer, name)).unwrap_or_else(|fault| {
            self.faults.push(fault);
            None
        })
    }

    fn fault(&mut self, name: &str, code: FaultCode, message: String) {
        if self.faults.len() < MAX_FAULTS_PER_EVENT {
            self.faults.push(Fault::new(pointer_to(self.pointer, name), code, message));
        }
    }
}

/// A payload as sent; null is as good as left out.
fn payload(raw: &RawValue) -> Option<Cow<'_, RawValue>> {
    (raw.get() != "null").then_some(Cow::Borrowed(raw))
}
