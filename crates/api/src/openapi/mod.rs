//! The HTTP API as an OpenAPI 3.1 document, made from the code: operations stand at their handlers, schemas are derived from
//! the types that are read and written, and problems come from [`Problem::answer`](crate::problem::Problem::answer).
//!
//! Not here: the paths that serve it (`routes::docs`).

mod problem_examples;

mod problems;
mod schema_rules;
#[cfg(test)]
pub(crate) mod tests;
mod transfer;

use mercurio_domain::openapi::JsonValue;
use utoipa::openapi::RefOr;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::routes::{docs, health, limits, metrics, read, write};

use problems::Problems;
use schema_rules::Rules;
pub use schema_rules::SingleEvent;
use transfer::{Heads, PlainText};

const DESCRIPTION: &str = "\
Takes events singly or in batches and stores each of them durably, exactly once. **A 200 means stored.** After any other \
outcome the same events may be sent again: with the same values of `event_id` nothing is stored twice.

Times are RFC 3339 in UTC with microseconds. Ids of tenants and workspaces are strings. Every response carries \
`X-Request-Id`: yours, if you sent one of 1 to 128 characters of `A-Z a-z 0-9 . _ -`, else a new one. A `traceparent` (W3C \
Trace Context) is read for the log.

Errors are `application/problem+json` (RFC 9457); `code` is stable. Limits are the server's defaults here; a tenant's own are \
at `/v1/limits`.";

/// The document's outline; [`document`] has all of it.
#[derive(OpenApi)]
#[openapi(
    info(title = "Mercurio", license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")),
    servers((url = "/", description = "This server")),
    tags(
        (name = "Writing", description = "Needs a key with the scope `events:write`."),
        (name = "Reading", description = "Needs a key with the scope `events:read`."),
        (name = "Limits", description = "Any key will do."),
        (name = "Health", description = "For probes and operators. No key is needed."),
        (name = "Documentation", description = "This document. No key is needed."),
    ),
    paths(
        write::track, write::batch, read::event, read::events, limits::limits,
        health::health, health::live, health::ready, metrics::metrics, docs::openapi, docs::page, docs::file,
    ),
    components(schemas(JsonValue)),
    modifiers(&Keys, &Links, &Rules, &Problems, &PlainText, &Heads),
)]
struct Outline;

/// The whole document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Outline::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.info.description = Some(DESCRIPTION.to_owned());
    document
}

/// The ways to name an API key.
struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let http = |scheme, text: &str| {
            SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(text)).build())
        };
        components.add_security_scheme(
            "bearer",
            http(HttpAuthScheme::Bearer, "`Authorization: Bearer mk_…`"),
        );
        components.add_security_scheme(
            "basic",
            http(
                HttpAuthScheme::Basic,
                "The key as the user's name, without a password: `curl -u mk_…:`",
            ),
        );
        let value = |name: &str, text: &str| ApiKeyValue::with_description(name, text);
        let header = ApiKey::Header(value("X-API-Key", "The key as it is."));
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(header));
        let query = ApiKey::Query(value(
            "auth",
            "For a browser's `sendBeacon`, which can set no header. Never logged.",
        ));
        components.add_security_scheme("auth", SecurityScheme::ApiKey(query));
    }
}

/// How an event that was just stored is read back.
struct Links;

impl Modify for Links {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let places =
            [("/v1/events/track", "/event_id"), ("/v1/events/batch", "/results/0/event_id")];
        for (path, place) in places {
            let operation = document.paths.paths.get_mut(path).and_then(|item| item.post.as_mut());
            let response =
                operation.and_then(|operation| operation.responses.responses.get_mut("200"));
            if let Some(RefOr::T(response)) = response {
                let link = LinkBuilder::new()
                    .operation_id("event")
                    .parameter("event_id", format!("$response.body#{place}"))
                    .description("Reads the event back.");
                response.links.insert("event".to_owned(), link.build().into());
            }
        }
    }
}
