//! What holds on every path: request ids, problems, methods, CORS, health.

use actix_web::http::Method;

use mercurio_api::testing::{Ask, TestApp};

#[actix_web::test]
async fn every_answer_carries_a_request_id_the_callers_where_it_is_sound() {
    let test_app = TestApp::new();
    for (path, sent, kept) in [
        ("/health/live", "abc-123_X.z", true),
        ("/v1/events", "abc", true),
        ("/nowhere", &"x".repeat(128), true),
        ("/nowhere", &"x".repeat(129), false),
        ("/health/live", "a b", false),
        ("/health/live", "", false),
    ] {
        let answer = test_app.call(Ask::new(Method::GET, path).header("x-request-id", sent)).await;
        let got = answer.header("x-request-id").unwrap();
        assert_eq!(got == sent, kept, "{path} {sent}");
        assert!(!got.is_empty());
    }
}

#[actix_web::test]
async fn what_the_framework_refuses_is_a_problem_too() {
    let test_app = TestApp::new();
    test_app.call(Ask::new(Method::GET, "/")).await.is_problem(404, "not_found");
    for (method, path, allow) in [
        (Method::GET, "/v1/events/batch", "POST"),
        (Method::DELETE, "/v1/events", "GET"),
        (Method::POST, "/health", "GET"),
    ] {
        let answer = test_app.call(Ask::new(method, path)).await;
        answer.is_problem(405, "method_not_allowed");
        assert!(answer.header("allow").unwrap().contains(allow), "{answer:?}");
    }
}

#[actix_web::test]
async fn a_page_of_any_origin_may_write() {
    let test_app = TestApp::new();
    let preflight = Ask::new(Method::OPTIONS, "/v1/events/batch")
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,idempotency-key");
    let answer = test_app.call(preflight).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(answer.header("access-control-allow-credentials").is_none());
    let simple = test_app
        .post("/v1/events/batch", r#"{"events":[]}"#)
        .header("origin", "https://shop.example");
    let answer = test_app.call(simple).await;
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("*"),
        "errors can be read by the page as well"
    );
}

#[actix_web::test]
async fn health_tells_how_the_server_is() {
    let test_app = TestApp::new();
    test_app.batch(r#"{"event_name":"n","user_id":"u"},{}"#).await;
    let health = test_app.call(Ask::new(Method::GET, "/health")).await;
    assert_eq!((health.status, health.json["status"].as_str()), (200, Some("ok")));
    assert_eq!(health.json["checks"]["database"]["backend"], "memory");
    assert_eq!(health.json["checks"]["writer"]["queue_depth"], 0);
    assert_eq!(
        health.json["summary"]["events"],
        serde_json::json!({"accepted": 1, "duplicate": 0, "rejected": 1})
    );
    test_app.state.lifecycle.drain();
    let health = test_app.call(Ask::new(Method::GET, "/health")).await;
    assert_eq!((health.status, health.json["status"].as_str()), (503, Some("unavailable")));
    test_app.call(Ask::new(Method::GET, "/health/ready")).await.is_problem(503, "overloaded");
    assert_eq!(test_app.call(Ask::new(Method::GET, "/health/live")).await.status, 200);
}
