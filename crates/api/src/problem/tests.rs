//! Every problem, compared with the table in `docs/API.md`.

use super::*;
use actix_web::ResponseError;
use actix_web::body::to_bytes;
use actix_web::http::StatusCode;
use mercurio_domain::limits::Month;
use mercurio_domain::limits::QuotaExceeded;
use mercurio_domain::testing::at;
use mercurio_observability::RequestContext;
use mercurio_observability::context::with_request;
use serde_json::{Value, json};
use slog::{Discard, Logger, o};

/// A problem, and its response without `detail`, `title` and `request_id`.
pub(crate) struct Case {
    pub(crate) problem: Problem,
    status: u16,
    code: &'static str,
    /// The additional members.
    members: Value,
    /// The headers in addition to `Content-Type`: name and value.
    headers: Vec<[&'static str; 2]>,
}

impl Case {
    fn new(status: u16, code: &'static str, problem: Problem) -> Self {
        Self { problem, status, code, members: json!({}), headers: Vec::new() }
    }

    fn members(self, members: Value) -> Self {
        Self { members, ..self }
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push([name, value]);
        self
    }

    fn retry_after_7(self) -> Self {
        self.members(json!({"retry_after_seconds": 7})).header("retry-after", "7")
    }
}

/// At least one case for each variant.
pub(crate) fn cases() -> Vec<Case> {
    let retry_after_seconds = 7;
    let mut cases = vec![
        Case::new(
            400,
            "malformed_json",
            Problem::MalformedJson { line: 2, column: 3, detail: "Expected a comma.".to_owned() },
        )
        .members(json!({"line": 2, "column": 3})),
        Case::new(
            400,
            "malformed_encoding",
            Problem::MalformedEncoding { coding: "gzip", reason: "is damaged".to_owned() },
        ),
        Case::new(400, "batch_empty", Problem::BatchEmpty),
        Case::new(400, "batch_too_large", Problem::BatchTooLarge { limit: 50, actual: 51 })
            .members(json!({"limit": 50, "actual": 51})),
        Case::new(
            400,
            "invalid_schema_version",
            // Two bytes each: the cut counts characters.
            Problem::InvalidSchemaVersion { actual: "é".repeat(65) },
        )
        .members(json!({"actual": "é".repeat(64)})),
        Case::new(
            400,
            "invalid_query",
            Problem::InvalidQuery {
                errors: vec![QueryError::new("limt", "unknown_parameter", "there is no parameter")],
            },
        )
        .members(json!({"errors": [{
            "pointer": "/limt", "parameter": "limt", "code": "unknown_parameter", "message": "there is no parameter",
        }]})),
        Case::new(400, "bad_request", Problem::BadRequest { detail: "Not HTTP." }),
        unauthorized(UnauthorizedReason::Missing, "missing"),
        unauthorized(UnauthorizedReason::Malformed, "malformed"),
        unauthorized(UnauthorizedReason::Invalid, "invalid"),
        Case::new(
            403,
            "insufficient_scope",
            Problem::InsufficientScope { required: "events:read" },
        )
        .members(json!({"required": "events:read"})),
        Case::new(403, "origin_not_allowed", Problem::OriginNotAllowed { origin: None }),
        Case::new(
            403,
            "origin_not_allowed",
            Problem::OriginNotAllowed { origin: Some("x".repeat(65)) },
        )
        .members(json!({"origin": "x".repeat(64)})),
        Case::new(403, "tenant_suspended", Problem::TenantSuspended),
        Case::new(404, "not_found", Problem::no_path()),
        Case::new(
            405,
            "method_not_allowed",
            Problem::MethodNotAllowed { allow: "GET, HEAD".to_owned(), detail: "Use GET.".to_owned() },
        )
        .header("allow", "GET, HEAD"),
        Case::new(408, "request_timeout", Problem::RequestTimeout),
        Case::new(
            413,
            "payload_too_large",
            Problem::PayloadTooLarge { limit: 262_144, actual: Some(300_123) },
        )
        .members(json!({"limit": 262_144, "actual": 300_123})),
        Case::new(
            413,
            "payload_too_large",
            Problem::PayloadTooLarge { limit: 10, actual: None },
        )
        .members(json!({"limit": 10, "actual": null})),
        Case::new(
            415,
            "unsupported_media_type",
            Problem::UnsupportedMediaType {
                accepted: &["application/json", "text/plain"],
                detail: "Send JSON.".to_owned(),
            },
        )
        .members(json!({"accepted": ["application/json", "text/plain"]}))
        .header("accept", "application/json, text/plain"),
        Case::new(
            415,
            "unsupported_content_encoding",
            Problem::UnsupportedContentEncoding {
                accepted: &["gzip", "br"],
                detail: "Send gzip.".to_owned(),
            },
        )
        .members(json!({"accepted": ["gzip", "br"]}))
        .header("accept-encoding", "gzip, br"),
        Case::new(
            422,
            "invalid_event",
            Problem::InvalidEvent(
                EventErrors::errors(&json!([{"pointer": "/a"}]), "Invalid.").unwrap(),
            ),
        )
        .members(json!({"errors": [{"pointer": "/a"}]})),
        Case::new(
            422,
            "invalid_event",
            Problem::InvalidEvent(EventErrors::results(&json!([{"index": 0}])).unwrap()),
        )
        .members(json!({"results": [{"index": 0}]})),
    ];
    cases.extend([
        quota_exceeded(),
        Case::new(
            429,
            "rate_limited",
            Problem::RateLimited { bucket: "events", per_second: 100, retry_after_seconds },
        )
        .retry_after_7(),
        Case::new(
            429,
            "too_many_reads",
            Problem::TooManyReads { limit: ReadLimit::Concurrent(4), retry_after_seconds },
        )
        .retry_after_7(),
        Case::new(
            429,
            "too_many_reads",
            Problem::TooManyReads { limit: ReadLimit::PerSecond(20), retry_after_seconds },
        )
        .retry_after_7(),
        Case::new(431, "request_header_fields_too_large", Problem::RequestHeaderFieldsTooLarge),
        Case::new(500, "internal", Problem::Internal),
        Case::new(503, "overloaded", Problem::Overloaded { retry_after_seconds }).retry_after_7(),
        Case::new(503, "shutting_down", Problem::ShuttingDown { retry_after_seconds })
            .retry_after_7(),
        Case::new(503, "storage_unavailable", Problem::StorageUnavailable { retry_after_seconds })
            .retry_after_7(),
        Case::new(504, "query_timeout", Problem::QueryTimeout { limit_seconds: 10 }),
        Case::new(417, "expectation_failed", Problem::Other(StatusCode::EXPECTATION_FAILED)),
        Case::new(418, "im_a_teapot", Problem::Other(StatusCode::IM_A_TEAPOT)),
    ]);
    cases
}

fn unauthorized(reason: UnauthorizedReason, text: &str) -> Case {
    Case::new(401, "unauthorized", Problem::Unauthorized { reason, detail: "No key.".into() })
        .members(json!({"reason": text}))
        .header("www-authenticate", "Bearer realm=\"mercurio\"")
}

fn quota_exceeded() -> Case {
    let month = Month::of(at("2026-11-22T10:00:00Z"));
    let exceeded = QuotaExceeded { limit: 1000, used: 990, month };
    Case::new(
        429,
        "quota_exceeded",
        Problem::QuotaExceeded { exceeded, retry_after_seconds: 7 },
    )
    .members(json!({
        "limit": 1000, "actual": 990, "renews_at": "2026-12-01T00:00:00.000000Z", "retry_after_seconds": 7,
    }))
    .header("retry-after", "7")
}

/// Returns the number of the variant. A new variant is added here, and then to [`cases`].
fn number(problem: &Problem) -> usize {
    match problem {
        Problem::MalformedJson { .. } => 0,
        Problem::MalformedEncoding { .. } => 1,
        Problem::BatchEmpty => 2,
        Problem::BatchTooLarge { .. } => 3,
        Problem::InvalidSchemaVersion { .. } => 4,
        Problem::InvalidQuery { .. } => 5,
        Problem::BadRequest { .. } => 6,
        Problem::Unauthorized { .. } => 7,
        Problem::InsufficientScope { .. } => 8,
        Problem::OriginNotAllowed { .. } => 9,
        Problem::TenantSuspended => 10,
        Problem::NotFound { .. } => 11,
        Problem::MethodNotAllowed { .. } => 12,
        Problem::RequestTimeout => 13,
        Problem::PayloadTooLarge { .. } => 14,
        Problem::UnsupportedMediaType { .. } => 15,
        Problem::UnsupportedContentEncoding { .. } => 16,
        Problem::InvalidEvent(_) => 17,
        Problem::QuotaExceeded { .. } => 18,
        Problem::RateLimited { .. } => 19,
        Problem::TooManyReads { .. } => 20,
        Problem::RequestHeaderFieldsTooLarge => 21,
        Problem::Internal => 22,
        Problem::Overloaded { .. } => 23,
        Problem::ShuttingDown { .. } => 24,
        Problem::StorageUnavailable { .. } => 25,
        Problem::QueryTimeout { .. } => 26,
        Problem::Other(_) => 27,
    }
}

#[test]
fn cases_cover_every_variant() {
    let mut numbers: Vec<usize> = cases().iter().map(|case| number(&case.problem)).collect();
    // Cases of one variant are adjacent.
    numbers.dedup();
    assert_eq!(numbers, (0..=27).collect::<Vec<_>>());
}

#[test]
fn codes_are_those_of_the_variants() {
    let mut codes: Vec<&str> = cases()
        .iter()
        .filter(|case| !matches!(case.problem, Problem::Other(_)))
        .map(|case| case.code)
        .collect();
    codes.dedup();
    assert_eq!(codes, ProblemCode::ALL.map(ProblemCode::as_str));
    for code in ProblemCode::ALL {
        assert_eq!(ProblemCode::parse(code.as_str()), Some(code));
    }
    assert_eq!(ProblemCode::parse("expectation_failed"), None);
}

#[actix_web::test]
async fn problem_has_the_json_and_headers_of_the_contract() {
    for Case { problem, status, code, members, headers } in cases() {
        let response = problem.response("r-1");
        assert_eq!(response.status().as_u16(), status, "{code}");
        assert_eq!(problem.status_code().as_u16(), status, "{code}");
        assert_eq!(problem.code(), code);
        for [name, value] in headers.iter().chain(&[["content-type", "application/problem+json"]]) {
            let actual = response.headers().get(*name).map(|value| value.to_str().unwrap());
            assert_eq!(actual, Some(*value), "{code}: {name}");
        }
        assert_eq!(response.headers().len(), headers.len() + 1, "{code}: {:?}", response.headers());

        let body: Value =
            serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
        let mut body = body.as_object().unwrap().clone();
        assert_eq!(body.remove("type"), Some(json!(format!("/problems/{code}"))));
        assert_eq!(body.remove("code"), Some(json!(code)));
        assert_eq!(body.remove("status"), Some(json!(status)), "{code}");
        assert_eq!(body.remove("request_id"), Some(json!("r-1")), "{code}");
        for name in ["title", "detail"] {
            let text = body.remove(name).unwrap();
            assert!(text.as_str().unwrap().len() > 3, "{code}: {name}");
        }
        assert_eq!(Value::Object(body), members, "{code}");
    }
}

#[test]
fn page_of_a_problem_shows_its_title_and_status() {
    for Case { problem, status, code, .. } in cases() {
        let page = problem_page(code, Some("../docs")).unwrap();
        assert!(page.starts_with("<!doctype html>\n"), "{page}");
        for expected in [
            format!("<h1>{}</h1>", problem.parts().title),
            format!("<code>{code}</code>, HTTP status {status}<"),
            "<a href=\"../docs\">".to_owned(),
        ] {
            assert!(page.contains(&expected), "{expected}: {page}");
        }
    }
}

#[actix_web::test]
async fn response_has_the_id_of_the_current_request() {
    let logger = Logger::root(Discard, o!());
    let work = async { Problem::no_path().error_response() };
    let response = with_request(RequestContext::new("r-2", None), &logger, work).await;
    let body: Value =
        serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
    assert_eq!(body["request_id"], "r-2");
}

#[test]
fn framework_error_becomes_the_problem_of_its_status() {
    for (status, code) in [
        (400, "bad_request"),
        (404, "not_found"),
        (405, "method_not_allowed"),
        (408, "request_timeout"),
        (413, "payload_too_large"),
        (415, "unsupported_media_type"),
        (417, "expectation_failed"),
        (431, "request_header_fields_too_large"),
        (500, "internal"),
        (503, "service_unavailable"),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let problem = Problem::from_framework(status, Some("GET"));
        assert_eq!((problem.status(), problem.code().as_str()), (status, code));
    }
}
