//! One event: its attributes and data as slices of the body, and the event they make.

use std::borrow::Cow;

use mercurio_domain::EventId;
use mercurio_domain::event::{EventDraft, Member, MemberNames, Origin};
use mercurio_domain::payload::{RawJson, add_errors};
use mercurio_domain::request::Item;
use mercurio_domain::verdict::FieldErrorCode;

use crate::object::{self, Object};

/// The member of the context that keeps the attributes without a place in an event. It is also the
/// scheme of the id: an event may come by either protocol.
const CONTEXT_MEMBER: &str = "cloudevents";

/// The version of all events.
const VERSION: &str = "1.0";

/// A member with a place in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Id,
    Source,
    SpecVersion,
    Type,
    Subject,
    Time,
    Data,
    DataBase64,
}

impl object::Part for Part {
    const ALL: &'static [Self] = &[
        Self::Id,
        Self::Source,
        Self::SpecVersion,
        Self::Type,
        Self::Subject,
        Self::Time,
        Self::Data,
        Self::DataBase64,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Source => "source",
            Self::SpecVersion => "specversion",
            Self::Type => "type",
            Self::Subject => "subject",
            Self::Time => "time",
            Self::Data => "data",
            Self::DataBase64 => "data_base64",
        }
    }

    fn index(self) -> usize {
        self as usize
    }

    fn is_kept(self) -> bool {
        // The id of the event is derived from them, and does not show them.
        matches!(self, Self::Id | Self::Source)
    }

    fn is_time(self) -> bool {
        self == Self::Time
    }

    fn is_key(_: &str) -> bool {
        // No client puts its key into an event.
        false
    }
}

/// An event.
pub(super) type Event<'a> = Object<'a, Part>;

/// The rules for an event, by mode and protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// Structured mode, alone or in a batch.
    Structured,
    /// Binary mode: errors name the headers.
    Binary,
    /// OpenMeter's: with a subject, and data that is an object.
    OpenMeter,
}

static NAMES: MemberNames = MemberNames::OWN
    .with(Member::EventId, "id")
    .with(Member::EventName, "type")
    .with(Member::UserId, "subject")
    .with(Member::AnonymousId, "source")
    .with(Member::Timestamp, "time")
    .with(Member::Properties, "data");

static HEADER_NAMES: MemberNames = MemberNames::OWN
    .with(Member::EventId, "ce-id")
    .with(Member::EventName, "ce-type")
    .with(Member::UserId, "ce-subject")
    .with(Member::AnonymousId, "ce-source")
    .with(Member::Timestamp, "ce-time")
    .with(Member::Properties, "data");

impl Rules {
    fn names(self) -> &'static MemberNames {
        if self == Self::Binary { &HEADER_NAMES } else { &NAMES }
    }

    /// Returns the name of an attribute for an error.
    fn name_of(self, part: Part) -> Cow<'static, str> {
        let name = object::Part::name(part);
        if self == Self::Binary { format!("ce-{name}").into() } else { name.into() }
    }
}

/// Returns the event in this server's form.
pub(super) fn finish<'a>(mut event: Event<'a>, rules: Rules) -> Item<'a> {
    check_version(&mut event, rules);
    let id = required(&mut event, Part::Id, rules);
    let source = required(&mut event, Part::Source, rules);
    let event_name = required(&mut event, Part::Type, rules);
    let user_id = match rules {
        Rules::OpenMeter => required(&mut event, Part::Subject, rules),
        Rules::Structured | Rules::Binary => event.id(Part::Subject),
    };
    // Ids are unique within their source only.
    let event_id = source.as_ref().zip(id).map(|(source, id)| {
        let parts = [source.as_bytes(), id.as_bytes()];
        EventId::of_content(CONTEXT_MEMBER, &parts).as_str().to_owned().into()
    });
    let draft = EventDraft {
        event_id,
        kind: None,
        event_name,
        timestamp: event.text(Part::Time),
        anonymous_id: source.filter(|_| user_id.is_none()),
        user_id,
        session_id: None,
        schema_version: None,
        properties: properties(&mut event, rules),
        traits: None,
        context: RawJson::extended(None, CONTEXT_MEMBER, &event.rest),
    };
    let origin = Origin { pointer: event.pointer, names: rules.names(), sent_at: None };
    Item { index: event.index, origin, text: event.text, draft, errors: event.errors }
}

fn check_version(event: &mut Event<'_>, rules: Rules) {
    let Some(version) = required(event, Part::SpecVersion, rules).filter(|sent| sent != VERSION)
    else {
        return;
    };
    let name = rules.name_of(Part::SpecVersion);
    let version: String = version.chars().take(16).collect();
    let message = format!("{name} is {version:?}; it must be {VERSION:?}");
    event.add_error(event.pointer_to(&name), FieldErrorCode::InvalidValue, message);
}

/// Returns a text, or adds an error.
fn required<'a>(event: &mut Event<'a>, part: Part, rules: Rules) -> Option<Cow<'a, str>> {
    let before = event.errors.len();
    let value = match part {
        Part::Id | Part::Subject => event.id(part),
        _ => event.text(part),
    };
    if value.is_none() && event.errors.len() == before {
        let name = rules.name_of(part);
        let message = format!("{name} is required");
        event.add_error(event.pointer_to(&name), FieldErrorCode::Required, message);
    }
    value
}

/// Returns the data: as it is if it is an object, and otherwise as the member of one.
fn properties<'a>(event: &mut Event<'a>, rules: Rules) -> Option<RawJson<'a>> {
    let (part, value) = match (event.part(Part::Data), event.part(Part::DataBase64)) {
        (Some(_), Some(_)) => {
            let pointer = event.pointer_to("data_base64");
            let message = "data and data_base64 exclude each other; send one of them";
            event.add_error(pointer, FieldErrorCode::InvalidValue, message);
            return None;
        }
        (Some(data), None) if data.text().starts_with('{') || rules == Rules::OpenMeter => {
            return Some(data.into());
        }
        (Some(data), None) => (Part::Data, data),
        (None, Some(data)) => {
            // Empty data is none.
            event.text(Part::DataBase64)?;
            (Part::DataBase64, data)
        }
        (None, None) => return None,
    };
    let name = object::Part::name(part);
    let properties = RawJson::wrapped(name, value);
    if properties.is_none() {
        let (pointer, before) = (event.pointer_to(name), event.errors.len());
        add_errors(value, pointer.clone(), &mut event.errors);
        if event.errors.len() == before {
            let message = format!("{name} is nested too deep");
            event.add_error(pointer, FieldErrorCode::TooDeep, message);
        }
    }
    properties
}
