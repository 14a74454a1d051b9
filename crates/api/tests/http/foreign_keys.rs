//! API keys of clients of other services: their places, their order, and what is stored of them.

use actix_web::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mercurio_domain::api_key::PresentedKey;
use mercurio_domain::store::Catalog;
use mercurio_domain::testing::at;
use serde_json::{Value, json};

use crate::foreign::{basic, batch, ids, is_foreign_problem, message, send, stored};
use mercurio_api::testing::{ApiRequest, NOW, TestApp};

#[actix_web::test]
async fn key_is_found_in_every_place() {
    let test_app = TestApp::new();
    let key = test_app.key.expose();
    let colon = key.strip_prefix("mk_").and_then(|rest| rest.split_once('_'));
    let colon = colon.map(|(id, secret)| format!("mk_{id}:{secret}")).unwrap();
    let in_body = |key: &str| json!({"event": "e", "userId": "u", "writeKey": key}).to_string();
    let post = || ApiRequest::new(Method::POST, "/v1/track");
    let plain = in_body("");
    for request in [
        post().header("authorization", basic(key)).body(plain.clone()),
        post().header("authorization", format!("Bearer {key}")).body(plain.clone()),
        post().header("x-api-key", key).body(plain.clone()),
        post().header("x-write-key", key).body(plain.clone()),
        post().header("x-write-key", &colon).body(plain.clone()),
        post().body(in_body(key)),
        post().body(in_body(&colon)),
        // Empty headers of a client without a key in its settings.
        post().header("x-write-key", "").body(in_body(key)),
        post().header("authorization", "").header("x-write-key", key).body(plain.clone()),
        post().header("authorization", "Bearer").body(in_body(key)),
        post().header("authorization", basic("")).header("x-api-key", " ").body(in_body(key)),
        // A key with a colon as user and password.
        post().header("authorization", basic(&colon)).body(plain.clone()),
        post()
            .header("authorization", format!("Basic {}", STANDARD.encode(&colon)))
            .body(plain.clone()),
        // The header goes before the body, whose key another client masks.
        post().header("x-write-key", key).body(in_body("mk_abc:***")),
    ] {
        let response = test_app.call(request).await;
        assert_eq!(response.status, 200, "{response:?}");
        let id = response.json["results"][0]["event_id"].as_str().unwrap().to_owned();
        let event = stored(&test_app, &id).await.to_string();
        assert!(!event.contains("writeKey") && !event.contains("***"), "{event}");
        assert!(!event.contains(&key[20..]), "the secret is not stored");
    }
}

#[actix_web::test]
async fn key_inside_an_event_is_not_stored() {
    let test_app = TestApp::new();
    let key = test_app.key.expose();
    let message = json!({
        "event": "e", "userId": "u", "messageId": "m", "context": {"config": {"writeKey": key}},
        "integrations": {"x": key}, "properties": {"url": format!("https://x/?key={key}")},
    });
    let response = send(&test_app, "/v1/track", message.to_string()).await;
    assert_eq!(response.status, 200, "{response:?}");
    let event = stored(&test_app, "m").await;
    assert_eq!(
        event["context"]["config"]["writeKey"],
        format!("{}***", &key[..key.rfind('_').unwrap() + 1])
    );
    assert!(!event.to_string().contains(&key[20..]));
}

#[actix_web::test]
async fn key_in_a_header_goes_before_another_in_the_body() {
    let test_app = TestApp::new();
    let (key, other) = (test_app.key.expose(), test_app.other_key.expose());
    let body = json!({"batch": [message("mine")], "writeKey": other}).to_string();
    for (name, value) in [("authorization", basic(key)), ("x-write-key", key.to_owned())] {
        let request = ApiRequest::new(Method::POST, "/v1/batch").header(name, value);
        assert_eq!(test_app.call(request.body(body.clone())).await.status, 200, "{name}");
    }
    stored(&test_app, "mine").await;
    let of_other = ApiRequest::new(Method::GET, "/v1/events/mine").header("x-api-key", other);
    test_app.call(of_other).await.is_problem(404, "not_found");
    // A key of no use does not fall back to the body's.
    let revoked = PresentedKey::parse(key).unwrap().id().clone();
    test_app.store.revoke_api_key(&revoked, at(NOW)).unwrap();
    let request = ApiRequest::new(Method::POST, "/v1/batch").header("x-write-key", key);
    is_foreign_problem(&test_app.call(request.body(body)).await, 401, "unauthorized");
}

#[actix_web::test]
async fn request_without_a_valid_key_is_refused() {
    let test_app = TestApp::new();
    let (key, other) = (test_app.key.expose(), test_app.other_key.expose());
    let wrong = format!("{}2222", &key[..key.len() - 4]);
    let body = |key: Value| json!({"batch": [message("a")], "writeKey": key}).to_string();
    let post = || ApiRequest::new(Method::POST, "/v1/batch");
    let repeated = json!({"batch": [{"writeKey": other}, message("a")], "writeKey": key});
    for (request, reason) in [
        (post().body(batch(&ids(1))), "missing"),
        (post().body(body(json!(null))), "missing"),
        (post().body(body(json!("old-write-key"))), "malformed"),
        (post().body(body(json!(7))), "malformed"),
        (post().body(repeated.to_string()), "malformed"),
        (post().header("authorization", basic(&wrong)).body(body(json!(key))), "malformed"),
        (post().header("x-write-key", "").body(batch(&ids(1))), "missing"),
        (post().header("authorization", "Bearer").body(body(json!(""))), "missing"),
    ] {
        let response = test_app.call(request).await;
        is_foreign_problem(&response, 401, "unauthorized");
        assert_eq!(response.json["reason"], reason, "{response:?}");
    }
    let reader = test_app.key_with("events:read", 9);
    let request = post().header("authorization", basic(reader.expose())).body(batch(&ids(1)));
    is_foreign_problem(&test_app.call(request).await, 403, "insufficient_scope");
    assert_eq!(test_app.store.event_count(), 0);
}
