//! The rules of the event, case by case.

use super::*;

const NOW: &str = "2026-11-22T10:00:00Z";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn draft() -> EventDraft<'static> {
    EventDraft {
        event_name: Some("signup".into()),
        user_id: Some("u-1".into()),
        ..EventDraft::default()
    }
}

fn checked(
    draft: EventDraft<'_>,
    reception: &Reception,
) -> Result<ValidEvent, Vec<(String, FieldErrorCode)>> {
    let mut errors = Vec::new();
    let event = draft.check("/events/3", reception, || EventId::checked("made"), &mut errors);
    event.ok_or_else(|| errors.into_iter().map(|fault| (fault.pointer, fault.code)).collect())
}

fn check(draft: EventDraft<'_>, expected: &[(&str, FieldErrorCode)]) {
    let told = checked(draft, &Reception::at(at(NOW))).err().unwrap_or_default();
    let told: Vec<_> = told.iter().map(|(pointer, code)| (pointer.as_str(), *code)).collect();
    assert_eq!(told, expected);
}

fn raw(text: &str) -> Option<RawJson<'static>> {
    Some(RawJson::parse(text.to_owned()).unwrap())
}

#[test]
fn a_draft_with_what_is_required_gets_the_defaults() {
    let event = checked(draft(), &Reception::at(at(NOW))).unwrap();
    assert_eq!(event.event_id().as_str(), "made");
    assert_eq!(event.kind(), EventType::Track);
    assert_eq!(event.occurred_at(), at(NOW));
    assert_eq!(event.sent_timestamp(), None);
    assert_eq!(event.schema_version(), &SchemaVersion::default());
}

#[test]
fn ids_and_names_have_a_length_and_no_control_characters() {
    let long = "é".repeat(101);
    for (text, code) in [
        ("", FieldErrorCode::TooShort),
        (" \u{3000}", FieldErrorCode::Blank),
        (long.as_str(), FieldErrorCode::TooLong),
        ("a\u{0}", FieldErrorCode::ControlCharacter),
        ("a\u{85}", FieldErrorCode::ControlCharacter),
    ] {
        check(
            EventDraft { event_id: Some(text.into()), ..draft() },
            &[("/events/3/event_id", code)],
        );
        check(
            EventDraft { event_name: Some(text.into()), ..draft() },
            &[("/events/3/event_name", code)],
        );
    }
    let full = "é".repeat(100);
    check(
        EventDraft {
            event_id: Some(full.clone().into()),
            event_name: Some(full.into()),
            ..draft()
        },
        &[],
    );
    let person = "é".repeat(256);
    check(
        EventDraft { user_id: Some(person.into()), ..draft() },
        &[("/events/3/user_id", FieldErrorCode::TooLong)],
    );
    check(
        EventDraft { user_id: Some("a\0".into()), ..draft() },
        &[("/events/3/user_id", FieldErrorCode::NulCharacter)],
    );
}

#[test]
fn a_person_is_required_and_either_id_will_do() {
    check(EventDraft { user_id: None, ..draft() }, &[("/events/3", FieldErrorCode::Required)]);
    check(EventDraft { user_id: None, anonymous_id: Some("a".into()), ..draft() }, &[]);
}

#[test]
fn only_track_needs_a_name() {
    check(
        EventDraft { event_name: None, ..draft() },
        &[("/events/3/event_name", FieldErrorCode::Required)],
    );
    for kind in ["page", "screen", "identify", "group", "alias"] {
        let nameless = EventDraft { event_name: None, kind: Some(kind.into()), ..draft() };
        assert_eq!(checked(nameless, &Reception::at(at(NOW))).unwrap().event_name(), kind);
    }
    check(
        EventDraft { kind: Some("Track".into()), ..draft() },
        &[("/events/3/type", FieldErrorCode::InvalidValue)],
    );
}

#[test]
fn all_faults_are_told_at_once() {
    let wrong = EventDraft {
        event_id: Some("".into()),
        timestamp: Some("yesterday".into()),
        schema_version: Some("1".into()),
        properties: raw("[]"),
        context: raw(r#"{"a":1e999}"#),
        ..EventDraft::default()
    };
    check(
        wrong,
        &[
            ("/events/3/event_id", FieldErrorCode::TooShort),
            ("/events/3", FieldErrorCode::Required),
            ("/events/3/timestamp", FieldErrorCode::InvalidTimestamp),
            ("/events/3/schema_version", FieldErrorCode::InvalidSchemaVersion),
            ("/events/3/properties", FieldErrorCode::WrongType),
            ("/events/3/context/a", FieldErrorCode::NumberOutOfRange),
            ("/events/3/event_name", FieldErrorCode::Required),
        ],
    );
}

#[test]
fn a_time_beyond_the_window_is_refused() {
    let timed = |text: &'static str| EventDraft { timestamp: Some(text.into()), ..draft() };
    check(timed("2026-11-22T10:05:00Z"), &[]);
    check(
        timed("2026-11-22T10:05:00.000001Z"),
        &[("/events/3/timestamp", FieldErrorCode::TimestampInFuture)],
    );
    check(
        timed("9999-12-31T23:59:59Z"),
        &[("/events/3/timestamp", FieldErrorCode::TimestampInFuture)],
    );
    check(timed("2025-11-22T10:00:00Z"), &[]);
    check(
        timed("2025-11-22T09:59:59.999999Z"),
        &[("/events/3/timestamp", FieldErrorCode::TimestampTooOld)],
    );
    check(
        timed("2026-11-22T10:00:00"),
        &[("/events/3/timestamp", FieldErrorCode::InvalidTimestamp)],
    );
    let mut ageless = Reception::at(at(NOW));
    ageless.limits.max_event_age_days = 0;
    assert!(checked(timed("0000-01-01T00:00:00Z"), &ageless).is_ok());
}

#[test]
fn a_clock_is_corrected_before_the_window_is_looked_at() {
    let mut reception = Reception::at(at(NOW));
    reception.sent_at = Some(at("2031-01-01T00:00:30Z"));
    let event = checked(
        EventDraft { timestamp: Some("2031-01-01T00:00:00Z".into()), ..draft() },
        &reception,
    )
    .unwrap();
    assert_eq!(event.occurred_at(), at("2026-11-22T09:59:30Z"));
    assert_eq!(event.sent_timestamp(), Some(at("2031-01-01T00:00:00Z")));

    reception.sent_at = Some(at("0000-01-01T00:00:00Z"));
    let far = EventDraft { timestamp: Some("9999-12-31T23:59:59Z".into()), ..draft() };
    assert!(checked(far, &reception).is_err());
}

#[test]
fn a_batch_serializes_to_what_the_server_takes() {
    let batch = Batch {
        events: vec![EventDraft {
            kind: Some("track".into()),
            properties: raw(r#"{"a": 1}"#),
            ..draft()
        }],
        sent_at: Some(at(NOW)),
    };
    assert_eq!(
        serde_json::to_string(&batch).unwrap(),
        r#"{"events":[{"type":"track","event_name":"signup","user_id":"u-1","properties":{"a": 1}}],"sent_at":"2026-11-22T10:00:00.000000Z"}"#
    );
}
