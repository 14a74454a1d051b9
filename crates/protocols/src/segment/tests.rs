//! Messages as the clients send them, and bodies that no client should send.

use mercurio_domain::event::EventDraft;
use mercurio_domain::request::Item;
use mercurio_domain::verdict::{FieldError, FieldErrorCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::BodyKey;
use message::Message;

const MAX_EVENTS: usize = 1_000;

fn batch(body: &str, max_events: usize) -> Result<ForeignRequest<'_>, ParseError> {
    super::read(body, SegmentForm::Batch, max_events)
}

fn single(body: &str, kind: EventType) -> Result<ForeignRequest<'_>, ParseError> {
    super::read(body, SegmentForm::Message(kind), MAX_EVENTS)
}

fn read(body: &str) -> ForeignRequest<'_> {
    batch(body, MAX_EVENTS).unwrap_or_else(|error| panic!("{body}: {error}"))
}

/// Returns the draft of the only message of a batch.
#[track_caller]
fn draft(message: &str) -> Value {
    let body = format!("{{\"batch\":[{message}]}}");
    let request = read(&body);
    let [item] = &*request.items else { panic!("{request:?}") };
    assert_eq!(item.errors, [], "{message}");
    assert_eq!(item.text, message);
    serde_json::to_value(&item.draft).unwrap()
}

#[test]
fn track_of_a_server_client_becomes_an_event() {
    let message = r#"{"type":"track","event":"Order Completed","userId":"user-1","anonymousId":null,"messageId":"279c2a47","timestamp":"2026-11-28T06:59:24.918+00:00","properties":{"price": 9.50},"integrations":{},"context":{"library":{"name":"analytics-python","version":"2.4.0"}}}"#;
    assert_eq!(
        draft(message),
        json!({
            "event_id": "279c2a47",
            "type": "track",
            "event_name": "Order Completed",
            "user_id": "user-1",
            "timestamp": "2026-11-28T06:59:24.918+00:00",
            "properties": {"price": 9.50},
            "context": {"library": {"name": "analytics-python", "version": "2.4.0"}},
        })
    );
}

#[test]
fn event_of_a_browser_becomes_an_event() {
    let body = r#"{"type":"page","name":"Home","userId":"","anonymousId":"a-1","messageId":"m","originalTimestamp":"2026-11-28T06:59:24.918Z","sentAt":"2026-11-28T06:59:25Z","channel":"web","integrations":{"All":true},"properties":{"name":"Home"},"context":{"sessionId":1795849839396,"sessionStart":true},"writeKey":"mk_a_b"}"#;
    let request = single(body, EventType::Track).unwrap();
    assert_eq!(request.key, BodyKey::Text("mk_a_b".into()));
    let item = &request.items[0];
    assert_eq!((item.origin.pointer.to_string().as_str(), &*item.errors), ("", &[][..]));
    assert_eq!(item.origin.sent_at, time::of_text("\"2026-11-28T06:59:25Z\""));
    assert_eq!(
        serde_json::to_value(&item.draft).unwrap(),
        json!({
            "event_id": "m",
            "type": "page",
            "event_name": "Home",
            "anonymous_id": "a-1",
            "session_id": "1795849839396",
            "timestamp": "2026-11-28T06:59:24.918Z",
            "properties": {"name": "Home"},
            "context": {
                "sessionId": 1795849839396_u64,
                "sessionStart": true,
                "segment": {"name": "Home", "channel": "web", "integrations": {"All": true}},
            },
        })
    );
}

#[test]
fn members_without_a_place_are_kept_in_the_context() {
    for (message, expected) in [
        (
            r#"{"type":"group","userId":"u","groupId":"g","traits":{"plan":"pro"}}"#,
            json!({"type": "group", "user_id": "u", "traits": {"plan": "pro"},
                   "context": {"segment": {"groupId": "g"}}}),
        ),
        (
            r#"{"type":"alias","userId":"u","previousId":"p"}"#,
            json!({"type": "alias", "user_id": "u", "anonymous_id": "p",
                   "context": {"segment": {"previousId": "p"}}}),
        ),
        (
            r#"{"type":"alias","userId":"u","anonymousId":"a","previousId":"p","context":{}}"#,
            json!({"type": "alias", "user_id": "u", "anonymous_id": "a",
                   "context": {"segment": {"previousId": "p"}}}),
        ),
        (
            r#"{"type":"screen","userId":"u","category":"c","_metadata":{"nodeVersion":"20"},"empty":[],"none":null}"#,
            json!({"type": "screen", "user_id": "u",
                   "context": {"segment": {"category": "c", "_metadata": {"nodeVersion": "20"}}}}),
        ),
        (
            r#"{"type":"screen","userId":"u","event":"Home"}"#,
            json!({"type": "screen", "event_name": "Home", "user_id": "u"}),
        ),
        (
            r#"{"type":"page","userId":"u","name":"Home","event":"e"}"#,
            json!({"type": "page", "event_name": "Home", "user_id": "u",
                   "context": {"segment": {"name": "Home", "event": "e"}}}),
        ),
        (
            r#"{"type":"identify","userId":"u","event":"e"}"#,
            json!({"type": "identify", "user_id": "u", "context": {"segment": {"event": "e"}}}),
        ),
        // No client's key is kept.
        (
            r#"{"type":"identify","userId":"u","writeKey":"k","api_key":"k","apiKey":"k"}"#,
            json!({"type": "identify", "user_id": "u"}),
        ),
    ] {
        assert_eq!(draft(message), expected, "{message}");
    }
}

#[test]
fn traits_of_identify_may_be_in_the_context() {
    for (message, expected) in [
        (
            r#"{"type":"identify","userId":"u","traits":{"a":1},"context":{"traits":{"b":2}}}"#,
            json!({"a": 1}),
        ),
        (
            r#"{"type":"identify","userId":"u","traits":{},"context":{"traits":{"b":2}}}"#,
            json!({"b": 2}),
        ),
        (r#"{"type":"identify","userId":"u","context":{"traits":{"b":2}}}"#, json!({"b": 2})),
        (r#"{"type":"track","event":"e","userId":"u","context":{"traits":{"b":2}}}"#, Value::Null),
    ] {
        assert_eq!(draft(message)["traits"], expected, "{message}");
    }
}

#[test]
fn empty_and_null_ids_count_as_left_out_and_numbers_as_text() {
    for (ids, expected) in [
        (r#""userId":"","anonymousId":null,"messageId":"""#, json!({})),
        (
            r#""userId":42,"anonymousId":-1.50,"messageId":7"#,
            json!({"user_id": "42", "anonymous_id": "-1.50", "event_id": "7"}),
        ),
        (r#""userId":"\u00e9""#, json!({"user_id": "é"})),
    ] {
        let mut draft = draft(&format!("{{\"type\":\"identify\",{ids}}}"));
        draft.as_object_mut().unwrap().remove("type");
        assert_eq!(draft, expected);
    }
}

/// Passes when the messages of a batch, or the batch, have exactly these errors.
#[track_caller]
fn check_errors(body: &str, expected: &[(&str, FieldErrorCode)]) {
    let found: Vec<FieldError> = match batch(body, MAX_EVENTS) {
        Ok(request) => request.items.into_iter().flat_map(|item| item.errors).collect(),
        Err(ParseError::Shape(errors)) => errors,
        Err(other) => panic!("{body}: {other}"),
    };
    let found: Vec<_> = found.iter().map(|error| (&*error.pointer, error.code)).collect();
    assert_eq!(found, expected, "{body}");
}

#[test]
fn errors_point_into_the_foreign_body() {
    use FieldErrorCode::{
        DuplicateField, LoneSurrogate, NulCharacter, Required, TooDeep, WrongType,
    };
    let deep = format!("{}{}", "[".repeat(31), "]".repeat(31));
    for (messages, expected) in [
        (
            r#"{}, 5, {"userId":[1],"event":7}"#,
            &[
                ("/batch/1", WrongType),
                ("/batch/2/event", WrongType),
                ("/batch/2/userId", WrongType),
            ][..],
        ),
        (r#"{"userId":"a","userId":"b"}"#, &[("/batch/0/userId", DuplicateField)]),
        (r#"{"messageId":"\ud800"}"#, &[("/batch/0/messageId", LoneSurrogate)]),
        (r#"{"\ud800":1}"#, &[("/batch/0", LoneSurrogate)]),
        (r#"{"a/b":["\u0000"]}"#, &[("/batch/0/a~1b/0", NulCharacter)]),
        (r#"{"a\"b":1}"#, &[("/batch/0/a\"b", TooDeep)]),
        (&format!("{{\"x\":{deep}}}"), &[("/batch/0/x", TooDeep)]),
    ] {
        check_errors(&format!("{{\"batch\":[{messages}]}}"), expected);
    }
    for (body, expected) in [
        ("[]", ("", WrongType)),
        ("\"x\"", ("", WrongType)),
        ("{}", ("/batch", Required)),
        (r#"{"batch":null}"#, ("/batch", Required)),
        (r#"{"batch":{}}"#, ("/batch", WrongType)),
        (r#"{"batch":[{}],"batch":[{}]}"#, ("/batch", DuplicateField)),
        // Its events are in another member, as in this server's own API.
        (r#"{"events":[{}]}"#, ("/batch", Required)),
    ] {
        check_errors(body, &[expected]);
    }
}

#[test]
fn batch_has_one_message_to_the_limit() {
    let of = |count: usize| format!("{{\"batch\":[{}]}}", vec!["{}"; count].join(","));
    let count = |count| batch(&of(count), 3).map(|request| request.items.len());
    assert_eq!(count(0), Err(ParseError::BatchEmpty));
    assert_eq!(count(3), Ok(3));
    assert_eq!(count(4), Err(ParseError::BatchTooLarge { limit: 3, actual: 4 }));
    assert!(matches!(batch("{\"batch\":[{]}", 3), Err(ParseError::Malformed { line: 1, .. })));
}

#[test]
fn time_of_sending_of_the_message_goes_before_the_batch() {
    let body = r#"{"sentAt":"2026-11-28T07:00:00Z","batch":[{},{"sentAt":"2026-11-28T08:00:00Z"},{"sentAt":"now"}]}"#;
    let times: Vec<_> = read(body).items.iter().map(|item| item.origin.sent_at).collect();
    let [of_batch, of_message] =
        ["\"2026-11-28T07:00:00Z\"", "\"2026-11-28T08:00:00Z\""].map(time::of_text);
    assert_eq!(times, [of_batch, of_message, of_batch]);
}

#[test]
fn key_comes_from_the_batch_and_its_messages() {
    for (body, expected) in [
        (r#"{"batch":[{}]}"#, BodyKey::Missing),
        (r#"{"batch":[{}],"writeKey":"k"}"#, BodyKey::Text("k".into())),
        (r#"{"batch":[{"writeKey":"k"},{}],"writeKey":"k"}"#, BodyKey::Text("k".into())),
        (r#"{"batch":[{"WriteKey":"k"}],"api_key":"k"}"#, BodyKey::Text("k".into())),
        (r#"{"batch":[{"writeKey":"k"},{"writeKey":"l"}]}"#, BodyKey::Unclear),
        (r#"{"batch":[5],"writeKey":"k"}"#, BodyKey::Text("k".into())),
    ] {
        assert_eq!(read(body).key, expected, "{body}");
    }
}

/// Returns the id of a message at an index of a batch.
fn id(message: &str, index: usize) -> Option<String> {
    let before = "{},".repeat(index);
    let body = format!("{{\"batch\":[{before}{message}]}}");
    read(&body).items[index].draft.event_id.as_deref().map(str::to_owned)
}

/// Returns the id of a message on the path of a type.
fn on_path(message: &str, kind: EventType) -> Option<String> {
    let request = super::read(message, SegmentForm::Message(kind), MAX_EVENTS).unwrap();
    request.items[0].draft.event_id.as_deref().map(str::to_owned)
}

#[test]
fn library_of_the_first_message_is_known_or_other() {
    let python = r#"{"context":{"library":{"version":"2","name":"analytics-python"}}}"#;
    for (messages, expected) in [
        (format!("{python},{{}}"), "analytics-python"),
        (format!("{{}},{python}"), "other"),
        (python.replace("python", "x"), "other"),
        (r#"{"context":{"library":"analytics-python"}}"#.to_owned(), "other"),
    ] {
        assert_eq!(read(&format!("{{\"batch\":[{messages}]}}")).library, expected, "{messages}");
    }
}

#[test]
fn id_of_a_message_without_one_depends_on_its_content() {
    let message =
        r#"{"event":"e","userId":"u","timestamp":"2026-11-28T07:00:00.5Z","sentAt":"1","x":1}"#;
    let first = id(message, 0);
    assert!(first.is_some());
    assert_eq!(first, id(&message.replace("\"sentAt\":\"1\"", "\"sentAt\":\"2\""), 0));
    for other in [
        id(message, 1),
        id(&message.replace("\"u\"", "\"v\""), 0),
        id(&message.replace("\"x\":1", "\"x\":2"), 0),
    ] {
        assert_ne!(first, other);
    }
    let [identify, page] =
        [EventType::Identify, EventType::Page].map(|kind| on_path(message, kind));
    assert_ne!(identify, page);
    let typed = message.replace("\"x\":1", "\"type\":\"page\",\"x\":1");
    assert_eq!(page, id(&typed, 0));
    // Without a time, or within a second, it may be another one of its kind.
    assert_eq!(id(r#"{"event":"e","userId":"u"}"#, 0), None);
    assert_eq!(id(&message.replace("00.5Z", "00Z"), 0), None);
    assert_eq!(id(&message.replace("\"x\":1", "\"messageId\":{}"), 0), None);
    assert_eq!(id(r#"{"timestamp":"t","messageId":"m"}"#, 0).as_deref(), Some("m"));
}

/// Everything of an event that a later stage can see.
fn shown(Item { index, origin, text, draft, errors }: &Item<'_>) -> String {
    let draft = serde_json::to_string(draft).unwrap();
    format!("{index} {origin:?} {text} {draft} {errors:?}")
}

/// Reads a body in both ways, and returns whether one pass was enough.
#[track_caller]
fn check(body: &str) -> bool {
    let finish = &mut |message| shown(&message::finish(message, None));
    let scanned = envelope::scan::<message::Part, _>(body, &BATCH, MAX_EVENTS, finish);
    if let Some(scanned) = &scanned {
        let read = envelope::read_slowly(body, &BATCH, MAX_EVENTS, finish);
        let read = read.unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(scanned.items, read.items, "{body}");
        assert!(scanned.key == read.key, "{body}");
        let sent_at = [scanned, &read].map(|batch| batch.other(0).map(|value| value.text()));
        assert_eq!(sent_at[0], sent_at[1], "{body}");
    }
    if let Some(message) = envelope::scan_single(body) {
        let read = envelope::read_single_slowly(body, "the message");
        let read: Message<'_> = read.unwrap_or_else(|error| panic!("{body}: {error}"));
        assert!(message.key == read.key, "{body}");
        assert_eq!(message::library(&message), message::library(&read), "{body}");
        let [first, second] =
            [message, read].map(|message| shown(&message::finish(message, Some(EventType::Page))));
        assert_eq!(first, second, "{body}");
    }
    scanned.is_some()
}

/// Members of messages, in bodies that change a byte or end early.
const BODY: &str = r#" {"writeKey":"k","sentAt":"2026-11-28T07:00:00Z", "batch":[{"messageId":"a","type":"page","name":"n","properties":{"a":[1,2.5e1,"x\ud83d\ude00"],"b":{}}, "traits":null,"groupId":7},{"type":"identify","userId":"\u00e9","timestamp":"t","context":{"traits":{"n":-0},"sessionId":1},"integrations":{"All":true}},{}]} "#;

proptest! {
    #[test]
    fn one_pass_equals_the_slow_path(index in 0..BODY.len(), byte in 0_u8..128, cut in 0..BODY.len()) {
        let mut bytes = BODY.as_bytes().to_vec();
        bytes[index] = byte;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            check(text);
            check(&text[..cut]);
        }
        prop_assert!(check(BODY));
    }

    #[test]
    fn reader_never_panics_on_nearly_valid_text(
        body in r#"(\{"batch":)?[\[\]{}",:\\ue0d8 "batch"type"userId"context"null1-]{0,80}"#
    ) {
        check(&body);
        batch(&body, 2).ok();
        single(&body, EventType::Track).ok();
    }

    #[test]
    fn every_message_becomes_one_event(names in prop::collection::vec("[a-z]{0,3}", 1..20)) {
        let messages: Vec<_> = names.iter().map(|name| json!({"event": name}).to_string()).collect();
        let body = json!({"batch": names.iter().map(|name| json!({"event": name})).collect::<Vec<_>>()}).to_string();
        let request = read(&body);
        prop_assert_eq!(request.items.iter().map(|item| item.text).collect::<Vec<_>>(), messages);
        for (index, item) in request.items.iter().enumerate() {
            let EventDraft { event_name, .. } = &item.draft;
            prop_assert_eq!(event_name.as_deref().unwrap_or_default(), &*names[index]);
            prop_assert_eq!(item.index, index);
        }
    }
}
