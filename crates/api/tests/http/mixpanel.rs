//! Mixpanel's clients: paths, forms, Base64, answers by the flags of a request, and bodies of any
//! kind.

use actix_web::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mercurio_domain::limits::Limits;
use serde_json::{Value, json};
use url::form_urlencoded;

use mercurio_api::testing::{ApiRequest, ApiResponse, TestApp};

/// The test's time in seconds.
const NOW: i64 = 1_795_341_600;
const FORM: &str = "application/x-www-form-urlencoded";

fn event(test_app: &TestApp, id: &str) -> Value {
    json!({"event": "e", "properties": {"token": test_app.key.expose(), "distinct_id": "u", "time": NOW, "$insert_id": id, "mp_lib": "python"}})
}

/// Sends JSON in a form, as the Python client does.
async fn send(test_app: &TestApp, path: &str, json: impl ToString) -> ApiResponse {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("data", &json.to_string())
        .append_pair("verbose", "1")
        .append_pair("ip", "0")
        .finish();
    let request = ApiRequest::new(Method::POST, path).header("content-type", FORM);
    test_app.call(request.body(form)).await
}

async fn send_json(test_app: &TestApp, path: &str, body: impl ToString) -> ApiResponse {
    let request = ApiRequest::new(Method::POST, path).header("content-type", "application/json");
    test_app.call(request.body(body.to_string())).await
}

async fn stored(test_app: &TestApp, id: &str) -> Value {
    let response = test_app.call(test_app.get(&format!("/v1/events/{id}"))).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.json
}

/// Asserts that an answer has this status and an error, as clients read them.
#[track_caller]
fn is_error(response: &ApiResponse, code: u16, error: &str) {
    assert_eq!((response.status, &response.json["code"]), (code, &json!(code)), "{response:?}");
    assert_eq!(response.json["status"], 0);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let text = response.json["error"].as_str().unwrap();
    assert!(text.starts_with(error), "{text}");
}

#[actix_web::test]
async fn every_path_stores_an_event_of_its_type() {
    let test_app = TestApp::new();
    for path in ["/track", "/track/", "/import", "/import/"] {
        let id = path.replace('/', "-");
        let response = send(&test_app, path, event(&test_app, &id)).await;
        assert_eq!((response.status, &response.json["status"]), (200, &json!(1)), "{path}");
        assert_eq!(response.statuses(), ["accepted"], "{path}");
        let event = stored(&test_app, &id).await;
        assert_eq!((&event["type"], &event["user_id"]), (&json!("track"), &json!("u")));
        // No key is stored.
        assert_eq!(event["properties"], json!({"mp_lib": "python"}));
    }
    let key = test_app.key.expose();
    for (path, profile, kind) in [
        ("/engage", json!({"$token": key, "$distinct_id": "u", "$set": {"a": 1}}), "identify"),
        ("/engage/", json!([{"$token": key, "$distinct_id": "u", "$set": {"a": 1}}]), "identify"),
        (
            "/groups",
            json!({"$token": key, "$group_key": "c", "$group_id": "g", "$set": {"a": 1}}),
            "group",
        ),
        (
            "/groups/",
            json!({"$token": key, "$group_key": "c", "$group_id": "g", "$delete": ""}),
            "group",
        ),
    ] {
        let response = send(&test_app, path, profile).await;
        assert_eq!((response.status, &response.json["status"]), (200, &json!(1)), "{path}");
        let id = response.json["results"][0]["event_id"].as_str().unwrap().to_owned();
        assert_eq!(stored(&test_app, &id).await["type"], kind, "{path}");
    }
    assert_eq!(test_app.store.event_count(), 8);
}

#[actix_web::test]
async fn get_stores_an_event_and_head_none() {
    let test_app = TestApp::new();
    for (path, verbose) in [("/track", "0"), ("/track/", "1"), ("/import", "0"), ("/engage", "0")] {
        let id = format!("{}{verbose}", path.replace('/', "-"));
        let mut sent = event(&test_app, &id);
        if path == "/engage" {
            sent = json!({"$token": test_app.key.expose(), "$distinct_id": "u", "$set": {}});
        }
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("ip", "0")
            .append_pair("verbose", verbose)
            .append_pair("data", &STANDARD.encode(sent.to_string()))
            .finish();
        let path = format!("{path}?{query}");
        let before = test_app.store.event_count();
        let head = test_app.call(ApiRequest::new(Method::HEAD, &path)).await;
        assert_eq!((head.status, test_app.store.event_count()), (200, before));
        let response = test_app.call(ApiRequest::new(Method::GET, &path)).await;
        assert_eq!((response.status, test_app.store.event_count()), (200, before + 1), "{path}");
        for answer in [&head, &response] {
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        }
        if verbose == "0" {
            assert_eq!(
                (&*response.body, response.header("content-type")),
                (&b"1"[..], Some("text/plain"))
            );
        } else {
            assert_eq!(response.json["status"], 1);
        }
    }
    let image = STANDARD.encode(event(&test_app, "image").to_string());
    let image = image.replace('+', "%2B").replace('=', "%3D");
    let path = format!("/track?data={image}&img=1");
    let response = test_app.call(ApiRequest::new(Method::GET, &path)).await;
    assert_eq!(response.header("content-type"), Some("image/gif"));
    assert_eq!(stored(&test_app, "image").await["event_name"], "e");
    let options = test_app.call(ApiRequest::new(Method::OPTIONS, "/engage")).await;
    assert_eq!(options.header("allow"), Some("GET, HEAD, POST, OPTIONS"));
}

#[actix_web::test]
async fn json_is_one_event_or_an_array_or_lines() {
    let test_app = TestApp::new();
    let [first, second, third] = ["a", "b", "c"].map(|id| event(&test_app, id));
    for (path, body, count) in [
        ("/track", first.to_string(), 1),
        ("/track?verbose=1", json!([first, second]).to_string(), 2),
        ("/import?strict=1&project_id=7", format!("{first}\n{second}\n{third}\n"), 3),
    ] {
        let response = send_json(&test_app, path, body).await;
        assert_eq!((response.status, test_app.store.event_count()), (200, count), "{response:?}");
    }
    let bad =
        json!({"event": "e", "properties": {"distinct_id": "x".repeat(300), "$insert_id": "d"}});
    let imported = send_json(&test_app, "/import?strict=1", json!([first, bad])).await;
    assert_eq!(
        imported.json,
        json!({"code": 200, "status": "OK", "num_records_imported": 1, "failed_records": [{
            "index": 1, "insert_id": "d", "field": "1/properties/distinct_id",
            "message": "properties.distinct_id has 300 characters; the limit is 255",
        }]})
    );
}

#[actix_web::test]
async fn key_is_a_token_or_in_a_header() {
    let test_app = TestApp::new();
    let (key, other) = (test_app.key.expose(), test_app.other_key.expose());
    let with =
        |token: Value| json!({"event": "e", "properties": {"token": token, "distinct_id": "u"}});
    // A service account: its user is the key, and its token an old one.
    let account = ApiRequest::new(Method::POST, "/import?project_id=7")
        .header("authorization", format!("Basic {}", STANDARD.encode(format!("{key}:secret"))))
        .body(with(json!("old token")).to_string());
    assert_eq!(test_app.call(account).await.json["status"], "OK");
    let wrong = format!("{}2222", &key[..key.len() - 4]);
    for body in [
        with(Value::Null),
        with(json!("old token")),
        with(json!(wrong)),
        with(json!(7)),
        json!([with(json!(key)), with(json!(other))]),
    ] {
        let response = send(&test_app, "/import", &body).await;
        is_error(&response, 401, "The ");
        let text = response.json.to_string();
        assert!(!text.contains("old token") && !text.contains(&key[20..30]), "{text}");
    }
    let reader = test_app.key_with("events:read", 9);
    is_error(&send(&test_app, "/import", with(json!(reader.expose()))).await, 403, "");
    assert_eq!(test_app.store.event_count(), 1);
}

#[actix_web::test]
async fn repeated_request_is_stored_once_if_its_time_is_exact() {
    let test_app = TestApp::new();
    let key = test_app.key.expose();
    let exact =
        json!({"$token": key, "$distinct_id": "u", "$time": 1_795_341_599.5, "$add": {"n": 1}});
    let inexact = json!({"$token": key, "$distinct_id": "u", "$time": NOW, "$add": {"n": 1}});
    for (path, body, expected) in [
        ("/import", event(&test_app, "a"), "duplicate"),
        ("/engage", exact, "duplicate"),
        ("/engage", inexact, "accepted"),
    ] {
        assert_eq!(send(&test_app, path, &body).await.statuses(), ["accepted"]);
        assert_eq!(send(&test_app, path, &body).await.statuses(), [expected], "{body}");
    }
}

fn with_property(test_app: &TestApp, name: &str, value: Value) -> Value {
    let mut event = event(test_app, "a");
    let properties = event["properties"].as_object_mut().unwrap();
    properties.remove("$insert_id");
    properties.insert(name.to_owned(), value);
    event
}

#[actix_web::test]
async fn bad_event_is_named_and_costs_no_other() {
    let test_app = TestApp::new();
    let with = |name, value| with_property(&test_app, name, value);
    let bad = [
        (
            with("distinct_id", json!("")),
            "properties.$device_id or properties.distinct_id is required",
        ),
        (with("distinct_id", json!("x".repeat(300))), "properties.distinct_id has 300 characters"),
        (with("time", json!(0)), "properties.time 1970-01-01T00:00:00.000000Z is "),
        (with("time", json!(4_102_444_800_u64)), "properties.time 2100-01-01T00:00:00.000000Z is "),
        (with("time", json!("now")), "properties.time is \"now\": not an RFC 3339"),
        (with("text", json!("x".repeat(1 << 15))), "the event has"),
        (with("text", json!("\0")), "the character U+0000"),
    ];
    for (event, message) in &bad {
        let response = send(&test_app, "/import", event).await;
        is_error(&response, 400, message);
    }
    let mut all: Vec<_> = bad.into_iter().map(|(event, _)| event).collect();
    is_error(&send(&test_app, "/import", json!(all)).await, 400, "properties.$device_id or");
    all.push(event(&test_app, "good"));
    let response = send(&test_app, "/import", json!(all)).await;
    assert_eq!((response.status, &response.json["accepted"]), (200, &json!(1)));
    assert_eq!((response.json["status"].clone(), test_app.store.event_count()), (json!(1), 1));
}

#[actix_web::test]
async fn failed_request_has_an_error_for_the_client() {
    let test_app = TestApp::new();
    let too_many: Vec<_> = (0..1_001).map(|index| event(&test_app, &index.to_string())).collect();
    for (body, code, error) in [
        (String::new(), 400, "The body is empty"),
        ("{".to_owned(), 400, "The body is not JSON"),
        ("5".to_owned(), 400, "The body is not valid"),
        ("[]".to_owned(), 400, "The batch has no events"),
        (json!(too_many).to_string(), 400, "The batch has 1001 events"),
        ("data=%7B%7D&data=%7B%7D".to_owned(), 400, "The body is not valid"),
        ("data=!".to_owned(), 400, "The body is not JSON"),
    ] {
        let response = send_json(&test_app, "/import", body).await;
        is_error(&response, code, error);
    }
    let two = send_json(&test_app, "/engage", "data={}&data={}").await;
    assert_eq!(two.errors(), [("/data", "duplicate_field")]);
    let none = ApiRequest::new(Method::POST, "/engage").header("content-type", FORM).body("ip=1");
    assert_eq!(test_app.call(none).await.errors(), [("/data", "required")]);
    let broken = ApiRequest::new(Method::POST, "/groups").body(b"\x1f\x8bno gzip".to_vec());
    is_error(&test_app.call(broken).await, 400, "");
    test_app.store.set_unavailable(true);
    let away = send(&test_app, "/import", event(&test_app, "a")).await;
    is_error(&away, 503, "");
    assert_eq!(away.header("retry-after"), Some("2"));

    let limits = Limits { events_per_second: 1, events_burst: 60, ..Limits::default() };
    let test_app = TestApp::with_limits(limits);
    let many: Vec<_> = (0..100).map(|index| event(&test_app, &index.to_string())).collect();
    // More than the bucket holds: it passes once.
    assert_eq!(send(&test_app, "/import", json!(many)).await.status, 200);
    let limited = send(&test_app, "/import", event(&test_app, "b")).await;
    is_error(&limited, 429, "");
    assert!(limited.header("retry-after").is_some());
}
