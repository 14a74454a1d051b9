//! One event: its members as slices of the body, and the event they make.

use std::borrow::Cow;
use std::collections::HashSet;

use mercurio_domain::Timestamp;
use mercurio_domain::event::{EventDraft, EventType, Origin};
use mercurio_domain::payload::{JsonMembers, JsonSlice, RawJson, text_of};
use mercurio_domain::request::Item;

use super::facts::{Facts, micros_of_millis};
use super::names::{Anonymous, Places, Traits};
use super::properties::{Properties, bool_of};
use crate::envelope::Array;
use crate::object::{self, Object, member, text_or_number};
use crate::time;
use crate::{BodyKey, OTHER_LIBRARY, library};

/// The member of the context that keeps everything without a place in an event.
const CONTEXT_MEMBER: &str = "posthog";

/// The array of a batch.
pub(super) const BATCH: Array =
    Array { name: "batch", pointer: "/batch", object: "the event", others: &["sent_at"] };

/// A member with a place in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Event,
    Uuid,
    DistinctId,
    Timestamp,
    Offset,
    SentAt,
    SessionId,
    Properties,
    Set,
    Options,
}

impl object::Part for Part {
    const ALL: &'static [Self] = &[
        Self::Event,
        Self::Uuid,
        Self::DistinctId,
        Self::Timestamp,
        Self::Offset,
        Self::SentAt,
        Self::SessionId,
        Self::Properties,
        Self::Set,
        Self::Options,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Uuid => "uuid",
            Self::DistinctId => "distinct_id",
            Self::Timestamp => "timestamp",
            Self::Offset => "offset",
            Self::SentAt => "sent_at",
            Self::SessionId => "session_id",
            Self::Properties => "properties",
            Self::Set => "$set",
            Self::Options => "options",
        }
    }

    fn index(self) -> usize {
        self as usize
    }

    fn is_kept(self) -> bool {
        self == Self::Options
    }

    fn is_time(self) -> bool {
        self == Self::Timestamp
    }

    fn is_key(name: &str) -> bool {
        matches!(name, "api_key" | "token" | "$token")
    }
}

/// An event as sent.
pub(super) type Event<'a> = Object<'a, Part>;

/// An event that is read, and what it says about its request.
pub(super) struct Finished<'a> {
    pub(super) item: Item<'a>,
    /// The key in the properties.
    pub(super) key: BodyKey<'a>,
    pub(super) library: &'static str,
    /// Whether the time of sending corrects its clock.
    pub(super) has_wrong_clock: bool,
}

/// Returns the library by its name and version: `posthog-python/7.91.1`.
pub(super) fn library_of_sdk(sdk: &str) -> &'static str {
    library_of(sdk.split('/').next().unwrap_or_default())
}

fn library_of(name: &str) -> &'static str {
    // Clients of other services have that name too.
    library::library(if name == "web" { "posthog-js" } else { name })
}

/// Returns the type of an event by its name.
fn kind_of(name: &str) -> EventType {
    match name {
        "$identify" | "$set" | "$set_once" | "$unset" => EventType::Identify,
        "$pageview" => EventType::Page,
        "$screen" => EventType::Screen,
        "$groupidentify" => EventType::Group,
        "$create_alias" => EventType::Alias,
        _ => EventType::Track,
    }
}

/// Returns the event.
pub(super) fn finish<'a>(mut event: Event<'a>, facts: &Facts<'a>) -> Finished<'a> {
    let properties = Properties::of(event.part(Part::Properties));
    let options = event.part(Part::Options);
    let mut places = Places::default();
    let event_name = event.text(Part::Event);
    let kind = event_name.as_deref().map_or(EventType::Track, kind_of);

    let sent_at = event.part(Part::SentAt).and_then(|value| time::of_text(value.text()));
    let timestamp = timestamp(&mut event, sent_at.or(facts.sent_at));
    let person = Person::of(&mut event, &properties, options, kind, &mut places);
    let session_id = event.id(Part::SessionId).or_else(|| {
        places.session_id_in_properties = true;
        properties.session_id.and_then(text_or_number)
    });
    let traits = traits(&event, &properties, kind, &mut places);
    let event_id = event_id(&mut event, &properties, &mut places);
    if let Some(sdk) = facts.sdk {
        // A header with characters that a store cannot keep is no name of a library.
        let _ = event.rest.add_text("sdk", sdk);
    }
    let draft = EventDraft {
        event_id,
        kind: Some(kind.as_str().into()),
        event_name,
        timestamp,
        anonymous_id: person.anonymous_id,
        user_id: person.user_id,
        session_id,
        schema_version: None,
        properties: event.part(Part::Properties).map(|object| properties.without_key(object)),
        traits,
        context: RawJson::extended(None, CONTEXT_MEMBER, &event.rest),
    };
    let ignores_sent_at = option(options, "\"disable_skew_correction\"").and_then(bool_of);
    let origin = Origin { pointer: event.pointer, names: places.names(), sent_at };
    let library = properties.library.and_then(|name| text_of(name.text()).ok());
    let item = Item { index: event.index, origin, text: event.text, draft, errors: event.errors };
    Finished {
        item,
        key: properties.key,
        library: library.map_or(OTHER_LIBRARY, |name| library_of(&name)),
        has_wrong_clock: ignores_sent_at.or(properties.ignores_sent_at) != Some(true),
    }
}

fn option<'a>(options: Option<JsonSlice<'a>>, name: &str) -> Option<JsonSlice<'a>> {
    member(options?, name)
}

/// Returns the time of the event. Older browser clients send how long ago it was, in `offset`.
fn timestamp<'a>(event: &mut Event<'a>, sent_at: Option<Timestamp>) -> Option<Cow<'a, str>> {
    let offset = event.part(Part::Offset);
    if event.part(Part::Timestamp).is_none() {
        let ago = offset.and_then(|value| micros_of_millis(value.text())?.checked_neg());
        if let Some(time) = ago.and_then(|ago| sent_at?.checked_add_micros(ago)) {
            return Some(time.to_string().into());
        }
    }
    if let Some(offset) = offset {
        event.keep("offset", offset);
    }
    event.text(Part::Timestamp)
}

/// Returns the id: the event's own, or one derived from its content.
fn event_id<'a>(
    event: &mut Event<'a>,
    properties: &Properties<'a>,
    places: &mut Places,
) -> Option<Cow<'a, str>> {
    if let Some(uuid) = event.id(Part::Uuid) {
        return Some(uuid);
    }
    if let Some(id) = properties.insert_id.and_then(text_or_number) {
        places.insert_id = true;
        return Some(id);
    }
    // Without a time, or within a second, the same event can happen again. An id of the wrong type
    // is no missing one: the rejection must not name another.
    let is_exact = event.part(Part::Timestamp).is_some_and(|time| time.text().contains('.'));
    (is_exact && event.errors.is_empty())
        .then(|| event.id_of_content(CONTEXT_MEMBER, &[Part::SentAt]).as_str().to_owned().into())
}

/// The ids of the person: `distinct_id` alone does not say whether it is known.
#[derive(Default)]
struct Person<'a> {
    user_id: Option<Cow<'a, str>>,
    anonymous_id: Option<Cow<'a, str>>,
}

impl<'a> Person<'a> {
    fn of(
        event: &mut Event<'a>,
        properties: &Properties<'a>,
        options: Option<JsonSlice<'a>>,
        kind: EventType,
        places: &mut Places,
    ) -> Self {
        let id = event.id(Part::DistinctId).or_else(|| {
            places.distinct_id_in_properties = true;
            properties.distinct_id.and_then(text_or_number)
        });
        let Some(id) = id else {
            places.distinct_id_in_properties = false;
            return Self::default();
        };
        let profile = option(options, "\"process_person_profile\"").and_then(bool_of);
        let has_profile = profile.or(properties.has_profile) != Some(false);
        let is_known = properties.is_identified.unwrap_or(has_profile);
        if !is_known || (kind == EventType::Group && is_group(&id, properties)) {
            return Self { user_id: None, anonymous_id: Some(id) };
        }
        let before = properties.anon_distinct_id.filter(|_| kind == EventType::Identify);
        places.anonymous =
            if before.is_some() { Anonymous::AnonDistinct } else { Anonymous::Device };
        let anonymous_id = before.or(properties.device_id).and_then(text_or_number);
        Self { user_id: Some(id), anonymous_id }
    }
}

/// Returns whether an id is that of a group: posthog-node makes `$TYPE_KEY` for one without a person.
fn is_group(id: &str, properties: &Properties<'_>) -> bool {
    let [kind, key] = [properties.group_type, properties.group_key]
        .map(|value| value.and_then(text_or_number).unwrap_or_default());
    let rest = id.strip_prefix('$').and_then(|rest| rest.strip_prefix(&*kind));
    rest.and_then(|rest| rest.strip_prefix('_')) == Some(&*key)
}

/// Returns the facts about the person, or about the group of a group's event.
fn traits<'a>(
    event: &Event<'a>,
    properties: &Properties<'a>,
    kind: EventType,
    places: &mut Places,
) -> Option<RawJson<'a>> {
    let group = properties.group_set.filter(|set| kind == EventType::Group && has_members(*set));
    if let Some(group) = group {
        places.traits = Traits::GroupSet;
        return Some(group.into());
    }
    // Another value than an object is an error in the first place, and a property in the second.
    let set = event.part(Part::Set).filter(|set| !is_empty(*set));
    let inner = properties.set.filter(|set| has_members(*set));
    match (set, inner) {
        (Some(set), Some(inner)) if has_members(set) => Some(merged(set, inner)),
        (None, Some(inner)) => {
            places.traits = Traits::SetInProperties;
            Some(inner.into())
        }
        (set, _) => set.map(RawJson::from),
    }
}

fn has_members(value: JsonSlice<'_>) -> bool {
    JsonMembers::of(value).next().is_some()
}

fn is_empty(value: JsonSlice<'_>) -> bool {
    value.text().starts_with('{') && !has_members(value)
}

/// Returns the members of both objects. Those of `set` replace others of their name.
fn merged<'a>(set: JsonSlice<'a>, inner: JsonSlice<'a>) -> RawJson<'a> {
    let names: HashSet<_> =
        JsonMembers::of(set).filter_map(|member| text_of(member.name).ok()).collect();
    let rest = RawJson::without(inner, |name| names.contains(name));
    let open = rest.get().strip_suffix('}').unwrap_or_default().trim_end();
    let comma = if open.len() <= 1 { "" } else { "," };
    let members = set.text().strip_prefix('{').unwrap_or_default();
    // Both are well-formed, and neither is empty.
    RawJson::parse(format!("{open}{comma}{members}")).unwrap_or_else(|_| set.into())
}
