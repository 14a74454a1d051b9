//! Live tails: messages, filters, resumption, limits, and their end.

use std::time::Duration;

use actix_web::http::Method;
use mercurio_api::testing::{ApiRequest, NOW, SseBody, TestApp};
use mercurio_domain::limits::Limits;
use mercurio_domain::store::{Catalog, FeedCursor};
use mercurio_domain::testing::at;
use mercurio_domain::{ApiKeyId, WorkspaceId};
use serde_json::json;

async fn open(test_app: &TestApp, path: &str) -> SseBody {
    test_app.get(path).open(&test_app.app().await).await.expect("a tail")
}

async fn send(test_app: &TestApp, ids: &[&str]) {
    let events: Vec<_> = ids
        .iter()
        .map(|id| format!(r#"{{"event_id":"{id}","event_name":"n","user_id":"u-{id}"}}"#))
        .collect();
    assert_eq!(test_app.batch(&events.join(",")).await.status, 200);
}

/// Opens tails until one is refused.
async fn open_all(test_app: &TestApp) -> (Vec<SseBody>, mercurio_api::testing::ApiResponse) {
    let mut tails = Vec::new();
    loop {
        match test_app.get("/v1/tail").open(&test_app.app().await).await {
            Ok(tail) => tails.push(tail),
            Err(response) => return (tails, response),
        }
    }
}

#[actix_web::test]
async fn tail_shows_every_verdict() {
    let test_app = TestApp::new();
    send(&test_app, &["before"]).await;
    let mut tail = open(&test_app, "/v1/tail").await;
    let response = test_app
        .batch(
            r#"{"event_id":"a","event_name":"n","user_id":"u","properties":{ "p":
            1 }}, {"event_id":"before","event_name":"n","user_id":"u"},
            {"event_id":"b","event_name":"n","timestamp":"x","user_id":"v"}"#,
        )
        .await;
    assert_eq!(response.statuses(), ["accepted", "duplicate", "rejected"]);
    let mut messages = Vec::new();
    for _ in 0..3 {
        messages.push(tail.next().await.unwrap());
    }
    messages.sort_by(|one, other| one.event.cmp(&other.event));
    let summaries: Vec<_> = messages.iter().map(|message| message.summary()).collect();
    assert_eq!(summaries, ["accepted a", "duplicate before", "rejected b"]);
    // As `GET /v1/events` shows it, white space of the payload included.
    let stored = test_app.call(test_app.get("/v1/events/a")).await;
    assert_eq!(messages[0].data.as_bytes(), stored.body);
    let request_id = response.header("x-request-id").unwrap();
    let duplicate: serde_json::Value = serde_json::from_str(&messages[1].data).unwrap();
    let expected = json!({
        "status": "duplicate", "event_id": "before", "event_name": "n", "type": "track", "user_id": "u",
        "anonymous_id": null, "received_at": "2026-11-22T10:00:00.000000Z", "request_id": request_id,
        "protocol": "mercurio",
    });
    assert_eq!(duplicate, expected);
    let rejected: serde_json::Value = serde_json::from_str(&messages[2].data).unwrap();
    assert_eq!(rejected["errors"], response.json["results"][2]["errors"]);
    assert_eq!((&rejected["type"], &rejected["user_id"]), (&json!(null), &json!("v")));
}

#[actix_web::test]
async fn tail_shows_events_of_its_workspace_alone() {
    let test_app = TestApp::new();
    let mut tail = open(&test_app, "/v1/tail").await;
    for body in [r#"{"event_id":"x","event_name":"n","user_id":"u"}"#, r#"{"event_id":"y"}"#] {
        let request = ApiRequest::new(Method::POST, "/v1/events/track")
            .header("authorization", format!("Bearer {}", test_app.other_key.expose()))
            .header("content-type", "application/json");
        test_app.call(request.body(body)).await;
    }
    send(&test_app, &["mine"]).await;
    assert_eq!(tail.summaries(1).await, ["accepted mine"]);
}

#[actix_web::test]
async fn foreign_protocols_are_named() {
    let test_app = TestApp::new();
    let mut tail = open(&test_app, "/v1/tail?verdict=rejected").await;
    let body = r#"{"batch":[{"type":"track","messageId":"s","event":"","userId":"u"}]}"#;
    test_app.call(test_app.post("/v1/batch", body)).await;
    let message = tail.next().await.unwrap();
    assert_eq!(message.summary(), "rejected s");
    assert_eq!(message.member("protocol"), "segment");
    assert_eq!(message.member("errors")[0]["pointer"], "/batch/0/event");
}

#[actix_web::test]
async fn tail_goes_on_after_its_last_id_with_nothing_twice() {
    let test_app = TestApp::new();
    let mut tail = open(&test_app, "/v1/tail").await;
    tail.skip_begin().await;
    let begin = tail.parser.last_id.clone();
    send(&test_app, &["a", "b", "c"]).await;
    assert_eq!(tail.summaries(1).await, ["accepted a"]);
    let second = tail.next().await.unwrap();
    assert_eq!(second.summary(), "accepted b");
    drop(tail);
    send(&test_app, &["d"]).await;
    let app = test_app.app().await;
    let resumed = test_app.get("/v1/tail").header("last-event-id", &second.last_id);
    let mut resumed = resumed.open(&app).await.unwrap();
    assert_eq!(resumed.summaries(2).await, ["accepted c", "accepted d"]);
    // The id before the first event works too. The header is newer than the parameter.
    let path = format!("/v1/tail?after={begin}");
    assert_eq!(open(&test_app, &path).await.summaries(4).await[0], "accepted a");
    let both = test_app.get(&path).header("last-event-id", &second.last_id);
    assert_eq!(both.open(&app).await.unwrap().summaries(1).await, ["accepted c"]);
}

#[actix_web::test]
async fn long_feed_is_caught_up() {
    let test_app = TestApp::new();
    let mut tail = open(&test_app, "/v1/tail").await;
    tail.skip_begin().await;
    let path = format!("/v1/tail?after={}", tail.parser.last_id);
    let ids: Vec<_> = (0..250).map(|number| format!("e{number}")).collect();
    for part in ids.chunks(50) {
        send(&test_app, &part.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    let expected: Vec<_> = ids.iter().map(|id| format!("accepted {id}")).collect();
    assert_eq!(open(&test_app, &path).await.summaries(250).await, expected);
    assert_eq!(tail.summaries(250).await, expected);
}

#[actix_web::test]
async fn filters_apply_to_every_verdict() {
    let test_app = TestApp::new();
    let mut by_user = open(&test_app, "/v1/tail?user_id=u-a").await;
    let mut by_verdict = open(&test_app, "/v1/tail?verdict=duplicate").await;
    let mut by_type = open(&test_app, "/v1/tail?type=page&event_name=page").await;
    send(&test_app, &["b", "a"]).await;
    send(&test_app, &["b", "a"]).await;
    test_app.batch(r#"{"event_id":"p","type":"page","anonymous_id":"x"}"#).await;
    test_app.batch(r#"{"event_id":"q","event_name":"","user_id":"u-a"}"#).await;
    let mut found = by_user.summaries(3).await;
    found.sort();
    assert_eq!(found, ["accepted a", "duplicate a", "rejected q"]);
    assert_eq!(by_verdict.summaries(2).await, ["duplicate b", "duplicate a"]);
    assert_eq!(by_type.summaries(1).await, ["accepted p"]);
}

#[actix_web::test]
async fn cursor_that_is_not_of_this_feed_is_refused() {
    let test_app = TestApp::new();
    let app = test_app.app().await;
    let other = FeedCursor::oldest(WorkspaceId(2)).to_text();
    let future = FeedCursor { last: 9, ..FeedCursor::oldest(WorkspaceId(1)) }.to_text();
    for (cursor, expected) in [
        ("x", "is not a cursor of this service"),
        (&*other, "is a cursor of another workspace"),
        (&*future, "is a cursor of a database that was replaced"),
    ] {
        let by_header = test_app.get("/v1/tail").header("last-event-id", cursor);
        let by_parameter = test_app.get(&format!("/v1/tail?after={cursor}"));
        for (name, request) in [("Last-Event-ID", by_header), ("after", by_parameter)] {
            let response = request.open(&app).await.err().expect("a refusal");
            response.is_problem(400, "invalid_query");
            let error = &response.json["errors"][0];
            assert_eq!(error["parameter"], name);
            let message = error["message"].as_str().unwrap();
            assert!(message.starts_with(&format!("{name} {expected}")), "{message}");
        }
    }
    let twice = test_app.get("/v1/tail").header("last-event-id", "x");
    let twice = twice.header_again("last-event-id", "y").open(&app).await.err().unwrap();
    twice.is_problem(400, "invalid_query");
    let unknown = test_app.get("/v1/tail?limit=1").open(&app).await.err().unwrap();
    unknown.is_problem(400, "invalid_query");
    assert_eq!(test_app.state.tails.counts().subscribers, 0);
}

#[actix_web::test]
async fn tails_of_a_tenant_are_limited() {
    let test_app = TestApp::new();
    let (tails, refused) = open_all(&test_app).await;
    assert_eq!(tails.len(), 10);
    refused.is_problem(429, "too_many_reads");
    assert_eq!(refused.header("retry-after"), Some("5"));
    // Ordinary reads and other tenants have their own limits.
    assert_eq!(test_app.call(test_app.get("/v1/events")).await.status, 200);
    let other = ApiRequest::new(Method::GET, "/v1/tail")
        .header("authorization", format!("Bearer {}", test_app.other_key.expose()));
    assert!(other.open(&test_app.app().await).await.is_ok());
    drop(tails);
    open(&test_app, "/v1/tail").await;
}

#[actix_web::test]
async fn tails_that_connect_again_leave_nothing() {
    let limits = Limits { reads_per_second: 0, ..Limits::default() };
    let test_app = TestApp::with_limits(limits);
    let app = test_app.app().await;
    for _ in 0..1_000 {
        let mut tail = test_app.get("/v1/tail").open(&app).await.expect("a tail");
        tail.skip_begin().await;
    }
    assert_eq!(test_app.state.tails.counts().subscribers, 0);
    assert!(!test_app.state.tails.is_watched(test_app.owner));
    // The permits of reads are back too.
    assert_eq!(test_app.call(test_app.get("/v1/events")).await.status, 200);
}

#[actix_web::test]
async fn tails_take_tokens_of_reads() {
    let limits = Limits { reads_per_second: 1, reads_burst: 2, ..Limits::default() };
    let test_app = TestApp::with_limits(limits);
    let app = test_app.app().await;
    for _ in 0..2 {
        drop(test_app.get("/v1/tail").open(&app).await.expect("a tail"));
    }
    let refused = test_app.get("/v1/tail").open(&app).await.err().unwrap();
    refused.is_problem(429, "too_many_reads");
}

#[actix_web::test]
async fn head_and_missing_rights_open_no_tail() {
    let test_app = TestApp::new();
    let head = ApiRequest::new(Method::HEAD, "/v1/tail")
        .header("authorization", format!("Bearer {}", test_app.key.expose()));
    let head = test_app.call(head).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(head.header(name), Some(value));
    }
    let key = test_app.key_with("events:write", 9);
    let write_only = ApiRequest::new(Method::GET, "/v1/tail")
        .header("authorization", format!("Bearer {}", key.expose()));
    test_app.call(write_only).await.is_problem(403, "insufficient_scope");
    let anonymous = ApiRequest::new(Method::GET, "/v1/tail");
    test_app.call(anonymous).await.is_problem(401, "unauthorized");
    assert_eq!(test_app.state.tails.counts().subscribers, 0);
}

#[actix_web::test]
async fn revoked_key_ends_its_tail() {
    let test_app = TestApp::new();
    let mut tail = open(&test_app, "/v1/tail").await;
    let id = test_app.key.expose().split('_').nth(1).unwrap();
    test_app.store.revoke_api_key(&ApiKeyId::new(id), at(NOW)).unwrap();
    assert_eq!(tail.next().await, None);
    assert_eq!(tail.parser.comments, ["the API key is no longer valid"]);
}

#[actix_web::test]
async fn suspended_tenant_ends_its_tails() {
    let test_app = TestApp::new();
    let mut tail = open(&test_app, "/v1/tail").await;
    test_app.store.suspend_tenant(test_app.owner.tenant_id, true).unwrap();
    assert_eq!(tail.next().await, None);
    assert_eq!(tail.parser.comments, ["the tenant is suspended"]);
}

#[actix_web::test]
async fn shutdown_ends_tails_at_once() {
    let test_app = TestApp::new();
    let mut tail = open(&test_app, "/v1/tail").await;
    // Even if a read hangs.
    test_app.store.reads_gate.close();
    tail.skip_begin().await;
    test_app.state.tails.close();
    assert_eq!(tail.next().await, None);
    assert_eq!(tail.parser.comments, ["the server is shutting down: connect again"]);
    test_app.store.reads_gate.open();
    let refused = test_app.get("/v1/tail").open(&test_app.app().await).await.err().unwrap();
    refused.is_problem(503, "shutting_down");
}

#[actix_web::test]
async fn tail_outlasts_an_outage_of_the_database() {
    let test_app = TestApp::new();
    let mut tail = open(&test_app, "/v1/tail").await;
    send(&test_app, &["a"]).await;
    assert_eq!(tail.summaries(1).await, ["accepted a"]);
    test_app.store.set_unavailable(true);
    // Several reads and checks of the key fail.
    let silence = tokio::time::timeout(Duration::from_secs(5), tail.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    test_app.store.set_unavailable(false);
    send(&test_app, &["b"]).await;
    assert_eq!(tail.summaries(1).await, ["accepted b"]);
    test_app.store.set_unavailable(true);
    let refused = test_app.get("/v1/tail").open(&test_app.app().await).await.err().unwrap();
    refused.is_problem(503, "storage_unavailable");
}

#[actix_web::test]
async fn flood_of_rejected_events_is_counted() {
    let limits = Limits { max_batch_events: 250, ..Limits::default() };
    let test_app = TestApp::with_limits(limits);
    let mut tail = open(&test_app, "/v1/tail?verdict=rejected").await;
    let events = vec![r#"{"event_name":"n"}"#; 250].join(",");
    assert_eq!(test_app.batch(&events).await.status, 422);
    let mut shown = 0;
    let missed = loop {
        let message = tail.next().await.unwrap();
        match &*message.event {
            "rejected" => shown += 1,
            _ => break message,
        }
    };
    assert_eq!((shown, &*missed.event), (100, "missed"));
    assert_eq!(missed.data, r#"{"duplicates":0,"rejected":150}"#);
    let metrics = test_app.call(ApiRequest::new(Method::GET, "/metrics")).await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    for line in [
        "mercurio_tails_open 1",
        "mercurio_tail_notices_total 100",
        "mercurio_tail_missed_total 150",
    ] {
        assert!(metrics.contains(&format!("{line}\n")), "{line}: {metrics}");
    }
}
