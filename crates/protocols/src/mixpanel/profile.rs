//! One change of a profile: of a user (`/engage`) or of a group (`/groups`).

use mercurio_domain::event::{EventDraft, EventType, Origin};
use mercurio_domain::payload::RawJson;
use mercurio_domain::request::Item;

use super::event::{CONTEXT_MEMBER, EventTime, read_time};
use super::names;
use super::person::{Ids, Person};
use crate::BodyKey;
use crate::object::{self, Object, Part as _};

/// A member with a place in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    DistinctId,
    UserId,
    DeviceId,
    Time,
    Set,
    GroupKey,
    GroupId,
    Delete,
}

impl object::Part for Part {
    const ALL: &'static [Self] = &[
        Self::DistinctId,
        Self::UserId,
        Self::DeviceId,
        Self::Time,
        Self::Set,
        Self::GroupKey,
        Self::GroupId,
        Self::Delete,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::DistinctId => "$distinct_id",
            Self::UserId => "$user_id",
            Self::DeviceId => "$device_id",
            Self::Time => "$time",
            Self::Set => "$set",
            Self::GroupKey => "$group_key",
            Self::GroupId => "$group_id",
            Self::Delete => "$delete",
        }
    }

    fn index(self) -> usize {
        self as usize
    }

    fn is_kept(self) -> bool {
        matches!(self, Self::GroupKey | Self::GroupId)
    }

    fn is_key(name: &str) -> bool {
        matches!(name, "$token" | "token" | "api_key")
    }
}

/// Returns the event of a change, and adds its key.
pub(super) fn finish<'a>(
    mut profile: Object<'a, Part>,
    is_group: bool,
    key: &mut BodyKey<'a>,
) -> Item<'a> {
    key.add_key(std::mem::take(&mut profile.key));
    // Its value has no meaning and is often empty, but the change must not get lost.
    if profile.part(Part::Delete).is_some() && !profile.rest.add_text(Part::Delete.name(), "") {
        debug_assert!(false, "an empty text is kept");
    }
    let person = if is_group { group(&mut profile) } else { person(&mut profile) };
    let (timestamp, is_exact) = match profile.part(Part::Time).map(|time| read_time(time.text())) {
        None => (None, false),
        Some(Ok(EventTime { text, is_exact })) => (Some(text), is_exact),
        Some(Err(error)) => {
            let pointer = profile.pointer_to(Part::Time.name());
            profile.add_error(pointer, error.code, format!("$time {}", error.predicate));
            (None, false)
        }
    };
    // Without an exact time, the same change can be meant twice: a property set to A, B and A again.
    let is_again = is_exact && profile.errors.is_empty();
    let event_id =
        is_again.then(|| profile.id_of_content(CONTEXT_MEMBER, &[]).as_str().to_owned().into());
    let kind = if is_group { EventType::Group } else { EventType::Identify };
    let names = match kind {
        EventType::Group => names::of_group(),
        _ => names::of_profile(person.user, person.anonymous),
    };
    let draft = EventDraft {
        event_id,
        kind: Some(kind.as_str().into()),
        event_name: None,
        timestamp,
        anonymous_id: person.anonymous_id,
        user_id: person.user_id,
        session_id: None,
        schema_version: None,
        properties: None,
        traits: profile.part(Part::Set).map(RawJson::from),
        context: RawJson::extended(None, CONTEXT_MEMBER, &profile.rest),
    };
    let origin = Origin { pointer: profile.pointer, names, sent_at: None };
    Item { index: profile.index, origin, text: profile.text, draft, errors: profile.errors }
}

fn person<'a>(profile: &mut Object<'a, Part>) -> Person<'a> {
    let person = Person::of(Ids {
        user: profile.id(Part::UserId),
        device: profile.id(Part::DeviceId),
        distinct: profile.id(Part::DistinctId),
    });
    if person.has_other_id {
        keep(profile, Part::DistinctId);
    }
    person
}

/// A group has no person. Its id stands in for one.
fn group<'a>(profile: &mut Object<'a, Part>) -> Person<'a> {
    for part in [Part::DistinctId, Part::UserId, Part::DeviceId] {
        keep(profile, part);
    }
    Person::of(Ids { device: profile.id(Part::GroupId), ..Ids::default() })
}

fn keep(profile: &mut Object<'_, Part>, part: Part) {
    if let Some(value) = profile.part(part) {
        profile.keep(part.name(), value);
    }
}
