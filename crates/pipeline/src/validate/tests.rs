//! Each event is validated on its own; verdicts keep the order of the request.

use mercurio_domain::limits::Limits;
use mercurio_domain::testing::{CountingIds, at};

use super::*;
use crate::parse;

fn validated<'a>(body: &'a str, ids: IdSource<'_>) -> ValidatedBatch<'a> {
    let items = parse::batch(body, &Limits::default()).unwrap();
    validate(items, &Reception::at(at("2026-11-22T10:00:00Z")), ids)
}

fn errors(verdict: &Verdict) -> Vec<(&str, FieldErrorCode)> {
    match verdict {
        Verdict::Rejected(rejection) => {
            rejection.errors.iter().map(|error| (&*error.pointer, error.code)).collect()
        }
        Verdict::Stored(..) => Vec::new(),
    }
}

/// Passes when an event has exactly these errors.
#[track_caller]
fn check(event: &str, expected: &[(&str, FieldErrorCode)]) {
    let ids = CountingIds::default();
    let body = format!("{{\"events\":[{event}]}}");
    let mut validated = validated(&body, IdSource::Generated(&ids));
    let stored = validated.take_events().len();
    let verdicts = validated.verdicts(&vec![Outcome::Accepted; stored]);
    assert_eq!(errors(&verdicts[0]), expected, "{event}");
}

#[test]
fn verdicts_keep_the_order_of_the_request() {
    let ids = CountingIds::default();
    let body = r#"{"events":[
        {"event_id":"a","event_name":"n","user_id":"u"},
        {"event_id":"b","user_id":"u"},
        {"event_name":"n","user_id":"u"},
        7]}"#;
    let mut validated = validated(body, IdSource::Generated(&ids));
    assert_eq!(validated.take_events().len(), 2);
    assert!(!validated.is_all_rejected());
    let verdicts = validated.verdicts(&[Outcome::Duplicate, Outcome::Accepted]);
    assert_eq!(verdicts[0], Verdict::Stored(EventId::lookup("a"), Outcome::Duplicate));
    let Verdict::Rejected(rejection) = &verdicts[1] else { panic!("{verdicts:?}") };
    assert_eq!(rejection.event_id, Some(EventId::lookup("b")));
    let generated = EventId::lookup("00000000-0000-0000-0000-000000000001");
    assert_eq!(verdicts[2], Verdict::Stored(generated, Outcome::Accepted));
    assert_eq!(errors(&verdicts[3]), [("/events/3", FieldErrorCode::WrongType)]);
}

#[test]
fn rejected_events_keep_their_text_and_what_could_be_read() {
    let ids = CountingIds::default();
    let body =
        r#"{"events":[{"event_name":"n","user_id":"u"}, { "event_name":"", "user_id" : 7 },8]}"#;
    let mut validated = validated(body, IdSource::Generated(&ids));
    let rejected = validated.take_rejected();
    let texts: Vec<_> = rejected.iter().map(|item| item.text).collect();
    assert_eq!(texts, [r#"{ "event_name":"", "user_id" : 7 }"#, "8"]);
    // An invalid name is read, a member of the wrong type is not.
    assert_eq!(rejected[0].draft.event_name.as_deref(), Some(""));
    assert_eq!(rejected[0].draft.user_id, None);
    assert_eq!(rejected[1].origin.pointer.to_string(), "/events/2");
}

#[test]
fn unread_member_is_reported_once() {
    use FieldErrorCode::{Required, UnknownField, WrongType};
    for (event, expected) in [
        (r#"{"event_name":5,"user_id":"u"}"#, &[("/events/0/event_name", WrongType)][..]),
        (r#"{"event_name":"n","user_id":5}"#, &[("/events/0/user_id", WrongType)]),
        (r#""event""#, &[("/events/0", WrongType)]),
        (r#"{"event_name":null}"#, &[("/events/0", Required), ("/events/0/event_name", Required)]),
        (
            r#"{"event_nam":"n","user_id":"u"}"#,
            &[("/events/0/event_nam", UnknownField), ("/events/0/event_name", Required)],
        ),
    ] {
        check(event, expected);
    }
}

#[test]
fn event_over_the_size_limit_is_rejected() {
    let frame = r#"{"event_name":"n","user_id":"u","properties":{"p":""}}"#;
    let too_large = [("/events/0", FieldErrorCode::EventTooLarge)];
    // The default of `max_event_bytes`, which is inclusive.
    for (bytes, expected) in [(32 * 1024, &[][..]), (32 * 1024 + 1, &too_large)] {
        let text = "x".repeat(bytes - frame.len());
        check(&frame.replace(r#""p":"""#, &format!(r#""p":"{text}""#)), expected);
    }
}

#[test]
fn rejection_has_at_most_twenty_errors() {
    let many: Vec<_> = (0..100).map(|index| format!("\"x{index}\":1")).collect();
    let ids = CountingIds::default();
    let verdicts =
        validated(&format!("{{\"events\":[{{{}}}]}}", many.join(",")), IdSource::Generated(&ids))
            .verdicts(&[]);
    assert_eq!(errors(&verdicts[0]).len(), 20);
}

fn ids(body: &str, source: IdSource<'_>) -> Vec<String> {
    validated(body, source).events.iter().map(|event| event.event_id().to_string()).collect()
}

#[test]
fn idempotency_key_derives_the_same_ids_for_events_without_one() {
    let derived = IdSource::Derived { tenant_id: TenantId(1), idempotency_key: "k" };
    let body = r#"{"events":[{"event_name":"n","user_id":"u"},{"event_name":"n","user_id":"u"},{"event_id":"mine","event_name":"n","user_id":"u"}]}"#;
    let first = ids(body, derived);
    assert_eq!(first, ids(body, derived));
    // The index is part of the hash, or two equal events of a batch would be duplicates.
    assert_ne!(first[0], first[1]);
    assert_eq!(first[2], "mine");
    // Another event under the same key is new.
    assert_ne!(first[0], ids(&body.replace("\"u\"", "\"v\""), derived)[0]);
}
