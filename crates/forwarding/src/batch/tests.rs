//! Bodies against their formats.

use mercurio_domain::store::{Catalog, EventWriter, Feed, FeedQuery};
use mercurio_domain::testing::{MemoryStore, at, provisioning, submission};
use mercurio_domain::{TenantId, WorkspaceId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn stored(ids: &[&str]) -> Vec<StoredEvent> {
    let store = MemoryStore::default();
    let now = at("2026-11-29T10:00:00.25Z");
    let owner = store.provision(&provisioning("Acme", 1, now).0).expect("created").api_key.owner;
    store.append(&[submission(owner, now, ids)]).expect("stored");
    let events = store.feed(owner, &FeedQuery::default()).expect("a page").events;
    let owner = Owner { tenant_id: TenantId(42), workspace_id: WorkspaceId(7) };
    events.into_iter().map(|event| StoredEvent { owner, ..event }).collect()
}

fn parsed(events: &[StoredEvent], format: BatchFormat) -> Value {
    serde_json::from_slice(&Batch::of(events, format).expect("a batch").body).expect("JSON")
}

#[test]
fn json_has_the_events_of_the_api_with_message_ids() {
    let events = stored(&["a", "b"]);
    let body = parsed(&events, BatchFormat::Json);
    for (index, id) in ["42:a", "42:b"].into_iter().enumerate() {
        let mut event = body["events"][index].clone();
        let message_id = event.as_object_mut().unwrap().remove("message_id");
        assert_eq!(message_id, Some(json!(id)));
        assert_eq!(event, serde_json::to_value(&events[index]).unwrap());
    }
    assert_eq!(body.as_object().map(|body| body.len()), Some(1));
}

#[test]
fn payload_is_written_as_stored() {
    let mut events = stored(&["a"]);
    let text = r#"{"b":1.0,"a":1e300,"b":"\u00e9"}"#;
    events[0].parts.properties = Some(serde_json::from_str(text).unwrap());
    for format in [BatchFormat::Json, BatchFormat::CloudEvents] {
        let body = String::from_utf8(Batch::of(&events, format).unwrap().body).unwrap();
        assert!(body.contains(&format!("\"properties\":{text}")), "{body}");
    }
}

#[test]
fn cloud_event_has_the_attributes_of_the_specification() {
    let mut events = stored(&["a"]);
    let whole = serde_json::to_value(&events[0]).unwrap();
    let expected = json!([{
        "specversion": "1.0",
        "id": "a",
        "source": "/tenants/42/workspaces/7",
        "type": "e",
        "subject": "u",
        "time": whole["timestamp"],
        "datacontenttype": "application/json",
        "data": whole,
    }]);
    assert_eq!(parsed(&events, BatchFormat::CloudEvents), expected);
    events[0].parts.user_id = None;
    let without = parsed(&events, BatchFormat::CloudEvents);
    assert_eq!(without[0].get("subject"), None);
}

#[test]
fn same_events_have_the_same_id() {
    let id = |ids: &[&str]| Batch::of(&stored(ids), BatchFormat::Json).unwrap().id;
    let first = id(&["a", "b"]);
    assert_eq!(first, id(&["a", "b"]));
    assert_ne!(first, id(&["a"]));
    // The signed parts are separated by full stops.
    let hex = first.strip_prefix("msg_").unwrap();
    assert!(hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{first}");
}

proptest! {
    #[test]
    fn message_id_names_one_event(tenant in any::<i64>(), id in "[ -~]{1,20}") {
        let mut event = stored(&["a"]).remove(0);
        event.owner.tenant_id = TenantId(tenant);
        event.parts.event_id = EventId::lookup(id.clone());
        let text = message_id(&event);
        // The first colon ends the tenant: the id may have others.
        let (before, after) = text.split_once(':').unwrap();
        prop_assert_eq!(before, tenant.to_string());
        prop_assert_eq!(after, id);
    }
}
