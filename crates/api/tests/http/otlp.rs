//! Exporters of OpenTelemetry's logs: both encodings, partial successes, and failures in their words.

use actix_web::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mercurio_protocols::ProtocolOptions;
use serde_json::{Value, json};

use mercurio_api::testing::{ApiRequest, ApiResponse, TestApp};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// A request of the exporter for Python: an event and a log record without a name.
const EXPORTED: &str = concat!(
    "CuQBCjYKFgoMc2VydmljZS5uYW1lEgYKBHNob3AKHAoTc2VydmljZS5pbnN0YW5jZS5pZBIFCgNpLTESqQEKEQoIY2hlY2tv",
    "dXQSBTEuMi4zEnAJ/z97TqxV6hgQCSoICgZ0aGFua3MyEQoHdXNlci5pZBIGCgR1LTQyMhIKBXByaWNlEgkhAAAAAAAAI0Ay",
    "DgoBbhIJGIGAgICAgIAQMggKAm9rEgIQAVkAQHtOrFXqGGIPb3JkZXIuY29tcGxldGVkEiIJAEB7TqxV6hgqDgoMYSBwbGFp",
    "biBsaW5lWQBAe06sVeoY",
);

fn exported() -> Vec<u8> {
    STANDARD.decode(EXPORTED).unwrap()
}

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn request(records: &[Value]) -> Value {
    json!({"resourceLogs": [{
        "resource": {"attributes": [
            attribute("service.name", "shop"),
            attribute("service.instance.id", "i-1"),
        ]},
        "scopeLogs": [{"scope": {"name": "checkout", "version": "1.2.3"}, "logRecords": records}],
    }]})
}

fn record(name: &str) -> Value {
    json!({"eventName": name, "timeUnixNano": "1795341599999999999"})
}

async fn export(test_app: &TestApp, media_type: &str, body: impl Into<Vec<u8>>) -> ApiResponse {
    let request = ApiRequest::new(Method::POST, "/v1/logs")
        .header("authorization", format!("Bearer {}", test_app.key.expose()))
        .header("content-type", media_type);
    test_app.call(request.body(body)).await
}

/// Returns the stored events.
async fn events(test_app: &TestApp) -> Vec<Value> {
    let response = test_app.call(test_app.get("/v1/events")).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.json["events"].as_array().unwrap().clone()
}

#[actix_web::test]
async fn exported_event_is_stored_once_in_either_encoding() {
    let test_app = TestApp::new();
    let response = export(&test_app, PROTOBUF, exported()).await;
    assert_eq!((response.status, response.header("content-type")), (200, Some(PROTOBUF)));
    // `partial_success` with 1 rejected record, and a message.
    assert_eq!((&response.body[..1], &response.body[2..4]), (&b"\x0a"[..], &b"\x08\x01"[..]));
    let message = String::from_utf8_lossy(&response.body[6..]).into_owned();
    let expected = "1 of 2 log records are rejected; record 1: eventName is required: a log record without one is not \
                    an event";
    assert_eq!(message, expected);
    let stored = events(&test_app).await;
    let [event] = &*stored else { panic!("{stored:?}") };
    for (member, expected) in [
        ("event_name", json!("order.completed")),
        ("type", json!("track")),
        ("user_id", json!("u-42")),
        ("timestamp", json!("2026-11-22T09:59:59.999999Z")),
        (
            "properties",
            json!({"user.id": "u-42", "price": 9.5, "n": 9_007_199_254_740_993_u64, "ok": true, "body": "thanks"}),
        ),
        (
            "context",
            json!({"otlp": {
                "resource": {"attributes": {"service.name": "shop", "service.instance.id": "i-1"}},
                "scope": {"name": "checkout", "version": "1.2.3"},
                "observedTimeUnixNano": "1795341600000000000",
                "severityNumber": 9,
            }}),
        ),
    ] {
        assert_eq!(event[member], expected, "{member}");
    }
    // The same record in JSON, and the same request again.
    let same = json!({
        "timeUnixNano": "1795341599999999999", "observedTimeUnixNano": "1795341600000000000",
        "severityNumber": 9, "eventName": "order.completed", "body": {"stringValue": "thanks"},
        "attributes": [
            attribute("user.id", "u-42"),
            {"key": "price", "value": {"doubleValue": 9.5}},
            {"key": "n", "value": {"intValue": "9007199254740993"}},
            {"key": "ok", "value": {"boolValue": true}},
        ],
    });
    let response = export(&test_app, JSON, request(&[same]).to_string()).await;
    assert_eq!((response.status, &*response.body), (200, &b"{}"[..]));
    assert_eq!(export(&test_app, PROTOBUF, exported()).await.status, 200);
    assert_eq!(test_app.store.event_count(), 1);
}

#[actix_web::test]
async fn request_without_an_event_succeeds() {
    let test_app = TestApp::new();
    for (media_type, body, expected) in [
        (PROTOBUF, "", "".to_owned()),
        (JSON, "{}", "{}".to_owned()),
        ("application/json; charset=utf-8", r#"{"resourceLogs":[]}"#, "{}".to_owned()),
    ] {
        let response = export(&test_app, media_type, body).await;
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(String::from_utf8_lossy(&response.body), expected);
    }
    let logs =
        request(&[json!({"body": {"stringValue": "x"}}), json!({"eventName": ""}), json!(7)]);
    let response = export(&test_app, JSON, logs.to_string()).await;
    let partial = &response.json["partialSuccess"];
    assert_eq!((response.status, &partial["rejectedLogRecords"]), (200, &json!("3")));
    assert_eq!(test_app.store.event_count(), 0);
    let metrics = test_app.call(ApiRequest::new(Method::GET, "/metrics")).await.body;
    let rejections = "mercurio_event_rejections_total{code=\"required\"} 2";
    assert!(String::from_utf8_lossy(&metrics).contains(rejections), "each is counted");
}

#[actix_web::test]
async fn bad_record_spoils_no_other() {
    let test_app = TestApp::new();
    let mut long = record("a");
    long["attributes"] = json!([attribute("a", &"x".repeat(40_000))]);
    let mut person = record("b");
    person["attributes"] = json!([attribute("user.id", &"x".repeat(256))]);
    let mut old = record("c");
    old["timeUnixNano"] = json!("1");
    let bad = [long, person, old, record(&"x".repeat(101)), record("\u{0}")];
    let records = [&bad[..], &[record("good")]].concat();
    let response = export(&test_app, JSON, request(&records).to_string()).await;
    let partial = &response.json["partialSuccess"];
    assert_eq!((response.status, &partial["rejectedLogRecords"]), (200, &json!("5")));
    let message = partial["errorMessage"].as_str().unwrap();
    assert!(message.contains("record 1: attributes.user.id has 256 characters"), "{message}");
    let stored = events(&test_app).await;
    assert_eq!((stored.len(), &stored[0]["event_name"]), (1, &json!("good")));
    assert_eq!(stored[0]["anonymous_id"], "i-1");
}

#[actix_web::test]
async fn failure_has_a_status_in_the_encoding_of_the_request() {
    let test_app = TestApp::new();
    let key = test_app.key.expose().to_owned();
    let wrong = format!("{}2222", &key[..key.len() - 4]);
    let good = request(&[record("e")]).to_string();
    let many = request(&vec![record("e"); 1_001]).to_string();
    for (key, body, status, code) in [
        (&*wrong, &*good, 401, 16),
        ("mk_short", &good, 401, 16),
        (&key, "[]", 400, 3),
        (&key, "{", 400, 3),
        (&key, "", 400, 3),
        (&key, r#"{"resourceLogs":[{"scopeLogs":{}}]}"#, 400, 3),
        (&key, &many, 400, 3),
    ] {
        let request = ApiRequest::new(Method::POST, "/v1/logs")
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", JSON);
        let response = test_app.call(request.body(body)).await;
        assert_eq!((response.status, &response.json["code"]), (status, &json!(code)), "{body}");
        assert!(
            response.json["message"].is_string() && response.json.as_object().unwrap().len() == 2
        );
        assert_eq!(response.header("content-type"), Some(JSON));
    }
    let response = export(&test_app, PROTOBUF, "{}").await;
    assert_eq!((response.status, response.header("content-type")), (400, Some(PROTOBUF)));
    assert_eq!(response.body[..3], [0x08, 3, 0x12]);
    let gzip = ApiRequest::new(Method::POST, "/v1/logs")
        .header("x-api-key", &key)
        .header("content-encoding", "gzip")
        .header("content-type", PROTOBUF);
    assert_eq!(test_app.call(gzip.body("no gzip")).await.status, 400);
    assert_eq!(test_app.store.event_count(), 0);
}

#[actix_web::test]
async fn server_failure_is_repeated_by_exporters() {
    let test_app = TestApp::new();
    test_app.store.set_unavailable(true);
    let away = export(&test_app, PROTOBUF, exported()).await;
    assert_eq!((away.status, away.header("retry-after")), (503, Some("2")));
    assert_eq!(away.header("content-type"), Some(PROTOBUF));
    test_app.store.set_unavailable(false);
    test_app.store.refuse_event_name("order.completed");
    // 500 would lose the records.
    assert_eq!(export(&test_app, PROTOBUF, exported()).await.status, 503);
    assert_eq!(test_app.store.event_count(), 0);
    let small = ProtocolOptions { max_body_bytes: 1_024, ..ProtocolOptions::default() };
    let test_app = TestApp::with_protocols(small);
    let large = request(&[record(&"x".repeat(2_000))]).to_string();
    let response = export(&test_app, JSON, large).await;
    assert_eq!((response.status, &response.json["code"]), (413, &json!(3)));
}

#[actix_web::test]
async fn request_without_a_key_is_refused_before_its_body() {
    let test_app = TestApp::new();
    // A body with an error: it would come first.
    let unreadable = ApiRequest::new(Method::POST, "/v1/logs")
        .header("content-type", JSON)
        .header("content-encoding", "gzip");
    let response = test_app.call(unreadable.body("no gzip")).await;
    assert_eq!((response.status, &response.json["code"]), (401, &json!(16)));
    let message = response.json["message"].as_str().unwrap();
    assert!(message.contains("Authorization: Bearer"), "{message}");
    // A key in the query string would be in the logs of proxies.
    let path = format!("/v1/logs?auth={}", test_app.key.expose());
    let body = request(&[record("e")]).to_string();
    let response = test_app.call(ApiRequest::new(Method::POST, &path).body(body)).await;
    assert_eq!(response.status, 401);
}

#[actix_web::test]
async fn path_takes_posts_alone() {
    let test_app = TestApp::new();
    for path in ["/v1/logs", "/v1/logs/"] {
        let body = request(&[record(&path.replace('/', "."))]).to_string();
        assert_eq!(test_app.call(test_app.post(path, body)).await.status, 200, "{path}");
        for method in [Method::GET, Method::HEAD, Method::PUT] {
            let response = test_app.call(ApiRequest::new(method, path)).await;
            assert_eq!((response.status, response.header("allow")), (405, Some("POST, OPTIONS")));
        }
        let preflight = ApiRequest::new(Method::OPTIONS, path)
            .header("origin", "https://shop.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        assert_eq!(test_app.call(preflight).await.status, 200);
    }
    assert_eq!(test_app.store.event_count(), 2);
}

#[actix_web::test]
async fn copies_of_a_resource_count_as_memory_of_bodies() {
    let test_app = TestApp::new();
    test_app.store.gate.close();
    let records: Vec<_> = (0..100).map(|index| record(&format!("event_{index}"))).collect();
    let mut request = request(&records);
    request["resourceLogs"][0]["resource"]["attributes"] =
        json!([attribute("service.name", "shop"), attribute("note", &"x".repeat(20_000))]);
    let body = request.to_string();
    let exported = export(&test_app, JSON, body.clone());
    let memory = async {
        while test_app.store.gate.arrivals() < 1 {
            tokio::task::yield_now().await;
        }
        let memory = test_app.state.bodies.memory().bytes;
        test_app.store.gate.open();
        memory
    };
    let (exported, memory) = futures_util::join!(exported, memory);
    assert_eq!(exported.status, 200, "{exported:?}");
    assert!(memory > 100 * 20_000 && body.len() < 50_000, "{memory} {}", body.len());
    assert_eq!(test_app.state.bodies.memory().bytes, 0);
}
