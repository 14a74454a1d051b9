//! Reading back: one event, pages, filters, cursors.

use std::collections::BTreeSet;

use mercurio_api::testing::TestApp;

async fn store(test_app: &TestApp, ids: impl Iterator<Item = usize>) {
    for id in ids {
        // Several events share a second, so pages must break ties.
        let second = id % 10;
        let event = format!(
            r#"{{"event_id":"e{id}","event_name":"n{}","user_id":"u","timestamp":"2026-11-22T09:00:0{second}Z"}}"#,
            id % 2
        );
        assert_eq!(test_app.batch(&event).await.statuses(), ["accepted"]);
    }
}

#[actix_web::test]
async fn stored_event_has_every_member_and_enrichment() {
    let test_app = TestApp::new();
    let event = r#"{"event_id":"a b/%é","type":"page","anonymous_id":"x","session_id":"s","properties":{ "p":1 },
        "context":{"page":{"url":"https://shop.example/cart?utm_source=mail&utm_campaign=may"}}}"#;
    test_app.batch(event).await;
    let response = test_app.call(test_app.get("/v1/events/a%20b%2F%25%C3%A9")).await;
    assert_eq!(response.status, 200, "{response:?}");
    let json = &response.json;
    assert_eq!(
        (&json["event_id"], &json["event_name"], &json["type"]),
        (&"a b/%é".into(), &"page".into(), &"page".into())
    );
    assert_eq!((&json["tenant_id"], &json["workspace_id"]), (&"1".into(), &"1".into()));
    assert!(json["user_id"].is_null() && json["sent_timestamp"].is_null());
    assert_eq!(json["enrichment"]["page"]["path"], "/cart");
    assert_eq!(
        json["enrichment"]["campaign"],
        serde_json::json!({"source": "mail", "name": "may"})
    );
    assert!(String::from_utf8(response.body).unwrap().contains(r#""properties":{ "p":1 }"#));
}

#[actix_web::test]
async fn unknown_event_is_not_found() {
    let test_app = TestApp::new();
    for path in ["/v1/events/none", "/v1/events/%FF", "/v1/events/", "/v1/events/a/b"] {
        test_app.call(test_app.get(path)).await.is_problem(404, "not_found");
    }
}

#[actix_web::test]
async fn pages_cover_every_event_once_while_others_arrive() {
    let test_app = TestApp::new();
    store(&test_app, 0..25).await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page =
            test_app.call(test_app.get(&format!("/v1/events?limit=4&cursor={cursor}"))).await.json;
        for event in page["events"].as_array().unwrap() {
            seen.push(event["event_id"].as_str().unwrap().to_owned());
        }
        // A new event between two pages.
        store(&test_app, 25 + seen.len()..26 + seen.len()).await;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    let unique: BTreeSet<_> = seen.iter().collect();
    assert_eq!(unique.len(), seen.len(), "none twice");
    assert!((0..25).all(|id| unique.contains(&format!("e{id}"))), "none missing");
}

#[actix_web::test]
async fn page_is_newest_first_and_filtered() {
    let test_app = TestApp::new();
    store(&test_app, 0..10).await;
    let page = test_app
        .call(
            test_app
                .get("/v1/events?event_name=n1&from=2026-11-22T09:00:03Z&to=2026-11-22T09:00:09Z"),
        )
        .await;
    let ids: Vec<_> = page.json["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event_id"].clone())
        .collect();
    assert_eq!(ids, ["e7", "e5", "e3"]);
    assert!(page.json["next_cursor"].is_null());
}

#[actix_web::test]
async fn invalid_query_reports_every_error() {
    let test_app = TestApp::new();
    let response = test_app.call(test_app.get("/v1/events?limit=0&sort=asc&cursor=x")).await;
    response.is_problem(400, "invalid_query");
    assert_eq!(response.json["errors"].as_array().unwrap().len(), 3);
}

#[actix_web::test]
async fn read_without_the_store_is_storage_unavailable() {
    let test_app = TestApp::new();
    test_app.store.set_unavailable(true);
    test_app.call(test_app.get("/v1/events")).await.is_problem(503, "storage_unavailable");
}

#[actix_web::test]
async fn query_in_invalid_utf_8_matches_nothing() {
    let test_app = TestApp::new();
    test_app.batch(r#"{"event_name":"n","user_id":"�"}"#).await;
    let response = test_app.call(test_app.get("/v1/events?user_id=%FF")).await;
    response.is_problem(400, "invalid_query");
    assert_eq!(response.errors(), [("/user_id", "invalid_value")]);
    let response = test_app.call(test_app.get("/v1/events?user_id=%EF%BF%BD")).await;
    assert_eq!(response.json["events"].as_array().map(Vec::len), Some(1), "{response:?}");
}
