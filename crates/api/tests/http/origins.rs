//! Keys for the pages of certain origins: which requests may use them, and what a page reads of a
//! refusal.

use actix_web::http::Method;
use serde_json::{Value, json};

use mercurio_api::testing::{ApiRequest, ApiResponse, TestApp};

const SHOP: &str = "https://shop.example";
const OTHER: &str = "https://other.example";

/// Ways of sending one event with a key, native and foreign.
const WAYS: [Way; 6] = [
    Way { path: "/v1/events/track", place: Place::Bearer },
    Way { path: "/v1/events/batch", place: Place::Query },
    Way { path: "/v1/track", place: Place::Bearer },
    Way { path: "/v1/batch", place: Place::Body },
    Way { path: "/v1/t/", place: Place::Body },
    Way { path: "/api/s/track", place: Place::WriteKey },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Bearer,
    Query,
    WriteKey,
    Body,
}

#[derive(Clone, Copy, Debug)]
struct Way {
    path: &'static str,
    place: Place,
}

impl Way {
    fn request(self, key: &str) -> ApiRequest {
        let is_native = self.path.starts_with("/v1/events");
        let event = if is_native {
            json!({"event_name": "e", "user_id": "u"})
        } else {
            json!({"type": "track", "event": "e", "userId": "u"})
        };
        let mut body = match self.path.rsplit_once('/') {
            Some((_, "batch")) if is_native => json!({"events": [event]}),
            Some((_, "batch")) => json!({"batch": [event]}),
            _ => event,
        };
        let path = match self.place {
            Place::Query => format!("{}?auth={key}", self.path),
            _ => self.path.to_owned(),
        };
        if self.place == Place::Body {
            body["writeKey"] = json!(key);
        }
        // The type that browsers send without a preflight.
        let request = ApiRequest::new(Method::POST, &path).header("content-type", "text/plain");
        let request = match self.place {
            Place::Bearer => request.header("authorization", format!("Bearer {key}")),
            Place::WriteKey => request.header("x-write-key", key),
            Place::Query | Place::Body => request,
        };
        request.body(body.to_string())
    }
}

async fn send(test_app: &TestApp, way: Way, key: &str, origin: Option<&str>) -> ApiResponse {
    let request = way.request(key);
    test_app
        .call(match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        })
        .await
}

#[actix_web::test]
async fn key_works_on_the_pages_of_its_origins_alone() {
    let test_app = TestApp::new();
    let key = test_app
        .key_for("https://Shop.example:443/,http://shop.example:8080,https://*.app.example");
    for way in WAYS {
        let mut stored = test_app.store.event_count();
        for allowed in [SHOP, "http://shop.example:8080", "https://a.b.app.example"] {
            let response = send(&test_app, way, key.expose(), Some(allowed)).await;
            assert_eq!(response.status, 200, "{way:?} {allowed}: {response:?}");
            stored += 1;
        }
        for refused in [
            Some(OTHER),
            Some("http://shop.example"),
            Some("https://shop.example:8443"),
            Some("https://app.example"),
            // No browser writes an origin like this.
            Some("https://SHOP.example"),
            Some("https://shop.example:443"),
            Some("https://shop.example/"),
            Some("null"),
            Some(""),
            None,
        ] {
            let response = send(&test_app, way, key.expose(), refused).await;
            response.is_problem(403, "origin_not_allowed");
            assert_eq!(response.json["origin"].as_str(), refused, "{way:?}");
            let is_foreign = !way.path.starts_with("/v1/events");
            assert_eq!(response.json["message"].is_string(), is_foreign, "{way:?}");
        }
        assert_eq!(test_app.store.event_count(), stored, "{way:?}");
    }
}

#[actix_web::test]
async fn two_origins_of_a_request_count_as_none() {
    let test_app = TestApp::new();
    let key = test_app.key_for(SHOP);
    for [first, second] in [[SHOP, SHOP], [SHOP, OTHER], [OTHER, SHOP]] {
        let request = WAYS[0].request(key.expose()).header("origin", first);
        let response = test_app.call(request.header_again("origin", second)).await;
        response.is_problem(403, "origin_not_allowed");
        assert_eq!(response.json["origin"], Value::Null);
    }
    let request = WAYS[0].request(key.expose()).header("origin", b"https://\xff.example");
    test_app.call(request).await.is_problem(403, "origin_not_allowed");
    let long = format!("https://{}.example", "a".repeat(5_000));
    let response = send(&test_app, WAYS[0], key.expose(), Some(&long)).await;
    assert_eq!(response.json["origin"], long[..64]);
    assert!(response.body.len() < 1_000, "{response:?}");
}

#[actix_web::test]
async fn key_without_origins_works_from_anywhere() {
    let test_app = TestApp::new();
    for way in WAYS {
        for origin in [Some(OTHER), Some("null"), None] {
            let response = send(&test_app, way, test_app.key.expose(), origin).await;
            assert_eq!(response.status, 200, "{way:?} {origin:?}: {response:?}");
        }
    }
}

#[actix_web::test]
async fn key_with_origins_reads_nothing() {
    let test_app = TestApp::new();
    let key = test_app.key_for(SHOP);
    let get = |path| ApiRequest::new(Method::GET, path).header("x-api-key", key.expose());
    for path in ["/v1/events", "/v1/events/a"] {
        test_app.call(get(path).header("origin", SHOP)).await.is_problem(403, "insufficient_scope");
        test_app.call(get(path)).await.is_problem(403, "insufficient_scope");
    }
    assert_eq!(test_app.call(get("/v1/limits").header("origin", SHOP)).await.status, 200);
    test_app.call(get("/v1/limits")).await.is_problem(403, "origin_not_allowed");
}

/// `MERCURIO_CORS_ORIGINS` decides what a page may read, and the key what it may store.
#[actix_web::test]
async fn page_reads_its_refusal_where_cors_allows_its_origin() {
    for (cors, bound, status, readable) in [
        (&["*"][..], SHOP, 200, Some("*")),
        (&["*"], OTHER, 403, Some("*")),
        (&[SHOP], SHOP, 200, Some(SHOP)),
        (&[SHOP, OTHER], OTHER, 403, Some(SHOP)),
        // A page outside of CORS stores without a preflight, and cannot read the answer.
        (&[OTHER], SHOP, 200, None),
        (&[OTHER], OTHER, 403, None),
        (&[], SHOP, 200, None),
    ] {
        let test_app = TestApp::with_cors_origins(cors);
        let key = test_app.key_for(bound);
        for way in WAYS {
            let preflight = ApiRequest::new(Method::OPTIONS, way.path)
                .header("origin", SHOP)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization,content-type");
            // It has no key, so the key's origins cannot matter.
            let preflight = test_app.call(preflight).await;
            let expected = if readable.is_some() { 200 } else { 400 };
            assert_eq!(preflight.status, expected, "{cors:?} {way:?}");
            let response = send(&test_app, way, key.expose(), Some(SHOP)).await;
            assert_eq!(response.status, status, "{cors:?} {bound} {way:?}");
            let allowed = response.header("access-control-allow-origin");
            assert_eq!(allowed, readable, "{cors:?} {bound} {way:?}");
        }
    }
}

#[actix_web::test]
async fn refused_page_is_counted_and_no_use_of_the_key() {
    let test_app = TestApp::new();
    let key = test_app.key_for(SHOP);
    send(&test_app, WAYS[0], key.expose(), Some(OTHER)).await;
    send(&test_app, WAYS[3], key.expose(), None).await;
    let metrics = test_app.call(ApiRequest::new(Method::GET, "/metrics")).await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    let line = "mercurio_api_keys_refused_total{reason=\"origin\"} 2";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
    assert!(test_app.state.key_uses.take().is_empty());
    send(&test_app, WAYS[0], key.expose(), Some(SHOP)).await;
    assert_eq!(test_app.state.key_uses.take().len(), 1);
}
