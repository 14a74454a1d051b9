//! CloudEvents over HTTP and OpenMeter's clients: modes, ids, answers, and requests that no client
//! should send.

use actix_web::http::Method;
use mercurio_api::testing::{ApiRequest, ApiResponse, NOW, TestApp};
use mercurio_protocols::{ProtocolOptions, Protocols};
use serde_json::{Value, json};

const CLOUDEVENTS: &str = "/v1/cloudevents";
const OPENMETER: &str = "/api/v1/events";

/// The attributes that each event needs, in binary mode.
const REQUIRED: [(&str, &str); 4] =
    [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/shop"), ("ce-type", "order")];

fn event(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/shop", "type": "order", "subject": "u-42",
           "time": NOW, "data": {"price": 9.5}})
}

fn batch(count: usize) -> String {
    let events: Vec<_> = (0..count).map(|index| event(&index.to_string())).collect();
    json!(events).to_string()
}

fn post(test_app: &TestApp, path: &str) -> ApiRequest {
    let bearer = format!("Bearer {}", test_app.key.expose());
    ApiRequest::new(Method::POST, path).header("authorization", bearer)
}

/// Sends an event or a batch as structured.
async fn send(test_app: &TestApp, path: &str, body: impl Into<Vec<u8>>) -> ApiResponse {
    let request = post(test_app, path).header("content-type", "application/cloudevents+json");
    test_app.call(request.body(body)).await
}

/// Sends an event in binary mode, with further headers.
async fn send_binary(
    test_app: &TestApp,
    headers: &[(&str, &[u8])],
    body: impl Into<Vec<u8>>,
) -> ApiResponse {
    let mut request = post(test_app, CLOUDEVENTS);
    for (name, value) in REQUIRED {
        if !headers.iter().any(|(given, _)| *given == name) {
            request = request.header(name, value);
        }
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    test_app.call(request.body(body)).await
}

/// Returns the stored event of the only result.
#[track_caller]
fn only_id(response: &ApiResponse) -> String {
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.json["total"], 1);
    response.json["results"][0]["event_id"].as_str().unwrap().to_owned()
}

async fn stored(test_app: &TestApp, id: &str) -> Value {
    let response = test_app.call(test_app.get(&format!("/v1/events/{id}"))).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.json
}

/// Asserts that an error has the members that clients look for: the client for JavaScript shows no
/// status but that of the body.
#[track_caller]
fn is_foreign_problem(response: &ApiResponse, status: u16, code: &str) {
    response.is_problem(status, code);
    assert_eq!(response.json["status"], status);
    for member in ["message", "error"] {
        assert_eq!(response.json[member], response.json["detail"], "{member}");
    }
}

#[actix_web::test]
async fn event_is_the_same_in_every_mode_and_protocol() {
    let test_app = TestApp::new();
    let batch_type = "application/cloudevents-batch+json";
    let structured = event("1").to_string();
    let first = send(&test_app, CLOUDEVENTS, structured.clone()).await;
    assert_eq!(first.statuses(), ["accepted"]);
    for (path, content_type, body) in [
        ("/v1/cloudevents/", "application/cloudevents+json; charset=utf-8", structured.clone()),
        (CLOUDEVENTS, "application/json", structured.clone()),
        (CLOUDEVENTS, "text/plain", structured.clone()),
        (CLOUDEVENTS, batch_type, format!("[{structured}]")),
        (CLOUDEVENTS, "application/json", format!("[{structured}]")),
        // Each under the type of the other.
        (CLOUDEVENTS, batch_type, structured.clone()),
        (CLOUDEVENTS, "application/cloudevents+json", format!("[{structured}]")),
    ] {
        let request = post(&test_app, path).header("content-type", content_type);
        let response = test_app.call(request.body(body)).await;
        assert_eq!((response.status, response.statuses()), (200, vec!["duplicate"]), "{path}");
        assert_eq!(only_id(&response), only_id(&first));
    }
    let response = test_app.call(post(&test_app, CLOUDEVENTS).body(structured.clone())).await;
    assert_eq!(response.statuses(), ["duplicate"]);
    let response = send_binary(&test_app, &[("ce-subject", b"u-42")], "{\"price\":9.5}").await;
    assert_eq!((response.statuses(), only_id(&response)), (vec!["duplicate"], only_id(&first)));
    for body in [structured.clone(), format!("[{structured}]")] {
        assert_eq!(send(&test_app, OPENMETER, body).await.status, 204);
    }
    assert_eq!(test_app.store.event_count(), 1);
    let event = stored(&test_app, &only_id(&first)).await;
    assert_eq!(
        (&event["event_name"], &event["user_id"], &event["properties"], &event["context"]),
        (
            &json!("order"),
            &json!("u-42"),
            &json!({"price": 9.5}),
            &json!({"cloudevents": {"id": "1", "source": "/shop"}})
        )
    );
}

#[actix_web::test]
async fn binary_mode_takes_headers_and_data_of_all_clients() {
    let test_app = TestApp::new();
    for (id, headers, body, user, properties) in [
        (
            "a",
            &[
                ("ce-subject", &b"Gr%C3%BC%C3%9Fe%20%F0%9F%98%80"[..]),
                ("content-type", b"application/json"),
            ][..],
            &b"{\"p\":1}"[..],
            json!("Gr\u{fc}\u{df}e \u{1f600}"),
            json!({"p": 1}),
        ),
        // Node writes Latin-1.
        (
            "b",
            &[
                ("ce-subject", b"Gr\xfc\xdfe 50%"),
                ("content-type", b"application/json; charset=utf-8"),
            ],
            b"hello",
            json!("Gr\u{fc}\u{df}e 50%"),
            json!({"data": "hello"}),
        ),
        ("c", &[], b"{\"p\":1}", Value::Null, json!({"p": 1})),
        ("d", &[], b"", Value::Null, Value::Null),
        (
            "e",
            &[("content-type", b"application/octet-stream")],
            b"\x00\xff\x01",
            Value::Null,
            json!({"data_base64": "AP8B"}),
        ),
        // Data that begins as gzip, zlib and zstd do is no coding of the body.
        (
            "f",
            &[("content-type", b"application/gzip")],
            b"\x1f\x8b\x08",
            Value::Null,
            json!({"data_base64": "H4sI"}),
        ),
        ("g", &[("content-type", b"text/plain")], b"x^2", Value::Null, json!({"data": "x^2"})),
        (
            "h",
            &[("content-type", b"text/plain"), ("content-encoding", b"deflate")],
            b"\x78\x9c\xab\xae\x05\x00\x01\x75\x00\xf9",
            Value::Null,
            json!({"data": "{}"}),
        ),
    ] {
        let headers = [headers, &[("ce-id", id.as_bytes()), ("ce-region", b"eu%20west")]].concat();
        let response = send_binary(&test_app, &headers, body).await;
        let event = stored(&test_app, &only_id(&response)).await;
        let anonymous = if user.is_null() { json!("/shop") } else { Value::Null };
        assert_eq!((&event["user_id"], &event["anonymous_id"]), (&user, &anonymous), "{id}");
        assert_eq!(event["properties"], properties, "{id}");
        assert_eq!(event["context"]["cloudevents"]["region"], "eu west");
    }
}

#[actix_web::test]
async fn bad_event_of_a_batch_is_rejected_alone() {
    let test_app = TestApp::new();
    let body = json!([event("a"), {"id": "b"}, event("c"), 7, event("a")]).to_string();
    let response = send(&test_app, CLOUDEVENTS, body.clone()).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.statuses(), ["accepted", "rejected", "accepted", "rejected", "duplicate"]);
    assert_eq!((&response.json["success"], &response.json["rejected"]), (&json!(true), &json!(2)));
    let required = ["/1/specversion", "/1/source", "/1/type"].map(|pointer| (pointer, "required"));
    assert_eq!(response.event_errors(1), required);
    assert_eq!(response.event_errors(3)[0], ("/3", "wrong_type"));
    assert_eq!(test_app.store.event_count(), 2);
    // Its client takes another status for a failure of the whole batch.
    let response = send(&test_app, OPENMETER, body).await;
    assert_eq!((response.status, &*response.body), (204, &b""[..]));
    assert_eq!(response.header("content-type"), None);
    for path in [CLOUDEVENTS, OPENMETER] {
        let response = send(&test_app, path, r#"[{"id":"a"},{"id":"b"}]"#).await;
        is_foreign_problem(&response, 422, "invalid_event");
    }
    assert_eq!(test_app.store.event_count(), 2);
}

#[actix_web::test]
async fn bad_values_are_rejected_with_their_pointers() {
    let test_app = TestApp::new();
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    let long = "x".repeat(300);
    for (members, pointer, code) in [
        ("\"specversion\":\"0.3\"".to_owned(), "/specversion", "invalid_value"),
        ("\"id\":\"\"".to_owned(), "/id", "required"),
        ("\"id\":null".to_owned(), "/id", "required"),
        ("\"id\":[1]".to_owned(), "/id", "wrong_type"),
        ("\"source\":\"\"".to_owned(), "/source", "required"),
        ("\"type\":null".to_owned(), "/type", "required"),
        (format!("\"type\":\"{long}\""), "/type", "too_long"),
        (format!("\"subject\":\"{long}\""), "/subject", "too_long"),
        (format!("\"subject\":null,\"source\":\"{long}\""), "/source", "too_long"),
        ("\"time\":1795849839".to_owned(), "/time", "wrong_type"),
        ("\"time\":1795849839396".to_owned(), "/time", "wrong_type"),
        ("\"time\":\"yesterday\"".to_owned(), "/time", "invalid_timestamp"),
        ("\"time\":\"1970-01-01T00:00:00Z\"".to_owned(), "/time", "timestamp_too_old"),
        ("\"time\":\"2100-01-01T00:00:00Z\"".to_owned(), "/time", "timestamp_in_future"),
        (format!("\"data\":{{\"a\":{deep}}}"), DATA_AT_THE_LIMIT, "too_deep"),
        ("\"data\":{\"a\":\"\\u0000\"}".to_owned(), "/data/a", "nul_character"),
        (format!("\"data\":{{\"a\":\"{}\"}}", "x".repeat(1 << 20)), "", "event_too_large"),
    ] {
        let bad = with(&members);
        let response = send(&test_app, CLOUDEVENTS, format!("[{},{bad}]", event("good"))).await;
        assert_eq!(response.status, 200, "{members:.80}: {response:?}");
        assert_eq!(response.event_errors(1), [(&*format!("/1{pointer}"), code)], "{members:.80}");
        let alone = send(&test_app, CLOUDEVENTS, bad).await;
        is_foreign_problem(&alone, 422, "invalid_event");
        assert_eq!(alone.errors(), [(pointer, code)], "{members:.80}");
    }
    assert_eq!(test_app.store.event_count(), 1);
    for (members, pointer, code) in [
        ("\"subject\":null", "/subject", "required"),
        ("\"data\":\"x\"", "/data", "wrong_type"),
        ("\"data\":[1]", "/data", "wrong_type"),
    ] {
        let response = send(&test_app, OPENMETER, with(members)).await;
        is_foreign_problem(&response, 422, "invalid_event");
        assert_eq!(response.errors(), [(pointer, code)]);
    }
    // The id is a part of the event's, and may be of any length.
    for members in
        [format!("\"id\":\"{long}\""), format!("\"source\":\"{long}\""), "\"id\":7".into()]
    {
        let response = send(&test_app, CLOUDEVENTS, with(&members)).await;
        assert_eq!(response.statuses(), ["accepted"], "{response:?}");
    }
}

/// 32 levels are allowed, and `data` is the first.
const DATA_AT_THE_LIMIT: &str =
    "/data/a/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0";

/// Returns a valid event with members in place of its own.
fn with(members: &str) -> String {
    let mut event = event("bad");
    let given: Value = serde_json::from_str(&format!("{{{members}}}")).unwrap();
    for (name, value) in given.as_object().unwrap() {
        event[name] = value.clone();
    }
    event.to_string()
}

#[actix_web::test]
async fn bad_header_is_named_in_the_error() {
    let test_app = TestApp::new();
    for (header, value, code) in [
        ("ce-specversion", &b"0.3"[..], "invalid_value"),
        ("ce-id", b"", "required"),
        ("ce-type", b"", "required"),
        ("ce-time", b"yesterday", "invalid_timestamp"),
        ("ce-subject", b"%C0%A0", "invalid_value"),
        ("ce-x", b"%00", "nul_character"),
        ("ce-data", b"1", "unknown_field"),
    ] {
        let response = send_binary(&test_app, &[(header, value)], "{}").await;
        is_foreign_problem(&response, 422, "invalid_event");
        assert_eq!(response.errors(), [(&*format!("/{header}"), code)]);
    }
    let request = post(&test_app, CLOUDEVENTS).header("ce-id", "1").body("{}");
    let response = test_app.call(request).await;
    let required =
        ["/ce-specversion", "/ce-source", "/ce-type"].map(|pointer| (pointer, "required"));
    assert_eq!(response.errors(), required);
    let repeated = post(&test_app, CLOUDEVENTS).header("ce-id", "1").header_again("ce-id", "2");
    let response = test_app.call(repeated.body("{}")).await;
    assert_eq!(response.errors(), [("/ce-id", "duplicate_field")]);
    let broken = send_binary(&test_app, &[], "{\"a\":").await;
    is_foreign_problem(&broken, 400, "malformed_json");
    let large = send_binary(&test_app, &[], format!("\"{}\"", "x".repeat(1 << 20))).await;
    is_foreign_problem(&large, 422, "invalid_event");
    assert_eq!(large.errors(), [("", "event_too_large")]);
    assert_eq!(test_app.store.event_count(), 0);
}

#[actix_web::test]
async fn request_without_a_usable_event_is_a_problem() {
    let test_app = TestApp::new();
    for path in [CLOUDEVENTS, OPENMETER] {
        for (body, status, code) in [
            (&b""[..], 400, "malformed_json"),
            (b"hello", 400, "malformed_json"),
            (b"{", 400, "malformed_json"),
            (b"[{}", 400, "malformed_json"),
            (b"[]", 400, "batch_empty"),
            (b"{}", 422, "invalid_event"),
            (b"[7]", 422, "invalid_event"),
            (b"7", 422, "invalid_event"),
            (b"\"x\"", 422, "invalid_event"),
            (b"\x1f\x8bno gzip", 400, "malformed_encoding"),
        ] {
            is_foreign_problem(&send(&test_app, path, body).await, status, code);
        }
        let too_many = send(&test_app, path, batch(1_001)).await;
        is_foreign_problem(&too_many, 400, "batch_too_large");
    }
    assert_eq!(test_app.store.event_count(), 0);
    let all = send(&test_app, CLOUDEVENTS, batch(1_000)).await;
    assert_eq!((all.status, &all.json["accepted"]), (200, &json!(1_000)));
    let again = send(&test_app, CLOUDEVENTS, batch(1_000)).await;
    assert_eq!((again.status, &again.json["duplicates"]), (200, &json!(1_000)));
    assert_eq!(send(&test_app, OPENMETER, batch(1_000)).await.status, 204);
    assert_eq!(test_app.store.event_count(), 1_000);
}

#[actix_web::test]
async fn key_is_in_a_header() {
    let test_app = TestApp::new();
    let key = test_app.key.expose();
    let reader = format!("Bearer {}", test_app.key_with("events:read", 9).expose());
    for (path, status) in [(CLOUDEVENTS, 200), (OPENMETER, 204)] {
        for (name, value) in
            [("authorization", format!("Bearer {key}")), ("x-api-key", key.to_owned())]
        {
            let request = ApiRequest::new(Method::POST, path).header(name, value);
            let response = test_app.call(request.body(event("a").to_string())).await;
            assert_eq!(response.status, status, "{response:?}");
        }
        let wrong = format!("Bearer {}2222", &key[..key.len() - 4]);
        for (value, reason) in
            [("", "missing"), ("Bearer mk_wrong", "malformed"), (&wrong, "malformed")]
        {
            let mut request = ApiRequest::new(Method::POST, path);
            if !value.is_empty() {
                request = request.header("authorization", value);
            }
            let response = test_app.call(request.body(event("b").to_string())).await;
            is_foreign_problem(&response, 401, "unauthorized");
            assert_eq!(response.json["reason"], reason);
        }
        // Refused before a body that has an error of its own.
        let request = ApiRequest::new(Method::POST, path).header("content-encoding", "gzip");
        let response = test_app.call(request.body("no gzip")).await;
        is_foreign_problem(&response, 401, "unauthorized");
        let detail = response.json["detail"].as_str().unwrap();
        assert!(detail.contains("Authorization: Bearer"), "{detail}");
        let request = ApiRequest::new(Method::POST, path).header("authorization", &reader);
        let response = test_app.call(request.body(event("b").to_string())).await;
        is_foreign_problem(&response, 403, "insufficient_scope");
    }
    assert_eq!(test_app.store.event_count(), 1);
    test_app.store.set_unavailable(true);
    // With Retry-After, OpenMeter's client sends the event again.
    let away = send(&test_app, OPENMETER, event("b").to_string()).await;
    is_foreign_problem(&away, 503, "storage_unavailable");
    assert_eq!(away.header("retry-after"), Some("2"));
}

#[actix_web::test]
async fn other_methods_and_preflights_are_answered() {
    let test_app = TestApp::new();
    for path in [CLOUDEVENTS, "/v1/cloudevents/", OPENMETER, "/api/v1/events/"] {
        for method in [Method::GET, Method::HEAD, Method::PUT] {
            let response = test_app.call(ApiRequest::new(method.clone(), path)).await;
            assert_eq!(response.status, 405, "{method} {path}");
        }
        let response = test_app.call(ApiRequest::new(Method::OPTIONS, path)).await;
        assert_eq!((response.status, response.header("allow")), (204, Some("POST, OPTIONS")));
        let preflight = ApiRequest::new(Method::OPTIONS, path)
            .header("origin", "https://shop.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,ce-id,ce-source,ce-type");
        let response = test_app.call(preflight).await;
        assert_eq!(response.status, 200);
        let allowed = response.header("access-control-allow-headers").unwrap().to_lowercase();
        assert!(allowed.contains("ce-source"), "{allowed}");
    }
}

#[actix_web::test]
async fn requests_are_counted_by_protocol_and_library() {
    let test_app = TestApp::new();
    let request = post(&test_app, OPENMETER)
        .header("user-agent", "python-openmeter/0.0.0 Python/3.11.7 (Linux)");
    assert_eq!(test_app.call(request.body(batch(2))).await.status, 204);
    assert_eq!(send(&test_app, CLOUDEVENTS, event("x").to_string()).await.status, 200);
    let metrics = test_app.call(ApiRequest::new(Method::GET, "/metrics")).await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    for line in [
        "mercurio_foreign_events_total{library=\"python-openmeter\",protocol=\"openmeter\"} 2",
        "mercurio_foreign_events_total{library=\"other\",protocol=\"cloudevents\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}");
    }
}

#[actix_web::test]
async fn protocols_are_switched_on_alone() {
    let enabled = Protocols::parse("openmeter").unwrap();
    let test_app =
        TestApp::with_protocols(ProtocolOptions { enabled, ..ProtocolOptions::default() });
    assert_eq!(send(&test_app, CLOUDEVENTS, event("a").to_string()).await.status, 404);
    assert_eq!(send(&test_app, OPENMETER, event("a").to_string()).await.status, 204);
}
