//! The document and its page, as clients get them.

use actix_web::http::Method;
use actix_web::test::init_service;
use mercurio_api::app::app;
use mercurio_api::routes::Surface;
use serde_json::Value;

use mercurio_api::testing::{Ask, TestApp};

fn get(path: &str) -> Ask {
    Ask::new(Method::GET, path)
}

#[actix_web::test]
async fn every_operation_of_the_document_is_served_and_no_other_method_of_its_path() {
    let test_app = TestApp::new();
    let document = test_app.call(get("/openapi.json")).await;
    assert_eq!((document.status, document.header("content-type")), (200, Some("application/json")));
    for (path, item) in document.json["paths"].as_object().unwrap() {
        let asked = path.replace("{event_id}", "none").replace("{file}", "page.js");
        for method in
            [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH]
        {
            let described = item.get(method.as_str().to_lowercase()).is_some();
            let answer = test_app.call(Ask::new(method.clone(), &asked)).await;
            if described {
                assert_ne!(answer.status, 405, "{method} {path}");
                // No key: an operation that needs one says so.
                let needs_key = item[method.as_str().to_lowercase()].get("security").is_some();
                assert_eq!(answer.status == 401, needs_key, "{method} {path}: {}", answer.status);
            } else {
                answer.is_problem(405, "method_not_allowed");
            }
        }
    }
}

#[actix_web::test]
async fn the_requests_of_the_document_are_accepted() {
    let test_app = TestApp::new();
    let document = test_app.call(get("/openapi.json")).await.json;
    for path in ["/v1/events/track", "/v1/events/batch"] {
        let content =
            document["paths"][path]["post"]["requestBody"]["content"].as_object().unwrap();
        assert_eq!(content.len(), 2);
        for (media_type, body) in content {
            let examples = body["examples"].as_object().unwrap();
            assert!(!examples.is_empty());
            for (name, example) in examples {
                let ask = test_app
                    .post(path, example["value"].to_string())
                    .header("content-type", media_type);
                let answer = test_app.call(ask).await;
                let rejected = answer.json["rejected"].as_u64().unwrap_or(0);
                assert_eq!((answer.status, rejected), (200, 0), "{path} {media_type} {name}");
            }
        }
    }
}

/// Names of members, and below them; of lists, those of the first item.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), shape(value))).collect()
        }
        Value::Array(items) => items.first().map(shape).into_iter().collect(),
        _ => Value::Null,
    }
}

#[actix_web::test]
async fn the_answers_of_the_document_look_as_real_ones_do() {
    let test_app = TestApp::new();
    let document = test_app.call(get("/openapi.json")).await.json;
    let example = |method: &str, path: &str| {
        document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["example"].clone()
    };
    let event =
        document["paths"]["/v1/events/track"]["post"]["requestBody"]["content"]["application/json"]
            ["examples"]["full"]["value"]
            .to_string();
    let track = test_app.call(test_app.post("/v1/events/track", event)).await.json;
    assert_eq!(shape(&example("post", "/v1/events/track")), shape(&track));
    let batch = test_app.batch(r#"{"event_id":"a","event_name":"n","user_id":"u"},{}"#).await.json;
    assert_eq!(shape(&example("post", "/v1/events/batch")), shape(&batch));
    let mut stored = test_app.call(test_app.get("/v1/events/order-4711")).await.json;
    let mut described = example("get", "/v1/events/{event_id}");
    // What is added depends on the request.
    stored["enrichment"].take();
    described["enrichment"].take();
    assert_eq!(shape(&described), shape(&stored));
    let page = test_app.call(test_app.get("/v1/events")).await.json;
    assert_eq!(
        example("get", "/v1/events").as_object().unwrap().len(),
        page.as_object().unwrap().len()
    );
    let limits = test_app.call(test_app.get("/v1/limits")).await.json;
    assert_eq!(shape(&example("get", "/v1/limits")["limits"]), shape(&limits["limits"]));
    let health = test_app.call(get("/health")).await.json;
    assert_eq!(shape(&example("get", "/health")), shape(&health));
}

#[actix_web::test]
async fn the_page_needs_nothing_from_elsewhere() {
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
async fn the_document_is_where_operators_are_served() {
    let test_app = TestApp::new();
    let on = async |surface: Surface, path: &str| {
        let log = slog::Logger::root(slog::Discard, slog::o!());
        let app = init_service(app(test_app.state.clone(), log, surface)).await;
        get(path).send(&app).await.status
    };
    for path in ["/openapi.json", "/docs", "/docs/page.js"] {
        assert_eq!(on(Surface::Management, path).await, 200, "{path}");
        assert_eq!(on(Surface::Public, path).await, 404, "{path}");
    }
}
