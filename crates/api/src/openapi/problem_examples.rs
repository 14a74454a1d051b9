//! Examples of problems for the OpenAPI document.

use crate::auth::NOT_USABLE;
use crate::body::{CODINGS, MEDIA_TYPES};
use crate::problem::{EventErrors, Problem, QueryError, ReadLimit, UnauthorizedReason};
use actix_web::http::StatusCode;
use mercurio_domain::Timestamp;
use mercurio_domain::limits::{Month, QuotaExceeded};
use mercurio_domain::verdict::{FieldError, FieldErrorCode};
use serde_json::json;

/// Returns an example of each variant, and of each set of members of a variant.
pub(super) fn problem_examples() -> Vec<Problem> {
    let message = "there is no parameter \"limt\"; did you mean \"limit\"?";
    let query_error = QueryError::new("limt", "unknown_parameter", message);
    let mut problems = vec![
        Problem::MalformedJson {
            line: 1,
            column: 15,
            detail: "The body is not JSON: expected `,` or `}` at line 1, column 15.".to_owned(),
        },
        Problem::MalformedEncoding {
            coding: "gzip",
            reason: "is damaged, truncated, or has trailing bytes".to_owned(),
        },
        Problem::BatchEmpty,
        Problem::BatchTooLarge { limit: 50, actual: 51 },
        Problem::InvalidSchemaVersion { actual: "v2".to_owned() },
        Problem::InvalidQuery { errors: vec![query_error] },
        Problem::InsufficientScope { required: "events:read" },
        Problem::OriginNotAllowed { origin: Some("https://other.example".to_owned()) },
        // Without the header, the member is missing too.
        Problem::OriginNotAllowed { origin: None },
        Problem::TenantSuspended,
        Problem::no_event(),
        Problem::MethodNotAllowed {
            allow: "GET, HEAD".to_owned(),
            detail: "This path supports only GET, HEAD, not PUT.".to_owned(),
        },
        Problem::RequestTimeout,
        Problem::PayloadTooLarge { limit: 262_144, actual: Some(300_123) },
        // A chunked body has no known size: the member is null.
        Problem::PayloadTooLarge { limit: 262_144, actual: None },
        Problem::UnsupportedMediaType {
            accepted: MEDIA_TYPES,
            detail: "The Content-Type text/xml is not supported; send application/json.".to_owned(),
        },
        Problem::UnsupportedContentEncoding {
            accepted: CODINGS,
            detail: "The body is compressed more than once; use one coding.".to_owned(),
        },
        Problem::RateLimited { bucket: "events", per_second: 1000, retry_after_seconds: 3 },
        Problem::TooManyReads { limit: ReadLimit::Concurrent(4), retry_after_seconds: 1 },
        Problem::Internal,
        Problem::Overloaded { retry_after_seconds: 1 },
        Problem::ShuttingDown { retry_after_seconds: 1 },
        Problem::StorageUnavailable { retry_after_seconds: 2 },
        Problem::QueryTimeout { limit_seconds: 10 },
        Problem::BadRequest { detail: "The request is not valid HTTP/1.1." },
        Problem::RequestHeaderFieldsTooLarge,
        Problem::Other(StatusCode::EXPECTATION_FAILED),
    ];
    problems.extend(unauthorized());
    // The 22nd of November 2026, 10:00.
    let month = Timestamp::from_micros(1_795_341_600_000_000).map(Month::of);
    problems.extend(month.map(|month| Problem::QuotaExceeded {
        exceeded: QuotaExceeded { limit: 1_000_000, used: 999_990, month },
        // 8 days and 14 hours, to the end of that month.
        retry_after_seconds: 741_600,
    }));
    problems.extend(event_errors().map(Problem::InvalidEvent));
    problems
}

/// Returns a refused key for each reason.
fn unauthorized() -> [Problem; 3] {
    [
        Problem::Unauthorized {
            reason: UnauthorizedReason::Missing,
            detail:
                "The request has no API key; send one in the header Authorization: Bearer <key>."
                    .into(),
        },
        Problem::Unauthorized {
            reason: UnauthorizedReason::Malformed,
            detail: "The API key in X-API-Key has 77 characters; a key has 78.".into(),
        },
        Problem::Unauthorized { reason: UnauthorizedReason::Invalid, detail: NOT_USABLE.into() },
    ]
}

/// Returns the errors of a single event and the results of a batch.
fn event_errors() -> impl Iterator<Item = EventErrors> {
    let detail = "The event is invalid; see errors.";
    let single = EventErrors::errors(&[missing_name("/event_name")], detail);
    let result = json!({
        "index": 0, "event_id": "a", "status": "rejected", "errors": [missing_name("/events/0/event_name")],
    });
    let batch = EventErrors::results(&[result]);
    debug_assert!(single.is_ok() && batch.is_ok(), "texts serialise");
    single.into_iter().chain(batch)
}

fn missing_name(pointer: &str) -> FieldError {
    let message = "event_name is required for an event of type track";
    FieldError::new(pointer, FieldErrorCode::Required, message)
}
