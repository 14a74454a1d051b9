//! Writing: verdicts, duplicates, clocks, versions, idempotency keys, and an unavailable store.

use actix_web::http::Method;
use mercurio_domain::limits::Limits;
use mercurio_domain::store::EventWriter;
use mercurio_domain::testing::{at, submission};
use mercurio_domain::{Owner, WorkspaceId};
use mercurio_pipeline::WriterOptions;
use serde_json::json;

use mercurio_api::testing::{ApiRequest, ApiResponse, NOW, TestApp};

#[actix_web::test]
async fn batch_has_a_result_for_each_event() {
    let test_app = TestApp::new();
    let response = test_app
        .batch(
            r#"{"event_id":"a","event_name":"n","user_id":"u"},
               {"event_id":"b","event_name":"n","user_id":"u"},
               {"event_id":"a","event_name":"n","user_id":"u"},
               {"event_id":"c","user_id":"u"}"#,
        )
        .await;
    assert_eq!(response.status, 200);
    assert_eq!(
        response.json,
        json!({
            "accepted": 2, "duplicates": 1, "rejected": 1, "total": 4,
            "results": [
                {"index": 0, "event_id": "a", "status": "accepted"},
                {"index": 1, "event_id": "b", "status": "accepted"},
                {"index": 2, "event_id": "a", "status": "duplicate"},
                {"index": 3, "event_id": "c", "status": "rejected", "errors": [{
                    "pointer": "/events/3/event_name", "code": "required",
                    "message": "event_name is required for an event of type track",
                }]},
            ],
            "received_at": "2026-11-22T10:00:00.000000Z",
            "request_id": response.header("x-request-id").unwrap(),
        })
    );
    let again = test_app.batch(r#"{"event_id":"b","event_name":"n","user_id":"u"}"#).await;
    assert_eq!(again.statuses(), ["duplicate"]);
    assert_eq!(test_app.store.event_count(), 2);
}

#[actix_web::test]
async fn duplicate_names_the_other_workspace_with_the_event() {
    let test_app = TestApp::new();
    let other = Owner { workspace_id: WorkspaceId(77), ..test_app.owner };
    test_app.store.append(&[submission(other, at(NOW), &["a"])]).unwrap();
    let response = test_app
        .batch(
            r#"{"event_id":"a","event_name":"n","user_id":"u"},
               {"event_id":"b","event_name":"n","user_id":"u"},
               {"event_id":"b","event_name":"n","user_id":"u"}"#,
        )
        .await;
    assert_eq!(
        response.json["results"],
        json!([
            {"index": 0, "event_id": "a", "status": "duplicate", "duplicate_in": "77"},
            {"index": 1, "event_id": "b", "status": "accepted"},
            {"index": 2, "event_id": "b", "status": "duplicate"},
        ])
    );
    assert_eq!(response.json["duplicates"], 2);
    for (id, duplicate_in) in [("a", json!("77")), ("b", json!(null))] {
        let event = format!(r#"{{"event_id":"{id}","event_name":"n","user_id":"u"}}"#);
        let json = test_app.call(test_app.post("/v1/events/track", event)).await.json;
        assert_eq!((&json["status"], &json["duplicate_in"]), (&json!("duplicate"), &duplicate_in));
    }
}

#[actix_web::test]
async fn batch_of_rejected_events_is_an_error_with_results() {
    let test_app = TestApp::new();
    let response = test_app.batch("{},7").await;
    response.is_problem(422, "invalid_event");
    assert_eq!(response.statuses(), ["rejected", "rejected"]);
    assert_eq!(response.event_errors(1), [("/events/1", "wrong_type")]);
}

#[actix_web::test]
async fn single_event_is_stored_once_or_rejected() {
    let test_app = TestApp::new();
    let post = |body: &str| test_app.post("/v1/events/track", body);
    let response = test_app.call(post(r#"{"event_name":"n","user_id":"u"}"#)).await;
    assert_eq!(response.json["status"], "accepted");
    assert_eq!(response.json["received_at"], "2026-11-22T10:00:00.000000Z");
    let id = response.json["event_id"].as_str().unwrap();
    let again = test_app
        .call(post(&format!(r#"{{"event_id":"{id}","event_name":"n","user_id":"u"}}"#)))
        .await;
    assert_eq!((again.status, again.json["status"].as_str()), (200, Some("duplicate")));
    let bad = test_app.call(post(r#"{"event_name":"n","userid":"u"}"#)).await;
    bad.is_problem(422, "invalid_event");
    assert_eq!(bad.errors(), [("/userid", "unknown_field"), ("", "required")]);
    test_app.call(post("[]")).await.is_problem(422, "invalid_event");
    test_app.call(post("{} {}")).await.is_problem(400, "malformed_json");
}

#[actix_web::test]
async fn id_is_unique_within_its_tenant_only() {
    let test_app = TestApp::new();
    let event = r#"{"event_id":"a","event_name":"n","user_id":"u"}"#;
    assert_eq!(test_app.batch(event).await.statuses(), ["accepted"]);
    let other = ApiRequest::new(Method::POST, "/v1/events/batch")
        .header("authorization", format!("Bearer {}", test_app.other_key.expose()))
        .body(format!("{{\"events\":[{event}]}}"));
    assert_eq!(test_app.call(other).await.statuses(), ["accepted"]);
}

#[actix_web::test]
async fn concurrent_requests_with_one_id_store_it_once() {
    let test_app = TestApp::new();
    let app = test_app.app().await;
    let body = r#"{"events":[{"event_id":"same","event_name":"n","user_id":"u"}]}"#;
    let requests: Vec<_> =
        (0..64).map(|_| test_app.post("/v1/events/batch", body).send(&app)).collect();
    let mut accepted = 0;
    for response in futures_util::future::join_all(requests).await {
        assert_eq!(response.status, 200);
        accepted += response.json["accepted"].as_u64().unwrap();
    }
    assert_eq!((accepted, test_app.store.event_count()), (1, 1));
}

async fn send_with_key(test_app: &TestApp, key: &str, body: &str) -> ApiResponse {
    test_app.call(test_app.post("/v1/events/batch", body).header("idempotency-key", key)).await
}

#[actix_web::test]
async fn idempotency_key_makes_a_repeat_safe() {
    let test_app = TestApp::new();
    let body = r#"{"events":[{"event_name":"n","user_id":"u"},{"event_name":"n","user_id":"u"}]}"#;
    let first = send_with_key(&test_app, "k", body).await;
    assert_eq!(first.statuses(), ["accepted", "accepted"]);
    let again = send_with_key(&test_app, "\"k\"", body).await;
    assert_eq!(again.statuses(), ["duplicate", "duplicate"]);
    assert_eq!(again.json["results"][0]["event_id"], first.json["results"][0]["event_id"]);
    // The version digit of a UUID is its 15th character (RFC 9562, 4.2).
    let version = first.json["results"][0]["event_id"].as_str().unwrap().chars().nth(14);
    assert_eq!(version, Some('8'), "a UUIDv8");
    // The same key by mistake, for another first event: nothing is lost.
    let mistaken = send_with_key(&test_app, "k", &body.replacen("\"u\"", "\"v\"", 1)).await;
    assert_eq!(mistaken.statuses(), ["accepted", "duplicate"]);
    assert_eq!(send_with_key(&test_app, "l", body).await.statuses(), ["accepted", "accepted"]);
}

#[actix_web::test]
async fn clock_skew_is_corrected_by_sent_at() {
    let test_app = TestApp::new();
    // The client's clock is years ahead; only the distance to `sent_at` counts (ADR 4).
    let body = r#"{"sent_at":"2030-01-01T00:00:10Z","events":[
        {"event_id":"a","event_name":"n","user_id":"u","timestamp":"2030-01-01T00:00:00Z"}]}"#;
    assert_eq!(
        test_app.call(test_app.post("/v1/events/batch", body)).await.statuses(),
        ["accepted"]
    );
    let event = test_app.call(test_app.get("/v1/events/a")).await.json;
    assert_eq!(event["timestamp"], "2026-11-22T09:59:50.000000Z");
    assert_eq!(event["sent_timestamp"], "2030-01-01T00:00:00.000000Z");
    let single = r#"{"event_id":"b","event_name":"n","user_id":"u","timestamp":"2020-01-01T00:00:00Z","sent_at":"2020-01-01T00:00:00Z"}"#;
    assert_eq!(test_app.call(test_app.post("/v1/events/track", single)).await.status, 200);
    assert_eq!(
        test_app.call(test_app.get("/v1/events/b")).await.json["timestamp"],
        "2026-11-22T10:00:00.000000Z"
    );
}

/// Sends an event with further members, and a schema version in the header.
async fn send_with_version(
    test_app: &TestApp,
    id: &str,
    members: &str,
    header: Option<&str>,
) -> ApiResponse {
    let event = format!(r#"{{"event_id":"{id}","event_name":"n","user_id":"u"{members}}}"#);
    let request = test_app.post("/v1/events/batch", format!("{{\"events\":[{event}]}}"));
    let request = match header {
        Some(version) => request.header("x-event-schema-version", version),
        None => request,
    };
    test_app.call(request).await
}

#[actix_web::test]
async fn schema_version_is_the_events_then_the_headers() {
    let test_app = TestApp::new();
    let own_version = r#","schema_version":"3.0.0-rc.1""#;
    for (id, member, header, version) in [
        ("a", "", None, "1.0.0"),
        ("b", "", Some("2.1.0"), "2.1.0"),
        ("c", own_version, Some("2.1.0"), "3.0.0-rc.1"),
    ] {
        send_with_version(&test_app, id, member, header).await;
        assert_eq!(
            test_app.call(test_app.get(&format!("/v1/events/{id}"))).await.json["schema_version"],
            version
        );
    }
    let long = format!("v{}", "1".repeat(100));
    let refused = send_with_version(&test_app, "d", "", Some(&long)).await;
    refused.is_problem(400, "invalid_schema_version");
    assert_eq!(refused.json["actual"].as_str().unwrap().len(), 64);
    assert_eq!(test_app.store.event_count(), 3);
}

fn batch_of_one(id: &str) -> String {
    format!(r#"{{"events":[{{"event_id":"{id}","event_name":"n","user_id":"u"}}]}}"#)
}

#[actix_web::test]
async fn body_of_a_beacon_is_read_as_json() {
    let test_app = TestApp::new();
    let path = format!("/v1/events/batch?auth={}", test_app.key.expose());
    let beacon = ApiRequest::new(Method::POST, &path)
        .header("content-type", "text/plain;charset=UTF-8")
        .body(batch_of_one("a"));
    assert_eq!(test_app.call(beacon).await.statuses(), ["accepted"]);
    assert_eq!(
        test_app
            .call(ApiRequest::new(Method::POST, &path).body(batch_of_one("b")))
            .await
            .statuses(),
        ["accepted"]
    );
    let form = ApiRequest::new(Method::POST, &path)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(batch_of_one("c"));
    test_app.call(form).await.is_problem(415, "unsupported_media_type");
    let odd = ApiRequest::new(Method::POST, &path)
        .header("content-encoding", "lzma")
        .body(batch_of_one("d"));
    test_app.call(odd).await.is_problem(415, "unsupported_content_encoding");
}

#[actix_web::test]
async fn limits_of_the_server_apply() {
    let limits = Limits { max_batch_events: 1, max_event_bytes: 60, ..Limits::default() };
    let test_app = TestApp::with(limits, WriterOptions::default());
    test_app.batch("{},{}").await.is_problem(400, "batch_too_large");
    let long = r#"{"event_id":"a","event_name":"n","user_id":"u","properties":{}}"#;
    assert_eq!(test_app.batch(long).await.event_errors(0), [("/events/0", "event_too_large")]);
}

#[actix_web::test]
async fn unavailable_store_is_reported_until_it_returns() {
    let test_app = TestApp::new();
    let event = r#"{"event_id":"a","event_name":"n","user_id":"u"}"#;
    test_app.store.set_unavailable(true);
    let away = test_app.batch(event).await;
    away.is_problem(503, "storage_unavailable");
    assert_eq!(away.header("retry-after"), Some("2"));
    assert_eq!(away.json["retry_after_seconds"], 2);
    test_app.call(test_app.get("/health/ready")).await.is_problem(503, "storage_unavailable");
    assert_eq!(test_app.call(test_app.get("/health/live")).await.status, 200);
    test_app.store.set_unavailable(false);
    assert_eq!(test_app.batch(event).await.statuses(), ["accepted"]);
}

#[actix_web::test]
async fn failed_store_is_an_internal_error_without_its_cause() {
    let test_app = TestApp::new();
    test_app.store.refuse_event_name("guilty");
    let response = test_app.batch(r#"{"event_name":"guilty","user_id":"u"}"#).await;
    response.is_problem(500, "internal");
    assert!(!String::from_utf8_lossy(&response.body).contains("test refuses"));
    assert_eq!(test_app.batch(r#"{"event_name":"innocent","user_id":"u"}"#).await.status, 200);
}

#[actix_web::test]
async fn write_during_shutdown_is_refused_once_the_writer_closes() {
    let test_app = TestApp::new();
    test_app.state.lifecycle.drain();
    let event = r#"{"event_name":"n","user_id":"u"}"#;
    assert_eq!(test_app.batch(event).await.status, 200, "the writer still commits");
    assert!(test_app.close_writer());
    let refused = test_app.batch(event).await;
    refused.is_problem(503, "shutting_down");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(test_app.store.event_count(), 1);
}
