//! `GET /v1/feed`: pages, lines, and cursors of other feeds.

use actix_web::http::Method;
use mercurio_api::testing::{ApiRequest, TestApp};
use mercurio_domain::WorkspaceId;
use mercurio_domain::store::FeedCursor;
use serde_json::Value;

async fn store(test_app: &TestApp, ids: std::ops::Range<usize>) {
    for id in ids {
        // Neither in the order of ids nor of times.
        let event = format!(
            r#"{{"event_id":"e{id}","event_name":"n","user_id":"u","timestamp":"2026-11-22T09:00:0{}Z"}}"#,
            9 - id % 10
        );
        assert_eq!(test_app.batch(&event).await.statuses(), ["accepted"]);
    }
}

fn ids_of(events: &Value) -> Vec<String> {
    let events = events.as_array().unwrap().iter();
    events.map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn pages_have_every_event_in_the_order_of_storing() {
    let test_app = TestApp::new();
    store(&test_app, 0..25).await;
    let (mut seen, mut after, mut stored) = (Vec::new(), String::new(), 25);
    loop {
        let path = format!("/v1/feed?limit=4&after={after}");
        let response = test_app.call(test_app.get(&path)).await;
        assert_eq!(response.status, 200, "{response:?}");
        let ids = ids_of(&response.json["events"]);
        assert!(ids.len() <= 4);
        // There always is a next page.
        after = response.json["next"].as_str().unwrap().to_owned();
        assert_eq!(response.json.as_object().unwrap().len(), 2);
        if ids.is_empty() {
            break;
        }
        seen.extend(ids);
        // Others write, up to a point.
        let more = if stored < 30 { 1 } else { 0 };
        store(&test_app, stored..stored + more).await;
        stored += more;
    }
    let expected: Vec<_> = (0..30).map(|id| format!("e{id}")).collect();
    assert_eq!(seen, expected);
}

#[actix_web::test]
async fn feed_from_now_begins_with_the_next_event() {
    let test_app = TestApp::new();
    store(&test_app, 0..3).await;
    let page = test_app.call(test_app.get("/v1/feed?after=now")).await.json;
    assert_eq!(page["events"], serde_json::json!([]));
    store(&test_app, 3..5).await;
    let path = format!("/v1/feed?after={}", page["next"].as_str().unwrap());
    assert_eq!(ids_of(&test_app.call(test_app.get(&path)).await.json["events"]), ["e3", "e4"]);
}

#[actix_web::test]
async fn lines_have_all_pages_and_a_cursor_after_each() {
    let test_app = TestApp::new();
    store(&test_app, 0..9).await;
    let request = test_app.get("/v1/feed?limit=4");
    let response = test_app.call(request.header("accept", "application/x-ndjson, */*;q=0.1")).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/x-ndjson"));
    let text = String::from_utf8(response.body).unwrap();
    assert!(text.ends_with('\n'));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: String =
        lines.iter().map(|line| if line["next"].is_null() { 'e' } else { 'n' }).collect();
    assert_eq!(kinds, "eeeeneeeenen");
    // The cursor of any of them goes on behind the events before it.
    let path = format!("/v1/feed?after={}", lines[4]["next"].as_str().unwrap());
    let rest = ids_of(&test_app.call(test_app.get(&path)).await.json["events"]);
    assert_eq!(rest, ["e4", "e5", "e6", "e7", "e8"]);
}

#[actix_web::test]
async fn cursor_of_another_feed_is_refused() {
    let test_app = TestApp::new();
    store(&test_app, 0..1).await;
    let page = test_app.call(test_app.get("/v1/events?limit=1")).await.json;
    assert_eq!(ids_of(&page["events"]).len(), 1);
    let feed = test_app.call(test_app.get("/v1/feed")).await.json;
    let next = feed["next"].as_str().unwrap();
    let malformed =
        "after is not a cursor of this service: pass `next` of the page before, unchanged";
    for after in ["x", "AQAGRBzuHmAAAZqo8D6AfDGdPm8NHzsqEA", &next[1..]] {
        for accept in ["application/json", "application/x-ndjson"] {
            let request = test_app.get(&format!("/v1/feed?after={after}"));
            let response = test_app.call(request.header("accept", accept)).await;
            response.is_problem(400, "invalid_query");
            assert_eq!(response.json["errors"][0]["message"], malformed, "{after}");
        }
    }
    // Another server's, with an empty database.
    let other = TestApp::new();
    let response = other.call(other.get(&format!("/v1/feed?after={next}"))).await;
    response.is_problem(400, "invalid_query");
    assert_eq!(response.json["errors"][0]["code"], "cursor_replaced");
    // Another workspace of this server.
    let cursor = FeedCursor::oldest(WorkspaceId(77)).to_text();
    let response = test_app.call(test_app.get(&format!("/v1/feed?after={cursor}"))).await;
    response.is_problem(400, "invalid_query");
    let expected = "after is a cursor of another workspace: each workspace has its own feed";
    assert_eq!(response.json["errors"][0]["message"], expected);
}

#[actix_web::test]
async fn feed_needs_the_scope_to_read() {
    let test_app = TestApp::new();
    let key = test_app.key_with("events:write", 99);
    let request = ApiRequest::new(Method::GET, "/v1/feed")
        .header("authorization", format!("Bearer {}", key.expose()));
    let response = test_app.call(request).await;
    response.is_problem(403, "insufficient_scope");
}

#[actix_web::test]
async fn unavailable_database_is_a_problem_for_both_forms() {
    let test_app = TestApp::new();
    // The key is known from then on.
    test_app.call(test_app.get("/v1/feed")).await;
    test_app.store.set_unavailable(true);
    for accept in ["application/json", "application/x-ndjson"] {
        let request = test_app.get("/v1/feed").header("accept", accept);
        test_app.call(request).await.is_problem(503, "storage_unavailable");
    }
}
