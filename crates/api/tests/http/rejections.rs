//! Rejected events and refused requests: what is kept and counted of them, and how it is read.

use std::collections::BTreeMap;

use actix_web::http::Method;
use mercurio_api::testing::{ApiRequest, ApiResponse, RejectedBody, TestApp, rejected_bodies};
use mercurio_domain::limits::Limits;
use serde_json::{Value, json};

/// Writes everything recorded so far, and reads a path.
async fn read(test_app: &TestApp, path: &str) -> Value {
    test_app.close_recorder();
    let response = test_app.call(test_app.get(path)).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.json
}

async fn rejections(test_app: &TestApp) -> Vec<Value> {
    let page = read(test_app, "/v1/rejections").await;
    assert!(page["next_cursor"].is_null());
    page["rejections"].as_array().unwrap().clone()
}

/// Returns the counts of refused requests by code.
async fn refused(test_app: &TestApp) -> BTreeMap<String, u64> {
    let summary = read(test_app, "/v1/rejections/summary").await;
    assert_eq!(summary["rejected"], 0, "{summary}");
    let requests = summary["requests"].as_array().unwrap().iter();
    requests
        .map(|request| {
            (request["code"].as_str().unwrap().to_owned(), request["count"].as_u64().unwrap())
        })
        .collect()
}

#[actix_web::test]
async fn rejected_event_is_returned_as_sent_with_its_errors() {
    let test_app = TestApp::new();
    let bad = r#"{ "event_id":"b","user_id":7, "context":{"library":{"name":"lib","version":"1.2"}}, "x":1.50 }"#;
    let body = format!(r#"{{"events":[{{"event_name":"n","user_id":"u"}}, {bad}]}}"#);
    let request = test_app.post("/v1/events/batch", body);
    let request = request.header("user-agent", "x".repeat(600)).header("x-request-id", "r-1");
    let response = test_app.call(request).await;
    assert_eq!(response.statuses(), ["accepted", "rejected"]);
    let rejections = rejections(&test_app).await;
    let [rejection] = &rejections[..] else { panic!("{rejections:?}") };
    let expected = json!({
        "id": rejection["id"],
        "received_at": "2026-11-22T10:00:00.000000Z",
        "event_id": "b",
        "event_name": null,
        "verdict": "rejected",
        "errors": response.json["results"][1]["errors"],
        "event": bad,
        "is_cut": false,
        "request_id": "r-1",
        "api_key_id": rejection["api_key_id"],
        "protocol": "mercurio",
        "sdk": "lib 1.2",
        "user_agent": "x".repeat(512),
    });
    assert_eq!(*rejection, expected);
    assert_eq!(response.event_errors(1)[0], ("/events/1/user_id", "wrong_type"));
    let key = test_app.key.expose();
    assert!(key.contains(rejection["api_key_id"].as_str().unwrap()));
}

#[actix_web::test]
async fn every_protocol_has_its_rejections() {
    for RejectedBody { protocol, path, content_type, body, code, pointer } in rejected_bodies() {
        let test_app = TestApp::new();
        let request = ApiRequest::new(Method::POST, path)
            .header("authorization", format!("Bearer {}", test_app.key.expose()))
            .header("content-type", content_type);
        test_app.call(request.body(body.clone())).await;
        let rejections = rejections(&test_app).await;
        let [rejection] = &rejections[..] else { panic!("{protocol}: {rejections:?}") };
        assert_eq!(rejection["protocol"], protocol);
        assert_eq!(rejection["event_name"], "n", "{protocol}");
        let event = rejection["event"].as_str().unwrap();
        assert!(body.contains(event) || protocol == "otlp", "{protocol}: {event}");
        assert!(event.contains(&"u".repeat(256)), "{protocol}: {event}");
        let summary = read(&test_app, "/v1/rejections/summary").await;
        let groups = summary["groups"].as_array().unwrap();
        let [group] = &groups[..] else { panic!("{protocol}: {groups:?}") };
        let found = (group["code"].as_str(), group["pointer"].as_str(), &group["count"]);
        let pointer = format!("/{pointer}");
        assert_eq!(found, (Some(code), Some(&*pointer), &json!(1)), "{protocol}");
        assert_eq!(group["example"], *rejection);
        assert_eq!((&summary["rejected"], &summary["requests"]), (&json!(1), &json!([])));
    }
}

#[actix_web::test]
async fn library_of_a_foreign_client_is_its_sdk() {
    let test_app = TestApp::new();
    let body = r#"{"batch":[{"type":"track","userId":"u","context":{"library":{"name":"analytics-python","version":"2.4.0"}}}]}"#;
    test_app.call(test_app.post("/v1/batch", body)).await;
    let event = r#"{"event":"e","properties":{"$lib":"posthog-python"}}"#;
    test_app.call(test_app.post("/capture", event)).await;
    let rejections = rejections(&test_app).await;
    let mut sdks: Vec<_> = rejections.iter().map(|rejection| rejection["sdk"].as_str()).collect();
    sdks.sort_unstable();
    assert_eq!(sdks, [Some("analytics-python 2.4.0"), Some("posthog-python")]);
}

#[actix_web::test]
async fn keys_in_events_are_masked() {
    let test_app = TestApp::new();
    let key = test_app.key.expose();
    let own = format!(
        r#"{{"event_name":"{key}","user_id":"{key}\u0001","{key}":1,"properties":{{"k":"{key}"}}}}"#
    );
    test_app.batch(&own).await;
    let foreign = format!(
        r#"{{"writeKey":"{key}","batch":[{{"type":"track","userId":"u","writeKey":"{key}","properties":{{"a":"{key}"}}}},
            {{"type":"track","userId":"u","writeKey":"{key}","WriteKey":"0123456789abcdef"}}]}}"#
    );
    test_app.call(ApiRequest::new(Method::POST, "/v1/batch").body(foreign)).await;
    let page = read(&test_app, "/v1/rejections").await.to_string();
    let summary = read(&test_app, "/v1/rejections/summary").await.to_string();
    let secret = key.rsplit('_').next().unwrap();
    for shown in [&page, &summary] {
        assert!(!shown.contains(secret), "{shown}");
        assert!(!shown.contains("0123456789abcdef"), "{shown}");
        assert!(shown.contains("mk_") && shown.contains("***"), "{shown}");
    }
}

#[actix_web::test]
async fn largest_event_is_cut() {
    let limits = Limits { max_body_bytes: 1 << 20, ..Limits::default() };
    let test_app = TestApp::with_limits(limits);
    for bytes in [64 * 1024, 200 * 1024] {
        let frame = r#"{"event_name":"n","user_id":"u","properties":{"p":""}}"#;
        // Two bytes a character: the cut is between them.
        let text = "é".repeat((bytes - frame.len()) / 2);
        test_app.batch(&frame.replace(r#""p":"""#, &format!(r#""p":"{text}""#))).await;
    }
    let rejections = rejections(&test_app).await;
    let mut found = Vec::new();
    for rejection in &rejections {
        assert_eq!(rejection["errors"][0]["code"], "event_too_large");
        found.push((rejection["is_cut"].as_bool(), rejection["event"].as_str().unwrap().len()));
    }
    found.sort_unstable();
    assert_eq!(found, [(Some(false), 64 * 1024), (Some(true), 64 * 1024 - 1)]);
}

#[actix_web::test]
async fn control_characters_survive() {
    let test_app = TestApp::new();
    let event = r#"{"event_name":"a\u0000b\u0007","user_id":"u\u202e","\u0000":"\ud800"}"#;
    test_app.batch(event).await;
    let rejections = rejections(&test_app).await;
    assert_eq!(rejections[0]["event"], event);
    assert!(rejections[0]["event_name"].as_str().unwrap().ends_with("b\u{7}"));
}

async fn found(test_app: &TestApp, query: &str) -> Value {
    test_app.call(test_app.get(&format!("/v1/rejections?{query}"))).await.json
}

#[actix_web::test]
async fn page_is_filtered_and_continued() {
    let test_app = TestApp::new();
    for index in 0..5 {
        let event = format!(r#"{{"event_name":"n{}","x{index}":1}}"#, index % 2);
        test_app.batch(&event).await;
    }
    test_app.batch(r#"{"event_name":"","user_id":"u"}"#).await;
    test_app.close_recorder();
    let count = |page: &Value| page["rejections"].as_array().unwrap().len();
    assert_eq!(count(&found(&test_app, "code=required").await), 5);
    assert_eq!(count(&found(&test_app, "code=too_short").await), 1);
    assert_eq!(count(&found(&test_app, "event_name=n1").await), 2);
    assert_eq!(count(&found(&test_app, "from=2026-11-22T10:00:00.000001Z").await), 0);
    assert_eq!(count(&found(&test_app, "to=2026-11-22T10:00:00Z").await), 0);
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let page = found(&test_app, &format!("limit=4&cursor={cursor}")).await;
        seen.extend(page["rejections"].as_array().unwrap().iter().map(|event| event["id"].clone()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = next.to_owned();
    }
    seen.dedup();
    assert_eq!(seen.len(), 6);
}

#[actix_web::test]
async fn reads_need_the_scope_and_valid_parameters() {
    let test_app = TestApp::new();
    let key = test_app.key_with("events:write", 9);
    for path in ["/v1/rejections", "/v1/rejections/summary"] {
        let bearer = format!("Bearer {}", key.expose());
        let request = ApiRequest::new(Method::GET, path).header("authorization", bearer);
        let refused = test_app.call(request).await;
        refused.is_problem(403, "insufficient_scope");
        test_app.call(ApiRequest::new(Method::GET, path)).await.is_problem(401, "unauthorized");
        let unknown = test_app.call(test_app.get(&format!("{path}?user_id=u&limit=0"))).await;
        unknown.is_problem(400, "invalid_query");
        assert_eq!(
            unknown.errors(),
            [("/user_id", "unknown_parameter"), ("/limit", "invalid_value")]
        );
        test_app.store.set_reads_time_out(true);
        test_app.call(test_app.get(path)).await.is_problem(504, "query_timeout");
        test_app.store.set_reads_time_out(false);
    }
    // Refused reads are no lost events.
    assert_eq!(refused(&test_app).await, BTreeMap::new());
}

#[actix_web::test]
async fn other_tenant_sees_nothing() {
    let test_app = TestApp::new();
    test_app.batch("7").await;
    test_app.call(test_app.post("/v1/events/batch", "{")).await;
    test_app.close_recorder();
    let bearer = format!("Bearer {}", test_app.other_key.expose());
    let get = |path| ApiRequest::new(Method::GET, path).header("authorization", &bearer);
    let page = test_app.call(get("/v1/rejections")).await.json;
    assert_eq!(page, json!({"rejections": [], "next_cursor": null}));
    let summary = test_app.call(get("/v1/rejections/summary")).await.json;
    let expected = json!({
        "from": "2026-11-21T11:00:00.000000Z", "to": "2026-11-22T11:00:00.000000Z",
        "rejected": 0, "requests": [], "groups": [],
    });
    assert_eq!(summary, expected);
}

#[actix_web::test]
async fn refused_requests_are_counted_by_their_problem() {
    let limits = Limits {
        max_body_bytes: 1024,
        events_per_second: 1,
        events_burst: 50,
        ..Limits::default()
    };
    let test_app = TestApp::with_limits(limits);
    let event = r#"{"event_name":"n","user_id":"u"}"#;
    let full = format!(r#"{{"events":[{}]}}"#, vec!["1"; 50].join(","));
    let many = format!(r#"{{"events":[{}]}}"#, vec!["1"; 51].join(","));
    let xml = test_app.post("/v1/events/track", event).header("content-type", "application/xml");
    let coded = test_app.post("/v1/events/track", event).header("content-encoding", "gzip");
    let requests = [
        (test_app.post("/v1/events/track", "{"), "malformed_json"),
        (test_app.post("/v1/events/batch", "{"), "malformed_json"),
        (test_app.post("/v1/batch", "{"), "malformed_json"),
        (coded, "malformed_encoding"),
        (xml, "unsupported_media_type"),
        (test_app.post("/v1/events/batch", r#"{"events":[]}"#), "batch_empty"),
        (test_app.post("/v1/events/batch", many), "batch_too_large"),
        (test_app.post("/v1/events/batch", event), "invalid_event"),
        (test_app.post("/v1/batch", event), "invalid_event"),
        (test_app.post("/v1/events/track", vec![b' '; 2_000]), "payload_too_large"),
        (
            test_app.post("/v1/events/track", event).header("x-event-schema-version", "x"),
            "invalid_schema_version",
        ),
    ];
    let mut expected = BTreeMap::new();
    for (request, code) in requests {
        let response = test_app.call(request).await;
        assert_eq!(response.json["code"], code, "{response:?}");
        *expected.entry(code.to_owned()).or_default() += 1;
    }
    // A key in the body is known after it.
    let keyed =
        format!(r#"{{"writeKey":"{}","batch":[{}]}}"#, test_app.key.expose(), " ".repeat(1024));
    test_app.call(ApiRequest::new(Method::POST, "/v1/batch").body(keyed)).await;
    // Without a key there is no tenant.
    test_app.call(ApiRequest::new(Method::POST, "/v1/events/track").body("{")).await;
    assert_eq!(refused(&test_app).await, expected);
    // All tokens, so that the next event is refused.
    let test_app = TestApp::with_limits(limits);
    assert_eq!(test_app.call(test_app.post("/v1/events/batch", full)).await.status, 422);
    let over: ApiResponse = test_app.call(test_app.post("/v1/events/track", event)).await;
    over.is_problem(429, "rate_limited");
    let summary = read(&test_app, "/v1/rejections/summary").await;
    assert_eq!((&summary["rejected"], &summary["requests"][0]["count"]), (&json!(50), &json!(1)));
}

#[actix_web::test]
async fn failed_request_has_no_rejections() {
    let test_app = TestApp::new();
    test_app.store.set_unavailable(true);
    // The key is not cached.
    let response = test_app.batch(r#"{"event_name":"n","user_id":"u"},7"#).await;
    assert_eq!(response.status, 503);
    test_app.store.set_unavailable(false);
    test_app.store.refuse_event_name("bad");
    let response = test_app.batch(r#"{"event_name":"bad","user_id":"u"},7"#).await;
    assert_eq!(response.status, 500);
    assert_eq!(rejections(&test_app).await, [Value::Null; 0]);
    assert_eq!(refused(&test_app).await, BTreeMap::new());
}
