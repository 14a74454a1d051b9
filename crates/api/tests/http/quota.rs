//! The monthly quota.

use std::rc::Rc;
use std::time::Duration;

use actix_web::http::Method;
use mercurio_domain::limits::{LimitChange, LimitName};
use mercurio_domain::store::Catalog;
use mercurio_domain::testing::{at, submission};
use mercurio_pipeline::writer::QueueTime;
use serde_json::json;
use tokio::time::Instant;

use mercurio_api::problem::Problem;
use mercurio_api::testing::{ApiRequest, ApiResponse, NOW, TestApp};

/// From the 22nd of November, 10:00, to the end of the month.
const SECONDS_LEFT: u64 = (8 * 24 + 14) * 3600;

fn event(id: &str) -> String {
    format!(r#"{{"event_id":"{id}","event_name":"n","user_id":"u"}}"#)
}

/// Starts an app whose first tenant has a quota of `limit` events and has stored the events `a` and
/// `b`.
async fn with_two_used(limit: u64) -> TestApp {
    let test_app = TestApp::new();
    let limits = [LimitChange { name: LimitName::MonthlyEvents, value: Some(limit) }];
    test_app.store.set_limits(test_app.owner.tenant_id, &limits).unwrap();
    assert_eq!(batch(&test_app, &["a", "b"]).await.statuses(), ["accepted", "accepted"]);
    test_app
}

async fn batch(test_app: &TestApp, ids: &[&str]) -> ApiResponse {
    test_app.batch(&ids.iter().map(|id| event(id)).collect::<Vec<_>>().join(",")).await
}

#[actix_web::test]
async fn batch_over_the_quota_is_refused_whole() {
    let test_app = with_two_used(3).await;
    let response = batch(&test_app, &["c", "d"]).await;
    response.is_problem(429, "quota_exceeded");
    for (member, expected) in [
        ("limit", json!(3)),
        ("actual", json!(2)),
        ("renews_at", json!("2026-12-01T00:00:00.000000Z")),
        ("retry_after_seconds", json!(SECONDS_LEFT)),
    ] {
        assert_eq!(response.json[member], expected, "{member}");
    }
    assert_eq!(response.header("retry-after"), Some(&*SECONDS_LEFT.to_string()));
    assert_eq!(test_app.store.event_count(), 2);
}

#[actix_web::test]
async fn single_event_over_the_quota_is_refused() {
    let test_app = with_two_used(2).await;
    let response = test_app.call(test_app.post("/v1/events/track", event("c"))).await;
    response.is_problem(429, "quota_exceeded");
    assert_eq!(test_app.store.event_count(), 2);
    let metrics = test_app.state.metrics.snapshot();
    assert_eq!((metrics.quota_exceeded, metrics.rate_limited), (1, 0));
}

#[actix_web::test]
async fn duplicates_and_rejected_events_use_no_quota() {
    let test_app = with_two_used(3).await;
    assert_eq!(batch(&test_app, &["a"]).await.statuses(), ["duplicate"]);
    let mixed = test_app.batch(&format!("{},{{}}", event("c"))).await;
    assert_eq!(mixed.statuses(), ["accepted", "rejected"]);
    assert_eq!(test_app.store.event_count(), 3);
}

#[actix_web::test]
async fn duplicates_need_room_like_other_valid_events() {
    let test_app = with_two_used(2).await;
    let response = test_app.call(test_app.post("/v1/events/track", event("a"))).await;
    response.is_problem(429, "quota_exceeded");
    assert_eq!(test_app.batch("{}").await.status, 422, "without a valid event no room is needed");
}

#[actix_web::test]
async fn abandoned_request_keeps_its_room_until_it_ends() {
    let test_app = Rc::new(with_two_used(4).await);
    test_app.store.gate.close();
    let abandoned = {
        let test_app = Rc::clone(&test_app);
        actix_web::rt::spawn(async move { batch(&test_app, &["a", "c"]).await.status })
    };
    // The set-up arrived first; the second arrival is the request below to be aborted.
    while test_app.store.gate.arrivals() < 2 {
        tokio::task::yield_now().await;
    }
    abandoned.abort();
    assert!(abandoned.await.is_err());
    // Two events are used, and two are in flight: the duplicate is not known as one yet.
    batch(&test_app, &["d"]).await.is_problem(429, "quota_exceeded");
    test_app.store.gate.open();
    // The room of its duplicate is free after its commit.
    while batch(&test_app, &["d"]).await.status == 429 {
        tokio::task::yield_now().await;
    }
    assert_eq!(test_app.store.event_count(), 4);
}

#[actix_web::test]
async fn unreadable_usage_is_a_storage_problem() {
    let test_app = TestApp::new();
    // Not over HTTP: there, the lookup of the key would fail first.
    let events = submission(test_app.owner, at(NOW), &["a"]);
    let soon = Instant::now() + Duration::from_secs(30);
    assert!(test_app.state.admit(&events, 3, soon).await.unwrap().is_some());
    test_app.store.set_unavailable(true);
    // A month that was never read.
    let events = submission(test_app.owner, at("2026-12-01T00:00:00Z"), &["b"]);
    let refused = test_app.state.admit(&events, 3, soon).await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, Problem::StorageUnavailable { .. }), "{refused:?}");
}

#[actix_web::test]
async fn quota_and_commit_share_a_deadline() {
    let test_app = TestApp::new();
    let events = submission(test_app.owner, at(NOW), &["a"]);
    let past = Instant::now();
    test_app.store.counts_gate.close();
    let refused = test_app.state.admit(&events, 3, past).await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, Problem::StorageUnavailable { .. }), "{refused:?}");
    test_app.store.counts_gate.open();
    test_app.store.gate.close();
    let refused = test_app.state.submit(events, None, &QueueTime::default(), past).await;
    assert!(matches!(refused, Err(Problem::StorageUnavailable { .. })), "{refused:?}");
    // Far below the commit timeout.
    assert!(past.elapsed() < Duration::from_secs(5), "{:?}", past.elapsed());
    test_app.store.gate.open();
}

#[actix_web::test]
async fn limits_show_the_usage_of_the_quota() {
    let test_app = with_two_used(3).await;
    let response = test_app.call(test_app.get("/v1/limits")).await;
    assert_eq!(response.json["limits"]["monthly_events"], 3);
    let expected = json!({
        "remaining": 1, "used": 2, "limit": 3, "renews_at": "2026-12-01T00:00:00.000000Z", "reset_seconds": SECONDS_LEFT,
    });
    assert_eq!(response.json["remaining"]["monthly_events"], expected);
}

#[actix_web::test]
async fn quota_applies_to_its_tenant_alone() {
    let test_app = with_two_used(2).await;
    let other = ApiRequest::new(Method::POST, "/v1/events/track")
        .header("x-api-key", test_app.other_key.expose())
        .body(event("a"));
    assert_eq!(test_app.call(other).await.status, 200);
}
