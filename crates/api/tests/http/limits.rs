//! Rate limits, a tenant's own limits, and `GET /v1/limits`.

use actix_web::http::Method;
use mercurio_domain::limits::{LimitChange, LimitName, Limits};
use mercurio_domain::store::Catalog;
use serde_json::json;

use mercurio_api::testing::{ApiRequest, ApiResponse, TestApp};

const EVENT: &str = r#"{"event_name":"n","user_id":"u"}"#;

async fn send(test_app: &TestApp, events: usize) -> ApiResponse {
    test_app.batch(&vec![EVENT; events].join(",")).await
}

/// Returns an event of the second tenant.
fn track_as_other(test_app: &TestApp, event: &str) -> ApiRequest {
    ApiRequest::new(Method::POST, "/v1/events/track")
        .header("x-api-key", test_app.other_key.expose())
        .body(event)
}

fn set(test_app: &TestApp, name: LimitName, value: u64) {
    let change = LimitChange { name, value: Some(value) };
    test_app.store.set_limits(test_app.owner.tenant_id, &[change]).unwrap();
}

#[actix_web::test]
async fn write_responses_have_rate_limit_headers() {
    for (path, body, status, level) in [
        ("/v1/events/track", EVENT, 200, r#""requests";r=999999"#),
        ("/v1/events/track", "{}", 422, r#""requests";r=999999"#),
        ("/v1/events/batch", "{", 400, r#""requests";r=999999"#),
    ] {
        let test_app = TestApp::new();
        let response = test_app.call(test_app.post(path, body)).await;
        assert_eq!(response.status, status);
        let policy = r#""requests";q=1000000;w=10, "events";q=10000000;w=10"#;
        assert_eq!(response.header("ratelimit-policy"), Some(policy), "{body}");
        let actual = response.header("ratelimit").unwrap();
        assert!(actual.starts_with(level) && actual.contains(r#""events";r="#), "{body}: {actual}");
    }
}

#[actix_web::test]
async fn rate_limit_headers_are_missing_without_limits() {
    let unlimited = Limits { events_per_second: 0, requests_per_second: 0, ..Limits::default() };
    let response = send(&TestApp::with_limits(unlimited), 1).await;
    assert_eq!((response.header("ratelimit-policy"), response.header("ratelimit")), (None, None));
}

#[actix_web::test]
async fn batch_over_the_rate_limit_is_refused_whole() {
    // One token per second: none arrives while the test runs. A bucket holds at least a batch, here
    // 60 events.
    let test_app = TestApp::with_limits(Limits {
        events_per_second: 1,
        events_burst: 1,
        max_batch_events: 60,
        ..Limits::default()
    });
    assert_eq!(send(&test_app, 40).await.status, 200);
    let response = send(&test_app, 30).await;
    response.is_problem(429, "rate_limited");
    let seconds = response.json["retry_after_seconds"].as_u64().unwrap();
    // 20 tokens remain, and 30 are needed: 10 seconds, less the time the test took.
    assert!((8..=10).contains(&seconds), "{seconds}");
    assert_eq!(response.header("retry-after"), Some(&*seconds.to_string()));
    assert!(response.header("ratelimit").unwrap().contains("\"events\";r=2"), "{response:?}");
    assert_eq!(test_app.store.event_count(), 40);
    assert_eq!(send(&test_app, 20).await.status, 200, "the rest fits");
    assert_eq!(test_app.store.event_count(), 60);
}

#[actix_web::test]
async fn request_over_the_rate_limit_is_refused_before_its_body() {
    let limits = Limits { requests_per_second: 1, requests_burst: 2, ..Limits::default() };
    let test_app = TestApp::with_limits(limits);
    let broken = || test_app.post("/v1/events/batch", "not JSON");
    assert_eq!(send(&test_app, 1).await.status, 200);
    test_app.call(broken()).await.is_problem(400, "malformed_json");
    test_app.call(broken()).await.is_problem(429, "rate_limited");
    assert_eq!(test_app.call(track_as_other(&test_app, EVENT)).await.status, 200, "own bucket");
    assert_eq!(test_app.call(test_app.get("/v1/events")).await.status, 200, "reads have their own");
}

#[actix_web::test]
async fn tenants_own_batch_limit_replaces_the_servers() {
    let test_app = TestApp::new();
    set(&test_app, LimitName::MaxBatchEvents, 2);
    let response = send(&test_app, 3).await;
    response.is_problem(400, "batch_too_large");
    assert_eq!((&response.json["limit"], &response.json["actual"]), (&json!(2), &json!(3)));
    set(&test_app, LimitName::MaxBatchEvents, 60);
    assert_eq!(send(&test_app, 60).await.status, 200, "over the server's limit");
}

#[actix_web::test]
async fn tenants_own_event_limit_applies_to_it_alone() {
    let test_app = TestApp::new();
    set(&test_app, LimitName::MaxEventBytes, 256);
    // 250 characters and the other members exceed 256 bytes.
    let long = format!(r#"{{"event_name":"n","user_id":"{}"}}"#, "u".repeat(250));
    let response = test_app.batch(&format!("{EVENT},{long}")).await;
    assert_eq!(response.json["rejected"], 1, "{response:?}");
    assert_eq!(test_app.call(track_as_other(&test_app, &long)).await.status, 200);
}

#[actix_web::test]
async fn limits_are_returned_without_taking_tokens() {
    let test_app = TestApp::with_limits(Limits {
        events_per_second: 1,
        events_burst: 100,
        requests_per_second: 0,
        ..Limits::default()
    });
    set(&test_app, LimitName::MaxEventAgeDays, 0);
    send(&test_app, 30).await;
    for _ in 0..3 {
        let response = test_app.call(test_app.get("/v1/limits")).await;
        assert_eq!(response.status, 200);
        let expected = json!({
            "limits": {
                "max_body_bytes": 262_144, "max_batch_events": 50, "max_event_bytes": 32_768, "max_event_age_days": 0,
                "max_event_future_seconds": 300, "events_per_second": 1, "events_burst": 100,
                "requests_per_second": 0, "requests_burst": 0, "reads_per_second": 20, "reads_burst": 0,
                "max_concurrent_reads": 4, "monthly_events": 0, "retention_days": 0,
            },
            "remaining": {
                "requests": null, "events": {"remaining": 70, "burst": 100, "reset_seconds": 30},
                "reads": {"remaining": 200, "burst": 200, "reset_seconds": 0}, "monthly_events": null,
            },
        });
        assert_eq!(response.json, expected);
    }
}

#[actix_web::test]
async fn limits_need_a_key_with_any_scope() {
    let test_app = TestApp::new();
    let get = || ApiRequest::new(Method::GET, "/v1/limits");
    for (scope, seed) in [("events:write", 30), ("events:read", 31)] {
        let key = test_app.key_with(scope, seed);
        assert_eq!(test_app.call(get().header("x-api-key", key.expose())).await.status, 200);
    }
    test_app.call(get()).await.is_problem(401, "unauthorized");
}
