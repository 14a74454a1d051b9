//! Writing: verdicts, duplicates, clocks, versions, repeated requests, and a store that is away.

use actix_web::http::Method;
use mercurio_domain::limits::Limits;
use mercurio_pipeline::WriterOptions;
use serde_json::json;

use mercurio_api::testing::{Ask, TestApp};

#[actix_web::test]
async fn every_event_of_a_batch_gets_its_own_verdict() {
    let test_app = TestApp::new();
    let answer = test_app
        .batch(
            r#"{"event_id":"a","event_name":"n","user_id":"u"},
               {"event_id":"b","event_name":"n","user_id":"u"},
               {"event_id":"a","event_name":"n","user_id":"u"},
               {"event_id":"c","user_id":"u"}"#,
        )
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json,
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
            "request_id": answer.header("x-request-id").unwrap(),
        })
    );
    let again = test_app.batch(r#"{"event_id":"b","event_name":"n","user_id":"u"}"#).await;
    assert_eq!(again.statuses(), ["duplicate"]);
    assert_eq!(test_app.store.event_count(), 2);
}

#[actix_web::test]
async fn a_batch_of_rejected_events_alone_is_an_error_with_the_same_results() {
    let test_app = TestApp::new();
    let answer = test_app.batch("{},7").await;
    answer.is_problem(422, "invalid_event");
    assert_eq!(answer.statuses(), ["rejected", "rejected"]);
    assert_eq!(answer.event_errors(1), [("/events/1", "wrong_type")]);
}

#[actix_web::test]
async fn a_single_event_is_tracked() {
    let test_app = TestApp::new();
    let post = |body: &str| test_app.post("/v1/events/track", body);
    let answer = test_app.call(post(r#"{"event_name":"n","user_id":"u"}"#)).await;
    assert_eq!(answer.json["status"], "accepted");
    assert_eq!(answer.json["received_at"], "2026-11-22T10:00:00.000000Z");
    let id = answer.json["event_id"].as_str().unwrap();
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
async fn one_id_in_two_tenants_is_two_events() {
    let test_app = TestApp::new();
    let event = r#"{"event_id":"a","event_name":"n","user_id":"u"}"#;
    assert_eq!(test_app.batch(event).await.statuses(), ["accepted"]);
    let other = Ask::new(Method::POST, "/v1/events/batch")
        .header("authorization", format!("Bearer {}", test_app.other_key.expose()))
        .body(format!("{{\"events\":[{event}]}}"));
    assert_eq!(test_app.call(other).await.statuses(), ["accepted"]);
}

#[actix_web::test]
async fn sixty_four_requests_with_one_id_store_it_once() {
    let test_app = TestApp::new();
    let app = test_app.app().await;
    let body = r#"{"events":[{"event_id":"same","event_name":"n","user_id":"u"}]}"#;
    let requests: Vec<_> =
        (0..64).map(|_| test_app.post("/v1/events/batch", body).send(&app)).collect();
    let mut accepted = 0;
    for answer in futures_util::future::join_all(requests).await {
        assert_eq!(answer.status, 200);
        accepted += answer.json["accepted"].as_u64().unwrap();
    }
    assert_eq!((accepted, test_app.store.event_count()), (1, 1));
}

#[actix_web::test]
async fn a_request_without_ids_may_be_repeated_under_an_idempotency_key() {
    let test_app = TestApp::new();
    let body = r#"{"events":[{"event_name":"n","user_id":"u"},{"event_name":"n","user_id":"u"}]}"#;
    let send = |key: &str, body: &str| {
        test_app.call(test_app.post("/v1/events/batch", body).header("idempotency-key", key))
    };
    let first = send("k", body).await;
    assert_eq!(first.statuses(), ["accepted", "accepted"]);
    let again = send("\"k\"", body).await;
    assert_eq!(again.statuses(), ["duplicate", "duplicate"]);
    assert_eq!(again.json["results"][0]["event_id"], first.json["results"][0]["event_id"]);
    let version = first.json["results"][0]["event_id"].as_str().unwrap().chars().nth(14);
    assert_eq!(version, Some('8'), "a UUIDv8");
    let mistaken = send("k", &body.replacen("\"u\"", "\"v\"", 1)).await;
    assert_eq!(mistaken.statuses(), ["accepted", "duplicate"]);
    assert_eq!(send("l", body).await.statuses(), ["accepted", "accepted"]);
}

#[actix_web::test]
async fn a_clock_that_is_wrong_is_corrected_and_the_time_as_sent_kept() {
    let test_app = TestApp::new();
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

#[actix_web::test]
async fn the_version_of_the_schema_is_the_events_then_the_headers_then_the_first() {
    let test_app = TestApp::new();
    let send = |id: &str, member: &str, header: Option<&str>| {
        let body = format!(
            r#"{{"events":[{{"event_id":"{id}","event_name":"n","user_id":"u"{member}}}]}}"#
        );
        let request = test_app.post("/v1/events/batch", body);
        test_app.call(match header {
            Some(version) => request.header("x-event-schema-version", version),
            None => request,
        })
    };
    send("a", "", None).await;
    send("b", "", Some("2.1.0")).await;
    send("c", r#","schema_version":"3.0.0-rc.1""#, Some("2.1.0")).await;
    for (id, version) in [("a", "1.0.0"), ("b", "2.1.0"), ("c", "3.0.0-rc.1")] {
        assert_eq!(
            test_app.call(test_app.get(&format!("/v1/events/{id}"))).await.json["schema_version"],
            version
        );
    }
    let long = format!("v{}", "1".repeat(100));
    let refused = send("d", "", Some(&long)).await;
    refused.is_problem(400, "invalid_schema_version");
    assert_eq!(refused.json["actual"].as_str().unwrap().len(), 64);
    assert_eq!(test_app.store.event_count(), 3);
}

#[actix_web::test]
async fn a_body_may_be_plain_text_or_nameless_as_a_beacon_sends_it() {
    let test_app = TestApp::new();
    let path = format!("/v1/events/batch?auth={}", test_app.key.expose());
    let body = |id: &str| {
        format!(r#"{{"events":[{{"event_id":"{id}","event_name":"n","user_id":"u"}}]}}"#)
    };
    let beacon = Ask::new(Method::POST, &path)
        .header("content-type", "text/plain;charset=UTF-8")
        .body(body("a"));
    assert_eq!(test_app.call(beacon).await.statuses(), ["accepted"]);
    assert_eq!(
        test_app.call(Ask::new(Method::POST, &path).body(body("b"))).await.statuses(),
        ["accepted"]
    );
    let form = Ask::new(Method::POST, &path)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body("c"));
    test_app.call(form).await.is_problem(415, "unsupported_media_type");
    let odd = Ask::new(Method::POST, &path).header("content-encoding", "lzma").body(body("d"));
    test_app.call(odd).await.is_problem(415, "unsupported_content_encoding");
}

#[actix_web::test]
async fn the_limits_are_settings() {
    let limits = Limits { max_batch_events: 1, max_event_bytes: 60, ..Limits::default() };
    let test_app = TestApp::with(limits, WriterOptions::default());
    test_app.batch("{},{}").await.is_problem(400, "batch_too_large");
    let long = r#"{"event_id":"a","event_name":"n","user_id":"u","properties":{}}"#;
    assert_eq!(test_app.batch(long).await.event_errors(0), [("/events/0", "event_too_large")]);
}

#[actix_web::test]
async fn a_store_that_is_away_is_told_and_found_again() {
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
async fn a_store_that_fails_on_a_request_is_an_internal_error_without_its_cause() {
    let test_app = TestApp::new();
    test_app.store.refuse_event_name("guilty");
    let answer = test_app.batch(r#"{"event_name":"guilty","user_id":"u"}"#).await;
    answer.is_problem(500, "internal");
    assert!(!String::from_utf8_lossy(&answer.body).contains("test refuses"));
    assert_eq!(test_app.batch(r#"{"event_name":"innocent","user_id":"u"}"#).await.status, 200);
}
