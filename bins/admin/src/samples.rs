//! A few events to look at in a workspace that has none of its own yet.

use mercurio_domain::enrichment::Enrichment;
use mercurio_domain::event::{EnrichedEvent, EnrichmentJson, EventDraft, Reception};
use mercurio_domain::ids::IdGenerator;
use mercurio_domain::payload::RawJson;
use mercurio_domain::{EventId, Timestamp};
use serde_json::json;

const MICROS_PER_MINUTE: i64 = 60_000_000;

/// A visit: a page, a sign-up and an order, in the minutes before `now`, made by the same rules as a client's events.
pub(crate) fn samples(ids: &dyn IdGenerator, now: Timestamp) -> Vec<EnrichedEvent> {
    let page = json!({"page": {"url": "https://shop.example/pricing", "title": "Pricing"}});
    let plan = json!({"plan": "team", "source": "pricing page"});
    let order = json!({
        "order_id": "sample-1001",
        "currency": "EUR",
        "total": 89.7,
        "products": [{"sku": "MUG-01", "name": "Mug", "price": 14.9, "quantity": 2}, {"sku": "TEE-04", "name": "T-shirt", "price": 59.9, "quantity": 1}],
    });
    let drafts = [
        (
            12,
            EventDraft {
                kind: Some("page".into()),
                event_name: Some("Pricing".into()),
                context: raw(&page),
                ..visit()
            },
        ),
        (
            9,
            EventDraft {
                event_name: Some("Signed Up".into()),
                user_id: Some("sample-user".into()),
                properties: raw(&plan),
                ..visit()
            },
        ),
        (
            2,
            EventDraft {
                event_name: Some("Order Completed".into()),
                user_id: Some("sample-user".into()),
                properties: raw(&order),
                ..visit()
            },
        ),
    ];
    let enrichment = EnrichmentJson::of(&Enrichment::default());
    let checked = drafts.into_iter().filter_map(|(minutes_ago, draft)| {
        let happened = now.checked_add_micros(-minutes_ago * MICROS_PER_MINUTE)?;
        let draft = EventDraft { timestamp: Some(happened.to_string().into()), ..draft };
        // These hold every rule; a test counts them.
        draft.check(
            "",
            &Reception::at(now),
            || EventId::generated(ids.next_uuid()),
            &mut Vec::new(),
        )
    });
    checked.map(|event| EnrichedEvent::new(event, enrichment.clone())).collect()
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
    fn the_samples_hold_every_rule_and_happened_before_now() {
        let now = at("2026-11-22T10:00:00.123456Z");
        let events = samples(&CountingIds::default(), now);
        let names: Vec<&str> = events.iter().map(|event| &*event.parts().event_name).collect();
        assert_eq!(names, ["Pricing", "Signed Up", "Order Completed"]);
        assert!(events.iter().all(|event| event.parts().occurred_at < now));
        assert!(events.iter().skip(1).all(|event| event.parts().properties.is_some()));
        assert!(events[0].parts().context.is_some());
    }
}
