//! Amplitude's clients: paths, answers by `code`, and bodies of any kind.

use actix_web::http::Method;
use mercurio_domain::limits::Limits;
use serde_json::{Value, json};

use mercurio_api::testing::{ApiRequest, ApiResponse, TestApp};

const PATHS: [&str; 4] = ["/2/httpapi", "/2/httpapi/", "/batch", "/batch/"];
/// The test's time in milliseconds.
const NOW: i64 = 1_795_341_600_000;

fn event(id: &str) -> Value {
    json!({"event_type": "e", "user_id": "u", "insert_id": id, "time": NOW, "library": "amplitude-python/1.3.0"})
}

fn batch(test_app: &TestApp, events: &[Value]) -> Value {
    json!({"api_key": test_app.key.expose(), "events": events})
}

async fn send(test_app: &TestApp, path: &str, body: impl ToString) -> ApiResponse {
    let request = ApiRequest::new(Method::POST, path).body(body.to_string());
    test_app.call(request.header("content-type", "application/json; charset=UTF-8")).await
}

async fn stored(test_app: &TestApp, id: &str) -> Value {
    let response = test_app.call(test_app.get(&format!("/v1/events/{id}"))).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.json
}

/// Asserts that an answer has this status, also in its body.
#[track_caller]
fn is_error(response: &ApiResponse, code: u16, error: &str) {
    assert_eq!((response.status, &response.json["code"]), (code, &json!(code)), "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    let text = response.json["error"].as_str().unwrap();
    assert!(text.starts_with(error), "{text}");
}

#[actix_web::test]
async fn every_path_stores_events() {
    let test_app = TestApp::new();
    for path in PATHS {
        let id = path.replace('/', "-");
        let response = send(&test_app, path, batch(&test_app, &[event(&id)])).await;
        assert_eq!((response.status, response.statuses()), (200, vec!["accepted"]), "{path}");
        let event = stored(&test_app, &id).await;
        assert_eq!((&event["event_name"], &event["user_id"]), (&json!("e"), &json!("u")));
        // No key is stored.
        assert!(!event.to_string().contains(&test_app.key.expose()[20..]));
    }
    for path in PATHS {
        for method in [Method::GET, Method::HEAD] {
            let response = test_app.call(ApiRequest::new(method.clone(), path)).await;
            assert_eq!(response.status, 405, "{method} {path}");
        }
        let options = test_app.call(ApiRequest::new(Method::OPTIONS, path)).await;
        assert_eq!((options.status, options.header("allow")), (204, Some("POST, OPTIONS")));
        let preflight = ApiRequest::new(Method::OPTIONS, path)
            .header("origin", "https://shop.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
        assert_eq!(test_app.call(preflight).await.status, 200);
    }
    let header = ApiRequest::new(Method::POST, "/2/httpapi")
        .header("authorization", format!("Bearer {}", test_app.key.expose()))
        .body(json!({"api_key": "old key", "events": [event("h")]}).to_string());
    assert_eq!(test_app.call(header).await.status, 200);
}

#[actix_web::test]
async fn success_has_the_members_of_every_client() {
    let test_app = TestApp::new();
    let bad = json!({"event_type": "e", "user_id": "x".repeat(300), "insert_id": "b", "time": NOW});
    let body = batch(&test_app, &[event("a"), bad, event("c"), json!(7)]);
    let response = send(&test_app, "/2/httpapi", &body).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.statuses(), ["accepted", "rejected", "accepted", "rejected"]);
    for (member, expected) in [
        ("code", json!(200)),
        ("events_ingested", json!(2)),
        ("payload_size_bytes", json!(body.to_string().len())),
        ("server_upload_time", json!(NOW)),
    ] {
        assert_eq!(response.json[member], expected, "{member}");
    }
    assert_eq!(response.event_errors(1), [("/events/1/user_id", "too_long")]);
    assert_eq!(response.event_errors(3), [("/events/3", "wrong_type")]);
    // A request repeated after a lost answer.
    let again = send(&test_app, "/batch", &body).await;
    assert_eq!(again.statuses(), ["duplicate", "rejected", "duplicate", "rejected"]);
    assert_eq!((&again.json["events_ingested"], test_app.store.event_count()), (&json!(2), 2));
}

#[actix_web::test]
async fn event_without_an_id_is_stored_once_if_its_time_is_exact() {
    let test_app = TestApp::new();
    let event = json!({"event_type": "e", "device_id": "d", "time": NOW - 1});
    let counted = json!({"event_type": "e", "device_id": "d", "time": NOW, "event_id": 1});
    let whole = json!({"event_type": "e", "device_id": "d", "time": NOW});
    let body = batch(&test_app, &[event.clone(), event, counted, whole]);
    let first = send(&test_app, "/2/httpapi", &body).await;
    assert_eq!(first.statuses(), ["accepted"; 4]);
    let again = send(&test_app, "/2/httpapi", &body).await;
    assert_eq!(again.statuses(), ["duplicate", "duplicate", "duplicate", "accepted"]);
}

#[actix_web::test]
async fn clock_is_corrected_by_the_time_of_the_upload() {
    let test_app = TestApp::new();
    let mut body = batch(&test_app, &[event("a")]);
    // The client's clock is an hour slow; it sends ten seconds after the event.
    body["events"][0]["time"] = json!(NOW - 3_610_000);
    body["client_upload_time"] = json!("2026-11-22T09:00:00.000Z");
    assert_eq!(send(&test_app, "/2/httpapi", &body).await.status, 200);
    let event = stored(&test_app, "a").await;
    assert_eq!(event["timestamp"], "2026-11-22T09:59:50.000000Z");
}

#[actix_web::test]
async fn events_that_are_all_bad_are_dropped_by_the_client() {
    let test_app = TestApp::new();
    let events = [
        json!({"event_type": "e", "user_id": "x".repeat(300)}),
        json!({"user_id": "u"}),
        json!({"event_type": "e"}),
        json!({"event_type": "e", "user_id": "u", "time": "now"}),
        json!({"event_type": "e", "user_id": "u", "time": 0}),
        json!({"event_type": "e", "user_id": "u", "time": 4_102_444_800_000_i64}),
        json!({"event_type": "e", "user_id": "u", "event_properties": []}),
        json!({"event_type": "e", "user_id": "u", "event_properties": {"a": "x".repeat(1 << 15)}}),
    ];
    let response = send(&test_app, "/batch", batch(&test_app, &events)).await;
    is_error(
        &response,
        400,
        "Invalid event: user_id has 300 characters; the limit is 255; 7 other",
    );
    let json = &response.json;
    assert_eq!(json["events_with_missing_fields"], json!({"event_type": [1], "user_id": [2]}));
    let invalid = json!({"user_id": [0, 7], "time": [3, 4, 5], "event_properties": [6]});
    assert_eq!(json["events_with_invalid_fields"], invalid);
    assert_eq!(test_app.store.event_count(), 0);
}

#[actix_web::test]
async fn wrong_key_is_400_in_the_words_that_end_all_tries() {
    let test_app = TestApp::new();
    let (key, other) = (test_app.key.expose(), test_app.other_key.expose());
    let wrong = format!("{}2222", &key[..key.len() - 4]);
    let reader = test_app.key_with("events:read", 9);
    let body = |key: Value| json!({"api_key": key, "events": [event("a")]});
    for body in [
        body(json!("old-api-key")),
        body(json!(wrong)),
        body(Value::Null),
        body(json!(7)),
        body(json!(reader.expose())),
        json!({"api_key": key, "events": [{"api_key": other}]}),
    ] {
        let response = send(&test_app, "/2/httpapi", &body).await;
        is_error(&response, 400, "Invalid API key: ");
        let text = response.json.to_string();
        assert!(!text.contains("old-api-key") && !text.contains(&key[20..30]), "{text}");
    }
    assert_eq!(test_app.store.event_count(), 0);
}

#[actix_web::test]
async fn failed_request_has_its_code_in_the_body() {
    let test_app = TestApp::new();
    let too_many: Vec<_> = (0..1_001).map(|index| event(&index.to_string())).collect();
    for (body, code, error) in [
        (String::new(), 400, "The body is empty"),
        ("{".to_owned(), 400, "The body is not JSON"),
        ("[]".to_owned(), 400, "The body is not valid"),
        (r#"{"events":[]}"#.to_owned(), 400, "The batch has no events"),
        (r#"{"events":{}}"#.to_owned(), 400, "The body is not valid"),
        (batch(&test_app, &too_many).to_string(), 413, "The batch has 1001 events"),
        // Bodies with their key inside are smaller than others.
        (" ".repeat((2 << 20) + 1), 413, "The request body is"),
    ] {
        let response = send(&test_app, "/2/httpapi", body).await;
        is_error(&response, code, error);
        assert_eq!(response.json["missing_field"] == "events", code == 400, "{response:?}");
    }
    let array = send(&test_app, "/2/httpapi", "[]").await;
    assert_eq!(array.errors(), [("", "wrong_type")]);
    let broken = ApiRequest::new(Method::POST, "/batch").body(b"\x1f\x8bno gzip".to_vec());
    // On a shared path the other protocol answers a body without a shape.
    assert_eq!(test_app.call(broken).await.status, 400);
    test_app.store.set_unavailable(true);
    let away = send(&test_app, "/2/httpapi", batch(&test_app, &[event("a")])).await;
    is_error(&away, 503, "");
    assert_eq!(away.header("retry-after"), Some("2"));
    test_app.store.set_unavailable(false);

    let limits = Limits { events_per_second: 1, events_burst: 60, ..Limits::default() };
    let test_app = TestApp::with_limits(limits);
    let body = batch(&test_app, &too_many[..100]);
    // More than the bucket holds: it passes once.
    assert_eq!(send(&test_app, "/2/httpapi", &body).await.status, 200);
    let limited = send(&test_app, "/2/httpapi", &body).await;
    is_error(&limited, 429, "");
    assert!(limited.header("retry-after").is_some());
    // Java's client fails without these.
    assert_eq!(limited.json["eps_threshold"], 0);
    assert_eq!(limited.json["throttled_events"], json!([]));
}
