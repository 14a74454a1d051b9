//! Authentication: every way to send a key, and every refusal.

use actix_web::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey, PresentedKey, Scopes};
use mercurio_domain::store::{Catalog, KeyRequest};
use mercurio_domain::tenant::Name;
use mercurio_domain::testing::at;

use mercurio_api::testing::{ApiRequest, ApiResponse, NOW, TestApp};

const BODY: &str = r#"{"events":[{"event_name":"n","user_id":"u"}]}"#;

fn write() -> ApiRequest {
    ApiRequest::new(Method::POST, "/v1/events/batch").body(BODY)
}

#[track_caller]
fn check(response: &ApiResponse, reason: &str) {
    response.is_problem(401, "unauthorized");
    assert_eq!(response.json["reason"], reason, "{response:?}");
    assert_eq!(response.header("www-authenticate"), Some("Bearer realm=\"mercurio\""));
}

#[actix_web::test]
async fn key_is_accepted_from_every_source() {
    let test_app = TestApp::new();
    let key = test_app.key.expose();
    let basic = |text: String| format!("Basic {}", STANDARD.encode(text));
    let (id, secret) = key.rsplit_once('_').unwrap();
    for request in [
        write().header("authorization", format!("Bearer {key}")),
        // Case and additional white space do not matter.
        write().header("authorization", format!("bearer  {key} ")),
        write().header("authorization", format!("Bearer\t{key}")),
        write().header("authorization", format!("Bearer {id}:{secret}")),
        write().header("authorization", basic(format!("{key}:"))),
        write().header("authorization", basic(format!("{key}:password"))),
        // Its parts as user and password, and such a key as a user without a password.
        write().header("authorization", basic(format!("{id}:{secret}"))),
        write().header("authorization", basic(format!("{id}:{secret}:"))),
        // Clients without a key send empty headers.
        write().header("authorization", "").header("x-api-key", key),
        write().header("authorization", "Bearer ").header("x-api-key", key),
        write().header("authorization", basic(":".to_owned())).header("x-api-key", key),
        write().header("x-api-key", key),
        ApiRequest::new(Method::POST, &format!("/v1/events/batch?x=1&auth={key}")).body(BODY),
    ] {
        let response = test_app.call(request).await;
        assert_eq!(response.status, 200, "{response:?}");
    }
}

#[actix_web::test]
async fn first_source_decides() {
    let test_app = TestApp::new();
    let request = write()
        .header("authorization", "Bearer nonsense")
        .header("x-api-key", test_app.key.expose());
    check(&test_app.call(request).await, "malformed");
}

#[actix_web::test]
async fn two_keys_in_one_place_are_refused() {
    let test_app = TestApp::new();
    let (key, other) = (test_app.key.expose(), test_app.other_key.expose());
    for second in [key, other] {
        let bearer = [key, second].map(|key| format!("Bearer {key}"));
        let request = write().header("authorization", &bearer[0]);
        check(&test_app.call(request.header_again("authorization", &bearer[1])).await, "malformed");
        let request = write().header("x-api-key", key).header_again("x-api-key", second);
        check(&test_app.call(request).await, "malformed");
        let path = format!("/v1/events/batch?auth={key}&auth={second}");
        check(&test_app.call(ApiRequest::new(Method::POST, &path).body(BODY)).await, "malformed");
    }
    // In two places, the first one decides.
    let request = write().header("authorization", format!("Bearer {key}"));
    assert_eq!(test_app.call(request.header("x-api-key", other)).await.status, 200);
}

#[actix_web::test]
async fn read_ignores_a_key_in_the_query() {
    let test_app = TestApp::new();
    let path = format!("/v1/events?auth={}", test_app.key.expose());
    check(&test_app.call(ApiRequest::new(Method::GET, &path)).await, "missing");
    let with_header =
        ApiRequest::new(Method::GET, &path).header("x-api-key", test_app.key.expose());
    let response = test_app.call(with_header).await;
    response.is_problem(400, "invalid_query");
    assert!(!String::from_utf8_lossy(&response.body).contains(test_app.key.expose()));
}

#[actix_web::test]
async fn unusable_key_is_refused_with_only_a_reason() {
    let test_app = TestApp::new();
    let with = |key: &str| test_app.call(write().header("authorization", format!("Bearer {key}")));
    check(&test_app.call(write()).await, "missing");
    check(&with("").await, "malformed");
    check(&with("mk_").await, "malformed");
    let key = test_app.key.expose();
    // Another last character breaks the checksum.
    let last = if key.ends_with('a') { 'b' } else { 'a' };
    check(&with(&format!("{}{last}", &key[..key.len() - 1])).await, "malformed");
    // Well-formed, but never stored.
    let unknown = NewApiKey::generate(&[9; ENTROPY_BYTES]);
    let unknown = with(unknown.key.expose()).await;
    check(&unknown, "invalid");
    let id = PresentedKey::parse(key).unwrap().id().clone();
    test_app.store.revoke_api_key(&id, at(NOW)).unwrap();
    let revoked = with(key).await;
    check(&revoked, "invalid");
    // The client cannot distinguish a revoked key from an unknown one.
    assert_eq!(
        (&unknown.json["detail"], &unknown.json["title"]),
        (&revoked.json["detail"], &revoked.json["title"])
    );
}

#[actix_web::test]
async fn missing_scope_is_named() {
    let test_app = TestApp::new();
    let reader = test_app.key_with("events:read", 7);
    let response = test_app.call(write().header("x-api-key", reader.expose())).await;
    response.is_problem(403, "insufficient_scope");
    assert_eq!(response.json["required"], "events:write");
    let writer = test_app.key_with("events:write", 8);
    let response = test_app
        .call(ApiRequest::new(Method::GET, "/v1/events").header("x-api-key", writer.expose()))
        .await;
    response.is_problem(403, "insufficient_scope");
    assert_eq!(response.json["required"], "events:read");
}

#[actix_web::test]
async fn suspended_tenant_is_refused_everywhere() {
    let test_app = TestApp::new();
    test_app.store.suspend_tenant(test_app.owner.tenant_id, true).unwrap();
    test_app.batch("{}").await.is_problem(403, "tenant_suspended");
    test_app.call(test_app.get("/v1/events")).await.is_problem(403, "tenant_suspended");
    test_app.call(test_app.get("/v1/limits")).await.is_problem(403, "tenant_suspended");
    test_app.store.suspend_tenant(test_app.owner.tenant_id, false).unwrap();
    assert_eq!(test_app.batch(r#"{"event_name":"n","user_id":"u"}"#).await.status, 200);
}

#[actix_web::test]
async fn several_keys_of_a_workspace_are_valid_at_once() {
    let test_app = TestApp::new();
    let new = NewApiKey::generate(&[40; ENTROPY_BYTES]);
    let name = Name::parse("another").unwrap();
    let request = KeyRequest {
        expires_at: Some(at("2026-11-22T10:00:01Z")),
        ..KeyRequest::new(test_app.owner, &new, name, Scopes::all(), at(NOW))
    };
    test_app.store.create_api_key(&request).unwrap();
    for key in [&test_app.key, &new.key] {
        assert_eq!(test_app.call(write().header("x-api-key", key.expose())).await.status, 200);
    }
    // The clock is fixed: a key expired now is unusable.
    test_app.store.expire_api_key(&new.id, at(NOW)).unwrap();
    check(&test_app.call(write().header("x-api-key", new.key.expose())).await, "invalid");
    assert_eq!(test_app.call(write().header("x-api-key", test_app.key.expose())).await.status, 200);
}

#[actix_web::test]
async fn refused_keys_are_counted() {
    let test_app = TestApp::new();
    test_app.call(write()).await;
    test_app.call(write().header("x-api-key", "mk_")).await;
    let unknown = NewApiKey::generate(&[41; ENTROPY_BYTES]);
    test_app.call(write().header("x-api-key", unknown.key.expose())).await;
    let refused =
        test_app.call(ApiRequest::new(Method::GET, "/health")).await.json["summary"]["refused"]
            .clone();
    assert_eq!(
        refused,
        // A missing key counts as malformed here.
        serde_json::json!({"keys_malformed": 2, "keys_invalid": 1, "rate_limited": 0, "quota_exceeded": 0})
    );
}

#[actix_web::test]
async fn events_of_another_tenant_are_not_found() {
    let test_app = TestApp::new();
    test_app.batch(r#"{"event_id":"mine","event_name":"n","user_id":"u"}"#).await;
    let [one, all] = ["/v1/events/mine", "/v1/events"].map(|path| {
        ApiRequest::new(Method::GET, path).header("x-api-key", test_app.other_key.expose())
    });
    test_app.call(one).await.is_problem(404, "not_found");
    assert_eq!(test_app.call(all).await.json["events"], serde_json::json!([]));
}
