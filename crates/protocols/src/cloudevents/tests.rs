//! Events as the clients send them, and requests that no client should send.

use mercurio_domain::EventId;
use mercurio_domain::verdict::{FieldError, FieldErrorCode, Outcome, Rejection};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::event::Event;
use super::*;
use crate::{Form, Header};

const CLOUDEVENTS: Form = Form::CloudEvents(CloudEventsForm);
const OPENMETER: Form = Form::OpenMeter(OpenMeterForm);
const MAX_EVENTS: usize = 1_000;

/// The attributes that each event needs.
const REQUIRED: [(&str, &str); 4] =
    [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];

/// Reads a request, and returns its drafts and errors.
fn read(
    form: Form,
    headers: &[(&str, &[u8])],
    body: &[u8],
) -> Result<Vec<(Value, Vec<FieldError>)>, ParseError> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| Header { name, value }).collect();
    let head = Head { headers: &headers, ..Head::default() };
    let payload = form.payload(&head, body)?;
    let text = std::str::from_utf8(&payload).unwrap();
    let request = form.read(&head, text, MAX_EVENTS)?;
    assert_eq!(request.key, BodyKey::Missing);
    let items = request.items.into_iter();
    Ok(items.map(|item| (serde_json::to_value(&item.draft).unwrap(), item.errors)).collect())
}

/// Returns the only draft of a request without errors.
#[track_caller]
fn draft(form: Form, headers: &[(&str, &[u8])], body: &[u8]) -> Value {
    let events = read(form, headers, body).unwrap();
    let [(draft, errors)] = &*events else { panic!("{events:?}") };
    assert_eq!(*errors, []);
    draft.clone()
}

/// Returns the draft of an event in binary mode, with further headers.
#[track_caller]
fn binary(headers: &[(&str, &[u8])], body: &[u8]) -> Value {
    let required = REQUIRED.map(|(name, value)| (name, value.as_bytes()));
    draft(CLOUDEVENTS, &[&required, headers].concat(), body)
}

/// Returns pointers and codes of the errors of an event.
fn errors_of(form: Form, body: &str) -> Vec<(String, FieldErrorCode)> {
    let [(_, errors)] = &*read(form, &[], body.as_bytes()).unwrap() else { panic!("{body}") };
    errors.iter().map(|error| (error.pointer.clone(), error.code)).collect()
}

fn id(source: &str, id: &str) -> String {
    EventId::of_content("cloudevents", &[source.as_bytes(), id.as_bytes()]).as_str().to_owned()
}

#[test]
fn structured_event_of_python_becomes_an_event() {
    let body = br#"{"id": "s1-1", "type": "com.shop.order", "source": "/shop/eu", "subject": "u-42", "time": "2026-11-28T20:00:00.123000Z", "datacontenttype": "application/json", "dataschema": "https://x/y.json", "traceparent": "00-1-2-01", "specversion": "1.0", "data": {"price": 9.50, "name": "Zo\u00eb"}}"#;
    let headers = [("content-type", &b"application/cloudevents+json"[..])];
    let expected = json!({
        "event_id": id("/shop/eu", "s1-1"),
        "event_name": "com.shop.order",
        "user_id": "u-42",
        "timestamp": "2026-11-28T20:00:00.123000Z",
        "properties": {"price": 9.50, "name": "Zo\u{eb}"},
        "context": {"cloudevents": {
            "id": "s1-1",
            "source": "/shop/eu",
            "datacontenttype": "application/json",
            "dataschema": "https://x/y.json",
            "traceparent": "00-1-2-01",
        }},
    });
    assert_eq!(draft(CLOUDEVENTS, &headers, body), expected);
    assert_eq!(draft(OPENMETER, &headers, body), expected);
    // By its shape alone.
    let json = [("content-type", &b"application/json"[..])];
    assert_eq!(draft(CLOUDEVENTS, &json, body), expected);
    assert_eq!(draft(CLOUDEVENTS, &[], body), expected);
}

#[test]
fn binary_event_of_python_becomes_an_event() {
    let event = draft(
        CLOUDEVENTS,
        &[
            ("host", b"h"),
            ("ce-id", b"b3-1"),
            ("ce-type", b"com.shop.order"),
            ("ce-source", b"/shop/eu"),
            ("ce-subject", b"Gr%C3%BC%C3%9Fe%2050%25%20%F0%9F%98%80%20%22q%22"),
            ("ce-region", b"eu%20west"),
            ("ce-specversion", b"1.0"),
            ("ce-time", b"2026-11-28T20:00:00.123000Z"),
            ("authorization", b"Bearer k"),
            ("content-type", b"application/json"),
        ],
        b"{\"p\": 1.0}",
    );
    assert_eq!(
        event,
        json!({
            "event_id": id("/shop/eu", "b3-1"),
            "event_name": "com.shop.order",
            "user_id": "Gr\u{fc}\u{df}e 50% \u{1f600} \"q\"",
            "timestamp": "2026-11-28T20:00:00.123000Z",
            "properties": {"p": 1.0},
            "context": {"cloudevents": {
                "id": "b3-1",
                "source": "/shop/eu",
                "region": "eu west",
                "datacontenttype": "application/json",
            }},
        })
    );
}

#[test]
fn header_is_read_in_each_encoding() {
    for (value, expected) in [
        (&b"Gr\xfc\xdfe 50%"[..], "Gr\u{fc}\u{df}e 50%"),
        ("Gr\u{fc}\u{df}e".as_bytes(), "Gr\u{fc}\u{df}e"),
        (b"a%2fb%25zz%e2%82%ac", "a/b%zz\u{20ac}"),
        (b"%2525", "%25"),
        (br#""a \"b\\\" c""#, "a \"b\\\" c"),
        (b"\"%20x\"", " x"),
        (b"\"", "\""),
        (b"  x ", "x"),
    ] {
        assert_eq!(binary(&[("ce-subject", value)], b"")["user_id"], expected);
    }
}

#[test]
fn data_of_any_type_becomes_properties() {
    let json = &b"application/json; charset=utf-8"[..];
    for (content_type, body, expected) in [
        (json, &b" {\"a\": 1} "[..], json!({"a": 1})),
        (json, b"\xef\xbb\xbf{}", json!({})),
        (json, b"[1, {}]", json!({"data": [1, {}]})),
        (json, b"\"x\"", json!({"data": "x"})),
        (json, b"42", json!({"data": 42})),
        (json, b"null", Value::Null),
        (json, b"", Value::Null),
        // Of the client for JavaScript, which calls everything JSON.
        (json, b"hello", json!({"data": "hello"})),
        (json, b"\x00\xff\x01", json!({"data_base64": "AP8B"})),
        (b"application/vnd.a+json", b"{\"a\":1}", json!({"a": 1})),
        (b"text/plain", b"{\"a\": 1}\n", json!({"data": "{\"a\": 1}\n"})),
        (b"text/plain", "\u{e9}\t\"".as_bytes(), json!({"data": "\u{e9}\t\""})),
        (b"text/plain", b"a\x1bb", json!({"data_base64": "YRti"})),
        (b"application/octet-stream", b"text", json!({"data_base64": "dGV4dA=="})),
        (b"application/xml", b"<a/>", json!({"data": "<a/>"})),
    ] {
        let event = binary(&[("content-type", content_type)], body);
        assert_eq!(event["properties"], expected, "{}", String::from_utf8_lossy(body));
    }
    assert_eq!(binary(&[], b"{\"a\":1}")["properties"], json!({"a": 1}));
    assert_eq!(binary(&[], b"hello")["properties"], json!({"data": "hello"}));
    for (member, expected) in [
        ("\"data\":{}", json!({})),
        ("\"data\":{\"a\":1.50}", json!({"a": 1.50})),
        ("\"data\":[1,2]", json!({"data": [1, 2]})),
        ("\"data\":\"<a/>\"", json!({"data": "<a/>"})),
        ("\"data\":null", Value::Null),
        ("\"data_base64\":\"AP8B\"", json!({"data_base64": "AP8B"})),
        ("\"data_base64\":\"\"", Value::Null),
        ("\"data\":{\"a\":1},\"data_base64\":null", json!({"a": 1})),
    ] {
        let body = structured(member);
        assert_eq!(draft(CLOUDEVENTS, &[], body.as_bytes())["properties"], expected, "{member}");
    }
}

/// An event with these members.
fn structured(members: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"u",{members}}}"#)
}

#[test]
fn broken_data_is_an_error_with_its_position() {
    let headers: Vec<_> = REQUIRED.map(|(name, value)| (name, value.as_bytes())).into();
    for body in [&b"{\"a\":"[..], b" [1,]", b"{\"a\":1}{"] {
        let error = read(CLOUDEVENTS, &headers, body).unwrap_err();
        assert!(matches!(error, ParseError::Malformed { line: 1, .. }), "{error:?}");
    }
}

#[test]
fn bad_header_is_an_error_with_its_name() {
    for (header, value, code, message) in [
        ("ce-id", &b"2"[..], FieldErrorCode::DuplicateField, "ce-id appears twice"),
        (
            "ce-subject",
            b"%C0%A0",
            FieldErrorCode::InvalidValue,
            "ce-subject has percent-encoded bytes that are not UTF-8",
        ),
        ("ce-x", b"a%00", FieldErrorCode::NulCharacter, "ce-x has the character U+0000; remove it"),
        (
            "ce-data",
            b"1",
            FieldErrorCode::UnknownField,
            "ce-data is not an attribute; send the data as the body",
        ),
        (
            "ce-datacontenttype",
            b"text/plain",
            FieldErrorCode::UnknownField,
            "ce-datacontenttype has no place in HTTP; send Content-Type",
        ),
    ] {
        let mut headers = REQUIRED.map(|(name, value)| (name, value.as_bytes())).to_vec();
        headers.push((header, value));
        let error = read(CLOUDEVENTS, &headers, b"{}").unwrap_err();
        let expected = FieldError::new(format!("/{header}"), code, message);
        assert_eq!(error, ParseError::Shape(vec![expected]));
    }
    let events = read(CLOUDEVENTS, &[("ce-id", b"1"), ("ce-specversion", b"0.3")], b"").unwrap();
    let messages: Vec<_> =
        events[0].1.iter().map(|error| (&*error.pointer, &*error.message)).collect();
    assert_eq!(
        messages,
        [
            ("/ce-specversion", "ce-specversion is \"0.3\"; it must be \"1.0\""),
            ("/ce-source", "ce-source is required"),
            ("/ce-type", "ce-type is required"),
        ]
    );
}

#[test]
fn bad_attribute_is_an_error_at_its_place() {
    use FieldErrorCode::{DuplicateField, InvalidValue, Required, TooDeep, WrongType};
    let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for (body, expected) in [
        (
            "{}".to_owned(),
            &[
                ("/specversion", Required),
                ("/id", Required),
                ("/source", Required),
                ("/type", Required),
            ][..],
        ),
        (
            r#"{"specversion":1.0,"id":"","source":null,"type":7}"#.to_owned(),
            &[
                ("/specversion", WrongType),
                ("/id", Required),
                ("/source", Required),
                ("/type", WrongType),
            ],
        ),
        (structured(r#""id":"2""#), &[("/id", DuplicateField)]),
        (structured(r#""time":1795849839"#), &[("/time", WrongType)]),
        (structured(r#""data":1,"data_base64":"AA==""#), &[("/data_base64", InvalidValue)]),
        (structured(r#""data_base64":7"#), &[("/data_base64", WrongType)]),
        (structured(&format!(r#""data":{}"#, deep(31))), &[]),
        (structured(&format!(r#""data":{}"#, deep(32))), &[("/data", TooDeep)]),
        (structured(r#""data":["\u0000"]"#), &[("/data/0", FieldErrorCode::NulCharacter)]),
        (structured(r#""x":"\u0000""#), &[("/x", FieldErrorCode::NulCharacter)]),
        (
            "[7]".to_owned(),
            &[
                ("/0", WrongType),
                ("/0/specversion", Required),
                ("/0/id", Required),
                ("/0/source", Required),
                ("/0/type", Required),
            ],
        ),
    ] {
        let found = errors_of(CLOUDEVENTS, &body);
        let found: Vec<_> = found.iter().map(|(pointer, code)| (&**pointer, *code)).collect();
        assert_eq!(found, expected, "{body}");
    }
}

#[test]
fn person_is_the_subject_or_the_source() {
    let body =
        |subject| format!(r#"{{"specversion":"1.0","id":7,"source":"/s","type":"t"{subject}}}"#);
    for (subject, user, anonymous) in [
        ("", Value::Null, json!("/s")),
        (",\"subject\":null", Value::Null, json!("/s")),
        (",\"subject\":\"\"", Value::Null, json!("/s")),
        (",\"subject\":\"u\"", json!("u"), Value::Null),
        (",\"subject\":7", json!("7"), Value::Null),
    ] {
        let event = draft(CLOUDEVENTS, &[], body(subject).as_bytes());
        assert_eq!((&event["user_id"], &event["anonymous_id"]), (&user, &anonymous), "{subject}");
        assert_eq!(event["event_id"], id("/s", "7"));
    }
    let required = ("/subject".to_owned(), FieldErrorCode::Required);
    assert_eq!(errors_of(OPENMETER, &body("")), [required]);
}

/// Returns the id of an event with further members.
fn id_of(source: &str, id: &str, rest: &str) -> Value {
    let body = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"{source}","type":"t","subject":"u",{rest}}}"#
    );
    draft(OPENMETER, &[], body.as_bytes())["event_id"].clone()
}

#[test]
fn id_depends_on_source_and_id_alone() {
    let first = id_of("a", "b/c", "\"data\":{}");
    assert_eq!(first, id_of("\\u0061", "b\\/c", "\"data\":{\"x\":1}"));
    for (source, id) in [("a/b", "c"), ("a", "b"), ("b/c", "a")] {
        assert_ne!(first, id_of(source, id, "\"data\":{}"), "{source} {id}");
    }
    let headers = [
        ("ce-specversion", &b"1.0"[..]),
        ("ce-type", b"t"),
        ("ce-source", b"a"),
        ("ce-id", b"b%2Fc"),
    ];
    assert_eq!(draft(CLOUDEVENTS, &headers, b"")["event_id"], first);
    // A change would store events a second time that clients send again.
    assert_eq!(first, "533a01ae-af69-8538-9dfe-c7ac80534fd7");
}

#[test]
fn batch_keeps_its_order() {
    let body = format!(
        "[{},{}]",
        structured("\"data\":1"),
        structured("\"x\":2").replace("\"1\"", "\"2\"")
    );
    let headers = [("content-type", &b"application/cloudevents-batch+json"[..])];
    for form in [CLOUDEVENTS, OPENMETER] {
        let events = read(form, &headers, body.as_bytes()).unwrap();
        let ids: Vec<_> = events.iter().map(|(draft, _)| draft["event_id"].clone()).collect();
        assert_eq!(ids, [id("/s", "1"), id("/s", "2")]);
        assert_eq!(read(form, &headers, b"[]"), Err(ParseError::BatchEmpty));
    }
}

#[test]
fn openmeter_answers_without_a_body() {
    let error = FieldError::new("/0/id", FieldErrorCode::Required, "id is required");
    let rejected = || Verdict::Rejected(Rejection::new(None, vec![error.clone()]));
    assert_eq!(openmeter_reply(&[rejected(), rejected()]), None);
    let accepted = Verdict::Stored(EventId::lookup("a"), Outcome::Duplicate);
    assert_eq!(openmeter_reply(&[rejected(), accepted]), Some(Reply::empty(204)));
}

#[test]
fn openmeter_takes_objects_alone_as_data() {
    let body = structured("\"data\":\"x\"");
    // The rules of an event refuse it.
    assert_eq!(draft(OPENMETER, &[], body.as_bytes())["properties"], "x");
}

#[test]
fn library_is_in_the_user_agent() {
    let headers = [Header { name: "user-agent", value: b"python-openmeter/0.0.0 Python/3.11" }];
    let head = Head { headers: &headers, ..Head::default() };
    let request = openmeter_read(&head, EXAMPLE, MAX_EVENTS).unwrap();
    assert_eq!(request.library, "python-openmeter");
    let request = openmeter_read(&Head::default(), EXAMPLE, MAX_EVENTS).unwrap();
    assert_eq!(request.library, "other");
}

proptest! {
    #[test]
    fn any_header_and_body_become_one_event_or_an_error(
        id in prop::collection::vec(1_u8.., 1..20),
        extension in prop::collection::vec(any::<u8>(), 0..20),
        content_type in "(application|text)/(x\\+)?(json|plain|octet-stream)|",
        body in prop_oneof![prop::collection::vec(any::<u8>(), 0..40), "[\\[\\]{}\":,a0 \\\\]{0,20}".prop_map(String::into_bytes)],
    ) {
        let headers = [
            ("ce-specversion", &b"1.0"[..]),
            ("ce-source", b"/s"),
            ("ce-type", b"t"),
            ("ce-id", &id),
            ("ce-x", &extension),
            ("content-type", content_type.as_bytes()),
        ];
        if let Ok(events) = read(CLOUDEVENTS, &headers, &body) {
            prop_assert_eq!(events.len(), 1);
        }
    }

    #[test]
    fn text_data_is_kept_as_it_is(text in "[^\\x00-\\x1f\\x7f]{1,40}") {
        let event = binary(&[("content-type", b"text/plain")], text.as_bytes());
        prop_assert_eq!(&event["properties"]["data"], &json!(text));
    }

    #[test]
    fn encoded_attribute_is_kept_as_it_is(text in "[^\\x00]{1,40}") {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let event = binary(&[("ce-x", encoded.as_bytes())], b"");
        prop_assert_eq!(&event["context"]["cloudevents"]["x"], &json!(text));
    }

    #[test]
    fn one_pass_reads_as_the_slow_path(
        body in "(\\[ ?)?(\\{(\"(id|source|type|subject|data|x)\" ?: ?(1|\"a\"|null|\\{\\}),?){0,3}\\} ?,? ?){0,3}(\\])?",
    ) {
        let mut shown = |event: Event<'_>| format!("{:?}", event::finish(event, Rules::Structured));
        let slow = list::read_slowly(&body, Layout::Array, "the event", MAX_EVENTS, &mut shown);
        if let Some(fast) = list::scan(&body, Layout::Array, MAX_EVENTS, &mut shown) {
            prop_assert_eq!(Ok(fast), slow);
        }
    }
}
