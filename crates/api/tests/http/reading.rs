//! Reading back: one event, pages, filters, cursors.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::test::{TestRequest, call_service};
use actix_web::web::block;
use mercurio_api::testing::{ApiRequest, TestApp};
use mercurio_domain::limits::{LimitChange, LimitName, Limits, MAX_PAGE_BYTES};
use mercurio_domain::store::Catalog;

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
async fn pages_follow_the_order_of_receipt_in_both_directions() {
    let test_app = TestApp::new();
    store(&test_app, 0..7).await;
    for (order, expected) in [
        // All have one time of receipt, so the key decides.
        ("order=received", None),
        ("order=received&direction=asc", None),
        ("direction=asc", Some(["e0", "e1", "e2", "e3", "e4", "e5", "e6"])),
    ] {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/events?{order}&limit=3&cursor={cursor}");
            let page = test_app.call(test_app.get(&path)).await;
            assert_eq!(page.status, 200, "{page:?}");
            let events = page.json["events"].as_array().unwrap();
            ids.extend(events.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()));
            let Some(next) = page.json["next_cursor"].as_str() else { break };
            next.clone_into(&mut cursor);
        }
        if let Some(expected) = expected {
            assert_eq!(ids, expected);
        }
        assert_eq!(ids.into_iter().collect::<BTreeSet<_>>().len(), 7, "{order}");
        // A cursor of one order is none of another.
        let response = test_app.call(test_app.get(&format!("/v1/events?cursor={cursor}"))).await;
        response.is_problem(400, "invalid_query");
        assert_eq!(response.errors(), [("/cursor", "invalid_value")]);
    }
    let none = "/v1/events?received_from=2000-01-01T00:00:00Z&received_to=2000-01-02T00:00:00Z";
    assert_eq!(test_app.call(test_app.get(none)).await.json["events"], serde_json::json!([]));
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

/// Returns a read of the second tenant.
fn read_as_other(test_app: &TestApp) -> ApiRequest {
    ApiRequest::new(Method::GET, "/v1/events").header("x-api-key", test_app.other_key.expose())
}

#[actix_web::test]
async fn read_over_the_rate_limit_is_refused() {
    let limits = Limits { reads_per_second: 1, reads_burst: 2, ..Limits::default() };
    let test_app = TestApp::with_limits(limits);
    // An invalid query takes no token.
    test_app.call(test_app.get("/v1/events?limit=0")).await.is_problem(400, "invalid_query");
    assert_eq!(test_app.call(test_app.get("/v1/events")).await.status, 200);
    test_app.call(test_app.get("/v1/events/none")).await.is_problem(404, "not_found");
    for path in ["/v1/events", "/v1/events/none"] {
        let response = test_app.call(test_app.get(path)).await;
        response.is_problem(429, "too_many_reads");
        assert_eq!(response.header("retry-after"), Some("1"));
        assert_eq!(response.json["retry_after_seconds"], 1);
        assert!(response.json["detail"].as_str().unwrap().contains(" 1 times"), "{response:?}");
    }
    assert_eq!(test_app.call(read_as_other(&test_app)).await.status, 200, "own bucket");
    assert_eq!(test_app.batch(r#"{"event_name":"n","user_id":"u"}"#).await.status, 200);
    let change = LimitChange { name: LimitName::ReadsPerSecond, value: Some(0) };
    test_app.store.set_limits(test_app.owner.tenant_id, &[change]).unwrap();
    for _ in 0..10 {
        assert_eq!(test_app.call(test_app.get("/v1/events")).await.status, 200, "its own limit");
    }
}

#[actix_web::test]
async fn concurrent_reads_of_a_tenant_are_bounded() {
    let limits = Limits { max_concurrent_reads: 2, ..Limits::default() };
    let test_app = TestApp::with_limits(limits);
    let app = test_app.app().await;
    let request = || test_app.get("/v1/events").send(&app);
    let store = Arc::clone(&test_app.store);
    store.reads_gate.close();
    let refused = async {
        block(move || store.reads_gate.wait_for_arrivals(2)).await.unwrap();
        let response = request().await;
        test_app.store.reads_gate.open();
        response
    };
    // The first two wait at the gate.
    let (first, second, third) = futures_util::join!(request(), request(), refused);
    third.is_problem(429, "too_many_reads");
    assert!(third.json["detail"].as_str().unwrap().contains("2 reads in progress"), "{third:?}");
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(request().await.status, 200, "reads have ended");
}

#[actix_web::test]
async fn read_lasts_until_its_response_is_gone() {
    let limits = Limits { max_concurrent_reads: 1, ..Limits::default() };
    let test_app = TestApp::with_limits(limits);
    let app = test_app.app().await;
    let key = format!("Bearer {}", test_app.key.expose());
    let request = TestRequest::with_uri("/v1/events").insert_header(("authorization", key));
    let response = call_service(&app, request.to_request()).await;
    assert_eq!(response.status(), 200);
    // Its body is not sent yet.
    test_app.get("/v1/events").send(&app).await.is_problem(429, "too_many_reads");
    assert_eq!(read_as_other(&test_app).send(&app).await.status, 200);
    drop(response);
    assert_eq!(test_app.get("/v1/events").send(&app).await.status, 200);
}

#[actix_web::test]
async fn read_over_the_time_limit_names_what_to_narrow() {
    let test_app = TestApp::new();
    test_app.store.set_reads_time_out(true);
    for path in ["/v1/events?user_id=u", "/v1/events/e"] {
        let response = test_app.call(test_app.get(path)).await;
        response.is_problem(504, "query_timeout");
        let detail = response.json["detail"].as_str().unwrap();
        assert!(detail.contains("30 s") && detail.contains("from and to"), "{detail}");
    }
}

#[actix_web::test]
async fn page_of_large_events_is_bounded_in_bytes() {
    let test_app = TestApp::new();
    let text = "x".repeat(30_000);
    for batch in 0..12 {
        let mut events = Vec::new();
        for id in 0..8 {
            events.push(format!(
                r#"{{"event_id":"{batch}-{id}","event_name":"n","user_id":"u","properties":{{"a":"{text}"}}}}"#
            ));
        }
        assert_eq!(test_app.batch(&events.join(",")).await.json["accepted"], 8);
    }
    let (mut ids, mut cursor, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        let path = format!("/v1/events?limit=1000&cursor={cursor}");
        let page = test_app.call(test_app.get(&path)).await;
        // Small members are not counted exactly.
        assert!(page.body.len() < MAX_PAGE_BYTES + 64 * 1024, "{}", page.body.len());
        assert_eq!(page.header("content-type"), Some("application/json"));
        for event in page.json["events"].as_array().unwrap() {
            assert!(ids.insert(event["event_id"].to_string()), "twice: {event}");
        }
        pages += 1;
        match page.json["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    // 96 events of 30 kB, 34 a page.
    assert_eq!((ids.len(), pages), (96, 3));
}
