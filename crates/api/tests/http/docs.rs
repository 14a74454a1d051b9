//! The OpenAPI document and its page, as clients get them.

use actix_web::http::Method;
use mercurio_api::routes::Surface;
use serde_json::Value;

use mercurio_api::testing::{ApiRequest, TestApp};

fn get(path: &str) -> ApiRequest {
    ApiRequest::new(Method::GET, path)
}

#[actix_web::test]
async fn operations_of_the_document_are_the_served_ones() {
    let test_app = TestApp::new();
    let document = test_app.call(get("/openapi.json")).await;
    assert_eq!((document.status, document.header("content-type")), (200, Some("application/json")));
    for (path, item) in document.json["paths"].as_object().unwrap() {
        let asked = path.replace("{event_id}", "none").replace("{file}", "page.js");
        let asked = asked.replace("{code}", "not_found");
        for method in
            [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH]
        {
            // HEAD is described in text, and works wherever GET does.
            let described = if method == Method::HEAD { Method::GET } else { method.clone() };
            let operation = item.get(described.as_str().to_lowercase());
            // The key may be in the body of a foreign client: only a valid body can lack one.
            let body = &item["post"]["requestBody"]["content"]["application/json"]["example"];
            let mut request = ApiRequest::new(method.clone(), &asked);
            if method == Method::POST && body.is_object() {
                request = request.body(body.to_string());
            }
            let response = test_app.call(request).await;
            let Some(operation) = operation else {
                response.is_problem(405, "method_not_allowed");
                continue;
            };
            assert_ne!(response.status, 405, "{method} {path}");
            // Sent without a key.
            let needs_key = operation.get("security").is_some();
            // Amplitude's clients know a wrong key by 400; without data, no key can be missing.
            let is_foreign = operation["tags"][0] == "Clients of other services";
            if is_foreign && method == Method::HEAD {
                // It stores nothing.
                continue;
            }
            let is_refused = response.status == 401 || (is_foreign && response.status == 400);
            assert_eq!(is_refused, needs_key, "{method} {path}: {}", response.status);
        }
    }
}

#[actix_web::test]
async fn foreign_requests_of_the_document_are_accepted() {
    let test_app = TestApp::new();
    let document = test_app.call(get("/openapi.json")).await.json;
    let mut accepted = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let operation = &item["post"];
        if operation["tags"][0] != "Clients of other services" || path.contains('{') {
            continue;
        }
        let example = &operation["requestBody"]["content"]["application/json"]["example"];
        let response = test_app.call(test_app.post(path, example.to_string())).await;
        let described = &operation["responses"][response.status.to_string()];
        assert!(response.status < 300 && described.is_object(), "{path}: {response:?}");
        accepted += 1;
    }
    assert!(accepted > 20);
}

#[actix_web::test]
async fn requests_of_the_document_are_accepted() {
    let test_app = TestApp::new();
    let document = test_app.call(get("/openapi.json")).await.json;
    for path in ["/v1/events/track", "/v1/events/batch"] {
        let content =
            document["paths"][path]["post"]["requestBody"]["content"].as_object().unwrap();
        for (media_type, body) in content {
            let examples = body["examples"].as_object().unwrap();
            assert!(!examples.is_empty());
            for (name, example) in examples {
                let request = test_app
                    .post(path, example["value"].to_string())
                    .header("content-type", media_type);
                let response = test_app.call(request).await;
                let rejected = response.json["rejected"].as_u64().unwrap_or(0);
                assert_eq!((response.status, rejected), (200, 0), "{path} {media_type} {name}");
            }
        }
    }
}

/// Returns the names of all members; of a list, those of its first item.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), shape(value))).collect()
        }
        Value::Array(items) => items.first().map(shape).into_iter().collect(),
        _ => Value::Null,
    }
}

fn example(document: &Value, method: &str, path: &str) -> Value {
    let response = &document["paths"][path][method]["responses"]["200"];
    response["content"]["application/json"]["example"].clone()
}

#[actix_web::test]
async fn responses_of_the_document_look_like_real_ones() {
    let test_app = TestApp::new();
    let document = test_app.call(get("/openapi.json")).await.json;
    let event =
        document["paths"]["/v1/events/track"]["post"]["requestBody"]["content"]["application/json"]
            ["examples"]["full"]["value"]
            .to_string();
    let track = test_app.call(test_app.post("/v1/events/track", event)).await.json;
    assert_eq!(shape(&example(&document, "post", "/v1/events/track")), shape(&track));
    let batch = test_app.batch(r#"{"event_id":"a","event_name":"n","user_id":"u"},{}"#).await.json;
    assert_eq!(shape(&example(&document, "post", "/v1/events/batch")), shape(&batch));
    let mut stored = test_app.call(test_app.get("/v1/events/order-4711")).await.json;
    let mut described = example(&document, "get", "/v1/events/{event_id}");
    // Enrichment depends on the request.
    stored["enrichment"].take();
    described["enrichment"].take();
    assert_eq!(shape(&described), shape(&stored));
    let page = test_app.call(test_app.get("/v1/events")).await.json;
    assert_eq!(
        example(&document, "get", "/v1/events").as_object().unwrap().len(),
        page.as_object().unwrap().len()
    );
    let limits = test_app.call(test_app.get("/v1/limits")).await.json;
    assert_eq!(shape(&example(&document, "get", "/v1/limits")["limits"]), shape(&limits["limits"]));
    let health = test_app.call(get("/health")).await.json;
    assert_eq!(shape(&example(&document, "get", "/health")), shape(&health));
}

#[actix_web::test]
async fn page_needs_no_external_resources() {
    let test_app = TestApp::new();
    let page = test_app.call(get("/docs")).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("http"), "{policy}");
    let html = String::from_utf8(page.body).unwrap();
    assert!(!html.contains("//"), "no address of another server");
    for file in html.split('"').filter_map(|part| part.strip_prefix("docs/")) {
        let plain = test_app.call(get(&format!("/docs/{file}"))).await;
        assert_eq!((plain.status, plain.header("content-encoding")), (200, None), "{file}");
        let compressed = test_app
            .call(get(&format!("/docs/{file}")).header("accept-encoding", "gzip, br"))
            .await;
        assert_eq!(compressed.status, 200);
        assert!(compressed.body.len() <= plain.body.len(), "{file}");
    }
    test_app.call(get("/docs/other.js")).await.is_problem(404, "not_found");
}

#[actix_web::test]
async fn document_is_public_unless_switched_off() {
    let (open, closed) = (TestApp::new(), TestApp::without_public_docs());
    for (test_app, surface, status) in [
        (&open, Surface::Whole, 200),
        (&open, Surface::Public, 200),
        (&open, Surface::Management, 200),
        (&closed, Surface::Whole, 404),
        (&closed, Surface::Public, 404),
        // Operators read it there.
        (&closed, Surface::Management, 200),
    ] {
        let app = test_app.surface(surface).await;
        for path in ["/openapi.json", "/docs", "/docs/page.js"] {
            assert_eq!(get(path).send(&app).await.status, status, "{surface:?} {path}");
        }
    }
}
