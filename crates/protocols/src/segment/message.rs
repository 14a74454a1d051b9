//! One message: its members as slices of the body, and the event they make.

use std::borrow::Cow;

use mercurio_domain::event::{EventDraft, EventType, Origin};
use mercurio_domain::payload::{JsonMembers, JsonSlice, RawJson, text_of};
use mercurio_domain::request::Item;

use super::names::Places;
use crate::object::{self, Object, Part as _, member, text_or_number};
use crate::{OTHER_LIBRARY, library, time};

/// The member of the context that keeps everything without a place in an event.
const CONTEXT_MEMBER: &str = "segment";

/// A member with a place in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Type,
    Event,
    Name,
    MessageId,
    UserId,
    AnonymousId,
    PreviousId,
    Timestamp,
    OriginalTimestamp,
    SentAt,
    Properties,
    Traits,
    Context,
}

impl object::Part for Part {
    const ALL: &'static [Self] = &[
        Self::Type,
        Self::Event,
        Self::Name,
        Self::MessageId,
        Self::UserId,
        Self::AnonymousId,
        Self::PreviousId,
        Self::Timestamp,
        Self::OriginalTimestamp,
        Self::SentAt,
        Self::Properties,
        Self::Traits,
        Self::Context,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Event => "event",
            Self::Name => "name",
            Self::MessageId => "messageId",
            Self::UserId => "userId",
            Self::AnonymousId => "anonymousId",
            Self::PreviousId => "previousId",
            Self::Timestamp => "timestamp",
            Self::OriginalTimestamp => "originalTimestamp",
            Self::SentAt => "sentAt",
            Self::Properties => "properties",
            Self::Traits => "traits",
            Self::Context => "context",
        }
    }

    fn index(self) -> usize {
        self as usize
    }

    fn is_kept(self) -> bool {
        matches!(self, Self::Name | Self::PreviousId)
    }

    fn is_time(self) -> bool {
        matches!(self, Self::Timestamp | Self::OriginalTimestamp)
    }

    fn is_key(name: &str) -> bool {
        // No client sends another name than `writeKey`.
        let names = ["writeKey", "write_key", "apiKey", "api_key"];
        names.iter().any(|key| key.eq_ignore_ascii_case(name))
    }
}

/// A message.
pub(super) type Message<'a> = Object<'a, Part>;

/// Returns the library in the context.
pub(super) fn library(message: &Message<'_>) -> &'static str {
    let context = message.part(Part::Context);
    let library = context.and_then(|context| member(context, "\"library\""));
    let name = library.and_then(|library| member(library, "\"name\""));
    let name = name.and_then(|name| text_of(name.text()).ok());
    name.map_or(OTHER_LIBRARY, |name| library::library(&name))
}

/// Returns the event of the message. `path_kind` is the type of a message without one.
pub(super) fn finish<'a>(mut message: Message<'a>, path_kind: Option<EventType>) -> Item<'a> {
    let context = message.part(Part::Context);
    let in_context = InContext::of(context);
    let kind = message.text(Part::Type).or_else(|| path_kind.map(|kind| kind.as_str().into()));
    let known_kind = kind.as_deref().and_then(EventType::from_text);
    let mut places = Places::default();
    let event_name = match known_kind {
        Some(EventType::Page | EventType::Screen) => {
            let name = message.text(Part::Name);
            places.name = name.is_some();
            if places.name {
                keep_event(&mut message);
            }
            // The apps of RudderStack name a screen so.
            name.or_else(|| message.text(Part::Event))
        }
        // Without a known type the event is rejected anyway, but for a message without one.
        Some(EventType::Track) | None => message.text(Part::Event),
        Some(EventType::Identify | EventType::Group | EventType::Alias) => {
            keep_event(&mut message);
            None
        }
    };
    let mut anonymous_id = message.id(Part::AnonymousId);
    if anonymous_id.is_none() && known_kind == Some(EventType::Alias) {
        places.previous_id = true;
        anonymous_id = message.id(Part::PreviousId);
    }
    let mut timestamp = message.text(Part::Timestamp);
    if timestamp.is_none() {
        places.original_timestamp = true;
        timestamp = message.text(Part::OriginalTimestamp);
    }
    let mut traits = message.part(Part::Traits).filter(|traits| traits.text() != "{}");
    if traits.is_none() && known_kind == Some(EventType::Identify) {
        places.context_traits = true;
        traits = in_context.traits;
    }
    let event_id = message.id(Part::MessageId).or_else(|| {
        // Without a time, or within a second, the same event can happen again.
        let is_exact = timestamp.as_ref().is_some_and(|time| time.contains('.'));
        // An id of the wrong type is no missing one: the rejection must not name another.
        let is_absent = is_exact && message.errors.is_empty();
        is_absent.then(|| id_of_content(&message, kind.as_deref().unwrap_or_default()))
    });
    let draft = EventDraft {
        event_id,
        kind,
        event_name,
        timestamp,
        anonymous_id,
        user_id: message.id(Part::UserId),
        session_id: in_context.session_id.and_then(text_or_number),
        schema_version: None,
        properties: message.part(Part::Properties).map(RawJson::from),
        traits: traits.map(RawJson::from),
        context: RawJson::extended(context, CONTEXT_MEMBER, &message.rest),
    };
    let origin = Origin {
        pointer: message.pointer,
        names: places.names(),
        sent_at: message.part(Part::SentAt).and_then(|value| time::of_text(value.text())),
    };
    Item { index: message.index, origin, text: message.text, draft, errors: message.errors }
}

/// Keeps an `event` that is not the name of its event.
fn keep_event(message: &mut Message<'_>) {
    if let Some(event) = message.part(Part::Event) {
        message.keep(Part::Event.name(), event);
    }
}

/// Returns the id of a message without one. Its type may be in the path alone: the same content on two
/// paths is two events.
fn id_of_content<'a>(message: &Message<'_>, kind: &str) -> Cow<'a, str> {
    let scheme = format!("{CONTEXT_MEMBER}/{kind}");
    let id = message.id_of_content(&scheme, &[Part::SentAt, Part::Type]);
    id.as_str().to_owned().into()
}

/// The members of a context with a place in an event.
#[derive(Default)]
struct InContext<'a> {
    session_id: Option<JsonSlice<'a>>,
    traits: Option<JsonSlice<'a>>,
}

impl<'a> InContext<'a> {
    fn of(context: Option<JsonSlice<'a>>) -> Self {
        let mut found = Self::default();
        for member in context.into_iter().flat_map(JsonMembers::of) {
            match member.name {
                "\"sessionId\"" => found.session_id = Some(member.value),
                "\"traits\"" => found.traits = Some(member.value),
                _ => {}
            }
        }
        found
    }
}
