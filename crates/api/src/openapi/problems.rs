//! Which problems each operation may answer with: their schemas and examples, made from the problems themselves.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::StatusCode;
use mercurio_domain::{FieldError, Timestamp};
use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{
    ArrayBuilder, Components, ObjectBuilder, OneOfBuilder, Ref, Schema, SchemaType, Type,
};
use utoipa::openapi::{OpenApi, RefOr};
use utoipa::{Modify, ToSchema};

use crate::problem::{Answer, Member, Problem, QueryError};
use crate::routes::write::EventResult;

/// The id of a request in examples.
const REQUEST_ID: &str = "019aa8f0-3e80-7c31-9d3e-6f0d1f3b2a10";

/// Adds every problem to the operations that may answer with it, and the headers that the edge sets to every response.
pub(super) struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut OpenApi) {
        let catalogue = Problem::catalogue();
        let components = document.components.get_or_insert_default();
        add_schemas(components, &catalogue);
        for (path, item) in &mut document.paths.paths {
            for operation in operations(item) {
                let kind = Kind::of(path, operation);
                add_responses(
                    operation,
                    catalogue.iter().filter(|problem| kind.may_answer(problem)),
                );
                add_headers(operation, kind.tells_limits());
            }
        }
        // What no operation answers by itself: a path that is none, and what the framework may still come to.
        let elsewhere = catalogue
            .iter()
            .filter(|problem| matches!(problem, Problem::NotFound | Problem::Other(_)));
        for problem in elsewhere {
            components.responses.insert(problem.code(), response(&[problem]).into());
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post].into_iter().flatten()
}

/// What an operation is, as far as its problems go.
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

    fn tells_limits(&self) -> bool {
        self.has_body || self.path == "/v1/limits"
    }

    /// Whether an operation of this kind may answer with `problem`. Whoever adds a problem says so here.
    fn may_answer(&self, problem: &Problem) -> bool {
        match problem {
            Problem::BadRequest { .. }
            | Problem::MethodNotAllowed { .. }
            | Problem::RequestTimeout
            | Problem::RequestHeaderFieldsTooLarge
            | Problem::Internal => true,
            Problem::MalformedJson { .. }
            | Problem::InvalidSchemaVersion { .. }
            | Problem::PayloadTooLarge { .. }
            | Problem::UnsupportedMediaType { .. }
            | Problem::UnsupportedContentEncoding { .. }
            | Problem::InvalidEvent(_)
            | Problem::RateLimited { .. }
            | Problem::QuotaExceeded { .. } => self.has_body,
            Problem::BatchEmpty | Problem::BatchTooLarge { .. } => self.path == "/v1/events/batch",
            Problem::InvalidQuery { .. } => self.path == "/v1/events",
            Problem::NotFound => self.path.contains('{'),
            Problem::Unauthorized { .. } | Problem::TenantSuspended => self.has_key,
            Problem::InsufficientScope { .. } => self.has_key && self.path != "/v1/limits",
            Problem::Overloaded { .. } | Problem::StorageUnavailable { .. } => {
                self.has_key || self.path == "/health/ready"
            }
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
        responses.entry(status.as_str().to_owned()).or_insert_with(|| response(&problems).into());
    }
}

/// The response for problems of one status.
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
        let answer = problem.answer();
        let mut name = answer.code.to_string();
        for number in 2.. {
            if names.insert(name.clone()) {
                break;
            }
            name = format!("{}_{number}", answer.code);
        }
        let value = serde_json::from_str(&problem.to_json(REQUEST_ID)).unwrap_or(Value::Null);
        let example =
            ExampleBuilder::new().summary(answer.title.clone()).value(Some(value)).build();
        content = content.examples_from_iter([(name, example)]);
        for (name, value) in &answer.headers {
            response = response.header(header_name(name.as_str()), header(value, None));
        }
        if !titles.contains(&answer.title) {
            titles.push(answer.title);
        }
    }
    let description = format!("{}.", titles.join(". "));
    response.description(description).content("application/problem+json", content.build()).build()
}

/// A header's name as it is usually written.
fn header_name(name: &str) -> String {
    let words = name.split('-').map(|word| match word {
        "www" => "WWW".to_owned(),
        _ => word[..1].to_uppercase() + &word[1..],
    });
    words.collect::<Vec<_>>().join("-")
}

/// A header of which `value` is an example.
fn header(value: &str, description: Option<&str>) -> Header {
    let number = value.parse::<u64>().ok();
    let kind = if number.is_some() { Type::Integer } else { Type::String };
    let example = number.map_or_else(|| json!(value), |number| json!(number));
    let schema = ObjectBuilder::new().schema_type(kind).examples([example]);
    HeaderBuilder::new().schema(Some(schema)).description(description).build()
}

/// Adds what the edge gives every response: the request's id; and, once its tenant is known, what is left of its limits.
fn add_headers(operation: &mut Operation, tells_limits: bool) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        let mut add = |name: &str, value: &str, text: &str| {
            response.headers.insert(name.to_owned(), header(value, Some(text)).into());
        };
        add("X-Request-Id", REQUEST_ID, "The request's id: the client's, if it sent a sound one.");
        if tells_limits && matches!(status.as_str(), "200" | "400" | "413" | "415" | "422" | "429")
        {
            let policy = "The tenant's token buckets: `q` tokens in `w` seconds. Not there where nothing is limited.";
            add(
                "RateLimit-Policy",
                r#""requests";q=1000000;w=10, "events";q=10000000;w=10"#,
                policy,
            );
            let level = "What is left: `r` tokens, and full again in `t` seconds.";
            add("RateLimit", r#""requests";r=999999;t=1, "events";r=9999950;t=1"#, level);
        }
    }
}

/// `malformed_json` is described by `MalformedJsonProblem`.
fn schema_name(code: &str) -> String {
    let words = code.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect::<String>() + "Problem"
}

fn add_schemas(components: &mut Components, catalogue: &[Problem]) {
    let mut by_code: BTreeMap<String, Vec<Answer<'_>>> = BTreeMap::new();
    for problem in catalogue {
        by_code.entry(problem.code()).or_default().push(problem.answer());
    }
    for (code, answers) in by_code {
        components.schemas.insert(schema_name(&code), schema(&code, &answers).into());
    }
    let mut used = Vec::new();
    for (name, schema) in [
        (FieldError::name(), FieldError::schema_and(&mut used)),
        (QueryError::name(), QueryError::schema_and(&mut used)),
        (EventResult::name(), EventResult::schema_and(&mut used)),
    ] {
        components.schemas.insert(name.into_owned(), schema);
    }
    components.schemas.extend(used);
}

/// A schema, and those that it refers to.
trait SchemaAnd: ToSchema {
    fn schema_and(used: &mut Vec<(String, RefOr<Schema>)>) -> RefOr<Schema> {
        Self::schemas(used);
        Self::schema()
    }
}

impl<T: ToSchema> SchemaAnd for T {}

/// The schema of a code, from the answers with it: what each of them has is required.
fn schema(code: &str, answers: &[Answer<'_>]) -> Schema {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let mut schema = ObjectBuilder::new();
    if let Some(answer) = answers.first() {
        let fixed = |value: Value| {
            ObjectBuilder::new().schema_type(SchemaType::AnyValue).enum_values(Some([value]))
        };
        schema = schema
            .title(Some(answer.title.clone()))
            .property("type", fixed(json!(answer.type_url())))
            .property("title", fixed(json!(answer.title)))
            .property("status", fixed(json!(answer.status.as_u16())))
            .property("code", fixed(json!(code)))
            .property("detail", text().description(Some("What happened, for people.")))
            .property(
                "request_id",
                text().description(Some("The id under which the request is in the server's log.")),
            );
    }
    for name in ["type", "title", "status", "code", "detail", "request_id"] {
        schema = schema.required(name);
    }
    let members: BTreeSet<&str> =
        answers.iter().flat_map(|answer| &answer.members).map(|(name, _)| *name).collect();
    for name in members {
        let values: Vec<&Member<'_>> = answers
            .iter()
            .flat_map(|answer| &answer.members)
            .filter(|(other, _)| *other == name)
            .map(|(_, value)| value)
            .collect();
        schema = schema.property(name, member(name, &values));
        if values.len() == answers.len() {
            schema = schema.required(name);
        }
    }
    schema.build().into()
}

/// The schema of a member, from its values in the catalogue.
fn member(name: &str, values: &[&Member<'_>]) -> RefOr<Schema> {
    let list = |schema: RefOr<Schema>| ArrayBuilder::new().items(schema).into();
    let text = || ObjectBuilder::new().schema_type(Type::String);
    match values.first() {
        Some(Member::Number(_)) => {
            let number = ObjectBuilder::new().minimum(Some(0));
            let may_be_null = values.iter().any(|value| matches!(value, Member::Number(None)));
            if may_be_null {
                number.schema_type(SchemaType::from_iter([Type::Integer, Type::Null])).into()
            } else {
                number.schema_type(Type::Integer).into()
            }
        }
        Some(Member::Texts(_)) => list(text().into()),
        Some(Member::Query(_)) => list(Ref::from_schema_name(QueryError::name()).into()),
        Some(Member::Json(_)) if name == "results" => {
            list(Ref::from_schema_name(EventResult::name()).into())
        }
        Some(Member::Json(_)) => list(Ref::from_schema_name(FieldError::name()).into()),
        Some(Member::Time(_)) => Ref::from_schema_name(Timestamp::name()).into(),
        Some(Member::Text(_)) | None => text().into(),
    }
}
