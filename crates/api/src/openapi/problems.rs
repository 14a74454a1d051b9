//! The problems of each operation: their schemas and examples, generated from the problems themselves.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::StatusCode;
use mercurio_domain::{FieldError, Timestamp};
use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{
    ArrayBuilder, Components, ObjectBuilder, OneOfBuilder, Ref, Schema, SchemaType, Type,
};
use utoipa::openapi::{OpenApi, RefOr};
use utoipa::{Modify, ToSchema};

use super::problem_examples::problem_examples;
use crate::problem::{MemberValue, Problem, QueryError, ResponseParts};
use crate::routes::wire::write::EventResult;

/// A request id for examples.
const REQUEST_ID: &str = "019aa8f0-3e80-7c31-9d3e-6f0d1f3b2a10";

/// Adds the possible problems to every operation, and the middleware's headers to every response.
pub(super) struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut OpenApi) {
        let examples = problem_examples();
        let components = document.components.get_or_insert_default();
        add_schemas(components, &examples);
        for (path, item) in &mut document.paths.paths {
            for operation in operations(item) {
                let kind = Kind::of(path, operation);
                add_responses(
                    operation,
                    examples.iter().filter(|problem| kind.may_return(problem)),
                );
                add_headers(operation, kind.returns_limits());
            }
        }
        // Responses outside any operation: an unknown path, and further statuses of the framework.
        for problem in &examples {
            if matches!(problem, Problem::NotFound { .. } | Problem::Other(_)) {
                components.responses.insert(problem.code(), response(&[problem]).into());
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    // The API has no other methods, apart from HEAD, which the document omits.
    [&mut item.get, &mut item.post].into_iter().flatten()
}

/// The properties of an operation that decide its problems.
struct Kind<'a> {
    path: &'a str,
    has_key: bool,
    has_body: bool,
}

impl<'a> Kind<'a> {
    fn of(path: &'a str, operation: &Operation) -> Self {
        Self {
            path,
            has_key: operation.security.is_some(),
            has_body: operation.request_body.is_some(),
        }
    }

    fn reads_events(&self) -> bool {
        let reads = ["/v1/events", "/v1/feed", "/v1/rejections", "/v1/tail"];
        self.has_key && !self.has_body && reads.iter().any(|path| self.path.starts_with(path))
    }

    fn has_query(&self) -> bool {
        let paths =
            ["/v1/events", "/v1/feed", "/v1/rejections", "/v1/rejections/summary", "/v1/tail"];
        paths.contains(&self.path)
    }

    fn returns_limits(&self) -> bool {
        self.has_body || self.path == "/v1/limits"
    }

    /// Decides whether an operation of this kind may return `problem`. The exhaustive match makes a new problem appear here.
    fn may_return(&self, problem: &Problem) -> bool {
        match problem {
            Problem::BadRequest { .. }
            | Problem::MethodNotAllowed { .. }
            | Problem::RequestTimeout
            | Problem::RequestHeaderFieldsTooLarge
            | Problem::Internal => true,
            Problem::MalformedJson { .. }
            | Problem::MalformedEncoding { .. }
            | Problem::InvalidSchemaVersion { .. }
            | Problem::PayloadTooLarge { .. }
            | Problem::UnsupportedMediaType { .. }
            | Problem::UnsupportedContentEncoding { .. }
            | Problem::InvalidEvent(_)
            | Problem::RateLimited { .. }
            | Problem::QuotaExceeded { .. } => self.has_body,
            Problem::BatchEmpty | Problem::BatchTooLarge { .. } => self.path == "/v1/events/batch",
            Problem::InvalidQuery { .. } => self.has_query(),
            Problem::TooManyReads { .. } | Problem::QueryTimeout { .. } => self.reads_events(),
            // Only paths with a parameter can name something unknown.
            Problem::NotFound { .. } => self.path.contains('{'),
            Problem::Unauthorized { .. } | Problem::TenantSuspended => self.has_key,
            Problem::InsufficientScope { .. } => self.has_key && self.path != "/v1/limits",
            // A key with origins cannot read: the scope is missing first.
            Problem::OriginNotAllowed { .. } => self.has_key && !self.reads_events(),
            // A key lookup can be overloaded too, so reads may return it.
            Problem::Overloaded { .. } => self.has_key,
            Problem::ShuttingDown { .. } | Problem::StorageUnavailable { .. } => {
                self.has_key || self.path == "/health/ready"
            }
            // Described once, under `components`.
            Problem::Other(_) => false,
        }
    }
}

fn add_responses<'a>(operation: &mut Operation, problems: impl Iterator<Item = &'a Problem>) {
    let mut by_status: BTreeMap<StatusCode, Vec<&Problem>> = BTreeMap::new();
    for problem in problems {
        by_status.entry(problem.status()).or_default().push(problem);
    }
    for (status, problems) in by_status {
        let responses = &mut operation.responses.responses;
        // A handler that describes a status itself takes precedence, as `/health` does with 503.
        responses.entry(status.as_str().to_owned()).or_insert_with(|| response(&problems).into());
    }
}

/// Returns the response for problems of one status.
fn response(problems: &[&Problem]) -> Response {
    let codes: BTreeSet<String> = problems.iter().map(|problem| problem.code()).collect();
    let schemas: Vec<Ref> =
        codes.iter().map(|code| Ref::from_schema_name(schema_name(code))).collect();
    let schema: RefOr<Schema> = match <[Ref; 1]>::try_from(schemas) {
        Ok([one]) => one.into(),
        Err(several) => several.into_iter().fold(OneOfBuilder::new(), OneOfBuilder::item).into(),
    };
    let mut content = ContentBuilder::new().schema(Some(schema));
    let (mut names, mut titles) = (BTreeSet::new(), Vec::new());
    let mut response = ResponseBuilder::new();
    for problem in problems {
        let parts = problem.parts();
        let mut name = parts.code.to_string();
        // Several examples of one code need names of their own.
        for number in 2.. {
            if names.insert(name.clone()) {
                break;
            }
            name = format!("{}_{number}", parts.code);
        }
        let value = serde_json::from_str(&problem.to_json(REQUEST_ID)).unwrap_or(Value::Null);
        let example = ExampleBuilder::new().summary(parts.title).value(Some(value)).build();
        content = content.examples_from_iter([(name, example)]);
        for header in &parts.headers {
            let schema = header_schema(&header.value, None);
            response = response.header(header_name(header.name.as_str()), schema);
        }
        // Several examples of one code share a title.
        if !titles.contains(&parts.title) {
            titles.push(parts.title);
        }
    }
    let description = format!("{}.", titles.join(". "));
    response.description(description).content("application/problem+json", content.build()).build()
}

/// Returns a header's name in its usual spelling.
fn header_name(name: &str) -> String {
    let words = name.split('-').map(|word| match word {
        // `WWW-Authenticate`.
        "www" => "WWW".to_owned(),
        _ => word[..1].to_uppercase() + &word[1..],
    });
    words.collect::<Vec<_>>().join("-")
}

/// Returns the schema of a header with `value` as its example.
fn header_schema(value: &str, description: Option<&str>) -> Header {
    let number = value.parse::<u64>().ok();
    let kind = if number.is_some() { Type::Integer } else { Type::String };
    let example = number.map_or_else(|| json!(value), |number| json!(number));
    let schema = ObjectBuilder::new().schema_type(kind).examples([example]);
    HeaderBuilder::new().schema(Some(schema)).description(description).build()
}

/// Adds the middleware's headers: the request id, and the state of the buckets to responses after authentication.
fn add_headers(operation: &mut Operation, returns_limits: bool) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        add_request_id(response);
        let after_authentication =
            matches!(status.as_str(), "200" | "400" | "413" | "415" | "422" | "429");
        if returns_limits && after_authentication {
            let policy = r#""requests";q=1000000;w=10, "events";q=10000000;w=10"#;
            let description =
                "The tenant's token buckets: `q` tokens per `w` seconds. Missing without limits.";
            add_header(response, "RateLimit-Policy", policy, description);
            let level = r#""requests";r=999999;t=1, "events";r=9999950;t=1"#;
            let description = "Their state: `r` tokens remaining, full again in `t` seconds.";
            add_header(response, "RateLimit", level, description);
        }
    }
}

pub(super) fn add_request_id(response: &mut Response) {
    let description = "The id of the request: the client's own, if it is valid.";
    add_header(response, "X-Request-Id", REQUEST_ID, description);
}

fn add_header(response: &mut Response, name: &str, example: &str, description: &str) {
    let schema = header_schema(example, Some(description));
    response.headers.insert(name.to_owned(), schema.into());
}

/// Returns the name of a code's schema: `MalformedJsonProblem` for `malformed_json`.
fn schema_name(code: &str) -> String {
    let words = code.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect::<String>() + "Problem"
}

fn add_schemas(components: &mut Components, examples: &[Problem]) {
    let mut by_code: BTreeMap<String, Vec<ResponseParts<'_>>> = BTreeMap::new();
    for problem in examples {
        by_code.entry(problem.code()).or_default().push(problem.parts());
    }
    for (code, responses) in by_code {
        components.schemas.insert(schema_name(&code), schema(&code, &responses).into());
    }
    add_schema::<FieldError>(components);
    add_schema::<QueryError>(components);
    add_schema::<EventResult<'_>>(components);
}

/// Adds the schema of a type and of the types inside it.
fn add_schema<T: ToSchema>(components: &mut Components) {
    let mut used = Vec::new();
    T::schemas(&mut used);
    components.schemas.insert(T::name().into_owned(), T::schema());
    components.schemas.extend(used);
}

/// Returns the schema of a code from its examples. A member of every example is required.
fn schema(code: &str, examples: &[ResponseParts<'_>]) -> Schema {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let mut schema = ObjectBuilder::new();
    if let Some(parts) = examples.first() {
        let status = json!(parts.status.as_u16());
        // No title for the schema: generators would name its type by the title.
        schema = schema
            .property("type", constant(Type::String, json!(parts.type_reference())))
            .property("title", text().description(Some("The code in words.")))
            .property("status", constant(Type::Integer, status))
            .property("code", constant(Type::String, json!(code)))
            .property("detail", text().description(Some("This occurrence, for people.")))
            .property(
                "request_id",
                text().description(Some("The id of the request; the server's log contains it.")),
            );
    }
    for name in ["type", "title", "status", "code", "detail", "request_id"] {
        schema = schema.required(name);
    }
    let mut members: BTreeMap<&str, Vec<&MemberValue<'_>>> = BTreeMap::new();
    for member in examples.iter().flat_map(|parts| &parts.members) {
        members.entry(member.name).or_default().push(&member.value);
    }
    for (name, values) in members {
        schema = schema.property(name, member_schema(name, &values));
        if values.len() == examples.len() {
            schema = schema.required(name);
        }
    }
    schema.build().into()
}

/// Returns the schema of one value. Generators make a type of every `enum`, and a literal of a `const`.
fn constant(kind: Type, value: Value) -> ObjectBuilder {
    // utoipa lacks the keyword, and serialises extensions by their names.
    let keyword = Extensions::from_iter([("const", value)]);
    ObjectBuilder::new().schema_type(kind).extensions(Some(keyword))
}

/// Returns the schema of a member from its values in the examples.
fn member_schema(name: &str, values: &[&MemberValue<'_>]) -> RefOr<Schema> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    match values.first() {
        Some(MemberValue::Number(_)) => {
            let number = ObjectBuilder::new().minimum(Some(0));
            let nullable = values.iter().any(|value| matches!(value, MemberValue::Number(None)));
            if nullable {
                number.schema_type(SchemaType::from_iter([Type::Integer, Type::Null])).into()
            } else {
                number.schema_type(Type::Integer).into()
            }
        }
        Some(MemberValue::Texts(_)) => list(text().into()),
        Some(MemberValue::Query(_)) => list(Ref::from_schema_name(QueryError::name()).into()),
        // Serialised JSON has lost its type, so the member's name decides.
        Some(MemberValue::Json(_)) if name == "results" => {
            list(Ref::from_schema_name(EventResult::name()).into())
        }
        Some(MemberValue::Json(_)) => list(Ref::from_schema_name(FieldError::name()).into()),
        Some(MemberValue::Time(_)) => Ref::from_schema_name(Timestamp::name()).into(),
        Some(MemberValue::Text(_)) | None => text().into(),
    }
}

fn list(items: RefOr<Schema>) -> RefOr<Schema> {
    ArrayBuilder::new().items(items).into()
}
