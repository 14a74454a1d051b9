//! Requests as the clients send them, and bodies that no client should send.

use mercurio_domain::event::Member;
use mercurio_domain::request::Item;
use mercurio_domain::verdict::{FieldError, FieldErrorCode, Outcome, Rejection, Verdict};
use mercurio_domain::{EventId, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Failure, FailureReply, Header, Received, Reply};

const MAX_EVENTS: usize = 1_000;

#[track_caller]
fn read(form: MixpanelForm, text: &str) -> ForeignRequest<'_> {
    super::read(form, &Head::default(), text, MAX_EVENTS)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Returns the draft of the only object of a body.
#[track_caller]
fn draft(form: MixpanelForm, object: &str) -> Value {
    let request = read(form, object);
    let [item] = &*request.items else { panic!("{request:?}") };
    assert_eq!(item.errors, [], "{object}");
    assert_eq!(item.text, object);
    serde_json::to_value(&item.draft).unwrap()
}

/// Returns an event with these properties.
fn event(properties: &str) -> String {
    format!("{{\"event\":\"e\",\"properties\":{{{properties}}}}}")
}

#[test]
fn event_of_a_server_client_becomes_an_event() {
    // As mixpanel 5.4.1 sends it.
    let body = r#"{"event":"Order Completed","properties":{"token":"mk_a_b","distinct_id":"u-1","time":1795901292.1282313,"$insert_id":"0633e52aa5e24df89574dc4ad02f7b72","mp_lib":"python","$lib_version":"5.4.1","price":9.50}}"#;
    let request = read(Track, body);
    assert_eq!(request.key, BodyKey::Text("mk_a_b".into()));
    assert_eq!(request.library, "python");
    assert_eq!(
        draft(Track, body),
        json!({
            "event_id": "0633e52aa5e24df89574dc4ad02f7b72",
            "type": "track",
            "event_name": "Order Completed",
            "user_id": "u-1",
            "timestamp": "2026-11-28T21:28:12.128231Z",
            "properties": {"mp_lib": "python", "$lib_version": "5.4.1", "price": 9.50},
        })
    );
    assert!(!format!("{:?}", request.items[0].draft).contains("mk_a_b"));
}

#[test]
fn events_about_ids_have_their_own_type() {
    for (event, expected) in [
        (
            r#"{"event":"$identify","properties":{"$identified_id":"u","$anon_id":"a","token":"k"}}"#,
            json!({"type": "identify", "user_id": "u", "anonymous_id": "a",
                   "properties": {"$identified_id": "u", "$anon_id": "a"}}),
        ),
        (
            r#"{"event":"$create_alias","properties":{"distinct_id":"u","alias":"b"}}"#,
            json!({"type": "alias", "user_id": "u", "properties": {"alias": "b"}}),
        ),
        (
            r#"{"event":"$merge","properties":{"$distinct_ids":["u","b"]}}"#,
            json!({"type": "alias", "user_id": "u", "properties": {"$distinct_ids": ["u", "b"]}}),
        ),
    ] {
        let mut draft = draft(Import, event);
        draft.as_object_mut().unwrap().remove("event_name");
        assert_eq!(draft, expected);
    }
}

#[test]
fn third_id_and_other_members_are_kept() {
    let event = r#"{"event":"e","$meta":{"a":1},"properties":{"distinct_id":"x","$user_id":"u","$device_id":7}}"#;
    assert_eq!(
        draft(Track, event),
        json!({"type": "track", "event_name": "e", "user_id": "u", "anonymous_id": "7",
               "properties": {"$user_id": "u", "$device_id": 7},
               "context": {"mixpanel": {"$meta": {"a": 1}, "distinct_id": "x"}}})
    );
    let profile = r#"{"$distinct_id":"x","$user_id":"u","$set":{}}"#;
    assert_eq!(
        draft(Engage, profile),
        json!({"type": "identify", "user_id": "u", "traits": {},
               "context": {"mixpanel": {"$distinct_id": "x"}}})
    );
}

#[test]
fn errors_of_the_rules_have_the_names_of_their_places() {
    use Member::{AnonymousId, EventId, EventName, Timestamp, Traits, UserId};
    let event = |properties: &str| (Track, event(properties));
    let profile = |form, members: &str| (form, format!("{{{members}}}"));
    for ((form, body), member, expected) in [
        (event(""), UserId, "properties/distinct_id"),
        (event(r#""$user_id":"u""#), UserId, "properties/$user_id"),
        (event(r#""$identified_id":"u""#), UserId, "properties/$identified_id"),
        (event(r#""$distinct_ids":["u"]"#), UserId, "properties/$distinct_ids/0"),
        (event(""), AnonymousId, "properties/$device_id"),
        (event(r#""distinct_id":"$device:d""#), AnonymousId, "properties/distinct_id"),
        (event(r#""$anon_id":"a""#), AnonymousId, "properties/$anon_id"),
        (event(""), EventId, "properties/$insert_id"),
        (event(""), EventName, "event"),
        (event(""), Timestamp, "properties/time"),
        (profile(Engage, ""), UserId, "$distinct_id"),
        (profile(Engage, r#""$user_id":"u""#), UserId, "$user_id"),
        (profile(Engage, ""), AnonymousId, "$device_id"),
        (profile(Engage, r#""$distinct_id":"$device:d""#), AnonymousId, "$distinct_id"),
        (profile(Engage, ""), Timestamp, "$time"),
        (profile(Groups, ""), Traits, "$set"),
        (profile(Groups, r#""$group_id":"g""#), AnonymousId, "$group_id"),
    ] {
        assert_eq!(read(form, &body).items[0].origin.names.of(member), expected, "{body}");
    }
}

#[test]
fn name_with_an_escape_reads_the_properties_again() {
    let event = event(r#""distinct_id":"u","\u0074ime":1795849839,"token":"k""#);
    let request = read(Track, &event);
    assert_eq!((&*request.items[0].errors, request.key), (&[][..], BodyKey::Text("k".into())));
    assert_eq!(draft(Track, &event)["timestamp"], "2026-11-28T07:10:39.000000Z");
}

#[test]
fn change_of_a_profile_becomes_identify_or_group() {
    for (form, profile, expected) in [
        (
            Engage,
            r#"{"$token":"k","$time":1795901292.0,"$distinct_id":"u-1","$set":{"plan":"pro"},"$ip":"1.2.3.4"}"#,
            json!({"type": "identify", "user_id": "u-1", "timestamp": "2026-11-28T21:28:12.000000Z",
                   "traits": {"plan": "pro"}, "context": {"mixpanel": {"$ip": "1.2.3.4"}}}),
        ),
        (
            Engage,
            r#"{"$token":"k","$distinct_id":"$device:d","$device_id":"d","$set_once":{"a":1},"$add":{"n":1}}"#,
            json!({"type": "identify", "anonymous_id": "d",
                   "context": {"mixpanel": {"$set_once": {"a": 1}, "$add": {"n": 1}}}}),
        ),
        (
            Engage,
            r#"{"$distinct_id":"u","$delete":""}"#,
            json!({"type": "identify", "user_id": "u", "context": {"mixpanel": {"$delete": ""}}}),
        ),
        (
            Groups,
            r#"{"$token":"k","$group_key":"company","$group_id":7,"$set":{"seats":5},"$unset":["a"]}"#,
            json!({"type": "group", "anonymous_id": "7", "traits": {"seats": 5}, "context": {"mixpanel":
                   {"$group_key": "company", "$group_id": 7, "$unset": ["a"]}}}),
        ),
    ] {
        assert_eq!(draft(form, profile), expected);
        let key =
            if profile.contains("$token") { BodyKey::Text("k".into()) } else { BodyKey::Missing };
        assert_eq!(read(form, profile).key, key);
    }
}

#[test]
fn time_is_in_seconds_or_milliseconds() {
    for (time, expected) in [
        ("1795849839", "2026-11-28T07:10:39.000000Z"),
        ("1795849839.25", "2026-11-28T07:10:39.250000Z"),
        ("1795849839396", "2026-11-28T07:10:39.396000Z"),
        ("\"1795849839396\"", "2026-11-28T07:10:39.396000Z"),
        ("\"2026-11-28T07:10:39Z\"", "2026-11-28T07:10:39Z"),
    ] {
        let event = event(&format!("\"time\":{time}"));
        assert_eq!(draft(Track, &event)["timestamp"], expected);
        let profile = format!("{{\"$time\":{time}}}");
        assert_eq!(draft(Engage, &profile)["timestamp"], expected);
    }
}

#[test]
fn id_depends_on_the_content_if_the_time_is_exact() {
    let id = |form, text: &str| draft(form, text)["event_id"].as_str().map(str::to_owned);
    let sent = event(r#""token":"k","distinct_id":"u","time":1795849839.5,"x":1"#);
    let first = id(Track, &sent);
    assert!(first.is_some());
    // Another key of the same tenant.
    assert_eq!(first, id(Track, &sent.replace("\"k\"", "\"l\"")));
    for (from, to) in [("\"u\"", "\"v\""), (".5", ".6"), ("\"x\":1", "\"x\":2"), ("\"e\"", "\"f\"")]
    {
        let other = id(Track, &sent.replace(from, to));
        assert!(other.is_some() && other != first, "{to}");
    }
    assert_eq!(id(Track, &sent.replace(".5", "")), None);
    assert_eq!(id(Track, &event("\"distinct_id\":\"u\"")), None);
    assert_eq!(id(Track, &event("\"$insert_id\":5")).as_deref(), Some("5"));
    let profile = r#"{"$distinct_id":"u","$time":1795849839.5,"$set":{"a":1}}"#;
    let first = id(Engage, profile);
    assert!(first.is_some());
    for (from, to) in [("\"u\"", "\"v\""), (".5", ".6"), ("1}", "2}"), ("$set", "$add")] {
        assert_ne!(id(Engage, &profile.replace(from, to)), first, "{to}");
    }
    // A property set to A, B and A again.
    assert_eq!(id(Engage, r#"{"$distinct_id":"u","$set":{"a":1}}"#), None);
}

#[test]
fn errors_point_into_the_foreign_body() {
    use FieldErrorCode::{DuplicateField, InvalidTimestamp, TooDeep, WrongType};
    let deep = format!("{}{}", "[".repeat(31), "]".repeat(31));
    for (form, body, expected) in [
        (
            Track,
            r#"[{"event":5,"properties":{"time":true,"distinct_id":{},"$insert_id":[]}},7]"#,
            &[
                ("/0/event", WrongType),
                ("/0/properties/distinct_id", WrongType),
                ("/0/properties/time", WrongType),
                ("/0/properties/$insert_id", WrongType),
                ("/1", WrongType),
            ][..],
        ),
        (
            Track,
            &event(r#""distinct_id":"a","distinct_id":"b""#),
            &[("/properties/distinct_id", DuplicateField)],
        ),
        (Track, &event("\"time\":1e40"), &[("/properties/time", InvalidTimestamp)]),
        (Engage, r#"{"$time":{}}"#, &[("/$time", WrongType)]),
        (Engage, &format!("{{\"$add\":{deep}}}"), &[("/$add", TooDeep)]),
        (Groups, r#"{"$group_id":[]}"#, &[("/$group_id", WrongType)]),
    ] {
        let request = read(form, body);
        let errors = request.items.iter().flat_map(|item| &item.errors);
        let found: Vec<_> = errors.map(|error| (&*error.pointer, error.code)).collect();
        assert_eq!(found, expected, "{body}");
    }
    // Properties are for the rules, which know the type of the whole.
    let request = read(Track, r#"{"event":"e","properties":[{"token":"k"}]}"#);
    assert_eq!((request.key, request.items[0].errors.len()), (BodyKey::Missing, 0));
}

#[test]
fn key_is_found_behind_any_property_and_never_kept() {
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    for (properties, expected) in [
        (r#""token":"k""#, BodyKey::Text("k".into())),
        (r#""t\u006fken":"k""#, BodyKey::Text("k".into())),
        (&*format!("\"deep\":{deep},\"token\":\"k\""), BodyKey::Text("k".into())),
        (r#""token":"k","token":"l""#, BodyKey::Unclear),
        (r#""token":null"#, BodyKey::Missing),
        (r#""Token":"k""#, BodyKey::Missing),
    ] {
        let event = event(properties);
        let request = read(Track, &event);
        assert_eq!(request.key, expected, "{properties}");
        let stored = request.items[0].draft.properties.as_ref().unwrap().get();
        // No store keeps the deep one.
        let is_kept = properties.contains("Token") || properties.contains("deep");
        assert_eq!(stored.contains("\"k\""), is_kept, "{stored}");
    }
    let two = format!("[{},{}]", event("\"token\":\"k\""), event("\"token\":\"l\""));
    assert_eq!(read(Track, &two).key, BodyKey::Unclear);
}

fn payload_of(query: &str, content_type: &str, body: &[u8]) -> Result<String, ParseError> {
    let headers = [Header { name: "content-type", value: content_type.as_bytes() }];
    let head = Head { query, headers: &headers };
    payload(Track, &head, body).map(|json| String::from_utf8(json.into_owned()).unwrap())
}

#[test]
fn json_comes_in_a_form_or_the_query_or_base64() {
    const FORM: &str = "application/x-www-form-urlencoded";
    // The JSON has characters whose Base64 has a plus and a slash.
    let json = r#"{"event":">>>???"}"#;
    let base64 = "eyJldmVudCI6Ij4+Pj8/PyJ9";
    for (query, content_type, body) in [
        ("", "", json),
        ("verbose=1", FORM, json),
        ("", FORM, "data=%7B%22event%22%3A%22%3E%3E%3E%3F%3F%3F%22%7D&verbose=1&ip=0"),
        ("", "text/plain", &format!("data={json}")),
        // Node's client does not escape the plus.
        ("ip=0&verbose=0", FORM, &format!("data={base64}")),
        ("", FORM, "ip=0&data=eyJldmVudCI6Ij4%2BPj8%2FPyJ9"),
        ("ip=0&verbose=0&data=eyJldmVudCI6Ij4%2BPj8%2FPyJ9", "", ""),
    ] {
        assert_eq!(payload_of(query, content_type, body.as_bytes()).as_deref(), Ok(json), "{body}");
    }
    // The parser of JSON names what is wrong with these.
    for body in ["", "  ", "verbose=1", "<xml>"] {
        assert_eq!(payload_of("", "", body.as_bytes()).as_deref(), Ok(body));
    }
    for (body, expected) in [
        ("data={}&data={}", FieldErrorCode::DuplicateField),
        ("verbose=1", FieldErrorCode::Required),
    ] {
        match payload_of("", FORM, body.as_bytes()) {
            Err(ParseError::Shape(errors)) => {
                assert_eq!((&*errors[0].pointer, errors[0].code), ("/data", expected));
            }
            other => panic!("{body}: {other:?}"),
        }
    }
    let no_base64 = payload_of("", FORM, b"data=!");
    assert!(matches!(no_base64, Err(ParseError::Malformed { .. })), "{no_base64:?}");
}

#[test]
fn shape_is_a_token_in_the_first_event() {
    let event = r#"{"event":"e","properties":{"a":1,"token":"k"}}"#;
    for (body, expected) in [
        (event.to_owned(), true),
        (format!("\u{FEFF}[{event}]"), true),
        (format!("data={event}"), true),
        (format!("{event}\n{{"), true),
        (r#"{"properties":{"token":"k"},"x":"#.to_owned(), true),
        (r#"{"api_key":"k","event":"e","properties":{"distinct_id":"d"}}"#.to_owned(), false),
        ("[]".to_owned(), false),
        ("data=!".to_owned(), false),
        (String::new(), false),
    ] {
        assert_eq!(has_shape(&Head::default(), body.as_bytes()), expected, "{body}");
    }
    let in_query = Head { query: "data=eyJwcm9wZXJ0aWVzIjp7InRva2VuIjoiayJ9fQ", headers: &[] };
    assert!(has_shape(&in_query, b""));
}

fn answer(form: MixpanelForm, query: &str, body: &str, verdicts: &[Verdict]) -> Option<Reply> {
    let received = Received { body: body.as_bytes(), at: Timestamp::from_micros(0).unwrap() };
    reply(form, &Head { query, headers: &[] }, &received, verdicts)
}

#[test]
fn answer_has_the_form_that_the_client_asked_for() {
    let event_id = EventId::lookup("e");
    let stored = || Verdict::Stored(event_id.clone(), Outcome::Accepted);
    let error = FieldError::new("/1/properties/time", FieldErrorCode::WrongType, "time is 5");
    let rejected = || Verdict::Rejected(Rejection::new(None, vec![error.clone()]));
    let one = [stored()];
    for (form, query, body, expected) in [
        (Track, "ip=0", "data=x", Some("1")),
        (Track, "verbose=0", "data=x", Some("1")),
        (Track, "verbose=1", "data=x", None),
        (Track, "", "data=x&verbose=1&ip=0", None),
        (Track, "", "[]", Some("1")),
        (Import, "verbose=1", "data=x", None),
        (Import, "", "data=x", Some("1")),
        (Engage, "verbose=1", "", None),
    ] {
        let reply = answer(form, query, body, &one);
        let text = reply.as_ref().map(|reply| std::str::from_utf8(&reply.body).unwrap());
        assert_eq!(text, expected, "{query} {body}");
    }
    let image = answer(Track, "data=x&img=1", "", &one).unwrap();
    assert_eq!((image.content_type, &image.body[..6]), ("image/gif", &b"GIF89a"[..]));
    let imported = answer(Import, "strict=1&verbose=1", "[{}]", &[stored(), rejected()]).unwrap();
    let json: Value = serde_json::from_slice(&imported.body).unwrap();
    let failed = json!([{"index": 1, "insert_id": "", "field": "1/properties/time", "message": "time is 5"}]);
    assert_eq!(
        json,
        json!({"code": 200, "status": "OK", "num_records_imported": 1, "failed_records": failed})
    );
    for query in ["", "verbose=1", "img=1"] {
        let reply = answer(Track, query, "data=x", &[rejected(), rejected()]).unwrap();
        let json: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status, &json["status"], &json["code"]), (400, &json!(0), &json!(400)));
        assert_eq!(json["error"], "time is 5; another one is invalid too");
        assert_eq!(json["failed_records"].as_array().unwrap().len(), 2);
    }
    for (status, expected) in [(401, 401), (422, 400), (429, 429), (503, 503)] {
        let failure =
            Failure { status, code: "c", detail: "d", errors: None, retry_after_seconds: None };
        let FailureReply::Own(reply) = super::failure(Track, &failure) else { panic!("{status}") };
        let json: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            (reply.status, &json["status"], &json["error"]),
            (expected, &json!(0), &json!("d"))
        );
    }
}

/// Everything of a request that a later stage can see.
fn shown(request: Result<ForeignRequest<'_>, ParseError>) -> String {
    let mut text = String::new();
    match request {
        Ok(request) => {
            for Item { index, origin, text: event, draft, errors } in &request.items {
                let draft = serde_json::to_string(draft).unwrap();
                text += &format!("{index} {origin:?} {event} {draft} {errors:?}");
            }
        }
        Err(error) => text = error.to_string(),
    }
    text
}

const BODY: &str = r#" [{"event":"e","properties":{"token":"k","distinct_id":"\u00e9","time":1795849839.5,"x":[1,{"a":null}]}},{"$token":"k","$distinct_id":1,"$set":{"a":-0},"$add":{"b":1.50},"$delete":""}] "#;

proptest! {
    #[test]
    fn changed_body_never_panics(index in 0..BODY.len(), byte in 0_u8..128, cut in 0..BODY.len()) {
        let mut bytes = BODY.as_bytes().to_vec();
        bytes[index] = byte;
        let text = String::from_utf8(bytes.clone());
        for form in [Track, Import, Engage, Groups] {
            if let Ok(text) = &text {
                shown(super::read(form, &Head::default(), text, 2));
                shown(super::read(form, &Head::default(), text.get(..cut).unwrap_or_default(), 2));
            }
        }
        has_shape(&Head::default(), &bytes);
        let form = [b"data=", &bytes[..cut]].concat();
        payload(Track, &Head::default(), &form).ok();
    }

    #[test]
    fn every_event_becomes_one_event(names in prop::collection::vec("[a-z$]{0,3}", 1..20)) {
        let events: Vec<_> = names.iter().map(|name| json!({"event": name, "properties": {"token": "k"}})).collect();
        let body = Value::from(events).to_string();
        let request = read(Track, &body);
        prop_assert_eq!(request.items.len(), names.len());
        for (index, item) in request.items.iter().enumerate() {
            prop_assert_eq!(item.draft.event_name.as_deref().unwrap_or_default(), &*names[index]);
            prop_assert_eq!(item.index, index);
        }
        prop_assert_eq!(request.key, BodyKey::Text("k".into()));
    }

    #[test]
    fn form_and_base64_lose_nothing(text in "\\{\\PC{0,60}") {
        use base64::Engine as _;
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let base64 = base64::engine::general_purpose::STANDARD.encode(&text);
        for form in [format!("data={encoded}"), format!("data={base64}")] {
            let found = payload(Track, &Head::default(), form.as_bytes()).unwrap();
            prop_assert_eq!(&*found, text.as_bytes());
        }
    }
}
