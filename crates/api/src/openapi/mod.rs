//! The HTTP API as an OpenAPI 3.1 document, generated from the code.
//!
//! Operations come from the handlers, schemas from the types of requests and responses, problems from
//! [`Problem::parts`](crate::problem::Problem::parts). Not here: the routes that serve it (`routes::docs`).

mod foreign;
mod problem_examples;
mod problems;
mod schema_rules;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use utoipa::openapi::RefOr;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::routes::{
    docs, feed, health, limits, metrics, problems as problem_pages, read, rejections, write,
};

use foreign::ForeignPaths;
use problems::Problems;
use schema_rules::SchemaRules;

const DESCRIPTION: &str = "\
Accepts single events and batches, and stores each event durably and exactly once. **A 200 means stored.** After any other \
outcome, send the same events again: the same `event_id` is never stored twice.

Times are RFC 3339 in UTC with microseconds. Ids of tenants and workspaces are strings. Every response has an \
`X-Request-Id`: the request's own, if it has 1 to 128 characters of `A-Z a-z 0-9 . _ -`, otherwise a new one. The log \
contains the trace id of a valid `traceparent` (W3C Trace Context). `HEAD` works wherever `GET` does.

Errors are `application/problem+json` (RFC 9457). Their `code` is stable, and their `type` is a page at \
`/problems/{code}`. This document shows the server's default limits; `GET /v1/limits` returns those of a tenant.";

const BEARER: &str = "\
An API key: `Authorization: Bearer mk_…`. The server also takes it as the user name of basic authentication \
(`curl -u mk_…:`), in the header `X-API-Key`, and, for a browser's `sendBeacon`, as the query parameter `auth` of the two \
write operations.";

/// The derived part of the document. [`document`] completes it.
#[derive(OpenApi)]
#[openapi(
    info(title = "Mercurio", license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")),
    tags(
        (name = "Writing", description = "Needs a key with the scope `events:write`."),
        (name = "Reading", description = "Needs a key with the scope `events:read`."),
        (name = "Limits", description = "Works with any key."),
        (name = "Health", description = "For probes and operators. Needs no key. A server with a \
             management address serves `/health` and `/metrics` only there."),
        (name = "Clients of other services", description = "Needs a key with the scope `events:write`, also in the places where \
             those clients put it. `MERCURIO_PROTOCOLS` selects the protocols of a server."),
        (name = "Documentation", description = "This document and pages about problems. Needs no key."),
    ),
    paths(
        write::track, write::batch, read::event, read::events, feed::feed, rejections::rejections, rejections::summary, limits::limits,
        health::health, health::live, health::ready, metrics::metrics, docs::openapi, docs::page, docs::file,
        problem_pages::page,
    ),
    // In this order: the rules are for the schemas of problems too.
    modifiers(&Key, &Links, &Problems, &SchemaRules, &ForeignPaths),
)]
struct Outline;

/// Returns the whole document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Outline::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.info.description = Some(DESCRIPTION.to_owned());
    document
}

/// Returns the document as JSON. Generated once: it does not change while the process runs.
pub fn json() -> &'static str {
    static JSON: LazyLock<String> = LazyLock::new(|| {
        let json = document().to_json();
        debug_assert!(json.is_ok(), "a document of strings and numbers serialises");
        json.unwrap_or_default()
    });
    &JSON
}

/// Adds the way to send an API key. The others are text: generated clients ask for each scheme they find.
struct Key;

impl Modify for Key {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("mk_…")
            .description(Some(BEARER))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// Links the write operations to the read of the new event.
struct Links;

impl Modify for Links {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        link_to_event(document, "/v1/events/track", "/event_id");
        // A link names one event: the first of the batch.
        link_to_event(document, "/v1/events/batch", "/results/0/event_id");
    }
}

/// Links the response of `POST path` to its event, whose id is at `pointer`.
fn link_to_event(document: &mut utoipa::openapi::OpenApi, path: &str, pointer: &str) {
    let operation = document.paths.paths.get_mut(path).and_then(|item| item.post.as_mut());
    let response = operation.and_then(|operation| operation.responses.responses.get_mut("200"));
    if let Some(RefOr::T(response)) = response {
        let link = LinkBuilder::new()
            .operation_id("getEvent")
            .parameter("event_id", format!("$response.body#{pointer}"))
            .description("Reads the event back.");
        response.links.insert("getEvent".to_owned(), link.build().into());
    }
}
