//! Rules for every path: request ids, problems, methods, CORS. And health.

use actix_web::http::Method;

use mercurio_api::testing::{ApiRequest, TestApp};

#[actix_web::test]
async fn request_id_is_the_clients_if_valid_otherwise_new() {
    let test_app = TestApp::new();
    for (path, sent, kept) in [
        ("/health/live", "abc-123_X.z", true),
        ("/v1/events", "abc", true),
        ("/nowhere", &"x".repeat(128), true),
        ("/nowhere", &"x".repeat(129), false),
        ("/health/live", "a b", false),
        ("/health/live", "", false),
    ] {
        let response =
            test_app.call(ApiRequest::new(Method::GET, path).header("x-request-id", sent)).await;
        let got = response.header("x-request-id").unwrap();
        assert_eq!(got == sent, kept, "{path} {sent}");
        assert!(!got.is_empty());
    }
}

#[actix_web::test]
async fn error_of_the_framework_is_a_problem() {
    let test_app = TestApp::new();
    test_app.call(ApiRequest::new(Method::GET, "/nowhere")).await.is_problem(404, "not_found");
    for (method, path, allow) in [
        (Method::GET, "/v1/events/batch", "POST"),
        (Method::DELETE, "/v1/events", "GET"),
        (Method::POST, "/health", "GET"),
    ] {
        let response = test_app.call(ApiRequest::new(method, path)).await;
        response.is_problem(405, "method_not_allowed");
        assert!(response.header("allow").unwrap().contains(allow), "{response:?}");
    }
}

#[actix_web::test]
async fn disguised_path_leads_to_no_route() {
    let test_app = TestApp::new();
    for (method, path) in [
        (Method::GET, "/%6detrics"),
        (Method::GET, "/health%2Flive"),
        (Method::GET, "/health/%6cive"),
        (Method::GET, "/%64ocs"),
        (Method::POST, "/v1/events/%74rack"),
    ] {
        let request = ApiRequest::new(method, path).header("origin", "https://shop.example");
        let response = test_app.call(request).await;
        response.is_problem(404, "not_found");
        assert_eq!(response.header("access-control-allow-origin"), Some("*"), "{path}");
    }
    // An event id stays what it is.
    test_app.batch(r#"{"event_id":"abc","event_name":"n","user_id":"u"}"#).await;
    let event = test_app.call(test_app.get("/v1/events/%61b%63")).await;
    assert_eq!((event.status, &event.json["event_id"]), (200, &"abc".into()));
}

#[actix_web::test]
async fn page_of_any_origin_may_write() {
    let test_app = TestApp::new();
    let preflight = ApiRequest::new(Method::OPTIONS, "/v1/events/batch")
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,idempotency-key");
    let response = test_app.call(preflight).await;
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    assert!(response.header("access-control-allow-credentials").is_none());
    let simple = test_app
        .post("/v1/events/batch", r#"{"events":[]}"#)
        .header("origin", "https://shop.example");
    let response = test_app.call(simple).await;
    assert_eq!(
        response.header("access-control-allow-origin"),
        Some("*"),
        "errors can be read by the page as well"
    );
}

#[actix_web::test]
async fn health_reports_totals() {
    let test_app = TestApp::new();
    test_app.batch(r#"{"event_name":"n","user_id":"u"},{}"#).await;
    let health = test_app.call(ApiRequest::new(Method::GET, "/health")).await;
    assert_eq!((health.status, health.json["status"].as_str()), (200, Some("ok")));
    assert_eq!(health.json["checks"]["database"]["backend"], "memory");
    assert_eq!(health.json["checks"]["writer"]["queue_depth"], 0);
    assert_eq!(
        health.json["summary"]["events"],
        serde_json::json!({"accepted": 1, "duplicates": 0, "rejected": 1})
    );
}

#[actix_web::test]
async fn server_that_shuts_down_is_not_ready() {
    let test_app = TestApp::new();
    assert_eq!(test_app.call(ApiRequest::new(Method::GET, "/health/ready")).await.status, 200);
    test_app.state.lifecycle.drain();
    let health = test_app.call(ApiRequest::new(Method::GET, "/health")).await;
    assert_eq!((health.status, health.json["status"].as_str()), (503, Some("unavailable")));
    let ready = test_app.call(ApiRequest::new(Method::GET, "/health/ready")).await;
    ready.is_problem(503, "shutting_down");
    assert_eq!(ready.header("retry-after"), Some("1"));
    assert_eq!(ready.json["retry_after_seconds"], 1);
    assert_eq!(test_app.call(ApiRequest::new(Method::GET, "/health/live")).await.status, 200);
}
