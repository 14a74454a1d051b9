//! What the schemas of requests say beyond the members of their types: that there are no others, which go together, and
//! how many events a batch has.

use mercurio_domain::Timestamp;
use mercurio_domain::event::{EventDraft, EventType};
use mercurio_domain::limits::MAX_BATCH_EVENTS;
use utoipa::openapi::schema::{
    AdditionalProperties, AllOfBuilder, AnyOfBuilder, Object, ObjectBuilder, OneOfBuilder, Ref,
    Schema, Type,
};
use utoipa::openapi::{OpenApi, RefOr};
use utoipa::{Modify, PartialSchema, ToSchema};

/// An event that is a whole body, in a schema: it may have a `sent_at` beside its own members.
pub struct SingleEvent;

impl PartialSchema for SingleEvent {
    fn schema() -> RefOr<Schema> {
        let mut schema = EventDraft::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let mut time = Ref::from_schema_name(Timestamp::name());
            time.description =
                "The client's clock at sending: the stored time is `received_at - (sent_at - timestamp)`.".to_owned();
            let null = ObjectBuilder::new().schema_type(Type::Null);
            let sent_at = OneOfBuilder::new().item(time).item(null);
            object.properties.insert("sent_at".to_owned(), sent_at.into());
        }
        schema
    }
}

impl ToSchema for SingleEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        EventDraft::schemas(schemas);
    }
}

/// Puts the rules into the schemas that are derived.
pub(super) struct Rules;

impl Modify for Rules {
    fn modify(&self, document: &mut OpenApi) {
        let schemas = &mut document.components.get_or_insert_default().schemas;
        for name in [EventDraft::name(), SingleEvent::name()] {
            if let Some(RefOr::T(schema)) = schemas.get_mut(&*name)
                && let Schema::Object(object) = schema
            {
                *schema = with_rules(std::mem::take(object));
            }
        }
        if let Some(RefOr::T(Schema::Object(batch))) = schemas.get_mut("Batch") {
            close(batch);
            if let Some(RefOr::T(Schema::Array(events))) = batch.properties.get_mut("events") {
                events.min_items = Some(1);
                events.max_items = Some(MAX_BATCH_EVENTS);
            }
        }
    }
}

/// No other members than those.
fn close(object: &mut Object) {
    object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
}

/// An event names a person, and has a name unless its type stands for one.
fn with_rules(mut event: Object) -> Schema {
    close(&mut event);
    let description = event.description.take();
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let has = |name: &str, value: ObjectBuilder| {
        ObjectBuilder::new().property(name, value).required(name)
    };
    let person = AnyOfBuilder::new().item(has("anonymous_id", text())).item(has("user_id", text()));
    let other_types =
        EventType::ALL.into_iter().filter(|kind| *kind != EventType::Track).map(EventType::as_str);
    let name = AnyOfBuilder::new()
        .item(has("event_name", text()))
        .item(has("type", text().enum_values(Some(other_types))));
    AllOfBuilder::new().description(description).item(event).item(person).item(name).build().into()
}
