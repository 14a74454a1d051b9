//! Bodies the parser reads, and its errors for all others.

mod messages;
mod one_pass;

use std::borrow::Cow;

use mercurio_domain::verdict::{FieldError, FieldErrorCode};
use proptest::prelude::*;

use super::*;
use FieldErrorCode::{
    DuplicateField, InvalidTimestamp, LoneSurrogate, Required, UnknownField, WrongType,
};

/// Passes when the events of `body`, or the batch, have exactly these errors.
#[track_caller]
fn check_errors(body: &str, expected: &[(&str, FieldErrorCode)]) {
    let found: Vec<FieldError> = match batch(body, &Limits::default()) {
        Ok(items) => items.into_iter().flat_map(|item| item.errors).collect(),
        Err(ParseError::Shape(errors)) => errors,
        Err(other) => panic!("{body}: {other}"),
    };
    let found: Vec<_> = found.iter().map(|error| (&*error.pointer, error.code)).collect();
    assert_eq!(found, expected, "{body}");
}

/// Reads bytes as the API does.
fn batch_of_bytes(body: &[u8]) -> Result<usize, ParseError> {
    Ok(batch(&source(body)?, &Limits::default())?.len())
}

#[test]
fn members_of_events_are_slices_of_the_body() {
    let body = r#" {"events" : [ {"event_id":"a","event_name":"n","properties":{ "x": 1.0 },"user_id":null} , {"event_name":"\u0041é"}], "sent_at":"2026-11-22T10:00:00Z"} "#;
    let items = batch(body, &Limits::default()).unwrap();
    let [first, second] = &*items else { panic!("{items:?}") };
    assert_eq!(first.draft.properties.as_ref().unwrap().get(), r#"{ "x": 1.0 }"#);
    assert!(matches!(first.draft.event_id, Some(Cow::Borrowed("a"))));
    assert_eq!(first.draft.user_id, None);
    assert_eq!(second.draft.event_name.as_deref(), Some("Aé"));
    assert_eq!(second.text, r#"{"event_name":"\u0041é"}"#);
    assert_eq!(second.origin.pointer.to_string(), "/events/1");
    for item in &items {
        assert_eq!(item.origin.sent_at.unwrap().to_string(), "2026-11-22T10:00:00.000000Z");
    }
}

#[test]
fn payloads_stay_slices_of_a_body_with_errors() {
    let body = r#"{"events":[{"x":1,"properties":{ "a": 1.0 },"event_id":"a"}]}"#;
    let items = batch(body, &Limits::default()).unwrap();
    let draft = &items[0].draft;
    let properties = draft.properties.as_ref().unwrap().get();
    assert_eq!(properties, r#"{ "a": 1.0 }"#);
    assert!(body.as_bytes().as_ptr_range().contains(&properties.as_ptr()), "not copied");
    assert!(matches!(draft.event_id, Some(Cow::Borrowed("a"))));
}

#[test]
fn malformed_body_is_reported_with_its_position() {
    for (body, line, column) in [
        (&b""[..], 1, 1),
        (b"{\"events\":[\n", 2, 1),
        (b"{\"a\nb\":[]}", 2, 0),
        (b"not json", 1, 2),
        (b"{\"events\":[]} x", 1, 15),
        (b"{\"events\":[]}{}", 1, 14),
        (b"{\n \"events\":[{},]}", 2, 15),
        (b"{\"events\":[{\"a\":1e}]}", 1, 19),
        (b"{\"events\":[{\"a\":\"\xff\"}]}", 1, 18),
        (b"{\"events\":\n[{\"a\":NaN}]}", 2, 7),
        // The byte order mark of UTF-16.
        (b"\xff\xfe{\x00", 1, 1),
    ] {
        match batch_of_bytes(body) {
            Err(ParseError::Malformed { line: l, column: c, message }) => {
                assert_eq!((l, c), (line, column), "{message}");
                assert!(!message.contains(" at line "), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn body_of_another_shape_is_reported_with_pointers() {
    for (body, expected) in [
        ("[]", &[("", WrongType)][..]),
        ("\"x\"", &[("", WrongType)]),
        ("null", &[("", WrongType)]),
        ("{}", &[("/events", Required)]),
        (r#"{"events":[{}],"sent_at":5}"#, &[("/sent_at", WrongType)]),
        (r#"{"events":[{}],"sent_at":"now"}"#, &[("/sent_at", InvalidTimestamp)]),
        (r#"{"events":[{}],"sentAt":"x"}"#, &[("/sentAt", UnknownField)]),
        (r#"{"events":[{}],"events":[{}]}"#, &[("/events", DuplicateField)]),
        (r#"{"events":[{}],"sent_at":null}"#, &[]),
        (r#"{"sent_at":5}"#, &[("/sent_at", WrongType), ("/events", Required)]),
    ] {
        check_errors(body, expected);
    }
    for events in ["{}", "{\"a\":[1]}", "\"x\"", "1", "-1", "1.5", "true", "null"] {
        check_errors(&format!("{{\"events\":{events}}}"), &[("/events", WrongType)]);
    }
}

#[test]
fn batch_has_one_event_to_the_limit() {
    let of = |count: usize| format!("{{\"events\":[{}]}}", vec!["{}"; count].join(","));
    let too_large = ParseError::BatchTooLarge { limit: 50, actual: 51 };
    for (count, expected) in
        [(0, Err(ParseError::BatchEmpty)), (1, Ok(1)), (50, Ok(50)), (51, Err(too_large))]
    {
        assert_eq!(batch_of_bytes(of(count).as_bytes()), expected);
    }
}

#[test]
fn errors_of_an_event_stay_with_it() {
    for (events, expected) in [
        (
            r#"{}, 5, {"event_name":1}"#,
            &[("/events/1", WrongType), ("/events/2/event_name", WrongType)][..],
        ),
        (r#"{"user_id":"a","user_id":"b"}"#, &[("/events/0/user_id", DuplicateField)]),
        (
            r#"{"a/b~":[{}],"sent_at":"x"}"#,
            &[("/events/0/a~1b~0", UnknownField), ("/events/0/sent_at", UnknownField)],
        ),
        (r#"{"event_id":"\ud800"}"#, &[("/events/0/event_id", LoneSurrogate)]),
        // A lone surrogate has no UTF-8 form, so the pointer ends at the event.
        (r#"{"\udfff":1}"#, &[("/events/0", LoneSurrogate)]),
        (
            r#"{"x":1,"\udfff":1,"y":2}, {"y":2}"#,
            &[
                ("/events/0/x", UnknownField),
                ("/events/0", LoneSurrogate),
                ("/events/1/y", UnknownField),
            ],
        ),
    ] {
        check_errors(&format!("{{\"events\":[{events}]}}"), expected);
    }
}

#[test]
fn nesting_of_a_body_is_not_limited() {
    // Deep enough to overflow the stack of a recursive parser.
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (body, expected) in [
        (format!("{{\"events\":[{{\"x\":{deep}}}]}}"), &[("/events/0/x", UnknownField)][..]),
        (format!("{{\"events\":[{deep}]}}"), &[("/events/0", WrongType)]),
        (format!("{{\"events\":[{{}}],\"x\":{deep}}}"), &[("/x", UnknownField)]),
        (format!("{{\"events\":[{{\"properties\":{deep}}}]}}"), &[]),
        (deep, &[("", WrongType)]),
    ] {
        check_errors(&body, expected);
    }
}

#[test]
fn byte_order_mark_is_skipped() {
    assert_eq!(batch_of_bytes("\u{FEFF}{\"events\":[{}]}".as_bytes()), Ok(1));
}

#[test]
fn single_event_is_the_body_with_an_optional_sent_at() {
    let items = single(r#"{"event_name":"a","sent_at":"2026-11-22T10:00:00Z"}"#).unwrap();
    assert_eq!(items[0].origin.pointer.to_string(), "");
    assert!(items[0].origin.sent_at.is_some() && items[0].errors.is_empty());
    for (body, pointer, code) in [
        ("[]", "", WrongType),
        (r#"{"sent_at":7}"#, "/sent_at", WrongType),
        (r#"{"sent_at":null,"sent_at":null}"#, "/sent_at", DuplicateField),
    ] {
        let items = single(body).unwrap();
        let [error] = &*items[0].errors else { panic!("{items:?}") };
        assert_eq!((&*error.pointer, error.code), (pointer, code), "{body}");
    }
    assert!(matches!(single("{} {}"), Err(ParseError::Malformed { .. })));
}

proptest! {
    #[test]
    fn parser_never_panics_on_bytes(body in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(source) = source(&body) {
            batch(&source, &Limits::default()).ok();
            single(&source).ok();
        }
    }

    #[test]
    fn parser_never_panics_on_nearly_valid_text(
        // Characters of the grammar and names of members reach further into the parser than random
        // bytes.
        body in r#"(\{"events":)?[\[\]{}",:\\ue0d8 "events"sent_at"user_id"null1-]{0,60}"#
    ) {
        batch(&body, &Limits::default()).ok();
        single(&body).ok();
    }
}
