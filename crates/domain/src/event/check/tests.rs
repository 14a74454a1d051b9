//! The rules of an event, case by case.

use super::*;
use crate::event::{Batch, MemberNames};
use crate::verdict::pointer_to;

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
    // Not index 0, so that a wrong pointer shows.
    checked_from("/events/3".into(), draft, reception)
}

fn checked_from(
    origin: Origin,
    draft: EventDraft<'_>,
    reception: &Reception,
) -> Result<ValidEvent, Vec<(String, FieldErrorCode)>> {
    let mut errors = Vec::new();
    let event = draft.check(origin, reception, || EventId::checked("made"), &mut errors);
    event.ok_or_else(|| errors.into_iter().map(|error| (error.pointer, error.code)).collect())
}

fn check(draft: EventDraft<'_>, expected: &[(&str, FieldErrorCode)]) {
    let errors = checked(draft, &Reception::at(at(NOW))).err().unwrap_or_default();
    let errors: Vec<_> = errors.iter().map(|(pointer, code)| (pointer.as_str(), *code)).collect();
    assert_eq!(errors, expected);
}

fn raw(text: &str) -> Option<RawJson<'static>> {
    Some(RawJson::parse(text.to_owned()).unwrap())
}

#[test]
fn draft_with_the_required_members_gets_the_defaults() {
    let event = checked(draft(), &Reception::at(at(NOW))).unwrap();
    assert_eq!(event.event_id().as_str(), "made");
    assert_eq!(event.kind(), EventType::Track);
    assert_eq!(event.occurred_at(), at(NOW));
    assert_eq!(event.sent_timestamp(), None);
    assert_eq!(event.schema_version(), &SchemaVersion::default());
}

#[test]
fn event_id_and_name_have_a_length_and_no_control_characters() {
    // Two bytes per character distinguish a limit of characters from one of bytes.
    let long = "é".repeat(101);
    for (text, code) in [
        ("", FieldErrorCode::TooShort),
        // U+3000 is white space outside ASCII.
        (" \u{3000}", FieldErrorCode::Blank),
        (long.as_str(), FieldErrorCode::TooLong),
        ("a\u{0}", FieldErrorCode::ControlCharacter),
        ("a\u{7f}", FieldErrorCode::ControlCharacter),
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
    // Characters count, not bytes.
    let full = "é".repeat(100);
    check(
        EventDraft {
            event_id: Some(full.clone().into()),
            event_name: Some(full.into()),
            ..draft()
        },
        &[],
    );
    // Only ids of persons refuse these.
    let bidirectional = EventDraft {
        event_id: Some("\u{202E}a".into()),
        event_name: Some("\u{200F}א".into()),
        ..draft()
    };
    check(bidirectional, &[]);
}

/// Each member with the same rule set to `text`.
fn persons(text: &str) -> [(&'static str, EventDraft<'static>); 3] {
    let text = || Some(text.to_owned().into());
    [
        ("/events/3/anonymous_id", EventDraft { anonymous_id: text(), ..draft() }),
        ("/events/3/user_id", EventDraft { user_id: text(), ..draft() }),
        ("/events/3/session_id", EventDraft { session_id: text(), ..draft() }),
    ]
}

#[test]
fn person_id_has_a_length_and_no_unprintable_characters() {
    let long = "é".repeat(256);
    for (text, code) in [
        ("", FieldErrorCode::TooShort),
        (" \u{3000}", FieldErrorCode::Blank),
        (long.as_str(), FieldErrorCode::TooLong),
    ] {
        for (pointer, draft) in persons(text) {
            check(draft, &[(pointer, code)]);
        }
    }
    for forbidden in [
        // Among them the first and last character of each forbidden range.
        '\0', '\u{1}', '\t', '\n', '\u{1f}', '\u{7f}', '\u{80}', '\u{85}', '\u{9f}', '\u{061C}',
        '\u{200E}', '\u{200F}', '\u{202A}', '\u{202E}', '\u{2066}', '\u{2069}',
    ] {
        for text in [format!("a{forbidden}"), format!("{forbidden}a"), format!("é{forbidden}é")] {
            for (pointer, draft) in persons(&text) {
                check(draft, &[(pointer, FieldErrorCode::ControlCharacter)]);
            }
        }
    }
    // White space inside, joiners and the neighbors of the forbidden ranges are fine.
    let full = "é".repeat(255);
    for text in
        [full.as_str(), "u-1", " a b ", "a\u{a0}b", "שלום", "\u{200D}👩", "\u{2065}", "\u{206A}"]
    {
        for (_, draft) in persons(text) {
            check(draft, &[]);
        }
    }
}

#[test]
fn text_error_names_the_member_and_the_limit() {
    let long = "a".repeat(256);
    for (text, expected) in [
        ("", "user_id is empty; at least 1 character is required"),
        (long.as_str(), "user_id has 256 characters; the limit is 255"),
        (" ", "user_id is only white space; at least 1 other character is required"),
        ("a\u{9}", "user_id has the control character U+0009; remove it"),
        ("\u{202E}", "user_id has the bidirectional formatting character U+202E; remove it"),
    ] {
        let mut errors = Vec::new();
        let draft = EventDraft { user_id: Some(text.into()), ..draft() };
        draft.check("", &Reception::at(at(NOW)), || EventId::checked("made"), &mut errors);
        assert_eq!(errors[0].message, expected);
    }
}

#[test]
fn person_is_required_by_either_id() {
    check(EventDraft { user_id: None, ..draft() }, &[("/events/3", FieldErrorCode::Required)]);
    check(EventDraft { user_id: None, anonymous_id: Some("a".into()), ..draft() }, &[]);
}

#[test]
fn event_name_is_required_only_for_track() {
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

/// Checks an event whose parser found these unknown members. Returns the messages of the rules.
fn messages(draft: EventDraft<'_>, event: &'static str, unknown: &[&str]) -> Vec<String> {
    let unknown_field = FieldErrorCode::UnknownField;
    let mut errors: Vec<_> = unknown
        .iter()
        .map(|name| FieldError::new(pointer_to(event, name), unknown_field, ""))
        .collect();
    draft.check(event, &Reception::at(at(NOW)), || EventId::checked("made"), &mut errors);
    errors.drain(unknown.len()..).map(|error| error.message.into_owned()).collect()
}

#[test]
fn missing_member_names_the_unknown_one() {
    let no_name = "event_name is required for an event of type track";
    let no_person = "anonymous_id or user_id is required";
    for (unknown, person, name) in [
        (&[][..], "", ""),
        (&["price"], "", ""),
        (
            &["event", "userId"],
            "; did you mean \"user_id\" instead of \"userId\"?",
            "; did you mean \"event_name\" instead of \"event\"?",
        ),
        (&["device_id"], "; did you mean \"anonymous_id\" instead of \"device_id\"?", ""),
        // The first of two.
        (&["name", "eventName"], "", "; did you mean \"event_name\" instead of \"name\"?"),
        // Escaped in the pointer.
        (&["event/name"], "", ""),
    ] {
        for event in ["", "/events/3"] {
            let found = messages(EventDraft::default(), event, unknown);
            let expected = [format!("{no_person}{person}"), format!("{no_name}{name}")];
            assert_eq!(found, expected, "{unknown:?}");
        }
    }
}

#[test]
fn members_in_hints_are_those_of_an_event() {
    let text = || Some("x".into());
    let event = EventDraft {
        event_id: text(),
        kind: text(),
        event_name: text(),
        timestamp: text(),
        anonymous_id: text(),
        user_id: text(),
        session_id: text(),
        schema_version: text(),
        properties: raw("{}"),
        traits: raw("{}"),
        context: raw("{}"),
    };
    let event = serde_json::to_value(event).unwrap();
    let mut names: Vec<_> = event.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = crate::hints::EVENT_MEMBERS.to_vec();
    // Features of other crates decide the order of names in a map.
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn message_about_a_type_or_time_has_a_hint() {
    let named = |kind: &'static str| EventDraft { kind: Some(kind.into()), ..draft() };
    let timed = |text: &'static str| EventDraft { timestamp: Some(text.into()), ..draft() };
    let nameless = EventDraft { event_name: None, ..named("signup") };
    for (draft, expected) in [
        (named("Track"), "group or alias; did you mean \"track\"?"),
        (named("pageview"), "track, page, screen, identify, group or alias"),
        (nameless, "or alias; the name of the event belongs in \"event_name\""),
        (timed("1763805600"), "123456Z; this looks like Unix time in seconds"),
        (timed("2026-11-22T10:00:00"), "123456Z; the offset is missing: add Z for UTC"),
        (timed("2026-13-01T10:00:00Z"), "or is outside the years 0000 to 9999"),
    ] {
        let found = messages(draft, "", &[]);
        assert!(found.len() == 1 && found[0].ends_with(expected), "{found:?}");
    }
}

#[test]
fn object_encoded_twice_is_recognised() {
    for (properties, hint) in [
        (r#""{\"a\":1}""#, "; it holds JSON that was encoded twice: send the value itself"),
        (r#""a""#, ""),
    ] {
        let found = messages(EventDraft { properties: raw(properties), ..draft() }, "", &[]);
        assert_eq!(found, [format!("properties is a string; an object is expected{hint}")]);
    }
}

#[test]
fn errors_are_reported_all_at_once() {
    let wrong = EventDraft {
        event_id: Some("".into()),
        timestamp: Some("yesterday".into()),
        schema_version: Some("1".into()),
        properties: raw("[]"),
        // Well-formed, but beyond a double.
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
fn timestamp_outside_the_window_is_refused() {
    let timed = |text: &'static str| EventDraft { timestamp: Some(text.into()), ..draft() };
    // Five minutes ahead and 365 days back are the inclusive defaults.
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
    // 0 means no limit.
    let mut ageless = Reception::at(at(NOW));
    ageless.limits.max_event_age_days = 0;
    assert!(checked(timed("0000-01-01T00:00:00Z"), &ageless).is_ok());
}

#[test]
fn clock_is_corrected_before_the_window_is_checked() {
    let reception = Reception::at(at(NOW));
    let sent = |text| Origin { sent_at: Some(at(text)), ..Origin::from("") };
    // Four years ahead: without the correction the event would be in the future.
    let event = checked_from(
        sent("2031-01-01T00:00:30Z"),
        EventDraft { timestamp: Some("2031-01-01T00:00:00Z".into()), ..draft() },
        &reception,
    )
    .unwrap();
    assert_eq!(event.occurred_at(), at("2026-11-22T09:59:30Z"));
    assert_eq!(event.sent_timestamp(), Some(at("2031-01-01T00:00:00Z")));

    // A correction of 10,000 years leaves the range of a timestamp.
    let far = EventDraft { timestamp: Some("9999-12-31T23:59:59Z".into()), ..draft() };
    assert!(checked_from(sent("0000-01-01T00:00:00Z"), far, &reception).is_err());
}

#[test]
fn errors_name_the_members_of_the_body() {
    const NAMES: MemberNames = MemberNames::OWN
        .with(Member::EventName, "event")
        .with(Member::UserId, "userId")
        .with(Member::SessionId, "context/sessionId");
    let draft = EventDraft {
        user_id: Some("".into()),
        session_id: Some(" ".into()),
        ..EventDraft::default()
    };
    let origin = Origin { names: &NAMES, ..Origin::from("/batch/3") };
    let mut errors = Vec::new();
    draft.check(origin, &Reception::at(at(NOW)), || EventId::checked("made"), &mut errors);
    let errors: Vec<_> = errors.iter().map(|error| (&*error.pointer, &*error.message)).collect();
    assert_eq!(
        errors,
        [
            ("/batch/3/userId", "userId is empty; at least 1 character is required"),
            (
                "/batch/3/context/sessionId",
                "context.sessionId is only white space; at least 1 other character is required"
            ),
            ("/batch/3/event", "event is required for an event of type track"),
        ]
    );
    let mut errors = Vec::new();
    EventDraft { user_id: None, ..self::draft() }.check(
        origin,
        &Reception::at(at(NOW)),
        || EventId::checked("made"),
        &mut errors,
    );
    assert_eq!(errors[0].message, "anonymous_id or userId is required");
}

#[test]
fn batch_serializes_to_the_json_of_the_server() {
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
