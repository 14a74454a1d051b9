//! Clients of other services: paths, keys, bodies, answers, and requests of any size.

use actix_web::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mercurio_domain::limits::{LimitChange, LimitName, Limits};
use mercurio_domain::store::Catalog;
use mercurio_protocols::{ProtocolOptions, Protocols};
use serde_json::{Value, json};

use mercurio_api::testing::{ApiRequest, ApiResponse, NOW, TestApp};

pub(crate) fn message(id: &str) -> Value {
    json!({"type": "track", "event": "e", "userId": "u", "messageId": id, "timestamp": NOW})
}

pub(crate) fn batch(ids: &[String]) -> String {
    let messages: Vec<_> = ids.iter().map(|id| message(id)).collect();
    json!({"batch": messages, "sentAt": NOW}).to_string()
}

pub(crate) fn ids(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("m-{index}")).collect()
}

pub(crate) fn basic(key: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{key}:")))
}

/// Sends a body as a server client does.
pub(crate) async fn send(test_app: &TestApp, path: &str, body: impl Into<Vec<u8>>) -> ApiResponse {
    let request = ApiRequest::new(Method::POST, path)
        .header("authorization", basic(test_app.key.expose()))
        .header("content-type", "application/json");
    test_app.call(request.body(body)).await
}

pub(crate) async fn stored(test_app: &TestApp, id: &str) -> Value {
    let response = test_app.call(test_app.get(&format!("/v1/events/{id}"))).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.json
}

#[actix_web::test]
async fn every_path_stores_an_event_of_its_type() {
    let test_app = TestApp::new();
    for (paths, kind) in [
        (&["/v1/track", "/v1/t", "/api/s/track", "/api/s/s2s/track"][..], "track"),
        (&["/v1/identify", "/v1/i", "/api/s/identify"], "identify"),
        (&["/v1/page", "/v1/p", "/api/s/s2s/page"], "page"),
        (&["/v1/screen", "/v1/s", "/api/s/screen"], "screen"),
        (&["/v1/group", "/v1/g", "/api/s/s2s/group"], "group"),
        (&["/v1/alias", "/v1/a", "/api/s/alias"], "alias"),
    ] {
        for path in paths.iter().flat_map(|path| [(*path).to_owned(), format!("{path}/")]) {
            let body = json!({"event": "e", "userId": "u", "messageId": path.replace('/', "-")});
            let response = send(&test_app, &path, body.to_string()).await;
            assert_eq!(response.status, 200, "{path}: {response:?}");
            assert_eq!(stored(&test_app, &path.replace('/', "-")).await["type"], kind, "{path}");
        }
    }
    for path in ["/v1/batch", "/v1/batch/", "/v1/b", "/v1/b/"] {
        let response = send(&test_app, path, batch(&[path.to_owned()])).await;
        assert_eq!(response.statuses(), ["accepted"], "{path}");
    }
}

#[actix_web::test]
async fn other_methods_are_answered_without_a_redirect() {
    let test_app = TestApp::new();
    for path in ["/v1/batch", "/v1/t/", "/api/s/s2s/track"] {
        for method in [Method::GET, Method::HEAD, Method::PUT] {
            let response = test_app.call(ApiRequest::new(method.clone(), path)).await;
            assert_eq!(response.status, 405, "{method} {path}");
            assert!(response.header("allow").is_some_and(|allow| allow.contains("POST")));
        }
        let response = test_app.call(ApiRequest::new(Method::OPTIONS, path)).await;
        assert_eq!((response.status, response.header("allow")), (204, Some("POST, OPTIONS")));
        let preflight = ApiRequest::new(Method::OPTIONS, path)
            .header("origin", "https://shop.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "anonymousid,authorization,sentat");
        let response = test_app.call(preflight).await;
        assert_eq!(response.status, 200);
        let allowed = response.header("access-control-allow-headers").unwrap().to_lowercase();
        assert!(allowed.contains("anonymousid") && allowed.contains("sentat"), "{allowed}");
    }
}

#[actix_web::test]
async fn answer_satisfies_every_client_and_names_the_bad_event() {
    let test_app = TestApp::new();
    let bad = json!({"type": "track", "event": "e", "userId": "x".repeat(256), "messageId": "b"});
    let body = json!({"batch": [message("a"), bad, message("c"), 7]}).to_string();
    let response = send(&test_app, "/v1/batch", body).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.statuses(), ["accepted", "rejected", "accepted", "rejected"]);
    for (member, expected) in [
        ("success", json!(true)),
        ("ok", json!(true)),
        ("status", json!(1)),
        ("code", json!(200)),
        ("accepted", json!(2)),
        ("rejected", json!(2)),
        ("total", json!(4)),
    ] {
        assert_eq!(response.json[member], expected, "{member}");
    }
    assert_eq!(
        response.json["results"][1],
        json!({"index": 1, "event_id": "b", "status": "rejected", "errors": [{
            "pointer": "/batch/1/userId", "code": "too_long",
            "message": "userId has 256 characters; the limit is 255",
        }]})
    );
    assert_eq!(response.event_errors(3), [("/batch/3", "wrong_type")]);
    assert_eq!(test_app.store.event_count(), 2);
}

/// Asserts that an error has the members that some client needs to give up.
#[track_caller]
pub(crate) fn is_foreign_problem(response: &ApiResponse, status: u16, code: &str) {
    response.is_problem(status, code);
    for member in ["message", "error"] {
        assert_eq!(response.json[member], response.json["detail"], "{member}");
    }
}

#[actix_web::test]
async fn request_without_a_usable_event_is_a_problem() {
    let test_app = TestApp::new();
    for (path, body, status, code) in [
        ("/v1/batch", r#"{"batch":[{},{}]}"#, 422, "invalid_event"),
        ("/v1/track", r#"{"userId":"u"}"#, 422, "invalid_event"),
        ("/v1/track", "[]", 422, "invalid_event"),
        ("/v1/batch", r#"{"events":[{}]}"#, 422, "invalid_event"),
        ("/v1/batch", "[]", 422, "invalid_event"),
        ("/v1/batch", r#"{"batch":[]}"#, 400, "batch_empty"),
        ("/v1/batch", "", 400, "malformed_json"),
        ("/v1/t", "{", 400, "malformed_json"),
    ] {
        let response = send(&test_app, path, body).await;
        is_foreign_problem(&response, status, code);
    }
    let too_many = send(&test_app, "/v1/batch", batch(&ids(1_001))).await;
    is_foreign_problem(&too_many, 400, "batch_too_large");
    assert_eq!((&too_many.json["limit"], &too_many.json["actual"]), (&json!(1_000), &json!(1_001)));
    let broken = ApiRequest::new(Method::POST, "/v1/batch")
        .header("authorization", basic(test_app.key.expose()))
        .body(b"\x1f\x8bno gzip".to_vec());
    is_foreign_problem(&test_app.call(broken).await, 400, "malformed_encoding");
    assert_eq!(test_app.store.event_count(), 0);
}

#[actix_web::test]
async fn large_batch_keeps_the_order_of_its_verdicts() {
    let test_app = TestApp::new();
    let mut all = ids(1_000);
    // Next to its first one, and far from it.
    all[999] = "m-0".to_owned();
    all[20] = "m-19".to_owned();
    let first = send(&test_app, "/v1/batch", batch(&all)).await;
    assert_eq!(
        (first.status, &first.json["accepted"]),
        (200, &json!(998)),
        "{}",
        first.json["detail"]
    );
    let results = first.json["results"].as_array().unwrap();
    for (index, result) in results.iter().enumerate() {
        let status = if [20, 999].contains(&index) { "duplicate" } else { "accepted" };
        let expected = json!({"index": index, "event_id": all[index], "status": status});
        assert_eq!(*result, expected);
    }
    assert_eq!(test_app.store.event_count(), 998);
    // A request repeated after a lost answer.
    let again = send(&test_app, "/v1/batch", batch(&all)).await;
    assert_eq!((again.status, &again.json["duplicates"]), (200, &json!(1_000)));
    assert_eq!(test_app.store.event_count(), 998);
}

#[actix_web::test]
async fn repeated_message_without_an_id_is_a_duplicate() {
    let test_app = TestApp::new();
    let exact = NOW.replace('Z', ".5Z");
    let body = json!({"batch": [
        {"type": "track", "event": "e", "userId": "u", "timestamp": exact},
        {"type": "track", "event": "e", "userId": "u", "timestamp": exact},
        {"type": "track", "event": "e", "userId": "u", "timestamp": NOW},
        {"type": "track", "event": "e", "userId": "u"},
    ]});
    let first = send(&test_app, "/v1/batch", body.to_string()).await;
    assert_eq!(first.statuses(), ["accepted"; 4]);
    let again = send(&test_app, "/v1/batch", body.to_string()).await;
    assert_eq!(again.statuses(), ["duplicate", "duplicate", "accepted", "accepted"]);
}

#[actix_web::test]
async fn failed_request_stores_nothing_and_succeeds_again() {
    let test_app = TestApp::new();
    test_app.store.set_unavailable(true);
    let away = send(&test_app, "/v1/batch", batch(&ids(120))).await;
    is_foreign_problem(&away, 503, "storage_unavailable");
    assert_eq!(away.header("retry-after"), Some("2"));
    test_app.store.set_unavailable(false);
    test_app.store.refuse_event_name("guilty");
    let mut body: Value = serde_json::from_str(&batch(&ids(120))).unwrap();
    body["batch"][119]["event"] = json!("guilty");
    let failed = send(&test_app, "/v1/batch", body.to_string()).await;
    is_foreign_problem(&failed, 500, "internal");
    assert_eq!(test_app.store.event_count(), 0);
    let again = send(&test_app, "/v1/batch", batch(&ids(120))).await;
    assert_eq!((again.status, &again.json["accepted"]), (200, &json!(120)));
}

#[actix_web::test]
async fn batch_over_the_quota_or_the_rate_is_refused_whole() {
    let test_app = TestApp::new();
    let quota = |value| [LimitChange { name: LimitName::MonthlyEvents, value }];
    test_app.store.set_limits(test_app.owner.tenant_id, &quota(Some(100))).unwrap();
    let refused = send(&test_app, "/v1/batch", batch(&ids(120))).await;
    is_foreign_problem(&refused, 429, "quota_exceeded");
    assert_eq!(test_app.store.event_count(), 0);
    // The quota of the refused request is free again.
    assert_eq!(send(&test_app, "/v1/batch", batch(&ids(100))).await.status, 200);

    let limits = Limits { events_per_second: 1, events_burst: 60, ..Limits::default() };
    let test_app = TestApp::with_limits(limits);
    // More than the bucket holds: it passes once, and then the bucket is empty for long.
    assert_eq!(send(&test_app, "/v1/batch", batch(&ids(100))).await.status, 200);
    let refused = send(&test_app, "/v1/batch", batch(&ids(1))).await;
    is_foreign_problem(&refused, 429, "rate_limited");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((30..=41).contains(&seconds), "{seconds}");
}

#[actix_web::test]
async fn protocols_without_a_server_have_no_paths() {
    let none = ProtocolOptions { enabled: Protocols::NONE, ..ProtocolOptions::default() };
    let test_app = TestApp::with_protocols(none);
    for path in ["/v1/batch", "/v1/t", "/api/s/track"] {
        send(&test_app, path, "{}").await.is_problem(404, "not_found");
    }
    let jitsu = ProtocolOptions { enabled: Protocols::parse("jitsu").unwrap(), ..none };
    let test_app = TestApp::with_protocols(jitsu);
    assert_eq!(send(&test_app, "/v1/batch", batch(&ids(1))).await.status, 404);
    assert_eq!(send(&test_app, "/api/s/track", message("a").to_string()).await.status, 200);
}

#[actix_web::test]
async fn body_over_its_limit_is_refused() {
    let small = ProtocolOptions { max_body_bytes: 1_024, ..ProtocolOptions::default() };
    let test_app = TestApp::with_protocols(small);
    let large = batch(&ids(50));
    is_foreign_problem(&send(&test_app, "/v1/batch", large).await, 413, "payload_too_large");
    // This server's own API has more room here, and others have less.
    let test_app = TestApp::with_limits(Limits { max_body_bytes: 1_024, ..Limits::default() });
    assert_eq!(send(&test_app, "/v1/batch", batch(&ids(50))).await.status, 200);
}

#[actix_web::test]
async fn clock_is_corrected_by_the_time_of_sending() {
    let test_app = TestApp::new();
    // A client whose clock is a year behind.
    let body = json!({
        "batch": [{"type": "track", "event": "e", "userId": "u", "messageId": "a",
                   "timestamp": "2025-01-01T00:00:00Z"}],
        "sentAt": "2025-01-01T00:00:30Z",
    });
    assert_eq!(send(&test_app, "/v1/batch", body.to_string()).await.statuses(), ["accepted"]);
    let event = stored(&test_app, "a").await;
    assert_eq!(event["timestamp"], "2026-11-22T09:59:30.000000Z");
    assert_eq!(event["sent_timestamp"], "2025-01-01T00:00:00.000000Z");
}

#[actix_web::test]
async fn bad_values_of_a_message_are_rejected_alone() {
    let test_app = TestApp::new();
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    for (members, pointer, code) in [
        (r#""userId":"""#.to_owned(), "", "required"),
        (r#""userId":null"#.to_owned(), "", "required"),
        (format!(r#""userId":"{}""#, "u".repeat(300)), "/userId", "too_long"),
        (r#""userId":["u"]"#.to_owned(), "/userId", "wrong_type"),
        (format!(r#""userId":"u","messageId":"{}""#, "m".repeat(300)), "/messageId", "too_long"),
        (r#""userId":"u","timestamp":1763805600"#.to_owned(), "/timestamp", "wrong_type"),
        (r#""userId":"u","timestamp":1763805600123"#.to_owned(), "/timestamp", "wrong_type"),
        (
            r#""userId":"u","originalTimestamp":"now""#.to_owned(),
            "/originalTimestamp",
            "invalid_timestamp",
        ),
        (
            r#""userId":"u","timestamp":"1970-01-01T00:00:00Z""#.to_owned(),
            "/timestamp",
            "timestamp_too_old",
        ),
        (
            r#""userId":"u","timestamp":"2100-01-01T00:00:00Z""#.to_owned(),
            "/timestamp",
            "timestamp_in_future",
        ),
        (
            format!(r#""userId":"u","properties":{{"a":{deep}}}"#),
            PROPERTIES_AT_THE_LIMIT,
            "too_deep",
        ),
        (r#""userId":"u","properties":[]"#.to_owned(), "/properties", "wrong_type"),
        (r#""userId":"u","context":"web""#.to_owned(), "/context", "wrong_type"),
        (
            format!(r#""userId":"u","properties":{{"a":"{}"}}"#, "x".repeat(1 << 20)),
            "",
            "event_too_large",
        ),
    ] {
        let bad = format!(r#"{{"type":"track","event":"e",{members}}}"#);
        let body = format!(r#"{{"batch":[{},{bad}]}}"#, message("good"));
        let response = send(&test_app, "/v1/batch", body).await;
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.json["results"][1]["status"], "rejected");
        assert_eq!(response.event_errors(1), [(&*format!("/batch/1{pointer}"), code)]);
    }
    assert_eq!(test_app.store.event_count(), 1);
    let many = send(&test_app, "/v1/batch", batch(&ids(10_001))).await;
    is_foreign_problem(&many, 400, "batch_too_large");
}

/// 32 levels are allowed, and `properties` is the first.
const PROPERTIES_AT_THE_LIMIT: &str =
    "/properties/a/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0";

#[actix_web::test]
async fn requests_are_counted_by_protocol_and_library() {
    let test_app = TestApp::new();
    let library = json!({"library": {"name": "analytics-python", "version": "2.4.0"}});
    let mut first = message("a");
    first["context"] = library;
    let body = json!({"batch": [first, message("b")]}).to_string();
    assert_eq!(send(&test_app, "/v1/batch", body).await.status, 200);
    assert_eq!(send(&test_app, "/api/s/track", message("c").to_string()).await.status, 200);
    let metrics = test_app.call(ApiRequest::new(Method::GET, "/metrics")).await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    for line in [
        "mercurio_foreign_requests_total{library=\"analytics-python\",protocol=\"segment\"} 1",
        "mercurio_foreign_events_total{library=\"analytics-python\",protocol=\"segment\"} 2",
        "mercurio_foreign_events_total{library=\"other\",protocol=\"jitsu\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
}
