//! OpenAPI schemas of ids, texts, times and payloads, for the types that derive theirs. Behind the
//! feature `openapi`.
//!
//! A schema states the rules of a value as far as JSON Schema can. Events and other structs derive
//! their schemas.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::clock::Timestamp;
use crate::ids::{EventId, TenantId, WorkspaceId};
use crate::limits::{
    MAX_EVENT_ID_CHARS, MAX_EVENT_NAME_CHARS, MAX_PERSON_ID_CHARS, MAX_SCHEMA_VERSION_CHARS,
};
use crate::payload::JsonObject;
use crate::schema_version::SchemaVersion;

/// No control character, and at least one that is not white space.
// Three parts: any text, one visible character, any text.
const NAME_LIKE: &str = concat!(
    r"^[^\u0000-\u001f\u007f-\u009f]*",
    r"[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]",
    r"[^\u0000-\u001f\u007f-\u009f]*$"
);
/// No control or bidirectional formatting character, and at least one that is not white space.
const PERSON_LIKE: &str = concat!(
    r"^[^\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]*",
    r"[^\u0000-\u0020\u007f-\u00a0\u061c\u1680\u2000-\u200a\u200e\u200f\u2028-\u202f\u205f\u2066-\u2069\u3000]",
    r"[^\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]*$"
);
/// By semver.org, with at most 19 digits a number: all of those fit into 64 bits.
const SEMANTIC_VERSION: &str = concat!(
    r"^(0|[1-9][0-9]{0,18})\.(0|[1-9][0-9]{0,18})\.(0|[1-9][0-9]{0,18})",
    r"(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?",
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$"
);

/// The schema of an event's name.
pub struct EventName;

/// The schema of an `anonymous_id`, `user_id` or `session_id`.
pub struct PersonId;

macro_rules! schemas {
    ($($type:ty = $schema:expr;)+) => {
        $(
            impl PartialSchema for $type {
                fn schema() -> RefOr<Schema> {
                    $schema.into()
                }
            }

            impl ToSchema for $type {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed(stringify!($type))
                }
            }
        )+
    };
}

schemas! {
    EventId = text(NAME_LIKE, MAX_EVENT_ID_CHARS)
        .description(Some("1 to 100 characters, no control characters, not blank; unique within the tenant."));
    EventName = text(NAME_LIKE, MAX_EVENT_NAME_CHARS)
        .description(Some("1 to 100 characters, no control characters, not blank."));
    PersonId = text(PERSON_LIKE, MAX_PERSON_ID_CHARS)
        .description(Some("1 to 255 characters, no control or bidirectional formatting characters, not blank."));
    SchemaVersion = text(SEMANTIC_VERSION, MAX_SCHEMA_VERSION_CHARS)
        .description(Some("A semantic version (semver.org), such as `2.1.0`; at most 64 characters."));
    Timestamp = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some(
            "RFC 3339 with an offset, such as `2026-11-22T10:00:00.123456Z`. Responses use UTC with microseconds.",
        ));
    // 20 characters hold any `i64`.
    TenantId = text("^[0-9]+$", 20).description(Some("A number as a string."));
    WorkspaceId = text("^[0-9]+$", 20).description(Some("A number as a string."));
    // The rules of its values are text: as schemas they would become types in generated clients.
    JsonObject = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .description(Some(
            "Any JSON object, kept byte for byte as sent; at most 32 levels deep, itself included. Texts and names have no \
             U+0000, numbers fit into a double.",
        ));
}

/// A text of 1 to `max_chars` characters.
fn text(pattern: &str, max_chars: usize) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String);
    text.min_length(Some(1)).max_length(Some(max_chars)).pattern(Some(pattern))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Serialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::enrichment::{Campaign, Device, Enrichment, Geo, Page, Software};
    use crate::event::EventDraft;
    use crate::limits::Limits;
    use crate::payload::RawJson;
    use crate::verdict::{FieldError, FieldErrorCode};

    /// Compares the members of a schema with those of a value.
    #[track_caller]
    fn check<T: ToSchema>(value: &impl Serialize) {
        let members: BTreeSet<String> =
            serde_json::to_value(value).unwrap().as_object().unwrap().keys().cloned().collect();
        let schema = serde_json::to_value(T::schema()).unwrap();
        let described: BTreeSet<String> =
            schema["properties"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(described, members, "{}", T::name());
        for (name, property) in schema["properties"].as_object().unwrap() {
            // A nullable member is a `oneOf`, and its description is inside.
            let described =
                if property["oneOf"].is_array() { &property["oneOf"][0] } else { property };
            assert!(
                described["description"].is_string(),
                "{}: {name} has a description: {property}",
                T::name()
            );
        }
    }

    fn all_of_an_event() -> EventDraft<'static> {
        let text = || Some("a".into());
        let payload = || Some(RawJson::parse("{}").unwrap());
        EventDraft {
            event_id: text(),
            kind: text(),
            event_name: text(),
            timestamp: text(),
            anonymous_id: text(),
            user_id: text(),
            session_id: text(),
            schema_version: text(),
            properties: payload(),
            traits: payload(),
            context: payload(),
        }
    }

    #[test]
    fn schema_has_the_members_of_the_json() {
        check::<EventDraft<'static>>(&all_of_an_event());
        check::<FieldError>(&FieldError::new("", FieldErrorCode::Required, ""));
        check::<Limits>(&Limits::default());
        let text = || Some("a".to_owned());
        let device = Device { kind: "other".to_owned(), brand: text(), model: text() };
        let software = Software { name: "curl".to_owned(), version: text() };
        let geo = Geo { country: text(), region: text(), city: text(), time_zone: text() };
        let campaign = Campaign {
            source: text(),
            medium: text(),
            name: text(),
            term: text(),
            content: text(),
        };
        check::<Device>(&device);
        check::<Software>(&software);
        check::<Geo>(&geo);
        check::<Campaign>(&campaign);
        check::<Enrichment>(&Enrichment {
            client_ip: text(),
            device: Some(device),
            os: Some(software.clone()),
            browser: Some(software),
            geo: Some(geo),
            page: Some(Page { path: "/".to_owned() }),
            campaign: Some(campaign),
        });
    }

    #[test]
    fn event_members_are_optional_and_may_be_null() {
        let schema = serde_json::to_value(EventDraft::schema()).unwrap();
        assert_eq!(schema.get("required"), None);
        for (name, property) in schema["properties"].as_object().unwrap() {
            assert_eq!(property["oneOf"][1], json!({"type": "null"}), "{name}");
        }
    }

    #[test]
    fn error_code_schema_lists_every_code() {
        let schema = serde_json::to_value(FieldErrorCode::schema()).unwrap();
        let all: Vec<Value> = FieldErrorCode::ALL.iter().map(|code| json!(code)).collect();
        assert_eq!(schema["enum"], Value::Array(all));
    }
}
