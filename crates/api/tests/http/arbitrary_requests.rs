//! Random requests: every response is one of the contract.

use std::cell::RefCell;
use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::http::header::HeaderValue;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use mercurio_api::testing::{ApiRequest, ApiResponse, TestApp};

/// Pieces of texts: tokens that parsers look for, and others.
const PIECES: &[&str] = &[
    "",
    " ",
    "\t",
    "a",
    "é",
    "\u{FFFD}",
    "0",
    "1",
    "-1",
    // Over 64 bits.
    "99999999999999999999",
    ".",
    "..",
    "/",
    "%",
    "%2",
    "%2F",
    "%00",
    "%ff",
    "%C3%A9",
    "+",
    "&",
    "&&",
    "=",
    "==",
    ";",
    ",",
    ":",
    "\"",
    "\\",
    "limit=",
    "cursor=",
    "from=",
    "to=",
    "type=page",
    "event_name=",
    "user_id=u",
    "auth=",
    "2026-11-22T10:00:00Z",
    "0000-01-01T00:00:00Z",
    // A valid cursor.
    "AQAGRBzuHmAAAZqo8D6AfDGdPm8NHzsqEA",
    "Bearer ",
    "Basic ",
    // `mk_:` in Base64.
    "bWtfOg==",
    "mk_",
    "mk_a_b",
    "gzip",
    "br",
    "zstd",
    "deflate",
    "identity",
    "application/json",
    "charset=utf-8",
    "text/plain",
    "1.0.0",
    "1.0.0-rc.1+b",
    "for=",
    "for=192.0.2.1",
    "\"[2001:db8::1]:80\"",
    "unknown",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "{\"events\":[",
    "{\"batch\":[",
    "\"writeKey\":\"mk_a:b\"",
    "{\"type\":\"page\",\"userId\":\"u\"}",
    "]}",
    "{}",
    "{\"event_id\":\"a\",\"event_name\":\"n\",\"user_id\":\"u\"}",
];
const HEADERS: &[&str] = &[
    "authorization",
    "x-api-key",
    "x-write-key",
    "content-type",
    "content-encoding",
    "x-event-schema-version",
    "idempotency-key",
    "traceparent",
    "x-request-id",
    "forwarded",
    "x-forwarded-for",
    "user-agent",
    "origin",
    "access-control-request-method",
    "accept-encoding",
];
const ROUTES: &[(Method, &str)] = &[
    (Method::GET, "/v1/events"),
    (Method::GET, "/v1/events/a"),
    (Method::HEAD, "/v1/events/a"),
    (Method::POST, "/v1/events/track"),
    (Method::POST, "/v1/events/batch"),
    (Method::POST, "/v1/batch"),
    (Method::POST, "/v1/t/"),
    (Method::POST, "/api/s/s2s/page"),
    (Method::GET, "/v1/rejections"),
    (Method::GET, "/v1/rejections/summary"),
    (Method::GET, "/v1/limits"),
    (Method::GET, "/health"),
    (Method::GET, "/metrics"),
    (Method::OPTIONS, "/v1/events/batch"),
    (Method::PUT, "/docs"),
    (Method::GET, "/problems/not_found"),
];

#[derive(Debug, Clone)]
struct Request {
    method: Method,
    target: String,
    headers: Vec<(&'static str, String)>,
    with_key: bool,
    body: String,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(PIECES), 0..6).prop_map(|pieces| pieces.concat()),
        1 => ".{0,40}",
    ]
}

fn requests() -> impl Strategy<Value = Request> {
    let routes = prop::sample::select(ROUTES);
    let tail = prop_oneof![4 => Just(String::new()), 1 => text()];
    let headers = prop::collection::vec((prop::sample::select(HEADERS), text()), 0..3);
    let batch = text().prop_map(|piece| {
        format!("{{\"events\":[{{\"event_name\":\"n\",\"user_id\":\"u\"}},{piece}]}}")
    });
    let body = prop_oneof![batch, text()];
    // Most requests have a key, to get past authentication.
    (routes, tail, text(), headers, prop::bool::weighted(0.8), body).prop_map(
        |((method, path), tail, query, headers, with_key, body)| {
            let target = target(&format!("{path}{tail}?{query}"));
            Request { method, target, headers, with_key, body }
        },
    )
}

/// Removes the characters that a request line cannot contain.
fn target(text: &str) -> String {
    text.bytes()
        .filter(|byte| byte.is_ascii_graphic() && !br##""#<>\^`{|}"##.contains(byte))
        .map(char::from)
        .collect()
}

async fn send(test_app: &TestApp, request: &Request) -> ApiResponse {
    let app = test_app.app().await;
    let mut sent =
        ApiRequest::new(request.method.clone(), &request.target).body(request.body.clone());
    if request.with_key {
        sent = sent.header("authorization", format!("Bearer {}", test_app.key.expose()));
    }
    for (name, value) in request
        .headers
        .iter()
        .filter(|(_, value)| HeaderValue::from_bytes(value.as_bytes()).is_ok())
    {
        // In addition to the key: the first value counts.
        sent = sent.header_again(name, value.as_bytes());
    }
    sent.send(&app).await
}

fn check(request: &Request, response: &ApiResponse) {
    assert!(response.status < 500, "{response:?}");
    let id = response.header("x-request-id").expect("every response has an id");
    assert!((1..=128).contains(&id.len()));
    if response.status >= 400 {
        let code = response.json["code"].as_str().expect("an error has a code");
        response.is_problem(response.status, code);
        let text = String::from_utf8_lossy(&response.body);
        assert!(!text.contains("panicked"), "{text}");
    } else if response.status == 200 && request.method == Method::POST {
        assert!(request.with_key, "nothing is written without a key");
        assert!(response.json["request_id"] == id, "{response:?}");
    }
}

#[test]
fn any_request_gets_a_response_of_the_contract() {
    let test_app = TestApp::new();
    let system = actix_web::rt::System::new();
    let mut runner =
        // No file with failed cases: the panic shows the smallest one.
        TestRunner::new(Config { cases: 2000, failure_persistence: None, ..Config::default() });
    let statuses = RefCell::new(BTreeMap::<u16, usize>::new());
    let result = runner.run(&requests(), |request| {
        let response = system.block_on(send(&test_app, &request));
        check(&request, &response);
        *statuses.borrow_mut().entry(response.status).or_default() += 1;
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let statuses = statuses.into_inner();
    // Without these, the generator would miss whole layers.
    for status in [200, 400, 401, 404, 405] {
        assert!(statuses.contains_key(&status), "too few kinds of requests: {statuses:?}");
    }
}
