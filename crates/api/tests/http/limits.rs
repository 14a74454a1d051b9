//! What a tenant may send: its own limits, its buckets, and what it is told of them.

use mercurio_domain::limits::{LimitName, Limits};
use mercurio_domain::store::Catalog;
use mercurio_pipeline::WriterOptions;
use serde_json::json;

use mercurio_api::testing::{Answer, TestApp};

const EVENT: &str = r#"{"event_name":"n","user_id":"u"}"#;

fn test_app(limits: Limits) -> TestApp {
    TestApp::with(limits, WriterOptions { threads: 1, ..WriterOptions::default() })
}

async fn send(test_app: &TestApp, events: usize) -> Answer {
    test_app.batch(&vec![EVENT; events].join(",")).await
}

#[actix_web::test]
async fn every_answer_to_a_write_tells_what_is_left() {
    let test_app = TestApp::new();
    let headers = |answer: &Answer| {
        ["ratelimit-policy", "ratelimit"].map(|name| answer.header(name).map(str::to_owned))
    };
    let policy = Some(r#""requests";q=1000000;w=10, "events";q=10000000;w=10"#.to_owned());
    for (body, status, left) in [
        (EVENT.to_owned(), 200, r#""requests";r=999999;t=1, "events";r=9999999;t=1"#),
        ("{}".to_owned(), 422, r#""requests";r=999999;t=1, "events";r=9999999;t=1"#),
    ] {
        let answer = test_app.call(test_app.post("/v1/events/track", body)).await;
        assert_eq!(answer.status, status);
        let [told_policy, told_left] = headers(&answer);
        assert_eq!(told_policy, policy);
        assert!(told_left.is_some_and(|told| told.starts_with(&left[..20])), "{left}");
    }
    let broken = test_app.call(test_app.post("/v1/events/batch", "{")).await;
    assert_eq!((broken.status, headers(&broken)[0].clone()), (400, policy));
    let unlimited = Limits { events_per_second: 0, requests_per_second: 0, ..Limits::default() };
    assert_eq!(headers(&send(&self::test_app(unlimited), 1).await), [None, None]);
}

#[actix_web::test]
async fn a_batch_over_the_limit_is_refused_whole_and_one_that_fits_is_not() {
    // So slow that nothing flows in while the test runs.
    let limits =
        Limits { events_per_second: 1, events_burst: 1, max_batch_events: 60, ..Limits::default() };
    let test_app = test_app(limits);
    assert_eq!(send(&test_app, 40).await.status, 200);
    let answer = send(&test_app, 30).await;
    answer.is_problem(429, "rate_limited");
    let seconds = answer.json["retry_after_seconds"].as_u64().unwrap();
    assert!((8..=10).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("retry-after"), Some(&*seconds.to_string()));
    assert!(answer.header("ratelimit").unwrap().contains("\"events\";r=2"), "{answer:?}");
    assert_eq!(test_app.store.event_count(), 40);
    assert_eq!(send(&test_app, 20).await.status, 200);
    assert_eq!(test_app.store.event_count(), 60);
}

#[actix_web::test]
async fn requests_are_limited_before_their_bodies_are_read() {
    let test_app =
        test_app(Limits { requests_per_second: 1, requests_burst: 2, ..Limits::default() });
    assert_eq!(send(&test_app, 1).await.status, 200);
    assert_eq!(test_app.call(test_app.post("/v1/events/batch", "not JSON")).await.status, 400);
    test_app
        .call(test_app.post("/v1/events/batch", "not JSON"))
        .await
        .is_problem(429, "rate_limited");
    // Another tenant has a bucket of its own, and reading takes nothing.
    let other = mercurio_api::testing::Ask::new(actix_web::http::Method::POST, "/v1/events/track");
    let other = other.header("x-api-key", test_app.other_key.expose()).body(EVENT);
    assert_eq!(test_app.call(other).await.status, 200);
    assert_eq!(test_app.call(test_app.get("/v1/events")).await.status, 200);
}

#[actix_web::test]
async fn a_tenants_own_limits_count_for_it_alone() {
    let test_app = TestApp::new();
    let set = |name, value| {
        test_app.store.set_limits(test_app.owner.tenant_id, &[(name, Some(value))]).unwrap()
    };
    set(LimitName::MaxBatchEvents, 2);
    let answer = send(&test_app, 3).await;
    answer.is_problem(400, "batch_too_large");
    assert_eq!((&answer.json["limit"], &answer.json["actual"]), (&json!(2), &json!(3)));
    set(LimitName::MaxBatchEvents, 60);
    assert_eq!(send(&test_app, 60).await.status, 200, "above the server's own");
    set(LimitName::MaxEventBytes, 256);
    let long = format!(r#"{{"event_name":"n","user_id":"{}"}}"#, "u".repeat(250));
    let answer = test_app.batch(&format!("{EVENT},{long}")).await;
    assert_eq!(answer.json["rejected"], 1, "{answer:?}");
    let other = mercurio_api::testing::Ask::new(actix_web::http::Method::POST, "/v1/events/track");
    let other = other.header("x-api-key", test_app.other_key.expose()).body(long);
    assert_eq!(test_app.call(other).await.status, 200);
}

#[actix_web::test]
async fn a_key_can_ask_for_its_limits() {
    let test_app = test_app(Limits {
        events_per_second: 1,
        events_burst: 100,
        requests_per_second: 0,
        ..Limits::default()
    });
    test_app
        .store
        .set_limits(test_app.owner.tenant_id, &[(LimitName::MaxEventAgeDays, Some(0))])
        .unwrap();
    send(&test_app, 30).await;
    for _ in 0..3 {
        let answer = test_app.call(test_app.get("/v1/limits")).await;
        assert_eq!(answer.status, 200);
        let expected = json!({
            "limits": {
                "max_body_bytes": 262_144, "max_batch_events": 50, "max_event_bytes": 32_768, "max_event_age_days": 0,
                "max_event_future_seconds": 300, "events_per_second": 1, "events_burst": 100,
                "requests_per_second": 0, "requests_burst": 0, "monthly_events": 0, "retention_days": 0,
            },
            "remaining": {"requests": null, "events": {"remaining": 70, "burst": 100, "reset_seconds": 30}, "monthly_events": null},
        });
        assert_eq!(answer.json, expected);
    }
    let writer = test_app.key_with("events:write", 30);
    let request = mercurio_api::testing::Ask::new(actix_web::http::Method::GET, "/v1/limits");
    assert_eq!(
        test_app.call(request.header("x-api-key", writer.expose())).await.status,
        200,
        "any scope will do"
    );
    let request = mercurio_api::testing::Ask::new(actix_web::http::Method::GET, "/v1/limits");
    test_app.call(request).await.is_problem(401, "unauthorized");
}

/// A service whose first tenant has a quota.
fn with_quota(monthly_events: u64) -> TestApp {
    let test_app = TestApp::new();
    let limits = [(LimitName::MonthlyEvents, Some(monthly_events))];
    test_app.store.set_limits(test_app.owner.tenant_id, &limits).unwrap();
    test_app
}

fn named(id: &str) -> String {
    format!(r#"{{"event_id":"{id}","event_name":"n","user_id":"u"}}"#)
}

async fn send_named(test_app: &TestApp, ids: &[&str]) -> Answer {
    test_app.batch(&ids.iter().map(|id| named(id)).collect::<Vec<_>>().join(",")).await
}

#[actix_web::test]
async fn batch_over_the_monthly_quota_is_refused_whole() {
    let test_app = with_quota(3);
    assert_eq!(send_named(&test_app, &["a", "b"]).await.statuses(), ["accepted", "accepted"]);
    let answer = send_named(&test_app, &["c", "d"]).await;
    answer.is_problem(429, "quota_exceeded");
    // From the 22nd, 10:00, to the end of November.
    let seconds = (8 * 24 + 14) * 3600;
    let members = ["limit", "actual", "renews_at", "retry_after_seconds"]
        .map(|name| answer.json[name].clone());
    assert_eq!(members, [json!(3), json!(2), json!("2026-12-01T00:00:00.000000Z"), json!(seconds)]);
    assert_eq!(answer.header("retry-after"), Some(&*seconds.to_string()));
    assert_eq!(test_app.store.event_count(), 2);
    let quota = test_app.call(test_app.get("/v1/limits")).await;
    assert_eq!(quota.json["limits"]["monthly_events"], 3);
    let expected = json!({
        "remaining": 1, "used": 2, "limit": 3, "renews_at": "2026-12-01T00:00:00.000000Z", "reset_seconds": seconds
    });
    assert_eq!(quota.json["remaining"]["monthly_events"], expected);
    let other = mercurio_api::testing::Ask::new(actix_web::http::Method::POST, "/v1/events/track");
    let other = other.header("x-api-key", test_app.other_key.expose()).body(named("a"));
    assert_eq!(test_app.call(other).await.status, 200, "it has no quota");
}

#[actix_web::test]
async fn valid_events_of_a_request_need_room_also_if_duplicates() {
    let test_app = with_quota(3);
    assert_eq!(send_named(&test_app, &["a", "b"]).await.status, 200);
    // A rejected event needs no room, and a duplicate gives its own back.
    assert_eq!(send_named(&test_app, &["a"]).await.statuses(), ["duplicate"]);
    send_named(&test_app, &["a", "b"]).await.is_problem(429, "quota_exceeded");
    let mixed = test_app.batch(&format!("{},{{}}", named("c"))).await;
    assert_eq!(mixed.statuses(), ["accepted", "rejected"]);
    for id in ["d", "c"] {
        let track = test_app.call(test_app.post("/v1/events/track", named(id))).await;
        track.is_problem(429, "quota_exceeded");
    }
    assert_eq!(test_app.batch("{}").await.status, 422, "nothing to store needs no room");
    let metrics = test_app.state.metrics.snapshot();
    assert_eq!((metrics.quota_exceeded, metrics.rate_limited), (3, 0));
    assert_eq!(test_app.store.event_count(), 3);
}

#[actix_web::test]
async fn request_whose_client_left_keeps_its_room_until_it_ends() {
    let test_app = std::rc::Rc::new(with_quota(3));
    assert_eq!(send_named(&test_app, &["a"]).await.status, 200);
    test_app.store.gate.close();
    let left = {
        let test_app = std::rc::Rc::clone(&test_app);
        actix_web::rt::spawn(async move { send_named(&test_app, &["a", "b"]).await.status })
    };
    while test_app.store.gate.arrivals() < 2 {
        tokio::task::yield_now().await;
    }
    left.abort();
    assert!(left.await.is_err());
    send_named(&test_app, &["c"]).await.is_problem(429, "quota_exceeded");
    test_app.store.gate.open();
    // Once it has ended, the room of its duplicate is free.
    while send_named(&test_app, &["c"]).await.status == 429 {
        tokio::task::yield_now().await;
    }
    assert_eq!(test_app.store.event_count(), 3);
}

#[actix_web::test]
async fn quota_that_cannot_be_read_is_a_storage_problem() {
    let test_app = with_quota(3);
    let key = test_app.call(test_app.get("/v1/limits")).await;
    assert_eq!(key.status, 200);
    test_app.store.set_unavailable(true);
    send_named(&test_app, &["a"]).await.is_problem(503, "storage_unavailable");
}
