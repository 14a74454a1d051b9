//! One event of `/track` or `/import`. Nearly all of it is in its `properties`.

use std::borrow::Cow;

use mercurio_domain::EventId;
use mercurio_domain::event::{EventDraft, EventType, Origin};
use mercurio_domain::payload::{JsonSlice, RawJson, Scanner, read_members, scan_members, text_of};
use mercurio_domain::request::Item;
use mercurio_domain::verdict::FieldErrorCode;

use super::names::{self, Anonymous, User};
use super::person::{Ids, Person};
use crate::object::{self, Object, Part as _, is_number, text_or_number};
use crate::time::{self, Unit};
use crate::{BodyKey, library};

/// The member of the context that keeps everything without a place in an event.
pub(super) const CONTEXT_MEMBER: &str = "mixpanel";

/// A member with a place in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Event,
    Properties,
}

impl object::Part for Part {
    const ALL: &'static [Self] = &[Self::Event, Self::Properties];

    fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Properties => "properties",
        }
    }

    fn index(self) -> usize {
        self as usize
    }

    fn is_key(name: &str) -> bool {
        matches!(name, "token" | "$token" | "api_key")
    }
}

/// A property with a place in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Property {
    DistinctId,
    UserId,
    DeviceId,
    IdentifiedId,
    AnonId,
    DistinctIds,
    InsertId,
    Time,
    Library,
}

impl Property {
    const NAMES: [&'static str; 9] = [
        "distinct_id",
        "$user_id",
        "$device_id",
        "$identified_id",
        "$anon_id",
        "$distinct_ids",
        "$insert_id",
        "time",
        "mp_lib",
    ];
}

/// The properties with a place in an event.
#[derive(Default)]
struct Properties<'a> {
    found: [Option<JsonSlice<'a>>; Property::NAMES.len()],
    token: BodyKey<'a>,
    /// The name of a repeated one.
    repeated: Option<&'static str>,
}

impl<'a> Properties<'a> {
    fn read(properties: JsonSlice<'a>) -> Self {
        let text = properties.text();
        let mut read = Self::default();
        if scan_members(text, &mut Scanner::new(text), |name, value| read.add(name, value))
            .is_none()
        {
            // Names with escapes, or an error to report later. A value other than an object has
            // no members.
            read = Self::default();
            let _ = read_members(text, |name, value| read.add(&name, value));
        }
        read
    }

    fn add(&mut self, name: &str, value: JsonSlice<'a>) {
        if is_token(name) {
            self.token.add(value.text());
        }
        let Some(index) = Property::NAMES.iter().position(|known| *known == name) else { return };
        if value.text() == "null" {
            return;
        }
        if self.found[index].is_none() {
            self.found[index] = Some(value);
        } else {
            self.repeated = Some(Property::NAMES[index]);
        }
    }

    fn get(&self, property: Property) -> Option<JsonSlice<'a>> {
        self.found[property as usize]
    }
}

fn is_token(name: &str) -> bool {
    name == "token"
}

/// Returns the event. Adds its key, and the library of the first event.
pub(super) fn finish<'a>(
    mut event: Object<'a, Part>,
    key: &mut BodyKey<'a>,
    first_library: &mut &'static str,
) -> Item<'a> {
    let properties = event.part(Part::Properties);
    let mut found = properties.map(Properties::read).unwrap_or_default();
    key.add_key(std::mem::take(&mut event.key));
    key.add_key(std::mem::take(&mut found.token));
    if event.index == 0 {
        let name = found.get(Property::Library).and_then(|name| text_of(name.text()).ok());
        *first_library = name.map_or(*first_library, |name| library::library(&name));
    }
    if let Some(name) = found.repeated {
        add_error(&mut event, name, FieldErrorCode::DuplicateField, "appears twice");
    }
    let event_name = event.text(Part::Event);
    let person = person(&mut event, &found);
    let time = found.get(Property::Time);
    let (timestamp, is_exact) = match time.map(|time| read_time(time.text())) {
        None => (None, false),
        Some(Ok(EventTime { text, is_exact })) => (Some(text), is_exact),
        Some(Err(error)) => {
            add_error(&mut event, "time", error.code, &error.predicate);
            (None, false)
        }
    };
    let insert_id = id(&mut event, &found, Property::InsertId);
    let properties = properties.map(|properties| {
        RawJson::without(properties, |name| {
            is_token(name) || matches!(name, "distinct_id" | "time" | "$insert_id")
        })
    });
    let event_id = insert_id.or_else(|| {
        // An id of the wrong type is no missing one: the rejection must not name another.
        let is_absent = is_exact && event.errors.is_empty();
        is_absent.then(|| id_of_content(&event, &found, properties.as_ref()))
    });
    let draft = EventDraft {
        event_id,
        kind: Some(kind_of(event_name.as_deref()).as_str().into()),
        event_name,
        timestamp,
        anonymous_id: person.anonymous_id,
        user_id: person.user_id,
        session_id: None,
        schema_version: None,
        properties,
        traits: None,
        context: RawJson::extended(None, CONTEXT_MEMBER, &event.rest),
    };
    let origin = Origin {
        pointer: event.pointer,
        names: names::of_event(person.user, person.anonymous),
        sent_at: None,
    };
    Item { index: event.index, origin, text: event.text, draft, errors: event.errors }
}

fn kind_of(event_name: Option<&str>) -> EventType {
    match event_name {
        Some("$identify") => EventType::Identify,
        Some("$create_alias" | "$merge") => EventType::Alias,
        _ => EventType::Track,
    }
}

fn add_error(event: &mut Object<'_, Part>, property: &str, code: FieldErrorCode, predicate: &str) {
    let pointer = format!("{}/{property}", event.pointer_to(Part::Properties.name()));
    event.add_error(pointer, code, format!("properties.{property} {predicate}"));
}

/// Returns an id. Clients in languages without types send numbers too, and empty texts for nobody.
fn id<'a>(
    event: &mut Object<'a, Part>,
    found: &Properties<'a>,
    property: Property,
) -> Option<Cow<'a, str>> {
    let value = found.get(property)?.text();
    if is_number(value) {
        return Some(value.into());
    }
    match text_of(value) {
        Ok(text) => Some(text).filter(|text| !text.is_empty()),
        Err(_) => {
            let name = Property::NAMES[property as usize];
            add_error(event, name, FieldErrorCode::WrongType, "is not a valid text");
            None
        }
    }
}

fn person<'a>(event: &mut Object<'a, Part>, found: &Properties<'a>) -> Person<'a> {
    let mut person = Person::of(Ids {
        user: id(event, found, Property::UserId),
        device: id(event, found, Property::DeviceId),
        distinct: id(event, found, Property::DistinctId),
    });
    if let Some(other) = found.get(Property::DistinctId).filter(|_| person.has_other_id) {
        event.keep(Property::NAMES[Property::DistinctId as usize], other);
    }
    // Events about ids alone have other names for them.
    if person.is_nobody() {
        person.user_id = id(event, found, Property::IdentifiedId);
        person.anonymous_id = id(event, found, Property::AnonId);
        if !person.is_nobody() {
            (person.user, person.anonymous) = (User::Identified, Anonymous::Anon);
        } else if let Some(first) = found.get(Property::DistinctIds).and_then(first_item) {
            (person.user_id, person.user) = (text_or_number(first), User::First);
        }
    }
    person
}

fn first_item(array: JsonSlice<'_>) -> Option<JsonSlice<'_>> {
    let mut scanner = Scanner::new(array.text());
    scanner.take(b'[')?;
    scanner.value()
}

pub(super) struct EventTime<'a> {
    pub(super) text: Cow<'a, str>,
    /// Whether the same event cannot happen again at this time.
    pub(super) is_exact: bool,
}

pub(super) fn read_time(json: &str) -> Result<EventTime<'_>, time::NotTime> {
    let text = time::draft_time(json, Unit::SecondsOrMillis)?;
    let is_exact = mercurio_domain::Timestamp::parse(&text).is_ok_and(time::is_exact);
    Ok(EventTime { text, is_exact })
}

/// Returns the id of an event without one: the same for the same event sent again. The token is no
/// part of it.
fn id_of_content<'a>(
    event: &Object<'a, Part>,
    found: &Properties<'a>,
    properties: Option<&RawJson<'_>>,
) -> Cow<'a, str> {
    let text = |value: Option<JsonSlice<'a>>| value.map_or("", JsonSlice::text).as_bytes();
    let id = EventId::of_content(
        CONTEXT_MEMBER,
        &[
            &(event.index as u64).to_be_bytes(),
            text(event.part(Part::Event)),
            text(found.get(Property::DistinctId)),
            text(found.get(Property::Time)),
            properties.map_or("", RawJson::get).as_bytes(),
            event.rest.members().as_bytes(),
        ],
    );
    id.as_str().to_owned().into()
}
