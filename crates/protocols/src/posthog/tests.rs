//! Events as the clients send them, and bodies that no client should send.

use mercurio_domain::EventId;
use mercurio_domain::payload::RawJson;
use mercurio_domain::verdict::{FieldError, FieldErrorCode, Outcome, Rejection};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Header;

const MAX_EVENTS: usize = 1_000;

fn read(form: PosthogForm, body: &str) -> ForeignRequest<'_> {
    let request = super::read(form, &Head::default(), body, MAX_EVENTS);
    request.unwrap_or_else(|error| panic!("{body}: {error}"))
}

/// Returns the draft of an event.
#[track_caller]
fn draft(event: &str) -> Value {
    let body = format!("{{\"batch\":[{event}]}}");
    let request = read(Batch, &body);
    let [item] = &*request.items else { panic!("{request:?}") };
    assert_eq!(item.errors, [], "{event}");
    assert_eq!(item.text, event);
    serde_json::to_value(&item.draft).unwrap()
}

/// Returns some members of the draft of an event with these members.
#[track_caller]
fn members(event: &str, names: &[&str]) -> Value {
    let draft = draft(event);
    names.iter().map(|name| ((*name).to_owned(), draft[*name].clone())).collect()
}

#[test]
fn event_of_a_server_becomes_an_event() {
    let body = r#"{"batch": [{"properties": {"price": 9.50, "$session_id": "s-1", "$groups": {"company": "acme"}, "$lib": "posthog-python", "$lib_version": "7.91.1", "$is_server": true}, "timestamp": "2026-11-28T21:15:00.280044+00:00", "distinct_id": "user-1", "event": "order completed", "uuid": "063fb9b5-7079-4865-9945-4bfa17dc368e"}], "historical_migration": false, "sent_at": "2026-11-28T21:15:00.379529+00:00", "api_key": "mk_k"}"#;
    let request = read(Batch, body);
    assert_eq!((request.key, request.library), (BodyKey::Text("mk_k".into()), "posthog-python"));
    let item = &request.items[0];
    assert_eq!((item.origin.pointer.to_string().as_str(), &*item.errors), ("/batch/0", &[][..]));
    assert_eq!(item.origin.sent_at, time::of_text("\"2026-11-28T21:15:00.379529Z\""));
    assert_eq!(
        serde_json::to_value(&item.draft).unwrap(),
        json!({
            "event_id": "063fb9b5-7079-4865-9945-4bfa17dc368e",
            "type": "track",
            "event_name": "order completed",
            "user_id": "user-1",
            "session_id": "s-1",
            "timestamp": "2026-11-28T21:15:00.280044+00:00",
            "properties": {
                "price": 9.50, "$session_id": "s-1", "$groups": {"company": "acme"},
                "$lib": "posthog-python", "$lib_version": "7.91.1", "$is_server": true,
            },
        })
    );
}

#[test]
fn event_of_the_second_api_becomes_an_event() {
    let body = r#"{"created_at":"2026-11-28T21:15:01.572Z","batch":[{"event":"order completed","uuid":"u-1","distinct_id":"user-1","timestamp":"2026-11-28T21:15:01.438Z","session_id":"s-1","window_id":"w-1","options":{"process_person_profile":false},"properties":{"price":9.5,"$set":{"plan":"pro"}}},{"event":"e","uuid":"u-2","distinct_id":"user-1","options":{"disable_skew_correction":true},"properties":{}}]}"#;
    let headers = [
        Header { name: "posthog-sdk-info", value: b"posthog-node/5.70.0" },
        Header { name: "posthog-request-timestamp", value: b"2026-11-28T21:15:02Z" },
    ];
    let head = Head { headers: &headers, ..Head::default() };
    let request = super::read(V1, &head, body, MAX_EVENTS).unwrap();
    assert_eq!((request.key, request.library), (BodyKey::Missing, "posthog-node"));
    let [first, second] = &*request.items else { panic!() };
    assert_eq!(first.origin.sent_at, time::of_text("\"2026-11-28T21:15:02Z\""));
    assert_eq!(second.origin.sent_at, None);
    assert_eq!(
        serde_json::to_value(&first.draft).unwrap(),
        json!({
            "event_id": "u-1",
            "type": "track",
            "event_name": "order completed",
            "anonymous_id": "user-1",
            "session_id": "s-1",
            "timestamp": "2026-11-28T21:15:01.438Z",
            "properties": {"price": 9.5, "$set": {"plan": "pro"}},
            "traits": {"plan": "pro"},
            "context": {"posthog": {
                "window_id": "w-1",
                "options": {"process_person_profile": false},
                "sdk": "posthog-node/5.70.0",
            }},
        })
    );
}

#[test]
fn event_of_a_browser_loses_its_key() {
    let body = r#"{"api_key":"mk_k","batch":[{"uuid":"u-1","event":"$identify","properties":{"token":"mk_k","distinct_id":"user-1","$device_id":"d-1","$anon_distinct_id":"a-1","$is_identified":true,"$session_id":"s-1","$insert_id":"i-1","$lib":"web","utm_source":null},"$set":{"plan":"pro"},"$set_once":{"$initial_referrer":"$direct"},"timestamp":"2026-11-28T21:15:01.438Z"}],"sent_at":"2026-11-28T21:15:02.000Z"}"#;
    let request = read(Browser, body);
    assert_eq!((request.key, request.library), (BodyKey::Text("mk_k".into()), "posthog-js"));
    assert_eq!(
        serde_json::to_value(&request.items[0].draft).unwrap(),
        json!({
            "event_id": "u-1",
            "type": "identify",
            "event_name": "$identify",
            "user_id": "user-1",
            "anonymous_id": "a-1",
            "session_id": "s-1",
            "timestamp": "2026-11-28T21:15:01.438Z",
            "properties": {
                "distinct_id": "user-1", "$device_id": "d-1", "$anon_distinct_id": "a-1",
                "$is_identified": true, "$session_id": "s-1", "$insert_id": "i-1", "$lib": "web",
                "utm_source": null,
            },
            "traits": {"plan": "pro"},
            "context": {"posthog": {"$set_once": {"$initial_referrer": "$direct"}}},
        })
    );
}

#[test]
fn type_is_that_of_the_name() {
    for (name, kind) in [
        ("$identify", "identify"),
        ("$set", "identify"),
        ("$set_once", "identify"),
        ("$pageview", "page"),
        ("$screen", "screen"),
        ("$groupidentify", "group"),
        ("$create_alias", "alias"),
        ("$exception", "track"),
        ("order completed", "track"),
    ] {
        let draft = draft(&json!({"event": name, "distinct_id": "u"}).to_string());
        assert_eq!((&draft["type"], &draft["event_name"]), (&json!(kind), &json!(name)));
    }
}

#[test]
fn person_is_known_by_what_the_client_says() {
    for (event, user, anonymous) in [
        (r#"{"distinct_id":"u"}"#, json!("u"), Value::Null),
        (r#"{"distinct_id":42}"#, json!("42"), Value::Null),
        (r#"{"distinct_id":""}"#, Value::Null, Value::Null),
        (r#"{"properties":{"distinct_id":"u"}}"#, json!("u"), Value::Null),
        (
            r#"{"distinct_id":"u","properties":{"$process_person_profile":false}}"#,
            Value::Null,
            json!("u"),
        ),
        (
            r#"{"distinct_id":"u","options":{"process_person_profile":false}}"#,
            Value::Null,
            json!("u"),
        ),
        (
            r#"{"distinct_id":"u","properties":{"$is_identified":false,"$device_id":"d"}}"#,
            Value::Null,
            json!("u"),
        ),
        // A browser may know a person that has no profile.
        (
            r#"{"distinct_id":"u","properties":{"$is_identified":true,"$device_id":"d","$process_person_profile":false}}"#,
            json!("u"),
            json!("d"),
        ),
        (
            r#"{"event":"$identify","distinct_id":"u","properties":{"$anon_distinct_id":"a","$device_id":"d"}}"#,
            json!("u"),
            json!("a"),
        ),
        (
            r#"{"event":"e","distinct_id":"u","properties":{"$anon_distinct_id":"a"}}"#,
            json!("u"),
            Value::Null,
        ),
        (
            r#"{"event":"$groupidentify","distinct_id":"$company_acme","properties":{"$group_type":"company","$group_key":"acme"}}"#,
            Value::Null,
            json!("$company_acme"),
        ),
        (
            r#"{"event":"$groupidentify","distinct_id":"u","properties":{"$group_type":"company","$group_key":"acme"}}"#,
            json!("u"),
            Value::Null,
        ),
        (
            r#"{"event":"$create_alias","distinct_id":"old","properties":{"alias":"u"}}"#,
            json!("old"),
            Value::Null,
        ),
    ] {
        let expected = json!({"user_id": user, "anonymous_id": anonymous});
        assert_eq!(members(event, &["user_id", "anonymous_id"]), expected, "{event}");
    }
}

#[test]
fn traits_come_from_both_places() {
    for (event, expected) in [
        (r#"{"$set":{"a":1}}"#, json!({"a": 1})),
        (r#"{"properties":{"$set":{"a":1}}}"#, json!({"a": 1})),
        (
            r#"{"$set":{"a":1,"b":{}},"properties":{"$set":{"a":2, "c":{"d":3}} }}"#,
            json!({"c": {"d": 3}, "a": 1, "b": {}}),
        ),
        (r#"{"$set":{"a":1},"properties":{"$set":{"a":2}}}"#, json!({"a": 1})),
        (r#"{"$set":{},"properties":{"$set":{"a":2}}}"#, json!({"a": 2})),
        (r#"{"$set":{"a":1},"properties":{"$set":"x"}}"#, json!({"a": 1})),
        (r#"{"$set":{},"properties":{"$set":{}}}"#, Value::Null),
        (
            r#"{"event":"$groupidentify","properties":{"$group_set":{"n":1},"$set":{"a":2}}}"#,
            json!({"n": 1}),
        ),
        (r#"{"event":"e","properties":{"$group_set":{"n":1}}}"#, Value::Null),
    ] {
        assert_eq!(draft(event)["traits"], expected, "{event}");
    }
}

#[test]
fn merged_traits_have_each_name_once() {
    let body = r#"{"batch":[{"$set":{"a":1, "b":{}},"properties":{"$set":{"a":2,"c":{"d":3} }}}]}"#;
    let request = read(Batch, body);
    let traits = request.items[0].draft.traits.as_ref().map(RawJson::get);
    assert_eq!(traits, Some(r#"{"c":{"d":3},"a":1, "b":{}}"#));
}

#[test]
fn id_is_the_uuid_or_derived() {
    let id = |event: &str| draft(event)["event_id"].clone();
    assert_eq!(id(r#"{"uuid":"u","properties":{"$insert_id":"i"}}"#), json!("u"));
    assert_eq!(id(r#"{"uuid":null,"properties":{"$insert_id":"i"}}"#), json!("i"));
    assert_eq!(id(r#"{"event":"e","timestamp":"2026-11-28T21:15:01Z"}"#), Value::Null);
    let exact = r#"{"event":"e","timestamp":"2026-11-28T21:15:01.5Z","sent_at":"1"}"#;
    let first = id(exact);
    assert!(first.is_string());
    assert_eq!(id(&exact.replace("\"1\"", "\"2\"")), first);
    assert_ne!(id(&exact.replace("\"e\"", "\"f\"")), first);
}

#[test]
fn key_comes_from_every_place_and_is_never_kept() {
    let text = BodyKey::Text("mk_k".into());
    for (body, expected) in [
        (r#"{"batch":[{}]}"#, BodyKey::Missing),
        (r#"{"batch":[{}],"api_key":"mk_k"}"#, text.clone()),
        (r#"{"batch":[{}],"token":"mk_k"}"#, text.clone()),
        (r#"{"batch":[{"token":"mk_k"},{"api_key":"mk_k"}]}"#, text.clone()),
        (r#"{"batch":[{"properties":{"token":"mk_k","api_key":"mk_k"}}]}"#, text.clone()),
        (r#"{"batch":[{"properties":{"t\u006fken":"mk_k"}}]}"#, text.clone()),
        (r#"[{"properties":{"token":"mk_k"}}]"#, text.clone()),
        (r#"{"event":"e","$token":"mk_k"}"#, text.clone()),
        (
            r#"{"batch":[{"properties":{"token":"mk_k"}},{"properties":{"api_key":"mk_l"}}]}"#,
            BodyKey::Unclear,
        ),
        // A value that a visitor chose.
        (r#"{"batch":[{"properties":{"token":"mk_l"}}],"api_key":"mk_k"}"#, text.clone()),
        (r#"{"batch":[{"api_key":"mk_k"},{"properties":{"token":"mk_l"}}]}"#, text.clone()),
        (r#"{"batch":[{"token":"mk_l"}],"api_key":"mk_k"}"#, BodyKey::Unclear),
        (r#"{"batch":[{}],"api_key":7}"#, BodyKey::Unclear),
        // A fact of the customer's own.
        (r#"{"batch":[{"properties":{"token":"reset-1"}}],"api_key":"mk_k"}"#, text),
    ] {
        let request = read(Capture, body);
        assert_eq!(request.key, expected, "{body}");
        for item in &request.items {
            let draft = serde_json::to_string(&item.draft).unwrap();
            assert!(!draft.contains("mk_"), "{draft}");
        }
    }
    let reset = draft(r#"{"properties":{"token":"reset-1","api_key":"mk_k"}}"#);
    assert_eq!(reset["properties"], json!({"token": "reset-1"}));
}

#[test]
fn arrangement_is_that_of_the_body() {
    for (form, body, pointers) in [
        (Browser, r#"{"batch":[{},{}]}"#, &["/batch/0", "/batch/1"][..]),
        (Browser, r#" [{},{}]"#, &["/0", "/1"]),
        (Batch, r#"[{}]"#, &["/0"]),
        (Capture, r#"{"event":"e"}"#, &[""]),
        (Batch, r#"{"event":"e"}"#, &[""]),
    ] {
        let request = read(form, body);
        let found: Vec<_> =
            request.items.iter().map(|item| item.origin.pointer.to_string()).collect();
        assert_eq!(found, pointers, "{body}");
    }
    for (form, body, pointer) in [(Batch, "{}", "/batch"), (V1, "[{}]", ""), (V1, "{}", "/batch")] {
        let error = super::read(form, &Head::default(), body, MAX_EVENTS).unwrap_err();
        assert!(
            matches!(&error, ParseError::Shape(errors) if errors[0].pointer == pointer),
            "{body}: {error:?}"
        );
    }
    let count =
        |body: &str| super::read(Browser, &Head::default(), body, 2).map(|read| read.items.len());
    assert_eq!(count("[]"), Err(ParseError::BatchEmpty));
    assert_eq!(count("[{},{}]"), Ok(2));
    assert_eq!(count("[{},{},{}]"), Err(ParseError::BatchTooLarge { limit: 2, actual: 3 }));
}

#[test]
fn errors_point_to_the_place_of_the_value() {
    let body = r#"{"batch":[{"event":7,"uuid":{},"distinct_id":[]},{"timestamp":1795849839396}]}"#;
    let request = read(Batch, body);
    let found: Vec<_> = request
        .items
        .iter()
        .flat_map(|item| &item.errors)
        .map(|error| (&*error.pointer, error.code))
        .collect();
    assert_eq!(
        found,
        [
            ("/batch/0/event", FieldErrorCode::WrongType),
            ("/batch/0/distinct_id", FieldErrorCode::WrongType),
            ("/batch/0/uuid", FieldErrorCode::WrongType),
            ("/batch/1/timestamp", FieldErrorCode::WrongType),
        ]
    );
    assert!(request.items[1].errors[0].message.contains("Unix time in milliseconds"));
}

fn with_query<'a>(query: &'a str, body: &'a str) -> ForeignRequest<'a> {
    super::read(Browser, &Head { query, ..Head::default() }, body, MAX_EVENTS).unwrap()
}

#[test]
fn clock_is_corrected_unless_the_event_says_no() {
    let time = |text: &str| time::of_text(&format!("\"{text}\""));
    let of = |query, body| with_query(query, body).items[0].origin.sent_at;
    let sent = "2026-11-28T21:15:01Z";
    assert_eq!(of("", r#"{"batch":[{}],"sent_at":"2026-11-28T21:15:01Z"}"#), time(sent));
    assert_eq!(of("", r#"[{"sent_at":"2026-11-28T21:15:01Z"}]"#), time(sent));
    assert_eq!(of("ip=1&_=1795900501000", "[{}]"), time(sent));
    assert_eq!(of("sent_at=1795900501000", "[{}]"), time(sent));
    assert_eq!(of("_=x", "[{}]"), None);
    // The more exact ones go before the query.
    assert_eq!(of("_=1", r#"{"batch":[{}],"sent_at":"2026-11-28T21:15:01Z"}"#), time(sent));
    assert_eq!(of("_=1", r#"[{"sent_at":"2026-11-28T21:15:01Z"}]"#), time(sent));
    let ignored =
        r#"{"batch":[{"properties":{"$ignore_sent_at":true}}],"sent_at":"2026-11-28T21:15:01Z"}"#;
    assert_eq!(of("", ignored), None);
}

#[test]
fn offset_of_an_older_browser_client_is_a_time() {
    let read = |body| with_query("_=1795900501000", body);
    let draft = |body| serde_json::to_value(&read(body).items[0].draft).unwrap();
    let found = draft(r#"[{"event":"e","offset":1500}]"#);
    assert_eq!(found["timestamp"], "2026-11-28T21:14:59.500000Z");
    assert_eq!(found["context"], Value::Null);
    let kept = draft(r#"[{"event":"e","offset":1500,"timestamp":"t"}]"#);
    assert_eq!(
        (&kept["timestamp"], &kept["context"]),
        (&json!("t"), &json!({"posthog": {"offset": 1500}}))
    );
}

#[test]
fn payload_is_found_in_forms_and_base64() {
    let json = br#"{"event":"e?>"}"#;
    let encoded = "eyJldmVudCI6ImU%2FPiJ9";
    for (query, body, expected) in [
        ("", json.to_vec(), Ok(&json[..])),
        ("", "\u{FEFF} [1]".as_bytes().to_vec(), Ok("\u{FEFF} [1]".as_bytes())),
        ("", format!("data={}", "%7B%22event%22%3A%22e%3F%3E%22%7D").into_bytes(), Ok(&json[..])),
        ("compression=base64", b"data=eyJldmVudCI6ImU%2FPiJ9".to_vec(), Ok(&json[..])),
        ("", b"ip=1&data=eyJldmVudCI6ImU/PiJ9".to_vec(), Ok(&json[..])),
        ("retry_count=1&compression=base64", b"eyJldmVudCI6ImU/PiJ9".to_vec(), Ok(&json[..])),
        // Not ours to decode: the error is about JSON.
        ("", encoded.as_bytes().to_vec(), Ok(encoded.as_bytes())),
        ("", Vec::new(), Ok(&[][..])),
        ("", b"data=eyJ!".to_vec(), Err(4)),
        ("compression=base64", b"%%".to_vec(), Err(1)),
    ] {
        let head = Head { query, ..Head::default() };
        let found = payload(&head, &body);
        let found = found.as_deref().map_err(|error| match error {
            ParseError::Malformed { column, .. } => *column,
            other => panic!("{other:?}"),
        });
        assert_eq!(found, expected, "{query} {}", String::from_utf8_lossy(&body));
    }
    assert!(matches!(payload(&Head::default(), b"data=1&data=2"), Err(ParseError::Shape(_))));
}

#[test]
fn shape_on_a_shared_path_is_that_of_the_body() {
    for (body, expected) in [
        (r#"{"api_key":"k","batch":[{"#, true),
        (r#"{"api_key":"k","event":"e"}"#, true),
        (r#"{"event":"e","token":"k"}"#, true),
        // Amplitude's and Mixpanel's.
        (r#"{"api_key":"k","events":[{"event_type":"e"}]}"#, false),
        (r#"{"event":"e","properties":{"token":"k"}}"#, false),
        ("data=x", false),
        ("[]", false),
    ] {
        assert_eq!(has_shape(body.as_bytes()), expected, "{body}");
    }
}

fn rejected(id: Option<&str>, message: &'static str) -> Verdict {
    let id = id.map(EventId::lookup);
    let error = FieldError::new("/batch/0/x", FieldErrorCode::TooLong, message);
    Verdict::Rejected(Rejection::new(id, vec![error]))
}

#[test]
fn every_event_of_the_second_api_has_its_result() {
    let stored = |id: &str, outcome| Verdict::Stored(EventId::lookup(id), outcome);
    let long = "x".repeat(300);
    let body = json!({"batch": [{"uuid": "a"}, {"uuid": "b"}, {"uuid": "c"}, {"uuid": long}, {"uuid": "a"}]});
    let verdicts = [
        stored("a", Outcome::Accepted),
        stored("b", Outcome::Duplicate),
        rejected(Some("c"), "event has 140 characters"),
        rejected(None, "uuid has 300 characters"),
        rejected(Some("a"), "again"),
    ];
    let body = body.to_string();
    let received =
        Received { body: body.as_bytes(), at: Timestamp::parse("2026-11-28T21:15:01Z").unwrap() };
    let reply = reply(V1, &received, &verdicts).unwrap();
    assert_eq!((reply.status, reply.content_type), (200, "application/json"));
    let found: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(
        found["results"],
        json!({
            "a": {"result": "drop", "details": "again"},
            "b": {"result": "ok", "details": "duplicate"},
            "c": {"result": "drop", "details": "event has 140 characters"},
            (long): {"result": "drop", "details": "uuid has 300 characters"},
        })
    );
    assert_eq!(super::reply(Batch, &received, &verdicts), None);
}

#[test]
fn failure_has_the_status_that_its_client_repeats() {
    for (form, status, code, expected) in [
        (Browser, 429, "c", 503),
        (Browser, 401, "c", 401),
        (Batch, 429, "c", 429),
        (V1, 429, "c", 429),
        (Batch, 400, "c", 400),
        (Batch, 400, "batch_too_large", 413),
    ] {
        let detail = "d";
        let failure = Failure { status, code, detail, errors: None, retry_after_seconds: Some(1) };
        assert_eq!(super::failure(form, &failure), FailureReply::Problem(expected));
    }
}

#[test]
fn fixed_answers_are_json_but_the_script() {
    for form in [Config, Flags, Recordings] {
        let reply = fixed_reply(form).unwrap();
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert!(body.is_object() && reply.content_type == "application/json", "{form:?}");
    }
    let script = fixed_reply(ConfigScript).unwrap();
    assert_eq!(script.content_type, "text/javascript");
    assert_eq!(fixed_reply(Batch), None);
}

/// Members of events, in a body that changes a byte or ends early.
const BODY: &str = r#" {"api_key":"mk_k","batch":[{"uuid":"a","event":"$identify","distinct_id":"u","properties":{"token":"mk_k","$set":{"b":[1,{"c":"}"}]},"$is_identified":true,"$device_id":7},"$set":{"b":2,"d":"\u00e9"},"timestamp":"2026-11-28T21:15:01.5Z"},{"event":"e","offset":5,"options":{"disable_skew_correction":true},"session_id":"s"},{}],"sent_at":"2026-11-28T21:15:02Z"} "#;

fn object(names: &str, value: u8) -> Value {
    let members = names.chars().map(|name| (name.to_string(), json!(value)));
    Value::Object(members.collect())
}

proptest! {
    #[test]
    fn changed_body_loses_and_invents_no_event(index in 0..BODY.len(), byte in 0_u8..128, cut in 0..BODY.len()) {
        let mut bytes = BODY.as_bytes().to_vec();
        bytes[index] = byte;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            for form in [Batch, Browser, V1] {
                for text in [text, &text[..cut], &text[cut..]] {
                    let head = Head { query: "_=1795900501000", ..Head::default() };
                    let Ok(request) = super::read(form, &head, text, MAX_EVENTS) else { continue };
                    let wire: Value = serde_json::from_str(text).unwrap();
                    let events = wire.get("batch").and_then(Value::as_array).map_or(1, Vec::len);
                    prop_assert_eq!(request.items.len(), events);
                    for item in &request.items {
                        prop_assert!(text.contains(item.text));
                        serde_json::to_string(&item.draft).unwrap();
                    }
                }
            }
        }
    }

    #[test]
    fn reader_never_panics_on_nearly_valid_text(
        body in r#"(\{"batch":|data=)?[\[\]{}",:\\ue0d8 "batch"event"properties"$set"null1=&%-]{0,80}"#
    ) {
        for form in [Batch, Capture, V1] {
            let head = Head { query: "compression=base64", ..Head::default() };
            let text = payload(&head, body.as_bytes()).unwrap_or_default();
            if let Ok(text) = std::str::from_utf8(&text) {
                super::read(form, &head, text, 2).ok();
            }
            has_shape(body.as_bytes());
            answers::results(body.as_bytes(), &[rejected(None, "m")]);
        }
    }

    #[test]
    fn merged_traits_are_those_of_both(top in "[a-d]{0,4}", inner in "[a-d]{0,4}") {
        let event = json!({"$set": object(&top, 1), "properties": {"$set": object(&inner, 2)}});
        let mut expected = object(&inner, 2);
        for name in top.chars() {
            expected[name.to_string()] = json!(1);
        }
        let expected = if expected == json!({}) { Value::Null } else { expected };
        prop_assert_eq!(&draft(&event.to_string())["traits"], &expected);
    }
}
