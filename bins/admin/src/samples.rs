//! Example events for a new workspace. They pass the same validation as a client's events.

use mercurio_domain::enrichment::Enrichment;
use mercurio_domain::event::{EnrichedEvent, EnrichmentJson, EventDraft, Reception};
use mercurio_domain::ids::IdGenerator;
use mercurio_domain::payload::RawJson;
use mercurio_domain::{EventId, Timestamp};
use serde_json::json;

const MICROS_PER_MINUTE: i64 = 60_000_000;

struct Sample {
    minutes_ago: i64,
    draft: EventDraft<'static>,
}

/// Returns one visit (a page, a sign-up and an order) within the last minutes before `now`.
pub(crate) fn samples(ids: &dyn IdGenerator, now: Timestamp) -> Vec<EnrichedEvent> {
    // Samples have no client address and no user agent to enrich them from.
    let enrichment = EnrichmentJson::of(&Enrichment::default());
    let mut events = Vec::new();
    // Oldest first, as a visitor would send them.
    for Sample { minutes_ago, draft } in [page_view(), sign_up(), order()] {
        let timestamp = now.checked_add_micros(-minutes_ago * MICROS_PER_MINUTE);
        let draft =
            EventDraft { timestamp: timestamp.map(|time| time.to_string().into()), ..draft };
        let new_id = || EventId::generated(ids.next_uuid());
        let mut errors = Vec::new();
        let event = draft.check("", &Reception::at(now), new_id, &mut errors);
        debug_assert!(event.is_some(), "a sample event is invalid: {errors:?}");
        if let Some(event) = event {
            events.push(EnrichedEvent::new(event, enrichment.clone()));
        }
    }
    events
}

fn page_view() -> Sample {
    let context = json!({"page": {"url": "https://shop.example/pricing", "title": "Pricing"}});
    let draft = EventDraft {
        kind: Some("page".into()),
        event_name: Some("Pricing".into()),
        context: raw(&context),
        ..visit()
    };
    Sample { minutes_ago: 12, draft }
}

fn sign_up() -> Sample {
    let properties = json!({"plan": "team", "source": "pricing page"});
    let draft = EventDraft {
        event_name: Some("Signed Up".into()),
        user_id: Some("sample-user".into()),
        properties: raw(&properties),
        ..visit()
    };
    Sample { minutes_ago: 9, draft }
}

fn order() -> Sample {
    let properties = json!({
        "order_id": "sample-1001",
        "currency": "EUR",
        // Two mugs and a T-shirt: 2 × 14.90 + 59.90.
        "total": 89.7,
        "products": [
            {"sku": "MUG-01", "name": "Mug", "price": 14.9, "quantity": 2},
            {"sku": "TEE-04", "name": "T-shirt", "price": 59.9, "quantity": 1},
        ],
    });
    let draft = EventDraft {
        event_name: Some("Order Completed".into()),
        user_id: Some("sample-user".into()),
        properties: raw(&properties),
        ..visit()
    };
    Sample { minutes_ago: 2, draft }
}

fn visit() -> EventDraft<'static> {
    EventDraft {
        anonymous_id: Some("sample-visitor".into()),
        session_id: Some("sample-session".into()),
        ..EventDraft::default()
    }
}

fn raw(value: &serde_json::Value) -> Option<RawJson<'static>> {
    RawJson::parse(value.to_string()).ok()
}

#[cfg(test)]
mod tests {
    use mercurio_domain::testing::{CountingIds, at};

    use super::*;

    #[test]
    fn samples_are_valid_and_happened_before_now() {
        let now = at("2026-11-22T10:00:00.123456Z");
        let events = samples(&CountingIds::default(), now);
        let names: Vec<&str> = events.iter().map(|event| &*event.parts().event_name).collect();
        assert_eq!(names, ["Pricing", "Signed Up", "Order Completed"]);
        assert!(events.iter().all(|event| event.parts().occurred_at < now));
        assert!(events.iter().skip(1).all(|event| event.parts().properties.is_some()));
        assert!(events[0].parts().context.is_some());
    }
}
