//! One event: its members as slices of the body, and the event they make.

use std::borrow::Cow;

use mercurio_domain::event::{EventDraft, EventType, Origin};
use mercurio_domain::payload::{JsonMembers, JsonSlice, RawJson, text_of};
use mercurio_domain::request::Item;
use mercurio_domain::verdict::FieldErrorCode;

use super::names::{Places, Traits};
use crate::object::{self, Object, Part as _, member, text_or_number};
use crate::time::{self, Unit};
use crate::{OTHER_LIBRARY, library};

/// The member of the context that keeps everything without a place in an event.
const CONTEXT_MEMBER: &str = "amplitude";

/// Changes to the properties of a user or group. Only `$set` has a place in an event.
const OPERATIONS: [&str; 10] = [
    "\"$set\"",
    "\"$setOnce\"",
    "\"$add\"",
    "\"$append\"",
    "\"$prepend\"",
    "\"$preInsert\"",
    "\"$postInsert\"",
    "\"$remove\"",
    "\"$unset\"",
    "\"$clearAll\"",
];

/// A member with a place in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    EventType,
    UserId,
    DeviceId,
    Time,
    SessionId,
    InsertId,
    EventProperties,
    UserProperties,
    GroupProperties,
    Groups,
    Library,
    EventId,
}

impl object::Part for Part {
    const ALL: &'static [Self] = &[
        Self::EventType,
        Self::UserId,
        Self::DeviceId,
        Self::Time,
        Self::SessionId,
        Self::InsertId,
        Self::EventProperties,
        Self::UserProperties,
        Self::GroupProperties,
        Self::Groups,
        Self::Library,
        Self::EventId,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::EventType => "event_type",
            Self::UserId => "user_id",
            Self::DeviceId => "device_id",
            Self::Time => "time",
            Self::SessionId => "session_id",
            Self::InsertId => "insert_id",
            Self::EventProperties => "event_properties",
            Self::UserProperties => "user_properties",
            Self::GroupProperties => "group_properties",
            Self::Groups => "groups",
            Self::Library => "library",
            Self::EventId => "event_id",
        }
    }

    fn index(self) -> usize {
        self as usize
    }

    fn is_kept(self) -> bool {
        matches!(self, Self::Groups | Self::Library | Self::EventId)
    }

    fn is_key(name: &str) -> bool {
        name == "api_key"
    }
}

/// An event.
pub(super) type Event<'a> = Object<'a, Part>;

/// Returns the library: `name/version`, or an object of older clients.
pub(super) fn library(event: &Event<'_>) -> &'static str {
    let Some(value) = event.part(Part::Library) else { return OTHER_LIBRARY };
    let value = member(value, "\"name\"").unwrap_or(value);
    let text = text_of(value.text()).unwrap_or_default();
    library::library(text.split('/').next().unwrap_or_default())
}

/// Returns the event.
pub(super) fn finish(mut event: Event<'_>) -> Item<'_> {
    let event_name = event.text(Part::EventType);
    let kind = match event_name.as_deref() {
        Some("$identify") => EventType::Identify,
        Some("$groupidentify") => EventType::Group,
        _ => EventType::Track,
    };
    let mut places = Places::default();
    let user_id = event.id(Part::UserId);
    let mut anonymous_id = event.id(Part::DeviceId);
    if kind == EventType::Group && user_id.is_none() && anonymous_id.is_none() {
        // Servers change a group without a person.
        anonymous_id = only_group(&event);
        places.group = anonymous_id.is_some();
    }
    let traits = match kind {
        EventType::Group => {
            keep(&mut event, Part::UserProperties);
            split(&mut event, Part::GroupProperties, &mut places)
        }
        _ => {
            keep(&mut event, Part::GroupProperties);
            split(&mut event, Part::UserProperties, &mut places)
        }
    };
    let time = read_time(&mut event);
    let event_id = event.id(Part::InsertId).or_else(|| {
        // An id of the wrong type is no missing one: the rejection must not name another.
        let is_absent = time.is_exact && event.errors.is_empty();
        is_absent.then(|| event.id_of_content(CONTEXT_MEMBER, &[]).as_str().to_owned().into())
    });
    let draft = EventDraft {
        event_id,
        kind: Some(kind.as_str().into()),
        event_name,
        timestamp: time.text,
        anonymous_id,
        user_id,
        // Outside of a session it is -1.
        session_id: event.id(Part::SessionId).filter(|id| id != "-1"),
        schema_version: None,
        properties: event.part(Part::EventProperties).map(RawJson::from),
        traits: traits.map(RawJson::from),
        context: RawJson::extended(None, CONTEXT_MEMBER, &event.rest),
    };
    let origin = Origin { pointer: event.pointer, names: places.names(), sent_at: None };
    Item { index: event.index, origin, text: event.text, draft, errors: event.errors }
}

#[derive(Default)]
struct EventTime<'a> {
    text: Option<Cow<'a, str>>,
    /// Whether the same event cannot happen again at this time.
    is_exact: bool,
}

fn read_time<'a>(event: &mut Event<'a>) -> EventTime<'a> {
    let Some(value) = event.part(Part::Time) else { return EventTime::default() };
    match time::of_unix(value.text(), Unit::Millis) {
        Ok(time) => {
            // A client that has whole seconds only may count its events.
            let is_exact = time::is_exact(time) || event.part(Part::EventId).is_some();
            EventTime { text: Some(time.to_string().into()), is_exact }
        }
        Err(error) => {
            let pointer = event.pointer_to(Part::Time.name());
            event.add_error(pointer, error.code, format!("time {}", error.predicate));
            EventTime::default()
        }
    }
}

/// Returns the id of the group, if `groups` has one.
fn only_group<'a>(event: &Event<'a>) -> Option<Cow<'a, str>> {
    let mut groups = JsonMembers::of(event.part(Part::Groups)?);
    let only = groups.next()?;
    if groups.next().is_some() { None } else { text_or_number(only.value) }
}

fn keep(event: &mut Event<'_>, part: Part) {
    if let Some(value) = event.part(part) {
        event.keep(part.name(), value);
    }
}

/// Returns the traits in the properties of a user or group: what `$set` holds, or the properties
/// themselves if they have no operations. The context keeps other operations.
fn split<'a>(event: &mut Event<'a>, part: Part, places: &mut Places) -> Option<JsonSlice<'a>> {
    const SET: &str = "\"$set\"";
    let properties = event.part(part)?;
    let is_group = part == Part::GroupProperties;
    places.traits = if is_group { Traits::Group } else { Traits::User };
    if !JsonMembers::of(properties).any(|member| OPERATIONS.contains(&member.name)) {
        return Some(properties);
    }
    places.traits = if is_group { Traits::GroupSet } else { Traits::UserSet };
    let mut sets = JsonMembers::of(properties).filter(|member| member.name == SET);
    let set = sets.next().map(|member| member.value);
    if sets.next().is_some() {
        let pointer = format!("{}/$set", event.pointer_to(part.name()));
        event.add_error(pointer, FieldErrorCode::DuplicateField, "$set appears twice");
    }
    event.keep_without(part.name(), properties, |name| name == "$set");
    set
}
