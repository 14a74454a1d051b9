//! Hints of 404 and 405.

use super::near::{MAX_PATH_BYTES, MAX_SEGMENTS};
use super::*;

/// The routes of an address that serves everything, and two that later ones may have.
fn table() -> RouteTable {
    let mut routes = Vec::new();
    for pattern in [
        "/health/live",
        "/health/ready",
        "/problems/{code}",
        "/",
        "/openapi.json",
        "/docs",
        "/docs/{file}",
        "/health",
        "/metrics",
        "/v1/limits",
        "/v1/events",
        "/v1/events/{event_id}",
    ] {
        routes.push(Route { pattern, methods: READ.to_vec(), is_listed: true });
    }
    for pattern in ["/v1/events/track", "/v1/events/batch", "/v1/identify"] {
        routes.push(Route { pattern, methods: WRITE.to_vec(), is_listed: true });
    }
    RouteTable(routes)
}

#[test]
fn near_route_is_named_for_a_wrong_path() {
    let none = "; /docs lists the paths.";
    for (method, path, expected) in [
        ("POST", "/v1/event", "; did you mean POST /v1/events/track or POST /v1/events/batch?"),
        ("POST", "/batch", "; did you mean POST /v1/events/batch?"),
        ("POST", "/v1/track", "; did you mean POST /v1/events/track?"),
        ("POST", "/v1/events/batch/", "; did you mean POST /v1/events/batch?"),
        ("POST", "//v1/events/batch", "; did you mean POST /v1/events/batch?"),
        ("POST", "/V1/Events/Batch", "; did you mean POST /v1/events/batch?"),
        ("POST", "/v2/events/batch", "; did you mean POST /v1/events/batch?"),
        ("POST", "/api/v1/events/btach", "; did you mean POST /v1/events/batch?"),
        ("POST", "/v1/events/track/x", "; did you mean POST /v1/events/track?"),
        ("POST", "/identify", "; did you mean POST /v1/identify?"),
        ("GET", "/v1/event", "; did you mean GET /v1/events?"),
        ("HEAD", "/v1/event", "; did you mean GET /v1/events?"),
        ("GET", "/v1/event/abc", "; did you mean GET /v1/events/{event_id}?"),
        ("GET", "/events", "; did you mean GET /v1/events?"),
        ("GET", "/limit", "; did you mean GET /v1/limits?"),
        ("GET", "/v1/indentify", "; did you mean POST /v1/identify?"),
        ("GET", "/healthz", "; did you mean GET /health?"),
        ("GET", "/healthcheck", "; did you mean GET /health?"),
        ("GET", "/health/liveness", "; did you mean GET /health/live?"),
        ("GET", "/metric", "; did you mean GET /metrics?"),
        ("GET", "/openapi", "; did you mean GET /openapi.json?"),
        ("GET", "/docs/", "; did you mean GET /docs?"),
        ("GET", "/nowhere", none),
        ("GET", "/v1", none),
        ("GET", "/v1/users", none),
        ("PROPFIND", "/wp-login.php", none),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let detail = table().wrong_path(&method, path);
        assert_eq!(detail, format!("There is no resource at this path{expected}"), "{path}");
    }
}

#[test]
fn wrong_method_lists_the_right_ones_and_a_near_route() {
    let to_write = "; did you mean POST /v1/events/track or POST /v1/events/batch?";
    for (method, path, pattern, expected) in [
        ("POST", "/v1/events", "/v1/events", format!("GET, HEAD, not POST{to_write}")),
        (
            "POST",
            "/v1/events/abc",
            "/v1/events/{event_id}",
            format!("GET, HEAD, not POST{to_write}"),
        ),
        (
            "GET",
            "/v1/events/track",
            "/v1/events/track",
            "POST, not GET; did you mean GET /v1/events?".to_owned(),
        ),
        (
            "DELETE",
            "/v1/limits",
            "/v1/limits",
            "GET, HEAD, not DELETE; /docs lists the paths.".to_owned(),
        ),
        ("BREW", "/", "/", "GET, HEAD; /docs lists the paths.".to_owned()),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let problem = table().wrong_method(&method, path, Some(pattern));
        let Problem::MethodNotAllowed { detail, .. } = problem else { panic!("{problem:?}") };
        assert_eq!(detail, format!("This path supports only {expected}"), "{path}");
    }
}

#[test]
fn long_path_is_not_compared() {
    let long = format!("/v1/events/{}", "x".repeat(MAX_PATH_BYTES));
    let deep = "/v1/events".repeat(MAX_SEGMENTS);
    for path in [long.as_str(), &deep, "", "/", "///"] {
        assert!(Path::new(path).is_none(), "{path}");
    }
}

#[test]
fn hint_needs_a_served_page() {
    let table = RouteTable(vec![Route {
        pattern: "/health/live",
        methods: READ.to_vec(),
        is_listed: true,
    }]);
    let detail = table.wrong_path(&Method::GET, "/nowhere");
    assert_eq!(detail, "There is no resource at this path.");
}
