//! Clients of other services: a tenant's own limits, and the headers of a write.

use actix_web::http::Method;
use mercurio_domain::limits::{LimitChange, LimitName};
use mercurio_domain::store::Catalog;
use mercurio_protocols::ProtocolOptions;
use serde_json::{Value, json};

use mercurio_api::testing::{ApiRequest, ApiResponse, TestApp};

use crate::foreign::{basic, batch, ids, is_foreign_problem, send, stored};

/// Sends a batch with its key inside, as a browser does.
async fn send_key_inside(test_app: &TestApp, events: usize) -> ApiResponse {
    let mut body: Value = serde_json::from_str(&batch(&ids(events))).unwrap();
    body["writeKey"] = json!(test_app.key.expose());
    test_app.call(ApiRequest::new(Method::POST, "/v1/batch").body(body.to_string())).await
}

fn set_limit(test_app: &TestApp, name: LimitName, value: Option<u64>) {
    let tenant_id = test_app.owner.tenant_id;
    test_app.store.set_limits(tenant_id, &[LimitChange { name, value }]).unwrap();
}

#[actix_web::test]
async fn limit_of_a_tenant_replaces_that_of_the_protocols() {
    let small = ProtocolOptions { max_events: 100, ..ProtocolOptions::default() };
    let test_app = TestApp::with_protocols(small);
    for (value, fitting) in [(Some(20), 20), (Some(200), 200), (None, 100)] {
        set_limit(&test_app, LimitName::MaxBatchEvents, value);
        let response = send(&test_app, "/v1/batch", batch(&ids(fitting))).await;
        assert_eq!(response.status, 200, "{value:?}: {response:?}");
        let refused = send(&test_app, "/v1/batch", batch(&ids(fitting + 1))).await;
        is_foreign_problem(&refused, 400, "batch_too_large");
        assert_eq!(refused.json["limit"], fitting, "{value:?}");
        // Read before its tenant is known: a higher limit has no effect then.
        let fitting = fitting.min(100);
        assert_eq!(send_key_inside(&test_app, fitting).await.status, 200);
        let refused = send_key_inside(&test_app, fitting + 1).await;
        is_foreign_problem(&refused, 400, "batch_too_large");
        assert_eq!(refused.json["limit"], fitting, "{value:?}");
    }
    set_limit(&test_app, LimitName::MaxBodyBytes, Some(1_024));
    let refused = send(&test_app, "/v1/batch", batch(&ids(50))).await;
    is_foreign_problem(&refused, 413, "payload_too_large");
    let refused = send_key_inside(&test_app, 50).await;
    is_foreign_problem(&refused, 413, "payload_too_large");
    assert_eq!(refused.json["limit"], 1_024);
    assert!(refused.json["actual"].as_u64().unwrap() > 1_024, "{refused:?}");
    assert_eq!(send_key_inside(&test_app, 1).await.status, 200);
}

/// An event without an id.
fn without_id(test_app: &TestApp) -> ApiRequest {
    let body = json!({"batch": [{"type": "track", "event": "e", "userId": "u"}]});
    ApiRequest::new(Method::POST, "/v1/batch")
        .header("authorization", basic(test_app.key.expose()))
        .header("x-event-schema-version", "2.0.0")
        .body(body.to_string())
}

#[actix_web::test]
async fn headers_of_a_write_hold_for_other_clients_too() {
    let test_app = TestApp::new();
    let first = test_app.call(without_id(&test_app).header("idempotency-key", "k")).await;
    assert_eq!(first.statuses(), ["accepted"]);
    let id = first.json["results"][0]["event_id"].as_str().unwrap();
    assert_eq!(stored(&test_app, id).await["schema_version"], "2.0.0");
    let again = test_app.call(without_id(&test_app).header("idempotency-key", "k")).await;
    assert_eq!(again.statuses(), ["duplicate"]);
    assert_eq!(test_app.call(without_id(&test_app)).await.statuses(), ["accepted"]);
    let refused = test_app.call(without_id(&test_app).header("idempotency-key", "")).await;
    is_foreign_problem(&refused, 400, "bad_request");
}
