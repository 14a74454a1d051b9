//! Mistakes of the first requests: each answer names the mistake and the way out.

use actix_web::http::Method;
use mercurio_api::routes::Surface;
use mercurio_api::testing::{ApiRequest, ApiResponse, NOW, TestApp};
use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey, Scopes};
use mercurio_domain::limits::Limits;
use mercurio_domain::store::{Catalog, KeyRequest};
use mercurio_domain::tenant::Name;
use mercurio_domain::testing::at;

fn detail(response: &ApiResponse) -> &str {
    response.json["detail"].as_str().unwrap()
}

/// Sends a body with a valid key and returns the detail of its problem.
async fn refused(path: &str, body: impl Into<Vec<u8>>, status: u16, code: &str) -> String {
    let test_app = TestApp::new();
    let response = test_app.call(test_app.post(path, body)).await;
    response.is_problem(status, code);
    assert_eq!(test_app.store.event_count(), 0, "nothing is stored");
    detail(&response).to_owned()
}

#[actix_web::test]
async fn body_of_the_other_path_is_sent_there() {
    let (track, batch) = ("/v1/events/track", "/v1/events/batch");
    for (path, body, expected) in [
        (
            batch,
            r#"{"event_name":"n","user_id":"u"}"#,
            "The body looks like a single event; send it to POST /v1/events/track, or as {\"events\": [ … ]}.",
        ),
        (
            batch,
            r#"{"event":"n","userId":"u"}"#,
            "The body looks like a single event; send it to POST /v1/events/track, or as {\"events\": [ … ]}.",
        ),
        (
            batch,
            r#"[{"event_name":"n","user_id":"u"}]"#,
            "The body is an array; wrap it: {\"events\": [ … ]}.",
        ),
        (
            batch,
            r#""{\"events\":[]}""#,
            "The body is a string that holds JSON: it was encoded twice. Send the object itself.",
        ),
        (
            batch,
            r#"{"batch":[{"event_name":"n","user_id":"u"}]}"#,
            "The body is not a valid batch; see errors.",
        ),
        (batch, "7", "The body is not an object; see errors."),
        (
            track,
            r#"{"events":[{"event_name":"n","user_id":"u"}]}"#,
            "The body looks like a batch; send a batch to POST /v1/events/batch.",
        ),
        (
            track,
            r#"{"batch":[{"event":"n"}],"writeKey":"k"}"#,
            "The body looks like a batch; send a batch to POST /v1/events/batch.",
        ),
        (
            track,
            r#"[{"event_name":"n","user_id":"u"}]"#,
            "The body is an array; send several events as {\"events\": [ … ]} to POST /v1/events/batch.",
        ),
        (
            track,
            r#""{\"event_name\":1}""#,
            "The body is a string that holds JSON: it was encoded twice. Send the object itself.",
        ),
        (track, r#"{"event_name":"n"}"#, "The event is invalid; see errors."),
        // In an event, `data` means `properties`.
        (
            track,
            r#"{"event_name":"n","user_id":"u","data":{}}"#,
            "The event is invalid; see errors.",
        ),
    ] {
        assert_eq!(refused(path, body, 422, "invalid_event").await, expected, "{path} {body}");
    }
}

#[actix_web::test]
async fn body_that_is_not_json_is_described() {
    for (body, expected) in [
        (
            "",
            "The body is empty; send JSON such as {\"events\": [{\"event_name\": \"signed_up\", \"user_id\": \"u-42\"}]}.",
        ),
        (
            "event=signup&user_id=u",
            "The body is not JSON: expected value at line 1, column 1. It looks like a form (name=value).",
        ),
        (
            "{\"a\":1}\n{\"a\":2}\n",
            "The body is not JSON: trailing characters at line 2, column 1. Send one object with all events: {\"events\": [ … ]}.",
        ),
        (
            "{\"events\":[",
            "The body is not JSON: the body ends early while parsing a list at line 1, column 12.",
        ),
        (
            "{\"events\":[\n",
            "The body is not JSON: the body ends early while parsing a list at line 2, column 1.",
        ),
    ] {
        assert_eq!(refused("/v1/events/batch", body, 400, "malformed_json").await, expected);
    }
}

#[actix_web::test]
async fn unsupported_type_is_named() {
    let test_app = TestApp::new();
    for (name, value, expected) in [
        (
            "content-type",
            &b"application/x-www-form-urlencoded"[..],
            "The Content-Type application/x-www-form-urlencoded is not supported; send application/json. curl -d sends a form unless it has -H 'Content-Type: application/json'.",
        ),
        (
            "content-type",
            b"Text/XML; charset=utf-8",
            "The Content-Type Text/XML is not supported; send application/json.",
        ),
        (
            "content-type",
            b"application/json; charset=latin1",
            "The charset in the Content-Type is not UTF-8; send application/json in UTF-8.",
        ),
        (
            "content-type",
            b"<script>",
            "The Content-Type is not a media type; send application/json.",
        ),
        ("content-type", b"\xff", "The Content-Type is not a media type; send application/json."),
        (
            "content-encoding",
            b"compress",
            "The Content-Encoding compress is not supported; use gzip, br, zstd, deflate, identity.",
        ),
        ("content-encoding", b"gzip, br", "The body is compressed more than once; use one coding."),
        (
            "content-encoding",
            b"\"x\"",
            "The Content-Encoding is not a coding; use gzip, br, zstd, deflate, identity.",
        ),
    ] {
        let request = test_app.post("/v1/events/track", "{}").header(name, value);
        let response = test_app.call(request).await;
        response.is_problem(
            415,
            &format!(
                "unsupported_{}",
                if name == "content-type" { "media_type" } else { "content_encoding" }
            ),
        );
        assert_eq!(detail(&response), expected);
    }
    let long = "x".repeat(5000);
    let request = test_app.post("/v1/events/track", "{}").header("content-type", &long);
    let response = test_app.call(request).await;
    assert!(detail(&response).len() < 150, "{response:?}");
    let plain = test_app.post("/v1/events/track", " {}").header("content-encoding", "gzip");
    let response = test_app.call(plain).await;
    response.is_problem(400, "malformed_encoding");
    assert_eq!(
        detail(&response),
        "The gzip data of the body is plain JSON; compress it, or omit the header Content-Encoding."
    );
}

#[actix_web::test]
async fn wrong_path_or_method_names_the_near_one() {
    let test_app = TestApp::new();
    for (method, path, status, expected) in [
        (
            Method::POST,
            "/v1/event",
            404,
            "There is no resource at this path; did you mean POST /v1/events/track or POST /v1/events/batch?",
        ),
        (
            Method::POST,
            "/v1/events/batch/",
            404,
            "There is no resource at this path; did you mean POST /v1/events/batch?",
        ),
        (
            Method::GET,
            "/healthz",
            404,
            "There is no resource at this path; did you mean GET /health?",
        ),
        (Method::GET, "/nowhere", 404, "There is no resource at this path; /docs lists the paths."),
        (
            Method::GET,
            "/%6detrics",
            404,
            "There is no resource at this path; send letters, digits, -, ., _ and ~ in it without percent-encoding.",
        ),
        (Method::GET, "/problems/none", 404, "No problem has this code."),
        (
            Method::POST,
            "/v1/events",
            405,
            "This path supports only GET, HEAD, not POST; did you mean POST /v1/events/track or POST /v1/events/batch?",
        ),
        (
            Method::PUT,
            "/v1/events/track",
            405,
            "This path supports only POST, not PUT; /docs lists the paths.",
        ),
    ] {
        let response = test_app.call(ApiRequest::new(method.clone(), path)).await;
        let code = if status == 404 { "not_found" } else { "method_not_allowed" };
        response.is_problem(status, code);
        assert_eq!(detail(&response), expected, "{method} {path}");
        let allow = response.header("allow").map(str::to_owned);
        assert_eq!(allow.is_some(), status == 405, "{path}");
    }
    let none = test_app.call(test_app.get("/v1/events/none")).await;
    assert_eq!(detail(&none), "The workspace of the API key has no event with this id.");
}

#[actix_web::test]
async fn hint_names_only_paths_of_its_address() {
    let (open, closed) = (TestApp::new(), TestApp::without_public_docs());
    for (test_app, surface, path, expected) in [
        (&open, Surface::Public, "/metric", "; /docs lists the paths."),
        (&closed, Surface::Public, "/metric", "."),
        (&closed, Surface::Management, "/metric", "; did you mean GET /metrics?"),
        (&closed, Surface::Management, "/v1/event", "; /docs lists the paths."),
    ] {
        let app = test_app.surface(surface).await;
        let response = ApiRequest::new(Method::GET, path).send(&app).await;
        assert_eq!(detail(&response), format!("There is no resource at this path{expected}"));
    }
}

#[actix_web::test]
async fn root_leads_to_the_documentation() {
    let (open, closed) = (TestApp::new(), TestApp::without_public_docs());
    for (test_app, surface, is_served) in [
        (&open, Surface::Whole, true),
        (&open, Surface::Public, true),
        (&closed, Surface::Management, true),
        (&closed, Surface::Whole, false),
        (&closed, Surface::Public, false),
    ] {
        let app = test_app.surface(surface).await;
        for method in [Method::GET, Method::HEAD] {
            let root = ApiRequest::new(method, "/").send(&app).await;
            let docs = ApiRequest::new(Method::GET, "/docs").send(&app).await;
            assert_eq!(docs.status == 200, is_served, "{surface:?}");
            if is_served {
                assert_eq!((root.status, root.header("location")), (302, Some("/docs")));
            } else {
                root.is_problem(404, "not_found");
            }
        }
    }
    let root = open.call(ApiRequest::new(Method::GET, "/")).await;
    assert_eq!(root.json, serde_json::json!({"docs": "/docs", "openapi": "/openapi.json"}));
    open.call(ApiRequest::new(Method::POST, "/")).await.is_problem(405, "method_not_allowed");
}

/// Asserts that no answer to a refused key repeats a piece of it.
fn hides(response: &ApiResponse, key: &str) {
    let answer = String::from_utf8_lossy(&response.body);
    let pieces = key.as_bytes().windows(8).map(|piece| std::str::from_utf8(piece).unwrap());
    for piece in pieces {
        assert!(!answer.contains(piece), "{piece}: {answer}");
    }
}

#[actix_web::test]
async fn malformed_key_is_described_without_its_text() {
    let test_app = TestApp::new();
    let unknown = NewApiKey::generate(&[9; ENTROPY_BYTES]);
    let key = unknown.key.expose();
    for (value, expected) in [
        (
            key.to_owned(),
            "The header Authorization needs a scheme before the key: Authorization: Bearer <key>.",
        ),
        (
            format!("Token {key}"),
            "The scheme in the header Authorization is neither Bearer nor Basic; send Authorization: Bearer <key>.",
        ),
        (
            format!("Bearer \"{key}\""),
            "The API key in Authorization has quotes around it; send it without them.",
        ),
        (
            format!("Bearer {}", &key[..70]),
            "The API key in Authorization has 70 characters; a key has 78.",
        ),
        (
            format!("Bearer {}", &key[3..]),
            "The API key in Authorization does not begin with mk_, as every key of this server does.",
        ),
        (
            format!("Bearer Bearer {key}"),
            "The API key in Authorization begins with a scheme; write Bearer once.",
        ),
        (
            "Bearer $MERCURIO_API_KEY".to_owned(),
            "The API key in Authorization is the name of a variable, not its value; a shell replaces variables in double quotes only.",
        ),
        (
            "Bearer".to_owned(),
            "The API key in Authorization is empty; check the variable with the key.",
        ),
    ] {
        let request = ApiRequest::new(Method::GET, "/v1/limits").header("authorization", &value);
        let response = test_app.call(request).await;
        response.is_problem(401, "unauthorized");
        assert_eq!(
            (response.json["reason"].as_str(), detail(&response)),
            (Some("malformed"), expected)
        );
        hides(&response, key);
    }
    let missing = test_app.call(ApiRequest::new(Method::GET, "/v1/limits")).await;
    assert_eq!(
        detail(&missing),
        "The request has no API key; send one in the header Authorization: Bearer <key>."
    );
}

#[actix_web::test]
async fn well_formed_keys_get_one_answer() {
    let test_app = TestApp::new();
    let key = test_app.key.expose();
    let (id, _) = key.rsplit_once('_').unwrap();
    // The id of a key that exists with the secret of one that does not, and a checksum for both.
    let wrong_secret =
        NewApiKey::generate(&std::array::from_fn(|index| if index < 10 { 1 } else { 77 }));
    assert!(wrong_secret.key.expose().starts_with(id), "the id of the test's key");
    let unknown = NewApiKey::generate(&[9; ENTROPY_BYTES]);
    let expired = NewApiKey::generate(&[8; ENTROPY_BYTES]);
    let request = KeyRequest {
        expires_at: Some(at(NOW)),
        ..KeyRequest::new(
            test_app.owner,
            &expired,
            Name::parse("k").unwrap(),
            Scopes::all(),
            at(NOW),
        )
    };
    test_app.store.create_api_key(&request).unwrap();
    // One app: each has its own order of headers.
    let app = test_app.app().await;
    let mut answers = Vec::new();
    for key in [unknown.key, wrong_secret.key, expired.key] {
        let request = ApiRequest::new(Method::GET, "/v1/limits")
            .header("x-api-key", key.expose())
            .header("x-request-id", "same");
        let response = request.send(&app).await;
        response.is_problem(401, "unauthorized");
        assert_eq!(response.json["reason"], "invalid");
        hides(&response, key.expose());
        answers.push((response.body, format!("{:?}", response.headers)));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

#[actix_web::test]
async fn limit_is_named_when_it_is_reached() {
    let limits = Limits { events_per_second: 1, events_burst: 1, ..Limits::default() };
    let test_app = TestApp::with_limits(limits);
    let events = [r#"{"event_name":"n","user_id":"u"}"#; 50].join(",");
    assert_eq!(test_app.batch(&events).await.status, 200);
    let refused = test_app.batch(&events).await;
    refused.is_problem(429, "rate_limited");
    let expected = "The tenant is over its rate limit of 1 events per second. Nothing was stored; send the same events again in ";
    assert!(detail(&refused).starts_with(expected), "{refused:?}");
}

#[actix_web::test]
async fn refused_preflight_names_its_setting() {
    let test_app = TestApp::new();
    let preflight = ApiRequest::new(Method::OPTIONS, "/v1/events/batch")
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "DELETE");
    let response = test_app.call(preflight).await;
    response.is_problem(400, "bad_request");
    assert_eq!(
        detail(&response),
        "The origin, method or headers of this preflight request are not allowed. MERCURIO_CORS_ORIGINS lists the origins."
    );
}
