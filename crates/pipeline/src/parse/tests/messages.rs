//! The messages of errors: hints at frequent mistakes, and nothing of a value.

use mercurio_domain::event::Reception;
use mercurio_domain::testing::at;
use mercurio_domain::verdict::Verdict;

use super::super::*;
use crate::validate::{IdSource, validate};
use mercurio_domain::testing::CountingIds;

/// Returns all messages about a body, from parsing and from the rules.
fn messages(body: &str, is_batch: bool) -> Vec<String> {
    let parsed = if is_batch { batch(body, &Limits::default()) } else { single(body) };
    let errors = match parsed {
        Err(ParseError::Shape(errors)) => errors,
        Err(_) => return Vec::new(),
        Ok(items) => {
            let ids = CountingIds::default();
            let reception = Reception::at(at("2026-11-22T10:00:00Z"));
            let mut validated = validate(items, &reception, IdSource::Generated(&ids));
            let outcomes =
                vec![mercurio_domain::verdict::Outcome::Accepted; validated.take_events().len()];
            let verdicts = validated.verdicts(&outcomes);
            let rejections = verdicts.into_iter().filter_map(|verdict| match verdict {
                Verdict::Rejected(rejection) => Some(rejection.errors),
                Verdict::Stored(..) => None,
            });
            rejections.flatten().collect()
        }
    };
    errors.into_iter().map(|error| error.message.into_owned()).collect()
}

#[track_caller]
fn check(body: &str, is_batch: bool, expected: &[&str]) {
    assert_eq!(messages(body, is_batch), expected, "{body}");
}

#[test]
fn event_of_another_tool_gets_the_right_names() {
    check(
        r#"{"event":"signup","userId":"u","messageId":"m"}"#,
        false,
        &[
            "\"event\" is not a field of an event; did you mean \"event_name\"?",
            "\"userId\" is not a field of an event; did you mean \"user_id\"?",
            "\"messageId\" is not a field of an event; did you mean \"event_id\"?",
            "anonymous_id or user_id is required; did you mean \"user_id\" instead of \"userId\"?",
            "event_name is required for an event of type track; did you mean \"event_name\" instead of \"event\"?",
        ],
    );
    check(
        r#"{"events":[{"event_name":"n","user_id":"u","sentAt":"x"}]}"#,
        true,
        &["\"sentAt\" is not a field of an event; put \"sent_at\" next to \"events\""],
    );
}

#[test]
fn number_in_place_of_a_text_gets_a_hint() {
    let rfc_3339 = "; a string in RFC 3339 is expected, such as \"2026-11-22T10:00:00.123Z\"";
    for (member, expected) in [
        (
            "\"timestamp\":1763805600",
            format!("timestamp is a number and looks like Unix time in seconds{rfc_3339}"),
        ),
        (
            "\"timestamp\":1763805600123",
            format!("timestamp is a number and looks like Unix time in milliseconds{rfc_3339}"),
        ),
        ("\"timestamp\":1", format!("timestamp is a number{rfc_3339}")),
        (
            "\"sent_at\":1763805600",
            format!("sent_at is a number and looks like Unix time in seconds{rfc_3339}"),
        ),
        (
            "\"session_id\":1763805600",
            "session_id is a number; a string is expected: put it into quotes".to_owned(),
        ),
        ("\"session_id\":true", "session_id is a boolean; a string is expected".to_owned()),
    ] {
        let body = format!(r#"{{"event_name":"n","user_id":"u",{member}}}"#);
        check(&body, false, &[&expected]);
    }
}

#[test]
fn batch_of_another_form_gets_a_hint() {
    let twice = "; it holds JSON that was encoded twice: send the value itself";
    for (body, expected) in [
        (
            r#"{"batch":[]}"#,
            "events is required; did you mean \"events\" instead of \"batch\"?".to_owned(),
        ),
        (
            r#"{"data":[]}"#,
            "events is required; did you mean \"events\" instead of \"data\"?".to_owned(),
        ),
        (r#"{"x":[]}"#, "events is required".to_owned()),
        (
            r#"{"events":{}}"#,
            "events is an object; an array is expected; put the event into [ ]".to_owned(),
        ),
        (r#"{"events":"[{}]"}"#, format!("events is a string; an array is expected{twice}")),
        (r#"{"events":["{}"]}"#, format!("the event is a string; an object is expected{twice}")),
        (r#""{}""#, format!("the body is a string; an object is expected{twice}")),
        (r#""x""#, "the body is a string; an object is expected".to_owned()),
        ("[{}]", "the body is an array; an object is expected".to_owned()),
    ] {
        assert_eq!(messages(body, true).pop(), Some(expected), "{body}");
    }
}
