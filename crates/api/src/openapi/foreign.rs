//! The paths of foreign clients: their forms are documented by the services that they come from, so
//! each operation has an example alone.

use mercurio_protocols::{Form, Protocols, foreign_paths};
use serde_json::Value;
use utoipa::Modify;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, OperationBuilder, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Ref, SchemaType, Type};
use utoipa::openapi::{OpenApi, Required, SecurityRequirement};

use super::problems::add_request_id;

/// The tag of these operations.
pub(super) const TAG: &str = "Clients of other services";

/// The schema of their errors.
const PROBLEM: &str = "ForeignProblem";

/// Adds an operation for each path and method.
pub(super) struct ForeignPaths;

impl Modify for ForeignPaths {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        components.schemas.insert(PROBLEM.to_owned(), problem().build().into());
        for path in foreign_paths(Protocols::default()) {
            let mut item = PathItem::default();
            item.get = operation("get", path.path, &path.get);
            item.post = operation("post", path.path, &path.post);
            document.paths.paths.insert(path.path.to_owned(), item);
        }
    }
}

fn operation(method: &str, path: &str, forms: &[Form]) -> Option<Operation> {
    let first = forms.first()?;
    let names: Vec<_> = forms.iter().map(|form| form.protocol().title()).collect();
    let names = names.join(" and ");
    let has_events = first.fixed_reply().is_none();
    let summary = match has_events {
        true => format!("Stores events of clients of {names}."),
        false => format!("Answers clients of {names}; stores nothing."),
    };
    let mut operation = OperationBuilder::new()
        .tag(TAG)
        .operation_id(Some(operation_id(method, path)))
        .summary(Some(summary));
    if path.contains("{key}") {
        let key = ParameterBuilder::new()
            .name("key")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        operation = operation.parameter(key);
    }
    if has_events {
        operation = operation.security(SecurityRequirement::new("bearer", Vec::<String>::new()));
    }
    if method == "post" {
        let example = serde_json::from_str(first.example()).unwrap_or(Value::Null);
        // Any JSON.
        let schema = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
        let content = ContentBuilder::new().schema(Some(schema)).example(Some(example));
        let body = RequestBodyBuilder::new()
            .description(Some("In the form of the service."))
            .content("application/json", content.build());
        operation = operation.request_body(Some(body.build()));
    }
    let mut success =
        ResponseBuilder::new().description("In the form of the service: stored.").build();
    let error = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM)));
    let mut failure = ResponseBuilder::new()
        .description("Nothing is stored. Some services have a form of their own.")
        .content("application/problem+json", error.build())
        .build();
    add_request_id(&mut success);
    add_request_id(&mut failure);
    let status = first.success_status().to_string();
    Some(operation.response(status, success).response("default", failure).build())
}

/// Returns the name of a function: `postV1Batch` for `POST /v1/batch`.
fn operation_id(method: &str, path: &str) -> String {
    let mut id = method.to_owned();
    for word in path.split(|character: char| !character.is_ascii_alphanumeric()) {
        let (first, rest) = word.split_at(word.len().min(1));
        id += &first.to_ascii_uppercase();
        id += rest;
    }
    id
}

/// A problem with the additional members that foreign clients look for.
fn problem() -> ObjectBuilder {
    let mut schema = ObjectBuilder::new().schema_type(Type::Object);
    for (name, kind) in [
        ("type", Type::String),
        ("title", Type::String),
        ("status", Type::Integer),
        ("code", Type::String),
        ("detail", Type::String),
        ("message", Type::String),
        ("error", Type::String),
        ("request_id", Type::String),
    ] {
        schema = schema.property(name, ObjectBuilder::new().schema_type(kind)).required(name);
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operation_is_named_by_its_path() {
        for (path, expected) in [
            ("/v1/batch", "postV1Batch"),
            ("/com.example.x/tp2", "postComExampleXTp2"),
            ("/array/{key}/config.js", "postArrayKeyConfigJs"),
        ] {
            assert_eq!(operation_id("post", path), expected);
        }
    }
}
