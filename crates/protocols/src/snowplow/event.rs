//! One event of a tracker: its members as slices of the body, and the event they make.

use std::borrow::Cow;

use mercurio_domain::Timestamp;
use mercurio_domain::event::{EventDraft, Origin};
use mercurio_domain::payload::{JsonSlice, RawJson, text_of};
use mercurio_domain::request::Item;
use mercurio_domain::verdict::FieldErrorCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::names::Kind;
use crate::object::{self, Object, is_number};
use crate::time::{self, Unit};
use crate::{OTHER_LIBRARY, encoded, library};

/// The member of the context that keeps everything without a place in an event.
const CONTEXT_MEMBER: &str = "snowplow";

/// A member with a place in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The type of the event.
    E,
    Eid,
    Uid,
    Duid,
    Sid,
    /// Time by the device's clock.
    Dtm,
    /// Time by the application: it needs no correction.
    Ttm,
    /// Time of sending.
    Stm,
    /// A self-describing event, as JSON in a text.
    UePr,
    /// The same in Base64.
    UePx,
    /// Contexts, as JSON in a text.
    Co,
    /// The same in Base64.
    Cx,
    SeCa,
    SeAc,
    SeLa,
    SePr,
    SeVa,
    Url,
    /// The title of the page.
    Page,
    Refr,
    /// The tracker and its version.
    Tv,
}

impl object::Part for Part {
    const ALL: &'static [Self] = &[
        Self::E,
        Self::Eid,
        Self::Uid,
        Self::Duid,
        Self::Sid,
        Self::Dtm,
        Self::Ttm,
        Self::Stm,
        Self::UePr,
        Self::UePx,
        Self::Co,
        Self::Cx,
        Self::SeCa,
        Self::SeAc,
        Self::SeLa,
        Self::SePr,
        Self::SeVa,
        Self::Url,
        Self::Page,
        Self::Refr,
        Self::Tv,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::E => "e",
            Self::Eid => "eid",
            Self::Uid => "uid",
            Self::Duid => "duid",
            Self::Sid => "sid",
            Self::Dtm => "dtm",
            Self::Ttm => "ttm",
            Self::Stm => "stm",
            Self::UePr => "ue_pr",
            Self::UePx => "ue_px",
            Self::Co => "co",
            Self::Cx => "cx",
            Self::SeCa => "se_ca",
            Self::SeAc => "se_ac",
            Self::SeLa => "se_la",
            Self::SePr => "se_pr",
            Self::SeVa => "se_va",
            Self::Url => "url",
            Self::Page => "page",
            Self::Refr => "refr",
            Self::Tv => "tv",
        }
    }

    fn index(self) -> usize {
        self as usize
    }

    fn is_kept(self) -> bool {
        self == Self::Tv
    }

    fn is_key(_: &str) -> bool {
        false
    }

    /// The id of the application: of a tracker without headers it is the key.
    fn holds_key(name: &str, value: &str) -> bool {
        name == "aid" && text_of(value).is_ok_and(|id| id.starts_with("mk_"))
    }
}

/// An event of a tracker.
pub(super) type Event<'a> = Object<'a, Part>;

/// Returns the tracker, such as `snowplow-js` of the version `js-4.10.1`.
pub(super) fn library(event: &Event<'_>) -> &'static str {
    let version = event.part(Part::Tv).and_then(|version| text_of(version.text()).ok());
    let name = version.as_deref().and_then(|version| version.split('-').next());
    name.map_or(OTHER_LIBRARY, |name| library::library(&format!("snowplow-{name}")))
}

/// Returns the event in our form.
pub(super) fn finish(mut event: Event<'_>) -> Item<'_> {
    let code = event.text(Part::E);
    let kind = match code.as_deref() {
        Some("pv") => Kind::Page,
        Some("se") => Kind::Structured,
        Some("ue") => Kind::SelfDescribing,
        Some(_) => Kind::Other,
        None => {
            if event.errors.is_empty() {
                let message = "e is required: the type of the event, such as ue";
                event.add_error(event.pointer_to("e"), FieldErrorCode::Required, message);
            }
            Kind::Other
        }
    };
    keep_other_parts(&mut event, kind);
    keep_contexts(&mut event);
    let mut event_name = None;
    let mut properties = None;
    match kind {
        Kind::Page => {}
        Kind::Structured => {
            event_name = event.id(Part::SeAc);
            properties = structured(&event);
        }
        Kind::SelfDescribing => {
            if let Some(described) = self_describing(&mut event) {
                event_name = Some(described.name.into());
                properties = described.properties;
            }
        }
        Kind::Other => event_name = code.map(full_name),
    }
    let is_true_time = event.part(Part::Ttm).is_some();
    let timestamp = event_time(&mut event, if is_true_time { Part::Ttm } else { Part::Dtm });
    let sent_at = if is_true_time { None } else { sent_at(&event) };
    let draft = EventDraft {
        event_id: event.id(Part::Eid),
        kind: Some(if kind == Kind::Page { "page" } else { "track" }.into()),
        event_name,
        timestamp,
        anonymous_id: event.id(Part::Duid),
        user_id: event.id(Part::Uid),
        session_id: event.id(Part::Sid),
        properties,
        context: context(&event),
        ..EventDraft::default()
    };
    let origin = Origin { pointer: event.pointer, names: kind.names(is_true_time), sent_at };
    Item { index: event.index, origin, text: event.text, draft, errors: event.errors }
}

/// Returns the full name of a type without a name among its members.
fn full_name(code: Cow<'_, str>) -> Cow<'_, str> {
    match &*code {
        "pp" => "page_ping".into(),
        "tr" => "transaction".into(),
        "ti" => "transaction_item".into(),
        _ => code,
    }
}

const STRUCTURED: [(Part, &str); 4] = [
    (Part::SeCa, "category"),
    (Part::SeLa, "label"),
    (Part::SePr, "property"),
    (Part::SeVa, "value"),
];

/// Keeps the members with a place in events of another kind.
fn keep_other_parts(event: &mut Event<'_>, kind: Kind) {
    let mut others: Vec<Part> = Vec::new();
    if kind != Kind::Structured {
        others.extend(STRUCTURED.map(|part| part.0));
        others.push(Part::SeAc);
    }
    if kind != Kind::SelfDescribing {
        others.extend([Part::UePr, Part::UePx]);
    }
    for part in others {
        if let Some(value) = event.part(part) {
            event.keep(object::Part::name(part), value);
        }
    }
}

/// Returns the JSON in a text, or in the Base64 of one; adds an error for another text.
fn json_in<'a>(event: &mut Event<'a>, plain: Part, encoded: Part) -> Option<Cow<'a, str>> {
    let (part, text) = match event.text(plain) {
        Some(text) => (plain, Some(text)),
        None => {
            let text = event.text(encoded)?;
            let bytes = encoded::base64(text.as_bytes()).ok();
            (encoded, bytes.and_then(|bytes| String::from_utf8(bytes).ok()).map(Cow::Owned))
        }
    };
    let text = text.filter(|text| serde_json::from_str::<&RawValue>(text).is_ok());
    if text.is_none() {
        let name = object::Part::name(part);
        let is_plain = part == plain;
        let expected = if is_plain { "JSON in a text" } else { "the Base64 of JSON" };
        let message = format!("{name} is not {expected}");
        event.add_error(event.pointer_to(name), FieldErrorCode::InvalidValue, message);
    }
    text
}

/// Keeps the contexts as JSON, under one name.
fn keep_contexts(event: &mut Event<'_>) {
    let contexts = json_in(event, Part::Co, Part::Cx);
    let raw = contexts.as_deref().and_then(|json| serde_json::from_str::<&RawValue>(json).ok());
    if let Some(raw) = raw {
        event.keep("co", raw.into());
    }
    if let (Some(_), Some(second)) = (event.part(Part::Co), event.part(Part::Cx)) {
        event.keep("cx", second);
    }
}

/// A JSON value with its schema.
#[derive(Deserialize)]
struct SelfDescribing<'a> {
    #[serde(borrow)]
    schema: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The content of a self-describing event.
struct Described {
    name: String,
    properties: Option<RawJson<'static>>,
}

fn self_describing(event: &mut Event<'_>) -> Option<Described> {
    let had_errors = event.errors.len();
    let json = json_in(event, Part::UePr, Part::UePx);
    let described = json.as_deref().and_then(|json| describe(json, event));
    if described.is_none() && event.errors.len() == had_errors {
        let message = "ue_pr has no event such as {\"schema\": \"iglu:VENDOR/NAME/jsonschema/1-0-0\", \"data\": {…}} in \
                       its data";
        event.add_error(event.pointer_to("ue_pr"), FieldErrorCode::InvalidValue, message);
    }
    described
}

fn describe(json: &str, event: &mut Event<'_>) -> Option<Described> {
    let envelope: SelfDescribing<'_> = serde_json::from_str(json).ok()?;
    let inner: SelfDescribing<'_> = serde_json::from_str(envelope.data?.get()).ok()?;
    let name = inner.schema.strip_prefix("iglu:")?.split('/').nth(1)?.to_owned();
    let schema = serde_json::to_string(&*inner.schema).ok()?;
    let schema: &RawValue = serde_json::from_str(&schema).ok()?;
    event.keep("schema", schema.into());
    let properties = inner.data.map(|data| RawJson::parse(data.get().to_owned())).transpose();
    Some(Described { name, properties: properties.ok()? })
}

/// Returns the properties of a structured event.
fn structured(event: &Event<'_>) -> Option<RawJson<'static>> {
    let mut text = String::new();
    for (part, name) in STRUCTURED {
        let Some(value) = event.part(part).map(JsonSlice::text) else { continue };
        if value == "\"\"" {
            continue;
        }
        // Trackers send each number as a text.
        let number = value.trim_matches('"');
        let is_number = part == Part::SeVa && is_number(number);
        let value = if is_number && is_json(number) { number } else { value };
        text.push_str(if text.is_empty() { "{\"" } else { ",\"" });
        for part in [name, "\":", value] {
            text.push_str(part);
        }
    }
    if text.is_empty() {
        return None;
    }
    text.push('}');
    RawJson::parse(text).ok()
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

fn event_time<'a>(event: &mut Event<'a>, part: Part) -> Option<Cow<'a, str>> {
    let value = event.part(part)?;
    match time::draft_time(value.text(), Unit::Millis) {
        Ok(time) => Some(time).filter(|time| !time.is_empty()),
        Err(error) => {
            let name = object::Part::name(part);
            let message = format!("{name} {}", error.predicate);
            event.add_error(event.pointer_to(name), error.code, message);
            None
        }
    }
}

/// Returns the time of sending. Trackers cut it to seconds: it is not before the time of the event.
fn sent_at(event: &Event<'_>) -> Option<Timestamp> {
    let unix =
        |part| event.part(part).and_then(|time| time::of_unix(time.text(), Unit::Millis).ok());
    unix(Part::Stm).max(unix(Part::Dtm).filter(|_| event.part(Part::Stm).is_some()))
}

/// Returns the context: the page as other clients have it, for its path and campaign, and the rest.
fn context(event: &Event<'_>) -> Option<RawJson<'static>> {
    let mut page = String::new();
    for (part, name) in [(Part::Url, "url"), (Part::Page, "title"), (Part::Refr, "referrer")] {
        let Some(value) = event.part(part).filter(|value| value.text() != "\"\"") else { continue };
        page.push_str(if page.is_empty() { "{\"page\":{\"" } else { ",\"" });
        for part in [name, "\":", value.text()] {
            page.push_str(part);
        }
    }
    if page.is_empty() {
        return RawJson::extended(None, CONTEXT_MEMBER, &event.rest);
    }
    page.push_str("}}");
    let page: Box<RawValue> = RawValue::from_string(page).ok()?;
    let context = RawJson::extended(Some((&*page).into()), CONTEXT_MEMBER, &event.rest)?;
    RawJson::parse(context.get().to_owned()).ok()
}
