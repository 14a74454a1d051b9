//! One message: its members as slices of the body, and the event they make.

use std::borrow::Cow;

use mercurio_domain::EventId;
use mercurio_domain::event::{EventDraft, EventType, Origin, Pointer};
use mercurio_domain::hints::unix_time_unit;
use mercurio_domain::payload::{
    self, JsonMembers, JsonSlice, NotText, ObjectText, RawJson, Scanner, read_members,
    scan_members, text_of, type_of,
};
use mercurio_domain::request::Item;
use mercurio_domain::verdict::{FieldError, FieldErrorCode, MAX_ERRORS_PER_EVENT, pointer_to};

use super::names::Places;
use super::time::time;
use crate::{BodyKey, OTHER_LIBRARY, library};

/// The member of the context that keeps everything without a place in an event.
const CONTEXT_MEMBER: &str = "segment";
/// Returns whether a member of a body holds a key. No client sends another name than `writeKey`.
pub(super) fn is_key(name: &str) -> bool {
    let names = ["writeKey", "write_key", "apiKey", "api_key"];
    names.iter().any(|key| key.eq_ignore_ascii_case(name))
}

/// A member with a place in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
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

impl Part {
    const ALL: [Self; 13] = [
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

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    /// Whether the context keeps the member too, because its place in the event depends on others.
    fn is_kept(self) -> bool {
        matches!(self, Self::Name | Self::PreviousId)
    }
}

/// A message.
pub(super) struct Message<'a> {
    index: usize,
    pointer: Pointer,
    /// The type of a message without one.
    kind: Option<EventType>,
    text: &'a str,
    parts: [Option<JsonSlice<'a>>; Part::ALL.len()],
    /// The other members, as they come.
    rest: ObjectText,
    key: BodyKey<'a>,
    errors: Vec<FieldError>,
}

impl<'a> Message<'a> {
    pub(super) fn new(index: usize, pointer: Pointer, kind: Option<EventType>) -> Self {
        Self {
            index,
            pointer,
            kind,
            text: "",
            parts: [None; Part::ALL.len()],
            rest: ObjectText::default(),
            key: BodyKey::Missing,
            errors: Vec::new(),
        }
    }

    /// Takes the key out of the message.
    pub(super) fn take_key(&mut self) -> BodyKey<'a> {
        std::mem::take(&mut self.key)
    }

    /// Returns the library in the context.
    pub(super) fn library(&self) -> &'static str {
        let context = self.part(Part::Context);
        let library = context.and_then(|context| member(context, "\"library\""));
        let name = library.and_then(|library| member(library, "\"name\""));
        let name = name.and_then(|name| text_of(name.text()).ok());
        name.map_or(OTHER_LIBRARY, |name| library::library(&name))
    }

    /// Reads the object at the scanner. `None`: use [`Self::read`] on a new message.
    pub(super) fn scan(&mut self, body: &'a str, scanner: &mut Scanner<'a>) -> Option<()> {
        self.text = scan_members(body, scanner, |name, value| self.add(name, value))?;
        Some(())
    }

    /// Reads `text`, one JSON value.
    pub(super) fn read(&mut self, text: &'a str) {
        self.text = text;
        if !text.starts_with('{') {
            let message = format!("the message is {}; an object is expected", type_of(text));
            return self.add_error(self.pointer.to_string(), FieldErrorCode::WrongType, message);
        }
        if read_members(text, |name, value| self.add(&name, value)).is_err() {
            let message = "a field name contains a lone surrogate, which is not a character";
            let pointer = self.pointer.to_string();
            self.add_error(pointer, FieldErrorCode::LoneSurrogate, message);
        }
    }

    fn add(&mut self, name: &str, value: JsonSlice<'a>) {
        // `null` equals a missing member: clients send it for everything absent.
        if value.text() == "null" {
            return;
        }
        if is_key(name) {
            return self.key.add(value.text());
        }
        let part = Part::of(name);
        if part.is_none_or(Part::is_kept) && !matches!(value.text(), "\"\"" | "{}" | "[]") {
            self.keep(name, value);
        }
        let Some(part) = part else { return };
        let slot = &mut self.parts[part as usize];
        if slot.is_none() {
            *slot = Some(value);
        } else {
            // The first value stays. Taking the last one would hide the mistake.
            let message = format!("{name} appears twice");
            self.add_error(self.pointer_to(name), FieldErrorCode::DuplicateField, message);
        }
    }

    /// Puts a member into the context of the event.
    fn keep(&mut self, name: &str, value: JsonSlice<'a>) {
        if self.rest.add(name, value) {
            return;
        }
        let before = self.errors.len();
        payload::add_errors(value, self.pointer_to(name), &mut self.errors);
        if self.errors.len() == before {
            let message = "the field cannot be kept in the context: its name has characters to escape, or it is \
                           nested too deep";
            self.add_error(self.pointer_to(name), FieldErrorCode::TooDeep, message);
        }
    }

    /// Returns the event of the message.
    pub(super) fn finish(mut self) -> Item<'a> {
        let context = self.part(Part::Context);
        let in_context = InContext::of(context);
        let kind = self.text(Part::Type).or_else(|| self.kind.map(|kind| kind.as_str().into()));
        let known_kind = kind.as_deref().and_then(EventType::from_text);
        let mut places = Places::default();
        let event_name = match known_kind {
            Some(EventType::Page | EventType::Screen) => {
                places.name = true;
                self.text(Part::Name)
            }
            // Without a known type the event is rejected anyway, but for a message without one.
            Some(EventType::Track) | None => self.text(Part::Event),
            Some(EventType::Identify | EventType::Group | EventType::Alias) => None,
        };
        let mut anonymous_id = self.id(Part::AnonymousId);
        if anonymous_id.is_none() && known_kind == Some(EventType::Alias) {
            places.previous_id = true;
            anonymous_id = self.id(Part::PreviousId);
        }
        let mut timestamp = self.text(Part::Timestamp);
        if timestamp.is_none() {
            places.original_timestamp = true;
            timestamp = self.text(Part::OriginalTimestamp);
        }
        let mut traits = self.part(Part::Traits).filter(|traits| traits.text() != "{}");
        if traits.is_none() && known_kind == Some(EventType::Identify) {
            places.context_traits = true;
            traits = in_context.traits;
        }
        let event_id = self.id(Part::MessageId).or_else(|| {
            // Without a time, or within a second, the same event can happen again.
            let is_exact = timestamp.as_ref().is_some_and(|time| time.contains('.'));
            // An id of the wrong type is no missing one: the rejection must not name another.
            let is_absent = is_exact && self.errors.is_empty();
            is_absent.then(|| self.id_of_content().as_str().to_owned().into())
        });
        let draft = EventDraft {
            event_id,
            kind,
            event_name,
            timestamp,
            anonymous_id,
            user_id: self.id(Part::UserId),
            session_id: in_context.session_id.and_then(text_or_number),
            schema_version: None,
            properties: self.part(Part::Properties).map(RawJson::from),
            traits: traits.map(RawJson::from),
            context: RawJson::extended(context, CONTEXT_MEMBER, &self.rest),
        };
        let origin = Origin {
            pointer: self.pointer,
            names: places.names(),
            sent_at: self.part(Part::SentAt).and_then(|value| time(value.text())),
        };
        Item { index: self.index, origin, text: self.text, draft, errors: self.errors }
    }

    fn part(&self, part: Part) -> Option<JsonSlice<'a>> {
        self.parts[part as usize]
    }

    /// Returns a text. An empty one counts as left out.
    fn text(&mut self, part: Part) -> Option<Cow<'a, str>> {
        let value = self.part(part)?;
        let (code, problem) = match text_of(value.text()) {
            Ok(text) => return Some(text).filter(|text| !text.is_empty()),
            Err(NotText::WrongType) => {
                (FieldErrorCode::WrongType, not_a_string(part, value.text()))
            }
            Err(NotText::LoneSurrogate) => {
                let problem = "contains a lone surrogate, which is not a character";
                (FieldErrorCode::LoneSurrogate, problem.to_owned())
            }
        };
        self.add_error(self.pointer_to(part.name()), code, format!("{} {problem}", part.name()));
        None
    }

    /// Returns an id. Clients in languages without types send numbers too.
    fn id(&mut self, part: Part) -> Option<Cow<'a, str>> {
        let value = self.part(part)?.text();
        if is_number(value) { Some(value.into()) } else { self.text(part) }
    }

    /// Returns the id of a message without one: the same for the same message sent again.
    fn id_of_content(&self) -> EventId {
        let index = (self.index as u64).to_be_bytes();
        let mut parts: Vec<&[u8]> = vec![&index];
        // All but the time of sending, which is new for each try.
        for part in Part::ALL.into_iter().filter(|part| *part != Part::SentAt) {
            parts.push(self.part(part).map_or(&[], |value| value.text().as_bytes()));
        }
        parts.push(self.rest.members().as_bytes());
        EventId::of_content(CONTEXT_MEMBER, &parts)
    }

    fn pointer_to(&self, name: &str) -> String {
        pointer_to(&self.pointer.to_string(), name)
    }

    fn add_error(
        &mut self,
        pointer: String,
        code: FieldErrorCode,
        message: impl Into<Cow<'static, str>>,
    ) {
        if self.errors.len() < MAX_ERRORS_PER_EVENT {
            self.errors.push(FieldError::new(pointer, code, message));
        }
    }
}

/// Returns the predicate of a message about a value other than a string.
fn not_a_string(part: Part, json: &str) -> String {
    let is_time = matches!(part, Part::Timestamp | Part::OriginalTimestamp);
    match unix_time_unit(json).filter(|_| is_time) {
        Some(unit) => format!(
            "is a number and looks like Unix time in {unit}; a string in RFC 3339 is expected, such as \
             \"2026-11-22T10:00:00.123Z\""
        ),
        None => format!("is {}; a string is expected", type_of(json)),
    }
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

/// Returns the value of a member, whose name has quotes.
fn member<'a>(object: JsonSlice<'a>, name: &str) -> Option<JsonSlice<'a>> {
    JsonMembers::of(object).find(|member| member.name == name).map(|member| member.value)
}

/// Returns a text that is not empty, or the digits of a number. The context keeps any other value.
fn text_or_number(value: JsonSlice<'_>) -> Option<Cow<'_, str>> {
    let value = value.text();
    if is_number(value) {
        return Some(value.into());
    }
    text_of(value).ok().filter(|text| !text.is_empty())
}

fn is_number(json: &str) -> bool {
    json.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}
