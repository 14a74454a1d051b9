//! PostHog's clients: paths, keys, results, what they ask besides, and bodies of any kind.

use std::io::Write;

use actix_web::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mercurio_domain::limits::Limits;
use serde_json::{Value, json};

use mercurio_api::testing::{ApiRequest, ApiResponse, NOW, TestApp};

const CAPTURE: [&str; 6] = ["/batch", "/i/v0/ai/batch", "/capture", "/track", "/e", "/i/v0/e"];
const V1: &str = "/i/v1/analytics/events";

fn event(id: &str) -> Value {
    json!({"event": "e", "distinct_id": "u", "uuid": id, "timestamp": NOW, "properties": {}})
}

fn batch(test_app: &TestApp, events: &[Value]) -> String {
    json!({"api_key": test_app.key.expose(), "batch": events, "sent_at": NOW}).to_string()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Returns a web form with a text in Base64.
fn form(text: &str) -> String {
    let encoded = STANDARD.encode(text);
    format!("data={}", encoded.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"))
}

/// Returns an event with another value for a member.
fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut event = event("id");
    event[name] = value.into();
    event
}

async fn send(test_app: &TestApp, path: &str, body: impl Into<Vec<u8>>) -> ApiResponse {
    test_app.call(ApiRequest::new(Method::POST, path).body(body)).await
}

async fn send_v1(test_app: &TestApp, body: &Value) -> ApiResponse {
    let request = test_app
        .post(V1, body.to_string())
        .header("posthog-sdk-info", "posthog-python/7.91.1")
        .header("posthog-request-timestamp", NOW);
    test_app.call(request).await
}

async fn stored(test_app: &TestApp, id: &str) -> Value {
    let response = test_app.call(test_app.get(&format!("/v1/events/{id}"))).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.json
}

#[actix_web::test]
async fn every_path_stores_events() {
    let test_app = TestApp::new();
    for path in CAPTURE.iter().flat_map(|path| [(*path).to_owned(), format!("{path}/")]) {
        let id = path.replace('/', "-");
        let response = send(&test_app, &path, batch(&test_app, &[event(&id)])).await;
        assert_eq!((response.status, response.statuses()), (200, vec!["accepted"]), "{path}");
        assert_eq!(stored(&test_app, &id).await["event_name"], "e");
    }
    for path in ["/capture", "/e/", "/batch/"] {
        let mut single = event(&format!("single{}", path.replace('/', "-")));
        single["token"] = json!(test_app.key.expose());
        let response = send(&test_app, path, single.to_string()).await;
        assert_eq!((response.status, response.statuses()), (200, vec!["accepted"]), "{path}");
    }
    for path in [V1.to_owned(), format!("{V1}/")] {
        let body = json!({"batch": [event(&path.replace('/', "-"))]}).to_string();
        let response = test_app.call(test_app.post(&path, body)).await;
        assert_eq!(response.json["results"][path.replace('/', "-")], json!({"result": "ok"}));
    }
    assert_eq!(test_app.store.event_count(), 17);
}

#[actix_web::test]
async fn body_of_a_browser_is_found_in_its_shells() {
    let test_app = TestApp::new();
    let body = |id: &str| batch(&test_app, &[event(id)]);
    let post = |path: &str| ApiRequest::new(Method::POST, path);
    let urlencoded = "application/x-www-form-urlencoded";
    let mut key_in_event = event("d");
    key_in_event["properties"]["token"] = json!(test_app.key.expose());
    let array = json!([key_in_event]).to_string();
    for request in [
        post("/e/").header("content-type", "text/plain").body(body("a")),
        // Nothing but its first bytes says that it is compressed.
        post("/e/?ver=1").header("content-type", "text/plain").body(gzip(&body("g"))),
        post("/e/?compression=base64").header("content-type", urlencoded).body(form(&body("b"))),
        post("/e/?retry_count=1").header("content-type", urlencoded).body(form(&body("c"))),
        post("/e/?ip=1&_=1795341600000").body(array),
        post("/i/v0/e/?compression=base64").body(STANDARD.encode(body("f"))),
    ] {
        let response = test_app.call(request).await;
        assert_eq!((response.status, response.statuses()), (200, vec!["accepted"]), "{response:?}");
    }
    let event = stored(&test_app, "d").await;
    assert_eq!(event["properties"], json!({}), "the key is not stored");
}

#[actix_web::test]
async fn second_api_has_a_result_for_each_event() {
    let test_app = TestApp::new();
    let mut bad = event("b");
    bad["distinct_id"] = json!("x".repeat(256));
    let mut nameless = event(&"y".repeat(300));
    nameless["distinct_id"] = json!("");
    let body = json!({"created_at": NOW, "batch": [event("a"), bad, nameless]});
    let response = send_v1(&test_app, &body).await;
    assert_eq!(response.status, 200);
    let results = &response.json["results"];
    assert_eq!(results["a"], json!({"result": "ok"}));
    assert_eq!(
        results["b"],
        json!({"result": "drop", "details": "distinct_id has 256 characters; the limit is 255"})
    );
    assert_eq!(results["y".repeat(300)]["result"], "drop");
    assert_eq!(
        stored(&test_app, "a").await["context"]["posthog"],
        json!({"sdk": "posthog-python/7.91.1"})
    );
    // A request whose answer got lost.
    let again = send_v1(&test_app, &json!({"batch": [event("a")]})).await;
    assert_eq!(again.json["results"]["a"], json!({"result": "ok", "details": "duplicate"}));
    // Its clients learn of bad events alone from a success.
    let all_bad = send_v1(&test_app, &json!({"batch": [{"uuid": "c"}]})).await;
    assert_eq!((all_bad.status, &all_bad.json["results"]["c"]["result"]), (200, &json!("drop")));
    assert_eq!(test_app.store.event_count(), 1);
}

/// Asserts that an error has the members that these clients read.
#[track_caller]
fn is_foreign_problem(response: &ApiResponse, status: u16, code: &str) {
    response.is_problem(status, code);
    assert_eq!(response.json["error"], response.json["detail"]);
}

#[actix_web::test]
async fn bad_event_costs_no_other_and_all_bad_are_a_problem() {
    let test_app = TestApp::new();
    let mut bad = event("b");
    bad["event"] = json!("n".repeat(101));
    let mixed = batch(&test_app, &[event("a"), bad.clone(), json!(7)]);
    let response = send(&test_app, "/batch/", mixed.clone()).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.statuses(), ["accepted", "rejected", "rejected"]);
    assert_eq!(response.event_errors(1), [("/batch/1/event", "too_long")]);
    assert_eq!(response.event_errors(2), [("/batch/2", "wrong_type")]);
    let again = send(&test_app, "/batch/", mixed).await;
    assert_eq!(again.statuses(), ["duplicate", "rejected", "rejected"]);
    let all_bad = send(&test_app, "/batch/", batch(&test_app, &[bad])).await;
    is_foreign_problem(&all_bad, 422, "invalid_event");
}

#[actix_web::test]
async fn body_that_is_no_request_is_a_problem() {
    let test_app = TestApp::new();
    let many: Vec<_> = (0..1_001).map(|index| event(&format!("e-{index}"))).collect();
    let many = json!({"batch": many}).to_string();
    for (path, body, status, code) in [
        ("/batch", "", 400, "malformed_json"),
        ("/batch", "{", 400, "malformed_json"),
        ("/batch", "{}", 422, "invalid_event"),
        ("/batch", "[]", 400, "batch_empty"),
        ("/batch", "7", 422, "invalid_event"),
        ("/batch", r#"{"batch":[]}"#, 400, "batch_empty"),
        ("/batch", r#"{"batch":{}}"#, 422, "invalid_event"),
        ("/e/", "{}", 422, "invalid_event"),
        ("/e/", "data=1&data=2", 422, "invalid_event"),
        ("/e/", "data=%%%", 400, "malformed_json"),
        ("/e/?compression=base64", "data=eyJ", 400, "malformed_json"),
        ("/e/?compression=lz64", "N4Ig", 400, "malformed_json"),
        ("/e/", "\x1f\u{8b}no gzip", 400, "malformed_json"),
        (V1, "[]", 422, "invalid_event"),
        (V1, "{}", 422, "invalid_event"),
        (V1, "data=e30=", 422, "invalid_event"),
        ("/batch", &*many, 413, "batch_too_large"),
        (V1, &*many, 413, "batch_too_large"),
    ] {
        let response = test_app.call(test_app.post(path, body)).await;
        is_foreign_problem(&response, status, code);
    }
    let broken = test_app.call(test_app.post("/e/", b"\x1f\x8bno gzip".to_vec())).await;
    is_foreign_problem(&broken, 400, "malformed_encoding");
    assert_eq!(test_app.store.event_count(), 0);
}

#[actix_web::test]
async fn event_of_any_content_gets_its_own_verdict() {
    let test_app = TestApp::new();
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    let large = "x".repeat(1024 * 1024);
    for (event, errors) in [
        (with("uuid", 7), &[][..]),
        (with("uuid", ""), &[]),
        (with("uuid", json!("x".repeat(300))), &[("/batch/0/uuid", "too_long")]),
        (with("distinct_id", 7), &[]),
        (with("distinct_id", Value::Null), &[("/batch/0", "required")]),
        (with("distinct_id", json!("x".repeat(300))), &[("/batch/0/distinct_id", "too_long")]),
        (with("timestamp", 1_795_341_600), &[("/batch/0/timestamp", "wrong_type")]),
        (with("timestamp", "1970-01-01T00:00:00Z"), &[("/batch/0/timestamp", "timestamp_too_old")]),
        (
            with("timestamp", "2100-01-01T00:00:00Z"),
            &[("/batch/0/timestamp", "timestamp_in_future")],
        ),
        (with("event", Value::Null), &[("/batch/0/event", "required")]),
        (with("properties", json!([])), &[("/batch/0/properties", "wrong_type")]),
        (
            with(
                "properties",
                serde_json::from_str::<Value>(&format!("{{\"a\":{deep}}}")).unwrap(),
            ),
            &[("/batch/0/properties/a", "too_deep")],
        ),
        (with("properties", json!({"a": large})), &[("/batch/0", "event_too_large")]),
        (with("properties", json!({"a": "\0"})), &[("/batch/0/properties/a", "nul_character")]),
        (with("$set", "x"), &[("/batch/0/$set", "wrong_type")]),
        (with("properties", json!({"$set": "x"})), &[]),
    ] {
        let shown: String = event.to_string().chars().take(120).collect();
        let body = json!({"batch": [event, {"event": "e", "distinct_id": "u"}]}).to_string();
        let response = test_app.call(test_app.post("/batch", body)).await;
        let found: Vec<_> = response.event_errors(0);
        let found: Vec<_> = found
            .iter()
            .map(|(pointer, code)| (&pointer[..pointer.len().min(21)], *code))
            .collect();
        assert_eq!((response.status, &*found), (200, errors), "{shown}");
        assert_eq!(response.statuses()[1], "accepted", "{shown}");
    }
}

#[actix_web::test]
async fn key_is_found_in_every_place_and_never_guessed() {
    let test_app = TestApp::new();
    let (key, other) = (test_app.key.expose(), test_app.other_key.expose());
    let post = || ApiRequest::new(Method::POST, "/e");
    let in_properties = json!({"event": "e", "properties": {"distinct_id": "u", "token": key}});
    for request in [
        post().header("authorization", format!("Bearer {key}")).body(with("x", "").to_string()),
        post().body(with("api_key", key).to_string()),
        post().body(with("token", key).to_string()),
        post().body(in_properties.to_string()),
        // A customer's own fact, and a visitor's that looks like a key.
        post().body(json!({"api_key": key, "batch": [{"event": "e", "distinct_id": "u", "properties": {"token": "reset"}}]}).to_string()),
        post().body(json!({"api_key": key, "batch": [{"event": "e", "distinct_id": "u", "properties": {"token": "mk_x"}}]}).to_string()),
    ] {
        let response = test_app.call(request).await;
        assert_eq!(response.status, 200, "{response:?}");
    }
    let mut two = in_properties;
    two["api_key"] = json!(other);
    two["token"] = json!(key);
    for (request, reason) in [
        (post().body(with("x", "").to_string()), "missing"),
        (post().body(with("api_key", "phc_abc").to_string()), "malformed"),
        (post().body(two.to_string()), "malformed"),
        (ApiRequest::new(Method::POST, V1).body(r#"{"batch":[{}]}"#), "missing"),
    ] {
        let response = test_app.call(request).await;
        is_foreign_problem(&response, 401, "unauthorized");
        assert_eq!(response.json["reason"], reason, "{response:?}");
    }
}

#[actix_web::test]
async fn browser_learns_of_a_rate_limit_by_503() {
    let limits = Limits { events_per_second: 1, events_burst: 60, ..Limits::default() };
    let test_app = TestApp::with_limits(limits);
    // More than the bucket holds: it passes once, and then the bucket is empty for long.
    let many: Vec<_> = (0..100).map(|index| event(&format!("e-{index}"))).collect();
    assert_eq!(send(&test_app, "/e/", batch(&test_app, &many)).await.status, 200);
    let body = batch(&test_app, &[event("a")]);
    for (path, status) in [("/e/", 503), ("/i/v0/e", 503), ("/batch", 429), (V1, 429)] {
        let response = test_app.call(test_app.post(path, body.clone())).await;
        assert_eq!(
            (response.status, &response.json["code"]),
            (status, &json!("rate_limited")),
            "{path}"
        );
        assert_eq!(response.json["status"], status, "{path}");
        assert!(response.header("retry-after").is_some(), "{path}");
    }
}

#[actix_web::test]
async fn questions_besides_events_have_answers() {
    let test_app = TestApp::new();
    let key = test_app.key.expose();
    for (path, kind) in [("config", "application/json"), ("config.js", "text/javascript")] {
        for slash in ["", "/"] {
            let path = format!("/array/{key}/{path}{slash}");
            let response = test_app.call(ApiRequest::new(Method::GET, &path)).await;
            assert_eq!((response.status, response.header("content-type")), (200, Some(kind)));
            let text = String::from_utf8(response.body.clone()).unwrap();
            assert!(text.contains("gzip-js") && !text.contains(key), "{text}");
            let head = test_app.call(ApiRequest::new(Method::HEAD, &path)).await;
            assert_eq!((head.status, head.header("content-type")), (200, Some(kind)));
        }
    }
    for path in ["/flags/?v=2", "/flags?v=4", "/decide/?v=3", "/decide"] {
        for body in ["", "{}", "data=eyJ0b2tlbiI6ImsifQ%3D%3D"] {
            let response = send(&test_app, path, body).await;
            assert_eq!((response.status, &response.json["flags"]), (200, &json!({})), "{path}");
            assert_eq!(response.json["featureFlags"], json!({}));
        }
    }
    let response = send(&test_app, "/s/?compression=gzip-js", vec![b'x'; 600_000]).await;
    assert_eq!((response.status, &response.json["quota_limited"]), (200, &json!(["recordings"])));
    assert_eq!(test_app.store.event_count(), 0);
}

#[actix_web::test]
async fn other_methods_are_answered_without_a_redirect() {
    let test_app = TestApp::new();
    for (path, method, allow) in [
        ("/e/", Method::GET, "POST, OPTIONS"),
        ("/batch", Method::HEAD, "POST, OPTIONS"),
        ("/flags", Method::GET, "POST, OPTIONS"),
        ("/array/k/config", Method::POST, "GET, HEAD, OPTIONS"),
    ] {
        let response = test_app.call(ApiRequest::new(method, path)).await;
        assert_eq!((response.status, response.header("allow")), (405, Some(allow)), "{path}");
        let response = test_app.call(ApiRequest::new(Method::OPTIONS, path)).await;
        assert_eq!((response.status, response.header("allow")), (204, Some(allow)), "{path}");
    }
    for path in ["/e/", "/flags/?v=2", "/array/k/config", V1] {
        let preflight = ApiRequest::new(Method::OPTIONS, path)
            .header("origin", "https://shop.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,x-unusual");
        let response = test_app.call(preflight).await;
        assert_eq!(response.status, 200, "{path}");
        let allowed = response.header("access-control-allow-headers").unwrap().to_lowercase();
        assert!(allowed.contains("content-type") && allowed.contains("x-unusual"), "{allowed}");
    }
}

fn event_of_yesterday(id: &str, options: Value) -> Value {
    json!({"event": "e", "distinct_id": "u", "uuid": id, "timestamp": "2026-11-21T00:00:00Z",
           "options": options})
}

#[actix_web::test]
async fn clock_is_corrected_by_the_time_of_the_request() {
    let test_app = TestApp::new();
    let body = json!({"batch": [
        event_of_yesterday("a", json!({})),
        event_of_yesterday("b", json!({"disable_skew_correction": true})),
    ]});
    let request = test_app
        .post(V1, body.to_string())
        .header("posthog-request-timestamp", "2026-11-21T00:00:30+00:00");
    assert_eq!(test_app.call(request).await.status, 200);
    assert_eq!(stored(&test_app, "a").await["timestamp"], "2026-11-22T09:59:30.000000Z");
    assert_eq!(stored(&test_app, "b").await["timestamp"], "2026-11-21T00:00:00.000000Z");
}
