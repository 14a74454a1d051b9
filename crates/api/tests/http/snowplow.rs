//! Snowplow's trackers: bodies, the pixel, and keys in place of the application's id.

use actix_web::http::Method;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use mercurio_api::testing::{ApiRequest, ApiResponse, TestApp};

const PATH: &str = "/com.snowplowanalytics.snowplow/tp2";

/// The time of the test's clock, in milliseconds.
const NOW_MILLIS: i64 = 1_795_341_600_000;

fn event(id: &str) -> Value {
    json!({
        "e": "se", "se_ac": "add", "eid": id, "duid": "d-1", "dtm": (NOW_MILLIS - 60_000).to_string(),
        "stm": NOW_MILLIS.to_string(), "tv": "js-4.10.1", "p": "web",
    })
}

fn body(events: &[Value]) -> String {
    json!({"schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4", "data": events})
        .to_string()
}

async fn send(test_app: &TestApp, events: &[Value]) -> ApiResponse {
    test_app.call(test_app.post(PATH, body(events))).await
}

async fn stored(test_app: &TestApp, id: &str) -> Value {
    let response = test_app.call(test_app.get(&format!("/v1/events/{id}"))).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.json
}

#[actix_web::test]
async fn events_are_stored_and_the_bad_one_is_named() {
    let test_app = TestApp::new();
    let mut bad = event("b");
    bad["uid"] = json!("x".repeat(256));
    let events = [event("a"), bad, event("c"), json!(7), event("a")];
    for (path, statuses) in [
        (PATH.to_owned(), ["accepted", "rejected", "accepted", "rejected", "duplicate"]),
        (format!("{PATH}/"), ["duplicate", "rejected", "duplicate", "rejected", "duplicate"]),
    ] {
        let response = test_app.call(test_app.post(&path, body(&events))).await;
        assert_eq!((response.status, response.statuses()), (200, statuses.to_vec()), "{path}");
        assert_eq!(response.event_errors(1), [("/data/1/uid", "too_long")]);
        assert_eq!(response.event_errors(3), [("/data/3", "wrong_type")]);
    }
    let event = stored(&test_app, "a").await;
    assert_eq!(event["timestamp"], "2026-11-22T09:59:00.000000Z");
    assert_eq!(event["context"], json!({"snowplow": {"tv": "js-4.10.1", "p": "web"}}));
}

#[actix_web::test]
async fn clock_is_corrected_by_the_time_of_sending() {
    let test_app = TestApp::new();
    let mut ahead = event("ahead");
    let hour = 3_600_000;
    ahead["dtm"] = json!((NOW_MILLIS + hour - 60_000).to_string());
    ahead["stm"] = json!((NOW_MILLIS + hour).to_string());
    let mut year = event("1970");
    year["dtm"] = json!("1000");
    let mut future = event("2100");
    future["dtm"] = json!("4102444800000");
    future["stm"] = json!(null);
    let mut text = event("text");
    text["dtm"] = json!("soon");
    let response = send(&test_app, &[ahead, year, future, text]).await;
    assert_eq!(response.statuses(), ["accepted", "rejected", "rejected", "rejected"]);
    assert_eq!(response.event_errors(1), [("/data/1/dtm", "timestamp_too_old")]);
    assert_eq!(response.event_errors(2), [("/data/2/dtm", "timestamp_in_future")]);
    assert_eq!(response.event_errors(3), [("/data/3/dtm", "invalid_timestamp")]);
    assert_eq!(stored(&test_app, "ahead").await["timestamp"], "2026-11-22T09:59:00.000000Z");
}

#[actix_web::test]
async fn pixel_stores_an_event_and_is_an_image() {
    let test_app = TestApp::new();
    let described = json!({"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0", "data": {
        "schema": "iglu:com.acme/signed_up/jsonschema/1-0-0", "data": {"plan": "pro"},
    }});
    let encoded = URL_SAFE_NO_PAD.encode(described.to_string());
    let key = test_app.key.expose();
    for (path, id) in [("/i", "one"), ("/i/", "two")] {
        let path = format!("{path}?e=ue&ue_px={encoded}&duid=d&eid={id}&aid={key}&tna=a%20b+c");
        let response = test_app.call(ApiRequest::new(Method::GET, &path)).await;
        assert_eq!((response.status, response.header("content-type")), (200, Some("image/gif")));
        assert!(response.body.starts_with(b"GIF89a"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let event = stored(&test_app, id).await;
        assert_eq!(event["event_name"], "signed_up");
        assert_eq!(event["properties"], json!({"plan": "pro"}));
        let schema = "iglu:com.acme/signed_up/jsonschema/1-0-0";
        assert_eq!(event["context"], json!({"snowplow": {"tna": "a b c", "schema": schema}}));
        let secret = &key[20..];
        assert!(!event.to_string().contains(secret), "the key is not stored");
    }
    let head = ApiRequest::new(Method::HEAD, &format!("/i?e=pv&duid=d&aid={key}"));
    assert_eq!(test_app.call(head).await.status, 200);
    assert_eq!(test_app.store.event_count(), 2);
    for (query, status) in [
        (format!("e=pv&aid={key}"), 422),
        (format!("e=pv&duid=d&duid=e&aid={key}"), 422),
        (format!("aid={key}"), 422),
        ("e=pv&duid=d&aid=shop".to_owned(), 401),
        (String::new(), 401),
    ] {
        let response = test_app.call(ApiRequest::new(Method::GET, &format!("/i?{query}"))).await;
        assert_eq!(response.status, status, "{response:?}");
        assert_eq!(response.header("cache-control"), Some("no-store"));
    }
}

/// Returns an event of the application with this id.
fn with(aid: &str) -> Value {
    let mut event = event(&format!("e-{}", aid.len()));
    event["aid"] = json!(aid);
    event
}

#[actix_web::test]
async fn key_is_in_a_header_or_the_id_of_the_application() {
    let test_app = TestApp::new();
    let key = test_app.key.expose();
    let other = test_app.other_key.expose();
    let wrong = format!("{}2222", &key[..key.len() - 4]);
    let post = || ApiRequest::new(Method::POST, PATH).header("content-type", "application/json");
    let bearer = || post().header("authorization", format!("Bearer {key}"));
    for (request, status) in [
        (post().body(body(&[with(key)])), 200),
        (bearer().body(body(&[with("shop")])), 200),
        (post().header("x-api-key", key).body(body(&[with("shop-2")])), 200),
        // The header goes first.
        (bearer().body(body(&[with(&wrong)])), 200),
        (post().body(body(&[with(key), with(other)])), 401),
        (post().body(body(&[with(&wrong)])), 401),
        (post().body(body(&[with("mk_")])), 401),
        (post().body(body(&[with("shop")])), 401),
    ] {
        let response = test_app.call(request).await;
        assert_eq!(response.status, status, "{response:?}");
    }
    assert_eq!(stored(&test_app, "e-4").await["context"]["snowplow"]["aid"], "shop");
    assert_eq!(stored(&test_app, "e-78").await["context"]["snowplow"].get("aid"), None);
    assert_eq!(test_app.store.event_count(), 3);
}

#[actix_web::test]
async fn refused_request_is_not_repeated_without_end() {
    let test_app = TestApp::new();
    let many: Vec<_> = (0..1_001).map(|index| event(&index.to_string())).collect();
    for (body, status) in [
        ("", 400),
        ("7", 422),
        ("[]", 422),
        (r#"{"data":[]}"#, 400),
        (r#"{"data":{}}"#, 422),
        (r#"{"data":[{}]}"#, 422),
        (&*body(&many), 400),
    ] {
        let response = test_app.call(test_app.post(PATH, body)).await;
        assert_eq!(response.status, status, "{response:?}");
    }
    // A tracker repeats a 413 for ever.
    let large = test_app.post(PATH, body(&[json!({"x": "x".repeat(6_000_000)})]));
    assert_eq!(test_app.call(large).await.status, 400);
    let one = [json!({"e": "pv", "duid": "d", "page": "x".repeat(1_000_000)}), event("good")];
    let response = send(&test_app, &one).await;
    assert_eq!(response.statuses(), ["rejected", "accepted"]);
    test_app.store.set_unavailable(true);
    let away = send(&test_app, &[event("away")]).await;
    assert_eq!((away.status, away.header("retry-after")), (503, Some("2")));
}

#[actix_web::test]
async fn ids_of_any_type_have_their_verdict() {
    let test_app = TestApp::new();
    for (value, expected) in [
        (json!(""), "accepted"),
        (json!(null), "accepted"),
        (json!(42), "accepted"),
        (json!("x".repeat(300)), "rejected"),
        (json!({}), "rejected"),
    ] {
        for member in ["eid", "uid", "sid"] {
            let mut event =
                event(&format!("{member}-{value}").chars().take(100).collect::<String>());
            event[member] = value.clone();
            let response = send(&test_app, &[event, self::event("other")]).await;
            assert_eq!(response.statuses()[0], expected, "{member} {value}");
        }
    }
}

#[actix_web::test]
async fn other_paths_of_collectors_are_unknown() {
    let test_app = TestApp::new();
    for path in ["/com.acme/v1", "/com.snowplowanalytics.snowplow/tp1"] {
        let response = test_app.call(test_app.post(path, body(&[event("a")]))).await;
        response.is_problem(404, "not_found");
    }
    let response = test_app.call(test_app.get(PATH)).await;
    assert_eq!((response.status, response.header("allow")), (405, Some("POST, OPTIONS")));
    let preflight = ApiRequest::new(Method::OPTIONS, PATH)
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type");
    let response = test_app.call(preflight).await;
    assert_eq!(response.status, 200);
    // So a page needs `credentials: "omit"`.
    assert_eq!(response.header("access-control-allow-credentials"), None);
}
