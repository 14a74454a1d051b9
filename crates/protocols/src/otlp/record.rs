//! One log record of a text, and the event it makes.

use std::borrow::Cow;

use mercurio_domain::EventId;
use mercurio_domain::event::{EventDraft, Member, MemberNames, Origin};
use mercurio_domain::payload::{JsonSlice, RawJson, text_of};
use mercurio_domain::request::Item;
use mercurio_domain::verdict::FieldErrorCode;

use super::text::Refusal;
use crate::object::{self, Object, member, text_or_number};
use crate::time::{self, Unit};
use crate::{OTHER_LIBRARY, library};

/// The scheme of ids made of a record's content.
const SCHEME: &str = "otlp";

/// A member of a record in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Refused,
    Field,
    EventName,
    Time,
    ObservedTime,
    Properties,
    Context,
}

impl object::Part for Part {
    const ALL: &'static [Self] = &[
        Self::Refused,
        Self::Field,
        Self::EventName,
        Self::Time,
        Self::ObservedTime,
        Self::Properties,
        Self::Context,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Field => "field",
            Self::EventName => "eventName",
            Self::Time => "timeUnixNano",
            Self::ObservedTime => "observedTimeUnixNano",
            Self::Properties => "properties",
            Self::Context => "context",
        }
    }

    fn index(self) -> usize {
        self as usize
    }

    fn is_key(_: &str) -> bool {
        false
    }
}

/// A record.
pub(super) type Record<'a> = Object<'a, Part>;

const NAMES: MemberNames = MemberNames::OWN
    .with(Member::EventName, "eventName")
    .with(Member::Timestamp, "timeUnixNano")
    .with(Member::UserId, "attributes/user.id")
    .with(Member::SessionId, "attributes/session.id")
    .with(Member::Properties, "attributes");

/// The names of a record of the service with this attribute.
static NAMES_BY_INSTANCE: MemberNames =
    NAMES.with(Member::AnonymousId, "resource/attributes/service.instance.id");
static NAMES_BY_SERVICE: MemberNames =
    NAMES.with(Member::AnonymousId, "resource/attributes/service.name");

/// Returns the SDK of a record's resource, such as `opentelemetry-python`.
pub(super) fn library(record: &Record<'_>) -> &'static str {
    let language = resource(record)
        .and_then(|resource| member(resource, "\"telemetry.sdk.language\""))
        .and_then(text_or_number);
    language
        .map_or(OTHER_LIBRARY, |language| library::library(&format!("opentelemetry-{language}")))
}

/// Returns the attributes of the resource.
fn resource<'a>(record: &Record<'a>) -> Option<JsonSlice<'a>> {
    let otlp = member(record.part(Part::Context)?, "\"otlp\"")?;
    member(member(otlp, "\"resource\"")?, "\"attributes\"")
}

/// Returns the event of a record.
pub(super) fn finish(mut record: Record<'_>) -> Item<'_> {
    if let Some(refusal) = refusal(&record) {
        let (code, message) = refusal.error();
        record.add_error(record.pointer.to_string(), code, message);
        return item(record, EventDraft::default(), &NAMES_BY_SERVICE);
    }
    let Some(event_name) = record.text(Part::EventName) else {
        let message = "eventName is required: a log record without one is not an event";
        record.add_error(record.pointer_to("eventName"), FieldErrorCode::Required, message);
        // Any person: the name is the only error.
        let draft = EventDraft { anonymous_id: Some("unknown".into()), ..EventDraft::default() };
        return item(record, draft, &NAMES_BY_SERVICE);
    };
    let properties = record.part(Part::Properties);
    let resource = resource(&record);
    // Phones and browsers set both for a whole resource.
    let of_person = |name| attribute(properties, name).or_else(|| attribute(resource, name));
    let user_id = of_person("\"user.id\"");
    let instance = attribute(resource, "\"service.instance.id\"");
    let names = if instance.is_some() { &NAMES_BY_INSTANCE } else { &NAMES_BY_SERVICE };
    let service = || instance.or_else(|| attribute(resource, "\"service.name\""));
    let anonymous_id = if user_id.is_some() { None } else { service() };
    let session_id = of_person("\"session.id\"");
    let time = record.part(Part::Time).or_else(|| record.part(Part::ObservedTime));
    let timestamp = time.and_then(|time| time::of_unix(time.text(), Unit::Nanos).ok());
    let draft = EventDraft {
        // Without a time, the same event can happen again.
        event_id: timestamp.map(|_| id(record.text, None)),
        event_name: Some(event_name),
        timestamp: timestamp.map(|time| time.to_string().into()),
        anonymous_id,
        user_id,
        session_id,
        properties: properties.map(RawJson::from),
        context: record.part(Part::Context).map(RawJson::from),
        ..EventDraft::default()
    };
    item(record, draft, names)
}

/// Returns the id of the event of a record. `repeat`: the number of records alike before it in the
/// request, if there are any.
pub(super) fn id(text: &str, repeat: Option<u64>) -> Cow<'static, str> {
    let number = repeat.map(u64::to_be_bytes);
    let mut parts = vec![text.as_bytes()];
    parts.extend(number.as_ref().map(<[u8; 8]>::as_slice));
    EventId::of_content(SCHEME, &parts).as_str().to_owned().into()
}

fn item<'a>(record: Record<'a>, draft: EventDraft<'a>, names: &'static MemberNames) -> Item<'a> {
    let origin = Origin { pointer: record.pointer, names, sent_at: None };
    Item { index: record.index, origin, text: record.text, draft, errors: record.errors }
}

fn refusal(record: &Record<'_>) -> Option<Refusal> {
    let text = |part| record.part(part).and_then(|value| text_of(value.text()).ok());
    let name = text(Part::Refused)?;
    Some(Refusal::from_text(&name, &text(Part::Field).unwrap_or_default()))
}

/// Returns an attribute that is a text or a number.
fn attribute<'a>(attributes: Option<JsonSlice<'a>>, name: &str) -> Option<Cow<'a, str>> {
    member(attributes?, name).and_then(text_or_number)
}
