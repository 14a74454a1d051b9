//! Rules of schemas beyond their members. Requests: no additional members, required combinations, the size of a batch.
//! Responses: an optional member is never null.

use mercurio_domain::event::{Batch, EventDraft, EventType};
use mercurio_domain::limits::MAX_BATCH_EVENTS;
use utoipa::openapi::schema::{
    AdditionalProperties, AllOfBuilder, AnyOfBuilder, Object, ObjectBuilder, Schema, SchemaType,
    Type,
};
use utoipa::openapi::{OpenApi, RefOr};
use utoipa::{Modify, ToSchema};

use crate::routes::wire::write::SingleEvent;

/// Adds the rules to the derived schemas.
pub(super) struct SchemaRules;

impl Modify for SchemaRules {
    fn modify(&self, document: &mut OpenApi) {
        let schemas = &mut document.components.get_or_insert_default().schemas;
        for (name, schema) in schemas.iter_mut() {
            // In a request, null counts as absent.
            let is_request =
                [EventDraft::name(), SingleEvent::name(), Batch::name()].contains(&name.into());
            if let RefOr::T(Schema::Object(response)) = schema
                && !is_request
            {
                forbid_optional_nulls(response);
            }
        }
        // The parser rejects unknown members; a derived schema would allow them.
        for name in [EventDraft::name(), SingleEvent::name()] {
            if let Some(RefOr::T(schema)) = schemas.get_mut(&*name)
                && let Schema::Object(object) = schema
            {
                *schema = with_rules(std::mem::take(object));
            }
        }
        if let Some(RefOr::T(Schema::Object(batch))) = schemas.get_mut(&*Batch::name()) {
            close(batch);
            if let Some(RefOr::T(Schema::Array(events))) = batch.properties.get_mut("events") {
                events.min_items = Some(1);
                events.max_items = Some(MAX_BATCH_EVENTS);
            }
        }
    }
}

/// Takes null from the types of optional members: the server omits them. A derived schema has both for an `Option`.
fn forbid_optional_nulls(response: &mut Object) {
    for (name, member) in &mut response.properties {
        if response.required.contains(name) {
            continue;
        }
        match member {
            RefOr::T(Schema::Object(value)) => {
                if let SchemaType::Array(types) = &mut value.schema_type {
                    types.retain(|kind| *kind != Type::Null);
                    if types.len() == 1 {
                        value.schema_type = types.remove(0).into();
                    }
                }
            }
            RefOr::T(Schema::OneOf(either)) => {
                either.items.retain(|item| !is_null(item));
                if either.items.len() == 1 {
                    *member = either.items.remove(0);
                }
            }
            _ => {}
        }
    }
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    let null = SchemaType::from(Type::Null);
    matches!(schema, RefOr::T(Schema::Object(object)) if object.schema_type == null)
}

/// Forbids additional members.
fn close(object: &mut Object) {
    object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
}

/// Requires a person, and an `event_name` for `track`.
fn with_rules(mut event: Object) -> Schema {
    close(&mut event);
    // Moves from the first part to the whole `allOf`.
    let description = event.description.take();
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let person = AnyOfBuilder::new()
        .item(with_member("anonymous_id", text()))
        .item(with_member("user_id", text()));
    let other_types =
        EventType::ALL.into_iter().filter(|kind| *kind != EventType::Track).map(EventType::as_str);
    let name = AnyOfBuilder::new()
        .item(with_member("event_name", text()))
        .item(with_member("type", text().enum_values(Some(other_types))));
    AllOfBuilder::new().description(description).item(event).item(person).item(name).build().into()
}

/// Returns the schema of objects with this member.
fn with_member(name: &str, value: ObjectBuilder) -> ObjectBuilder {
    ObjectBuilder::new().property(name, value).required(name)
}
