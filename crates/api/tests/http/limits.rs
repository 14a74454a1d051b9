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

#[actix_web::test]
async fn what_does_not_fit_into_the_months_quota_is_refused_whole_and_tells_when_it_is_renewed() {
    let test_app = TestApp::new();
    test_app
        .store
        .set_limits(test_app.owner.tenant_id, &[(LimitName::MonthlyEvents, Some(3))])
        .unwrap();
    let event = |id: &str| format!(r#"{{"event_id":"{id}","event_name":"n","user_id":"u"}}"#);
    let batch = async |ids: &[&str]| {
        test_app.batch(&ids.iter().map(|id| event(id)).collect::<Vec<_>>().join(",")).await
    };
    assert_eq!(batch(&["a", "b"]).await.statuses(), ["accepted", "accepted"]);
    let answer = batch(&["c", "d"]).await;
    answer.is_problem(429, "quota_exceeded");
    // From the 22nd, 10:00, to the end of November.
    let seconds = (8 * 24 + 14) * 3600;
    let members = ["limit", "actual", "renews_at", "retry_after_seconds"]
        .map(|name| answer.json[name].clone());
    assert_eq!(members, [json!(3), json!(2), json!("2026-12-01T00:00:00.000000Z"), json!(seconds)]);
    assert_eq!(answer.header("retry-after"), Some(&*seconds.to_string()));
    assert_eq!(test_app.store.event_count(), 2);
    // A duplicate costs nothing, nor does an event that is rejected.
    assert_eq!(batch(&["a"]).await.statuses(), ["duplicate"]);
    let mixed = test_app.batch(&format!("{},{{}}", event("c"))).await;
    assert_eq!(mixed.statuses(), ["accepted", "rejected"]);
    let track = test_app.call(test_app.post("/v1/events/track", event("d"))).await;
    track.is_problem(429, "quota_exceeded");
    assert_eq!(
        test_app.call(test_app.post("/v1/events/track", event("c"))).await.json["status"],
        "duplicate"
    );
    let quota = test_app.call(test_app.get("/v1/limits")).await;
    assert_eq!(
        (&quota.json["limits"]["monthly_events"], &quota.json["remaining"]["monthly_events"]),
        (
            &json!(3),
            &json!({
                "remaining": 0, "used": 3, "limit": 3, "renews_at": "2026-12-01T00:00:00.000000Z", "reset_seconds": seconds
            })
        )
    );
    assert_eq!(test_app.state.metrics.snapshot().quota_exceeded, 2);
    let other = mercurio_api::testing::Ask::new(actix_web::http::Method::POST, "/v1/events/track");
    let other = other.header("x-api-key", test_app.other_key.expose()).body(event("a"));
    assert_eq!(test_app.call(other).await.status, 200, "it has no quota");
}
