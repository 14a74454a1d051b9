//! Exported events: read back whole, or refused without a part of them.

use proptest::prelude::*;

use super::*;
use crate::event::{EventType, StoredEvent};

/// A JSON line of the HTTP API.
const LINE: &str = r#"{"event_id":"order-4711","type":"track","event_name":"order_completed","timestamp":"2026-11-23T00:59:25.000000Z","sent_timestamp":"2026-11-23T01:59:25.000000Z","received_at":"2026-11-23T01:00:25.737020Z","anonymous_id":null,"user_id":"u-42","session_id":null,"schema_version":"1.0.0","properties":{ "total":129.90,"n":1e2 },"traits":null,"context":{"a":"\u00e9"},"enrichment":{"client_ip":"127.0.0.0", "device":{"kind":"other"}},"tenant_id":"1","workspace_id":"2"}"#;

fn now() -> Timestamp {
    Timestamp::parse("2026-11-24T00:00:00Z").unwrap()
}

/// The event as a store returns it.
fn stored(exported: &ExportedEvent) -> StoredEvent {
    let ExportedEvent { owner, received_at, event } = exported;
    StoredEvent {
        owner: *owner,
        received_at: *received_at,
        parts: event.parts().clone(),
        enrichment: JsonObject::from_store(event.enrichment().as_str()),
    }
}

fn reason(json: &str) -> String {
    ExportedEvent::parse(json, now()).unwrap_err().to_string()
}

#[test]
fn exported_event_is_read_back_byte_for_byte() {
    let exported = ExportedEvent::parse(LINE, now()).unwrap();
    assert_eq!(serde_json::to_string(&stored(&exported)).unwrap(), LINE);
    assert_eq!((exported.owner.tenant_id.0, exported.owner.workspace_id.0), (1, 2));
}

#[test]
fn member_in_any_spelling_and_order_is_read() {
    let line = r#" { "workspace_id" : "2", "tenant_id":"1", "enrichment":{}, "schema_version":"1.0.0", "user_id":"\u0075",
        "received_at":"2026-11-23T02:00:25+01:00","timestamp":"1903-01-01T00:00:00Z","event_name":"e","type":"page","event_id":"\"" } "#;
    let exported = ExportedEvent::parse(line, now()).unwrap();
    let parts = exported.event.parts();
    assert_eq!((parts.event_id.as_str(), parts.user_id.as_deref()), ("\"", Some("u")));
    assert_eq!(exported.received_at.to_string(), "2026-11-23T01:00:25.000000Z");
    assert_eq!((parts.kind, parts.sent_timestamp), (EventType::Page, None));
}

#[test]
fn broken_line_is_refused_without_a_part_of_it() {
    for (json, expected) in [
        ("", "it ends in the middle: the input was cut off"),
        (&LINE[..100], "it ends in the middle: the input was cut off"),
        ("secret", "it is not JSON from byte 1 on"),
        ("[]", "it is not a JSON object"),
        ("\"secret\"", "it is not a JSON object"),
        (&format!("{LINE}{LINE}"), &format!("it is not JSON from byte {} on", LINE.len() + 1)),
    ] {
        assert_eq!(reason(json), expected, "{json}");
    }
}

#[test]
fn broken_rule_is_named_by_member_and_code() {
    let long = format!(r#""event_id":"{}""#, "x".repeat(101));
    for (from, to, expected) in [
        (r#""event_id":"order-4711","#, "", "event_id: required"),
        (r#""event_id":"order-4711""#, &long, "event_id: too_long"),
        (r#""track""#, r#""secret""#, "type: invalid_value"),
        (r#""track""#, "null", "type: required"),
        (r#""order_completed""#, "7", "event_name: wrong_type"),
        (r#""order_completed""#, r#"" ""#, "event_name: blank"),
        (r#""u-42""#, "null", "anonymous_id or user_id: required"),
        (r#""u-42""#, r#""\ud800""#, "user_id: lone_surrogate"),
        ("2026-11-23T00:59:25.000000Z", "secret", "timestamp: invalid_timestamp"),
        ("2026-11-23T01:59:25.000000Z", "secret", "sent_timestamp: invalid_timestamp"),
        ("2026-11-23T01:00:25.737020Z", "secret", "received_at: invalid_timestamp"),
        ("2026-11-23T01:00:25.737020Z", "2026-11-24T00:05:01Z", "received_at: timestamp_in_future"),
        ("2026-11-23T01:00:25.737020Z", "1969-12-31T23:59:59Z", "received_at: timestamp_too_old"),
        ("1.0.0", "secret", "schema_version: invalid_schema_version"),
        ("129.90", r#""\u0000""#, "properties: nul_character"),
        ("129.90", "1e999", "properties: number_out_of_range"),
        (r#""traits":null"#, r#""traits":["secret"]"#, "traits: wrong_type"),
        (r#""client_ip":"127.0.0.0""#, r#""client_ip":7"#, "enrichment: wrong_type"),
        (r#""client_ip":"127.0.0.0""#, r#""x":"\u0000""#, "enrichment: nul_character"),
        (r#""tenant_id":"1""#, r#""tenant_id":1"#, "tenant_id: wrong_type"),
        (r#""tenant_id":"1""#, r#""tenant_id":"secret""#, "tenant_id: invalid_value"),
        (r#","workspace_id":"2""#, "", "workspace_id: required"),
        (
            r#""tenant_id""#,
            r#""secret":1,"tenant_id""#,
            "unknown_field: it has a member that no export of this release has",
        ),
        (r#""tenant_id""#, r#""tenant_id":"1","tenant_id""#, "tenant_id: duplicate_field"),
    ] {
        let line = LINE.replacen(from, to, 1);
        assert_ne!(line, LINE, "{from}");
        assert_eq!(reason(&line), expected, "{to}");
    }
    let both = LINE.replacen("track", "x", 1).replacen("1.0.0", "x", 1);
    assert_eq!(reason(&both), "type: invalid_value, schema_version: invalid_schema_version");
}

fn payloads() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(vec![
        "{}",
        r#"{ "b":1, "a":-0, "n":1234567890123456789012345678901234567890 ,"z":null }"#,
        r#"{"u":"\ud83d\ude00 \u00e9 \\u0000","ü":[[],{}]}"#,
        "{\"line\":\n\t[1 ,2]}",
    ]))
}

prop_compose! {
    fn drafts()(
        id in "[a-zA-Z0-9\"\\\\é😀\u{202e}]{1,40}",
        name in "[ -~é]{0,20}x",
        kind in prop::sample::select(EventType::ALL.to_vec()),
        person in prop::option::of("[ -~é]{0,20}x"),
        anonymous in "[ -~é]{0,20}x",
        properties in payloads(),
        traits in payloads(),
        context in payloads(),
        // About a hundred years around 1970.
        time in -1_600_000_000_000_000_i64..1_600_000_000_000_000,
    ) -> EventDraft<'static> {
        let raw = |text: Option<&'static str>| text.map(|text| RawJson::parse(text).unwrap());
        EventDraft {
            event_id: Some(id.into()),
            kind: Some(kind.as_str().into()),
            event_name: Some(name.into()),
            timestamp: Some(Timestamp::from_micros(time).unwrap().to_string().into()),
            anonymous_id: Some(anonymous.into()),
            user_id: person.map(Into::into),
            session_id: None,
            schema_version: Some("2.1.0-rc.1".into()),
            properties: raw(properties),
            traits: raw(traits),
            context: raw(context),
        }
    }
}

/// The event of a draft, as a store returns it.
fn stored_draft(draft: EventDraft<'_>, received: i64, sent: Option<i64>, ip: &str) -> StoredEvent {
    let received_at = Timestamp::from_micros(received).unwrap();
    let limits =
        Limits { max_event_age_days: 0, max_event_future_seconds: u32::MAX, ..Limits::default() };
    let reception = Reception { limits, ..Reception::at(received_at) };
    let mut errors = Vec::new();
    let valid = draft.check("", &reception, || EventId::lookup(""), &mut errors);
    let valid = valid.unwrap_or_else(|| panic!("{errors:?}"));
    let sent = sent.map(|sent| Timestamp::from_micros(sent).unwrap());
    let enrichment = Enrichment { client_ip: Some(ip.to_owned()), ..Enrichment::default() };
    let event = EnrichedEvent::new(
        ValidEvent::with_sent_timestamp(valid, sent),
        EnrichmentJson::of(&enrichment),
    );
    let owner = Owner { tenant_id: TenantId(7), workspace_id: WorkspaceId(i64::MAX) };
    stored(&ExportedEvent { owner, received_at, event })
}

proptest! {
    #[test]
    fn any_stored_event_is_read_back(
        draft in drafts(),
        received in 0_i64..1_700_000_000_000_000,
        sent in prop::option::of(0_i64..1_700_000_000_000_000),
        ip in ".{0,20}",
    ) {
        // What no store keeps is not in an export.
        prop_assume!(!ip.contains('\0'));
        let event = stored_draft(draft, received, sent, &ip);
        let json = serde_json::to_string(&event).unwrap();
        let exported = ExportedEvent::parse(&json, now()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(&stored(&exported), &event);
        prop_assert_eq!(serde_json::to_string(&stored(&exported)).unwrap(), json);
    }

    #[test]
    fn line_with_any_change_is_read_or_refused(at in 0..LINE.len(), byte in any::<u8>()) {
        let mut bytes = LINE.as_bytes().to_vec();
        bytes[at] = byte;
        if let Ok(line) = String::from_utf8(bytes) {
            ExportedEvent::parse(&line, now()).ok();
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,80}") {
        prop_assert!(ExportedEvent::parse(&text, now()).is_err());
    }
}
