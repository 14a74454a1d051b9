//! Responses, compared with their schemas in the OpenAPI document: no member is missing in either.

use actix_web::http::Method;
use mercurio_domain::limits::Limits;
use mercurio_domain::store::EventWriter;
use mercurio_domain::testing::{at, submission};
use mercurio_domain::{Owner, WorkspaceId};
use serde_json::Value;

use mercurio_api::testing::{ApiRequest, ApiResponse, NOW, TestApp};

/// Returns the schemas that may describe a value: `schema`, or the parts of a combination.
fn alternatives<'a>(document: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).unwrap();
        return alternatives(document, target);
    }
    let combined = ["oneOf", "anyOf", "allOf"].iter().filter_map(|key| schema[key].as_array());
    let parts: Vec<_> = combined.flatten().flat_map(|part| alternatives(document, part)).collect();
    if parts.is_empty() { vec![schema] } else { parts }
}

/// Returns whether the constants of an object's schema, such as the code of a problem, are those of `real`.
fn fits(schema: &Value, real: &Value) -> bool {
    let mut properties = schema["properties"].as_object().into_iter().flatten();
    properties.all(|(name, property)| {
        property.get("const").is_none_or(|constant| real.get(name) == Some(constant))
    })
}

/// Asserts that `real` has exactly the members of its schema, except for optional ones, at any depth.
#[track_caller]
fn check_members(document: &Value, schema: &Value, real: &Value, at: &str) {
    let schemas = alternatives(document, schema);
    match real {
        Value::Object(members) => {
            let mut objects = schemas.into_iter().filter(|schema| schema["type"] == "object");
            let schema = objects.find(|schema| fits(schema, real));
            let schema = schema.unwrap_or_else(|| panic!("{at} has no schema of an object"));
            // A map, or a payload.
            if schema.get("additionalProperties").is_some() {
                return;
            }
            for (name, member) in members {
                let property = schema["properties"].get(name);
                let property = property.unwrap_or_else(|| panic!("{at}/{name} is not described"));
                check_members(document, property, member, &format!("{at}/{name}"));
            }
            for required in schema["required"].as_array().into_iter().flatten() {
                let name = required.as_str().unwrap();
                assert!(members.contains_key(name), "{at} lacks {name}");
            }
        }
        Value::Array(items) => {
            let mut arrays = schemas.into_iter().filter(|schema| schema["type"] == "array");
            let schema = arrays.next().unwrap_or_else(|| panic!("{at} has no schema of an array"));
            for (index, item) in items.iter().enumerate() {
                check_members(document, &schema["items"], item, &format!("{at}/{index}"));
            }
        }
        _ => {}
    }
}

/// Asserts that the document describes a response of `method path`.
#[track_caller]
fn check(document: &Value, method: &str, path: &str, response: &ApiResponse, status: u16) {
    assert_eq!(response.status, status, "{method} {path}: {response:?}");
    let described = &document["paths"][path][method]["responses"][status.to_string()];
    let media_type = response.header("content-type").unwrap();
    let schema = &described["content"][media_type]["schema"];
    assert!(schema.is_object(), "{method} {path}: {status} {media_type}");
    check_members(document, schema, &response.json, &format!("{method} {path} {status}: "));
}

#[actix_web::test]
async fn members_of_written_events_are_described() {
    let test_app = TestApp::new();
    let document = serde_json::to_value(mercurio_api::openapi::document()).unwrap();
    let other = Owner { workspace_id: WorkspaceId(77), ..test_app.owner };
    test_app.store.append(&[submission(other, at(NOW), &["elsewhere"])]).unwrap();

    let (track, batch) = ("/v1/events/track", "/v1/events/batch");
    for id in ["a", "a", "elsewhere"] {
        let event = format!(r#"{{"event_id":"{id}","event_name":"n","user_id":"u"}}"#);
        let response = test_app.call(test_app.post(track, event)).await;
        check(&document, "post", track, &response, 200);
        assert_eq!(response.json.get("duplicate_in").is_some(), id == "elsewhere");
    }
    let response = test_app.call(test_app.post(track, "{}")).await;
    check(&document, "post", track, &response, 422);

    let events = r#"{"event_id":"a","event_name":"n","user_id":"u"},
        {"event_id":"elsewhere","event_name":"n","user_id":"u"}, {"event_name":"n","user_id":"u"}, {}"#;
    let response = test_app.batch(events).await;
    check(&document, "post", batch, &response, 200);
    assert_eq!(response.statuses(), ["duplicate", "duplicate", "accepted", "rejected"]);
    assert_eq!(response.json["results"][1]["duplicate_in"], "77");
    check(&document, "post", batch, &test_app.batch("{}").await, 422);
    check(&document, "post", batch, &test_app.batch("").await, 400);
    check(&document, "post", batch, &test_app.batch("{").await, 400);
}

#[actix_web::test]
async fn members_of_read_events_are_described() {
    let test_app = TestApp::new();
    let document = serde_json::to_value(mercurio_api::openapi::document()).unwrap();
    let event = r#"{"event_id":"a","event_name":"n","user_id":"u","properties":{"total":1},
        "context":{"page":{"url":"https://shop.example/checkout?utm_source=news"}}}"#;
    let request = test_app.post("/v1/events/track", event);
    let browser = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                   Version/18.1 Mobile/15E148 Safari/604.1";
    assert_eq!(test_app.call(request.header("user-agent", browser)).await.status, 200);

    let (one, list) = ("/v1/events/{event_id}", "/v1/events");
    let response = test_app.call(test_app.get("/v1/events/a")).await;
    check(&document, "get", one, &response, 200);
    assert!(response.json["enrichment"]["campaign"].is_object(), "{response:?}");
    check(&document, "get", one, &test_app.call(test_app.get("/v1/events/b")).await, 404);
    check(&document, "get", list, &test_app.call(test_app.get("/v1/events")).await, 200);
    check(&document, "get", list, &test_app.call(test_app.get("/v1/events?a=b")).await, 400);
    let without_key = ApiRequest::new(Method::GET, "/v1/events");
    check(&document, "get", list, &test_app.call(without_key).await, 401);
}

#[actix_web::test]
async fn members_of_limits_and_health_are_described() {
    let limits = Limits { monthly_events: 10, ..Limits::default() };
    let test_app = TestApp::with_limits(limits);
    let document = serde_json::to_value(mercurio_api::openapi::document()).unwrap();
    let response = test_app.call(test_app.get("/v1/limits")).await;
    check(&document, "get", "/v1/limits", &response, 200);
    assert!(response.json["remaining"]["monthly_events"].is_object());
    for path in ["/health", "/health/live", "/health/ready", "/openapi.json"] {
        let response = test_app.call(ApiRequest::new(Method::GET, path)).await;
        check(&document, "get", path, &response, 200);
    }
}
