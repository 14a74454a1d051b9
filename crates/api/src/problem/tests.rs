//! Every problem, held against the contract's table.

use super::*;
use actix_web::ResponseError;
use actix_web::body::to_bytes;
use mercurio_observability::RequestContext;
use mercurio_observability::context::with_request;
use serde_json::{Value, json};
use slog::{Discard, Logger, o};

/// A problem, its status, its code, the members beside the standard ones, and its headers.
type Row = (Problem, u16, &'static str, Value, &'static [(&'static str, &'static str)]);

/// A row for every variant at least.
fn table() -> Vec<Row> {
    let json = |problem, status, code, members| (problem, status, code, members, &[][..]);
    let retry: &[_] = &[("retry-after", "7")];
    vec![
        json(
            Problem::MalformedJson { line: 2, column: 3, detail: "Expected a comma.".to_owned() },
            400,
            "malformed_json",
            json!({"line": 2, "column": 3}),
        ),
        json(Problem::BatchEmpty, 400, "batch_empty", json!({})),
        json(
            Problem::BatchTooLarge { limit: 50, actual: 51 },
            400,
            "batch_too_large",
            json!({"limit": 50, "actual": 51}),
        ),
        json(
            Problem::InvalidSchemaVersion { actual: "é".repeat(65) },
            400,
            "invalid_schema_version",
            json!({"actual": "é".repeat(64)}),
        ),
        json(
            Problem::InvalidQuery {
                errors: vec![QueryError::new("limt", "unknown_parameter", "no such parameter")],
            },
            400,
            "invalid_query",
            json!({"errors": [{"pointer": "/limt", "parameter": "limt", "code": "unknown_parameter", "message": "no such parameter"}]}),
        ),
        unauthorized(UnauthorizedReason::Missing, "missing"),
        unauthorized(UnauthorizedReason::Malformed, "malformed"),
        unauthorized(UnauthorizedReason::Invalid, "invalid"),
        json(
            Problem::InsufficientScope { required: "events:read" },
            403,
            "insufficient_scope",
            json!({"required": "events:read"}),
        ),
        json(Problem::TenantSuspended, 403, "tenant_suspended", json!({})),
        json(Problem::NotFound, 404, "not_found", json!({})),
        (
            Problem::MethodNotAllowed { allow: "GET, HEAD".to_owned() },
            405,
            "method_not_allowed",
            json!({}),
            &[("allow", "GET, HEAD")],
        ),
        json(Problem::RequestTimeout, 408, "request_timeout", json!({})),
        json(
            Problem::PayloadTooLarge { limit: 262_144, actual: Some(300_123) },
            413,
            "payload_too_large",
            json!({"limit": 262_144, "actual": 300_123}),
        ),
        json(
            Problem::PayloadTooLarge { limit: 10, actual: None },
            413,
            "payload_too_large",
            json!({"limit": 10, "actual": null}),
        ),
        (
            Problem::UnsupportedMediaType { accepted: &["application/json", "text/plain"] },
            415,
            "unsupported_media_type",
            json!({"accepted": ["application/json", "text/plain"]}),
            &[("accept", "application/json, text/plain")],
        ),
        (
            Problem::UnsupportedContentEncoding { accepted: &["gzip", "br"] },
            415,
            "unsupported_content_encoding",
            json!({"accepted": ["gzip", "br"]}),
            &[("accept-encoding", "gzip, br")],
        ),
        json(
            Problem::InvalidEvent(EventErrors::errors(&json!([{"pointer": "/a"}])).unwrap()),
            422,
            "invalid_event",
            json!({"errors": [{"pointer": "/a"}]}),
        ),
        json(
            Problem::InvalidEvent(EventErrors::results(&json!([{"index": 0}])).unwrap()),
            422,
            "invalid_event",
            json!({"results": [{"index": 0}]}),
        ),
        quota_exceeded(),
        (retrying(429), 429, "rate_limited", json!({"retry_after_seconds": 7}), retry),
        json(Problem::Internal, 500, "internal", json!({})),
        (retrying(503), 503, "overloaded", json!({"retry_after_seconds": 7}), retry),
        (
            Problem::StorageUnavailable { retry_after_seconds: 7 },
            503,
            "storage_unavailable",
            json!({"retry_after_seconds": 7}),
            retry,
        ),
        json(Problem::BadRequest { detail: "Not HTTP." }, 400, "bad_request", json!({})),
        json(
            Problem::RequestHeaderFieldsTooLarge,
            431,
            "request_header_fields_too_large",
            json!({}),
        ),
        json(Problem::Other(StatusCode::EXPECTATION_FAILED), 417, "expectation_failed", json!({})),
        json(Problem::Other(StatusCode::IM_A_TEAPOT), 418, "im_a_teapot", json!({})),
    ]
}

fn unauthorized(reason: UnauthorizedReason, text: &str) -> Row {
    let headers: &[_] = &[("www-authenticate", "Bearer realm=\"mercurio\"")];
    (Problem::Unauthorized { reason }, 401, "unauthorized", json!({"reason": text}), headers)
}

fn quota_exceeded() -> Row {
    let month =
        mercurio_domain::limits::Month::of(mercurio_domain::testing::at("2026-11-22T10:00:00Z"));
    let exceeded = QuotaExceeded { limit: 1000, used: 990, month };
    let members = json!({
        "limit": 1000, "actual": 990, "renews_at": "2026-12-01T00:00:00.000000Z", "retry_after_seconds": 7
    });
    let problem = Problem::QuotaExceeded { exceeded, retry_after_seconds: 7 };
    (problem, 429, "quota_exceeded", members, &[("retry-after", "7")])
}

fn retrying(status: u16) -> Problem {
    let retry_after_seconds = 7;
    if status == 429 {
        Problem::RateLimited { retry_after_seconds }
    } else {
        Problem::Overloaded { retry_after_seconds }
    }
}

/// The place of a variant. Whoever adds one adds it here, and then to the table.
fn place(problem: &Problem) -> usize {
    match problem {
        Problem::MalformedJson { .. } => 0,
        Problem::BatchEmpty => 1,
        Problem::BatchTooLarge { .. } => 2,
        Problem::InvalidSchemaVersion { .. } => 3,
        Problem::InvalidQuery { .. } => 4,
        Problem::Unauthorized { .. } => 5,
        Problem::InsufficientScope { .. } => 6,
        Problem::TenantSuspended => 7,
        Problem::NotFound => 8,
        Problem::MethodNotAllowed { .. } => 9,
        Problem::RequestTimeout => 10,
        Problem::PayloadTooLarge { .. } => 11,
        Problem::UnsupportedMediaType { .. } => 12,
        Problem::UnsupportedContentEncoding { .. } => 13,
        Problem::InvalidEvent(_) => 14,
        Problem::QuotaExceeded { .. } => 15,
        Problem::RateLimited { .. } => 16,
        Problem::Internal => 17,
        Problem::Overloaded { .. } => 18,
        Problem::StorageUnavailable { .. } => 19,
        Problem::BadRequest { .. } => 20,
        Problem::RequestHeaderFieldsTooLarge => 21,
        Problem::Other(_) => 22,
    }
}

#[test]
fn the_table_has_every_variant() {
    let mut places: Vec<usize> = table().iter().map(|(problem, ..)| place(problem)).collect();
    places.dedup();
    assert_eq!(places, (0..=22).collect::<Vec<_>>());
}

#[test]
fn every_problem_is_described_in_the_document_of_the_api_with_an_example() {
    for (problem, ..) in table() {
        crate::openapi::tests::check_described(&problem);
    }
}

#[actix_web::test]
async fn every_problem_is_the_json_and_the_headers_of_the_contract() {
    for (problem, status, code, members, headers) in table() {
        let response = problem.response("r-1");
        assert_eq!(response.status().as_u16(), status, "{code}");
        assert_eq!(problem.status_code().as_u16(), status, "{code}");
        assert_eq!(problem.code(), code);
        for (name, value) in headers.iter().chain(&[("content-type", "application/problem+json")]) {
            let actual = response.headers().get(*name).map(|value| value.to_str().unwrap());
            assert_eq!(actual, Some(*value), "{code}: {name}");
        }
        assert_eq!(response.headers().len(), headers.len() + 1, "{code}: {:?}", response.headers());

        let body: Value =
            serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
        let mut body = body.as_object().unwrap().clone();
        assert_eq!(
            body.remove("type"),
            Some(json!(format!("https://mercurio.dev/problems/{code}")))
        );
        assert_eq!(body.remove("code"), Some(json!(code)));
        assert_eq!(body.remove("status"), Some(json!(status)), "{code}");
        assert_eq!(body.remove("request_id"), Some(json!("r-1")), "{code}");
        for text in ["title", "detail"] {
            let text = body.remove(text);
            assert!(
                text.as_ref().and_then(Value::as_str).is_some_and(|text| text.len() > 3),
                "{code}: {text:?}"
            );
        }
        assert_eq!(Value::Object(body), members, "{code}");
    }
}

#[actix_web::test]
async fn the_response_to_an_error_carries_the_id_of_the_request_around_it() {
    let logger = Logger::root(Discard, o!());
    let work = async { Problem::NotFound.error_response() };
    let response = with_request(RequestContext::new("r-2", None), &logger, work).await;
    let body: Value =
        serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
    assert_eq!(body["request_id"], "r-2");
}

#[test]
fn an_answer_of_the_framework_becomes_the_problem_of_its_status() {
    let check = |status: u16, code: &str| {
        let status = StatusCode::from_u16(status).unwrap();
        let problem = Problem::from_framework(status, Some("GET"));
        assert_eq!((problem.status(), problem.code().as_str()), (status, code));
    };
    check(400, "bad_request");
    check(404, "not_found");
    check(405, "method_not_allowed");
    check(408, "request_timeout");
    check(413, "payload_too_large");
    check(415, "unsupported_media_type");
    check(417, "expectation_failed");
    check(431, "request_header_fields_too_large");
    check(500, "internal");
    check(503, "service_unavailable");
}
