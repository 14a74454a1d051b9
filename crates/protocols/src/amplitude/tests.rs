//! Events as the clients send them, and bodies that no client should send.

use mercurio_domain::EventId;
use mercurio_domain::event::Member;
use mercurio_domain::request::Item;
use mercurio_domain::verdict::{FieldError, FieldErrorCode, Outcome, Rejection, Verdict};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{BodyKey, Failure, FailureReply, Reply};

const MAX_EVENTS: usize = 1_000;

fn read_up_to(body: &str, max_events: usize) -> Result<ForeignRequest<'_>, ParseError> {
    super::read(Batch, &Head::default(), body, max_events)
}

#[track_caller]
fn read(body: &str) -> ForeignRequest<'_> {
    read_up_to(body, MAX_EVENTS).unwrap_or_else(|error| panic!("{body}: {error}"))
}

fn only(event: &str) -> String {
    format!("{{\"api_key\":\"k\",\"events\":[{event}]}}")
}

/// Returns the draft of the only event of a body.
#[track_caller]
fn draft(event: &str) -> Value {
    let body = only(event);
    let request = read(&body);
    let [item] = &*request.items else { panic!("{request:?}") };
    assert_eq!(item.errors, [], "{event}");
    assert_eq!(item.text, event);
    serde_json::to_value(&item.draft).unwrap()
}

#[test]
fn event_of_a_server_client_becomes_an_event() {
    // As amplitude-analytics 1.3.0 sends it.
    let body = r#"{"api_key": "mk_a_b", "events": [{"app_version": "1.2", "device_id": "dev-1", "event_properties": {"f": [1, {"a": "\u00fc"}], "price": 9.5}, "event_type": "Order Completed", "insert_id": "ef67d4b2-fe68-4561-8efb-d64b2af044b9", "ip": "10.0.0.1", "library": "amplitude-python/1.3.0", "platform": "Web", "session_id": 1795849839396, "time": 1795901287354, "user_id": "user-1"}]}"#;
    let request = read(body);
    assert_eq!(request.key, BodyKey::Text("mk_a_b".into()));
    assert_eq!(request.library, "amplitude-python");
    let item = &request.items[0];
    assert_eq!((item.origin.pointer.to_string().as_str(), &*item.errors), ("/events/0", &[][..]));
    assert_eq!(
        serde_json::to_value(&item.draft).unwrap(),
        json!({
            "event_id": "ef67d4b2-fe68-4561-8efb-d64b2af044b9",
            "type": "track",
            "event_name": "Order Completed",
            "user_id": "user-1",
            "anonymous_id": "dev-1",
            "session_id": "1795849839396",
            "timestamp": "2026-11-28T21:28:07.354000Z",
            "properties": {"f": [1, {"a": "ü"}], "price": 9.5},
            "context": {"amplitude": {
                "app_version": "1.2", "ip": "10.0.0.1", "library": "amplitude-python/1.3.0", "platform": "Web",
            }},
        })
    );
}

#[test]
fn library_is_a_text_or_an_object() {
    for (library, expected) in [
        ("\"amplitude-ts/2.1\"", "amplitude-ts"),
        ("\"amplitude-ts\"", "amplitude-ts"),
        (r#"{"name":"amplitude-js","version":"8"}"#, "amplitude-js"),
        ("\"x/1\"", "other"),
        ("7", "other"),
    ] {
        assert_eq!(read(&only(&format!("{{\"library\":{library}}}"))).library, expected);
    }
    assert_eq!(read(&only("{}")).library, "other");
}

#[test]
fn set_properties_are_traits_and_other_operations_are_kept() {
    for (event, expected) in [
        (
            r#"{"event_type":"$identify","user_id":"u","user_properties":{"$add":{"n":1},"$set":{"plan":"pro"},"$unset":{"old":"-"}}}"#,
            json!({"type": "identify", "traits": {"plan": "pro"}, "context": {"amplitude":
                   {"user_properties": {"$add": {"n": 1}, "$unset": {"old": "-"}}}}}),
        ),
        (
            r#"{"event_type":"$identify","user_id":"u","user_properties":{"$set":{"plan":"pro"}}}"#,
            json!({"type": "identify", "traits": {"plan": "pro"}}),
        ),
        (
            r#"{"event_type":"$identify","user_id":"u","user_properties":{"$setOnce":{"a":1}}}"#,
            json!({"type": "identify", "context": {"amplitude": {"user_properties": {"$setOnce": {"a": 1}}}}}),
        ),
        (
            r#"{"event_type":"e","user_id":"u","user_properties":{"plan":"pro","$x":1}}"#,
            json!({"type": "track", "traits": {"plan": "pro", "$x": 1}}),
        ),
        (
            r#"{"event_type":"$groupidentify","user_id":"u","groups":{"company":"acme"},"group_properties":{"$set":{"seats":5},"$append":{"a":1}},"user_properties":{"b":2}}"#,
            json!({"type": "group", "traits": {"seats": 5}, "context": {"amplitude": {
                   "groups": {"company": "acme"}, "user_properties": {"b": 2},
                   "group_properties": {"$append": {"a": 1}}}}}),
        ),
        (
            r#"{"event_type":"e","user_id":"u","group_properties":{"$set":{"seats":5}}}"#,
            json!({"type": "track", "context": {"amplitude": {"group_properties": {"$set": {"seats": 5}}}}}),
        ),
    ] {
        let mut draft = draft(event);
        let draft = draft.as_object_mut().unwrap();
        draft.remove("event_name");
        assert_eq!(draft.remove("user_id"), Some(json!("u")));
        assert_eq!(Value::Object(std::mem::take(draft)), expected, "{event}");
    }
}

#[test]
fn group_without_a_person_has_its_own_id() {
    for (event, expected) in [
        (r#"{"event_type":"$groupidentify","groups":{"company":"acme"}}"#, json!("acme")),
        (r#"{"event_type":"$groupidentify","groups":{"company":7}}"#, json!("7")),
        (r#"{"event_type":"$groupidentify","groups":{"company":["a","b"]}}"#, Value::Null),
        (r#"{"event_type":"$groupidentify","groups":{"a":"1","b":"2"}}"#, Value::Null),
        (
            r#"{"event_type":"$groupidentify","device_id":"d","groups":{"company":"acme"}}"#,
            json!("d"),
        ),
        (r#"{"event_type":"e","groups":{"company":"acme"}}"#, Value::Null),
    ] {
        assert_eq!(draft(event)["anonymous_id"], expected, "{event}");
    }
}

#[test]
fn errors_of_the_rules_have_the_names_of_their_places() {
    let names = |event: &str| read(&only(event)).items[0].origin.names;
    for (event, member, expected) in [
        ("{}", Member::AnonymousId, "device_id"),
        (r#"{"event_type":"$groupidentify","groups":{"a":"b"}}"#, Member::AnonymousId, "groups"),
        (r#"{"user_properties":5}"#, Member::Traits, "user_properties"),
        (r#"{"user_properties":{"$set":5}}"#, Member::Traits, "user_properties/$set"),
        (
            r#"{"event_type":"$groupidentify","group_properties":[]}"#,
            Member::Traits,
            "group_properties",
        ),
        (
            r#"{"event_type":"$groupidentify","group_properties":{"$set":5}}"#,
            Member::Traits,
            "group_properties/$set",
        ),
        ("{}", Member::EventName, "event_type"),
        ("{}", Member::EventId, "insert_id"),
        ("{}", Member::Timestamp, "time"),
        ("{}", Member::Properties, "event_properties"),
    ] {
        assert_eq!(names(event).of(member), expected, "{event}");
    }
}

#[test]
fn empty_ids_count_as_left_out_and_numbers_as_text() {
    for (ids, expected) in [
        (r#""user_id":"","device_id":null,"session_id":-1,"insert_id":"""#, json!({})),
        (r#""session_id":"-1""#, json!({})),
        (
            r#""user_id":42,"device_id":"d","session_id":7,"insert_id":9"#,
            json!({"user_id": "42", "anonymous_id": "d", "session_id": "7", "event_id": "9"}),
        ),
        (r#""api_key":"k","session_id":0"#, json!({"session_id": "0"})),
    ] {
        let mut draft = draft(&format!("{{\"event_type\":\"e\",{ids}}}"));
        draft.as_object_mut().unwrap().retain(|name, _| !["type", "event_name"].contains(&&**name));
        assert_eq!(draft, expected);
    }
}

#[test]
fn time_is_in_milliseconds_and_corrected_by_the_upload() {
    for (time, expected) in [
        ("1795849839396", "2026-11-28T07:10:39.396000Z"),
        ("\"1795849839396\"", "2026-11-28T07:10:39.396000Z"),
        ("0", "1970-01-01T00:00:00.000000Z"),
    ] {
        assert_eq!(draft(&format!("{{\"time\":{time}}}"))["timestamp"], expected);
    }
    assert_eq!(draft("{}")["timestamp"], Value::Null);
    for (time, expected) in [
        ("\"2026-11-28T07:10:39.396Z\"", Some("\"2026-11-28T07:10:39.396Z\"")),
        ("1795849839396", Some("\"2026-11-28T07:10:39.396Z\"")),
        ("\"now\"", None),
        ("{}", None),
    ] {
        let body = format!("{{\"events\":[{{}},{{}}],\"client_upload_time\":{time}}}");
        let request = read(&body);
        let found: Vec<_> = request.items.iter().map(|item| item.origin.sent_at).collect();
        assert_eq!(found, [expected.and_then(time::of_text); 2], "{time}");
    }
}

/// Returns the id of an event at an index of a batch.
fn id(event: &str, index: usize) -> Option<String> {
    let body = only(&format!("{}{event}", "{},".repeat(index)));
    read(&body).items[index].draft.event_id.as_deref().map(str::to_owned)
}

#[test]
fn id_of_an_event_without_one_depends_on_its_content() {
    let event = r#"{"event_type":"e","device_id":"d","time":1795849839396,"event_id":3,"x":1}"#;
    let first = id(event, 0);
    assert!(first.is_some());
    assert_eq!(first, id(event, 0));
    for other in [
        id(event, 1),
        id(&event.replace("\"d\"", "\"c\""), 0),
        id(&event.replace("396", "397"), 0),
        id(&event.replace(":3", ":4"), 0),
        id(&event.replace("\"x\":1", "\"x\":2"), 0),
    ] {
        assert!(other.is_some() && first != other);
    }
    // Whole seconds need the counter.
    let in_seconds = event.replace("396", "000");
    assert!(id(&in_seconds, 0).is_some());
    assert_eq!(id(&in_seconds.replace("\"event_id\":3,", ""), 0), None);
    assert_eq!(id(&event.replace("\"time\":1795849839396,", ""), 0), None);
    assert_eq!(id(&event.replace("\"x\":1", "\"insert_id\":{}"), 0), None);
}

/// Passes when the events of a batch, or the batch, have exactly these errors.
#[track_caller]
fn check_errors(body: &str, expected: &[(&str, FieldErrorCode)]) {
    let found: Vec<FieldError> = match read_up_to(body, MAX_EVENTS) {
        Ok(request) => request.items.into_iter().flat_map(|item| item.errors).collect(),
        Err(ParseError::Shape(errors)) => errors,
        Err(other) => panic!("{body}: {other}"),
    };
    let found: Vec<_> = found.iter().map(|error| (&*error.pointer, error.code)).collect();
    assert_eq!(found, expected, "{body}");
}

#[test]
fn errors_point_into_the_foreign_body() {
    use FieldErrorCode::{DuplicateField, InvalidTimestamp, Required, TooDeep, WrongType};
    let deep = format!("{}{}", "[".repeat(31), "]".repeat(31));
    for (events, expected) in [
        (
            r#"{}, 5, {"user_id":[1],"event_type":7,"time":"now"}"#,
            &[
                ("/events/1", WrongType),
                ("/events/2/event_type", WrongType),
                ("/events/2/user_id", WrongType),
                ("/events/2/time", WrongType),
            ][..],
        ),
        (r#"{"time":1e30}"#, &[("/events/0/time", InvalidTimestamp)]),
        (r#"{"user_id":"a","user_id":"b"}"#, &[("/events/0/user_id", DuplicateField)]),
        (
            r#"{"user_properties":{"$set":{},"$set":{}}}"#,
            &[("/events/0/user_properties/$set", DuplicateField)],
        ),
        (&format!("{{\"x\":{deep}}}"), &[("/events/0/x", TooDeep)]),
        (
            &format!("{{\"user_properties\":{{\"$set\":{{}},\"$add\":{}}}}}", &deep[1..61]),
            &[("/events/0/user_properties", TooDeep)],
        ),
    ] {
        check_errors(&only(events), expected);
    }
    for (body, expected) in [
        ("[]", ("", WrongType)),
        ("{}", ("/events", Required)),
        (r#"{"events":{}}"#, ("/events", WrongType)),
        (r#"{"events":[{}],"events":[{}]}"#, ("/events", DuplicateField)),
    ] {
        check_errors(body, &[expected]);
    }
    assert_eq!(
        read_up_to("{\"events\":[{},{}]}", 1).unwrap_err(),
        ParseError::BatchTooLarge { limit: 1, actual: 2 }
    );
}

fn rejected(pointer: &str, code: FieldErrorCode, message: &'static str) -> Verdict {
    Verdict::Rejected(Rejection::new(None, vec![FieldError::new(pointer, code, message)]))
}

fn json_of(reply: &Reply) -> Value {
    assert_eq!(reply.content_type, "application/json");
    serde_json::from_slice(&reply.body).unwrap()
}

#[test]
fn events_that_are_all_bad_are_named_by_field_and_index() {
    let long = || rejected("/events/0/user_id", FieldErrorCode::TooLong, "user_id is too long");
    let missing = rejected("/events/1/event_type", FieldErrorCode::Required, "m");
    let nobody = rejected("/events/2", FieldErrorCode::Required, "m");
    let reply = reply(Batch, &[long(), missing, nobody]).unwrap();
    let body = json_of(&reply);
    assert_eq!((reply.status, &body["code"]), (400, &json!(400)));
    assert_eq!(body["error"], "Invalid event: user_id is too long; 2 other events are invalid too");
    assert_eq!(body["missing_field"], "");
    assert_eq!(body["events_with_invalid_fields"], json!({"user_id": [0]}));
    assert_eq!(body["events_with_missing_fields"], json!({"event_type": [1], "user_id": [2]}));
    let event_id = EventId::lookup("e");
    let stored = Verdict::Stored(event_id, Outcome::Accepted);
    assert_eq!(super::reply(Batch, &[long(), stored]), None);
}

#[test]
fn failure_has_the_code_that_clients_act_on() {
    for (status, code, expected, error, missing_field) in [
        (401, "unauthorized", 400, "Invalid API key: detail", ""),
        (403, "insufficient_scope", 400, "Invalid API key: detail", ""),
        (400, "batch_too_large", 413, "detail", ""),
        (400, "malformed_json", 400, "detail", "events"),
        (422, "invalid_event", 400, "detail", "events"),
        (413, "payload_too_large", 413, "detail", ""),
        (408, "request_timeout", 408, "detail", ""),
        (429, "rate_limited", 429, "detail", ""),
        (503, "storage_unavailable", 503, "detail", ""),
    ] {
        let detail = "detail";
        let sent = Failure { status, code, detail, errors: None, retry_after_seconds: None };
        let FailureReply::Own(reply) = failure(Batch, &sent) else { panic!("{status}") };
        let body = json_of(&reply);
        assert_eq!((reply.status, &body["code"]), (expected, &json!(expected)));
        assert_eq!(
            (&body["error"], &body["missing_field"]),
            (&json!(error), &json!(missing_field))
        );
        // Java's client needs these two at 429.
        assert_eq!((&body["eps_threshold"], &body["throttled_events"]), (&json!(0), &json!([])));
    }
}

/// Everything of an event that a later stage can see.
fn shown(Item { index, origin, text, draft, errors }: &Item<'_>) -> String {
    let draft = serde_json::to_string(draft).unwrap();
    format!("{index} {origin:?} {text} {draft} {errors:?}")
}

/// Reads a body in both ways, and returns whether one pass was enough.
#[track_caller]
fn check(body: &str) -> bool {
    let finish = &mut |event| shown(&event::finish(event));
    let scanned = envelope::scan::<event::Part, _>(body, &BATCH, MAX_EVENTS, finish);
    if let Some(scanned) = &scanned {
        let read = envelope::read_slowly(body, &BATCH, MAX_EVENTS, finish);
        let read = read.unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(scanned.items, read.items, "{body}");
        assert!(scanned.key == read.key, "{body}");
    }
    scanned.is_some()
}

const BODY: &str = r#" {"api_key":"k","events":[{"insert_id":"a","event_type":"$identify","user_properties":{"$set":{"a":[1,2.5e1]},"$add":{"b":1}},"time":1795849839396,"session_id":-1},{"event_type":"$groupidentify","groups":{"g":"\u00e9"},"group_properties":{"c":-0},"price":1.50},{"time":"17958498393961","event_id":1}],"client_upload_time":"t"} "#;

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
        body in r#"(\{"events":\[)?[\[\]{}",:\\ue0d8 "\$set"time"user_properties"groups"null1-]{0,80}"#
    ) {
        check(&body);
        read_up_to(&body, 2).ok();
    }

    #[test]
    fn every_event_becomes_one_event(names in prop::collection::vec("[a-z$]{0,3}", 1..20)) {
        let body = json!({"events": names.iter().map(|name| json!({"event_type": name})).collect::<Vec<_>>()}).to_string();
        let request = read(&body);
        prop_assert_eq!(request.items.len(), names.len());
        for (index, item) in request.items.iter().enumerate() {
            prop_assert_eq!(item.draft.event_name.as_deref().unwrap_or_default(), &*names[index]);
            prop_assert_eq!(item.index, index);
        }
    }
}
