//! Requests as exporters send them, and bodies that none should send.

mod answers;
mod bad_input;
mod limits;
mod model;

use mercurio_domain::event::EventDraft;
use mercurio_domain::request::Item;
use mercurio_domain::verdict::FieldErrorCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Header;
use model::{
    Any, AnyValue, ArrayValue, KeyValue, KeyValueList, LogRecord, attribute, request, requests,
    text,
};

const MAX_EVENTS: usize = 1_000;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

fn with_type<T>(media_type: &str, run: impl FnOnce(&Head<'_>) -> T) -> T {
    let headers = [Header { name: "content-type", value: media_type.as_bytes() }];
    run(&Head { headers: &headers, ..Head::default() })
}

fn text_of(media_type: &str, body: &[u8]) -> Result<String, ParseError> {
    let text = with_type(media_type, |head| payload(head, body).map(Cow::into_owned));
    text.map(|text| String::from_utf8(text).unwrap())
}

/// Returns the text of a request, the same for both encodings.
#[track_caller]
fn both(request: &model::Request) -> String {
    let text = text_of(PROTOBUF, &request.protobuf()).unwrap();
    assert_eq!(text_of(JSON, request.json().to_string().as_bytes()).unwrap(), text);
    text
}

fn record() -> LogRecord {
    LogRecord {
        event_name: "signed_up".to_owned(),
        time_unix_nano: 1_795_849_839_396_123_456,
        ..LogRecord::default()
    }
}

/// Returns the draft of the only record of a request.
#[track_caller]
fn draft(record: LogRecord) -> Value {
    let text = both(&request(vec![record]));
    let read = read(&text, MAX_EVENTS).unwrap();
    let [item] = &*read.items else { panic!("{text}") };
    assert_eq!(item.errors, [], "{text}");
    let mut draft = serde_json::to_value(&item.draft).unwrap();
    draft.as_object_mut().unwrap().remove("event_id");
    draft
}

#[track_caller]
fn errors(item: &Item<'_>) -> Vec<(String, FieldErrorCode)> {
    item.errors.iter().map(|error| (error.pointer.clone(), error.code)).collect()
}

#[test]
fn record_with_a_name_becomes_an_event() {
    let values = vec![AnyValue { value: Some(Any::Bool(true)) }, AnyValue::default()];
    let record = LogRecord {
        observed_time_unix_nano: 1_795_849_839_396_999_999,
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        body: Some(AnyValue { value: Some(Any::String("welcome".to_owned())) }),
        attributes: vec![
            text("user.id", "u-42"),
            text("session.id", "s-7"),
            attribute("price", Any::Double(9.5)),
            attribute("count", Any::Int(i64::MAX)),
            attribute("nan", Any::Double(f64::NAN)),
            attribute("photo", Any::Bytes(b"\xff\xfe".to_vec())),
            attribute("list", Any::Array(ArrayValue { values })),
        ],
        flags: 1,
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        ..record()
    };
    assert_eq!(
        draft(record),
        json!({
            "event_name": "signed_up",
            "timestamp": "2026-11-28T07:10:39.396123Z",
            "user_id": "u-42",
            "session_id": "s-7",
            "properties": {
                "user.id": "u-42", "session.id": "s-7", "price": 9.5, "count": i64::MAX, "nan": "NaN",
                "photo": "//4=", "list": [true, null], "body": "welcome",
            },
            "context": {"otlp": {
                "resource": {"attributes": {
                    "telemetry.sdk.language": "python", "service.name": "shop",
                }},
                "scope": {"name": "checkout"},
                "observedTimeUnixNano": "1795849839396999999",
                "severityNumber": 9,
                "severityText": "INFO",
                "flags": 1,
                "traceId": "ab".repeat(16),
                "spanId": "cd".repeat(8),
            }},
        })
    );
}

#[test]
fn person_is_the_user_or_the_service() {
    for (attributes, resource, expected) in [
        (vec![text("user.id", "u")], vec![text("service.name", "s")], json!(["u", null, null])),
        (vec![attribute("user.id", Any::Int(7))], vec![], json!(["7", null, null])),
        (vec![text("user.id", "")], vec![text("service.name", "s")], json!([null, "s", null])),
        (
            vec![],
            vec![text("service.name", "s"), text("service.instance.id", "i")],
            json!([null, "i", null]),
        ),
        // Set for a whole phone or browser.
        (vec![], vec![text("user.id", "u"), text("session.id", "x")], json!(["u", null, "x"])),
        (vec![], vec![], json!([null, null, null])),
    ] {
        let mut request = request(vec![LogRecord { attributes, ..record() }]);
        request.resource_logs[0].resource.as_mut().unwrap().attributes = resource;
        let text = both(&request);
        let item = &read(&text, MAX_EVENTS).unwrap().items[0];
        let EventDraft { user_id, anonymous_id, session_id, .. } = &item.draft;
        assert_eq!(json!([user_id, anonymous_id, session_id]), expected, "{text}");
    }
}

#[test]
fn time_is_that_of_the_event_or_its_observation() {
    for (time, observed, expected) in [
        (1, 2, json!("1970-01-01T00:00:00.000000Z")),
        (0, 1_795_849_839_396_123_999, json!("2026-11-28T07:10:39.396123Z")),
        (0, 0, json!(null)),
        (u64::MAX, 0, json!("2554-07-21T23:34:33.709551Z")),
    ] {
        let record =
            LogRecord { time_unix_nano: time, observed_time_unix_nano: observed, ..record() };
        let draft = draft(record);
        assert_eq!(draft["timestamp"], expected, "{draft}");
        let kept = draft["context"]["otlp"].get("observedTimeUnixNano").is_some();
        assert_eq!(kept, time != 0 && observed != 0, "{draft}");
    }
}

/// Returns the id of a record behind another one.
fn id(record: LogRecord, service: &str) -> Option<String> {
    let mut request = request(vec![LogRecord::default(), record]);
    request.resource_logs[0].resource.as_mut().unwrap().attributes[1] =
        text("service.name", service);
    let text = both(&request);
    let item = read(&text, MAX_EVENTS).unwrap().items.remove(1);
    item.draft.event_id.map(Cow::into_owned)
}

#[test]
fn id_is_that_of_the_content() {
    let base = id(record(), "shop").unwrap();
    // Its place in the request does not count.
    let text_of_one = both(&request(vec![record()]));
    let alone = &read(&text_of_one, MAX_EVENTS).unwrap().items[0];
    assert_eq!(alone.draft.event_id.as_deref(), Some(&*base));
    let nanosecond = LogRecord { time_unix_nano: record().time_unix_nano + 1, ..record() };
    let observed = LogRecord { observed_time_unix_nano: 1, ..record() };
    let other = LogRecord { attributes: vec![text("a", "b")], ..record() };
    for (record, service) in
        [(nanosecond, "shop"), (observed, "shop"), (other, "shop"), (record(), "other")]
    {
        assert_ne!(id(record, service).unwrap(), base);
    }
    // It may happen again.
    assert_eq!(id(LogRecord { time_unix_nano: 0, ..record() }, "shop"), None);
}

/// Returns the ids of the events of a request.
fn ids(records: Vec<LogRecord>) -> Vec<String> {
    let text = both(&request(records));
    let items = read(&text, MAX_EVENTS).unwrap().items;
    items.into_iter().filter_map(|item| item.draft.event_id.map(Cow::into_owned)).collect()
}

#[test]
fn records_alike_are_events_of_their_own() {
    let records = vec![record(), record(), LogRecord::default(), record()];
    let first = ids(records.clone());
    let unique: std::collections::HashSet<_> = first.iter().collect();
    assert_eq!(unique.len(), 3, "{first:?}");
    assert_eq!(ids(records), first, "the same request sent again has the same ids");
    assert_eq!(first[0], id(record(), "shop").unwrap(), "the first one's is as if it were alone");
}

#[test]
fn body_stays_apart_from_an_attribute_of_its_name() {
    let body = |value| Some(AnyValue { value });
    let list = KeyValueList { values: vec![text("a", "b")] };
    for (value, attributes, expected) in [
        (Some(Any::Int(7)), vec![], json!([{"body": 7}, null])),
        (Some(Any::List(list)), vec![], json!([{"body": {"a": "b"}}, null])),
        (None, vec![], json!([null, null])),
        (Some(Any::Int(7)), vec![text("body", "x")], json!([{"body": "x"}, 7])),
    ] {
        let draft = draft(LogRecord { body: body(value), attributes, ..record() });
        assert_eq!(json!([draft["properties"], draft["context"]["otlp"]["body"]]), expected);
    }
}

#[test]
fn log_without_a_name_is_refused_alone() {
    let log = LogRecord { event_name: String::new(), ..record() };
    let text = both(&request(vec![log, record()]));
    let read = read(&text, MAX_EVENTS).unwrap();
    assert_eq!(read.library, OTHER_LIBRARY);
    assert_eq!(
        errors(&read.items[0]),
        [("/logRecords/0/eventName".to_owned(), FieldErrorCode::Required)]
    );
    // No other error hides the reason.
    assert!(read.items[0].draft.anonymous_id.is_some());
    assert_eq!(errors(&read.items[1]), []);
}

#[test]
fn id_of_zeros_means_none() {
    let record = LogRecord { trace_id: vec![0; 16], span_id: vec![0; 8], ..record() };
    let otlp = &draft(record)["context"]["otlp"];
    assert!(otlp.get("traceId").is_none() && otlp.get("spanId").is_none(), "{otlp}");
}

#[test]
fn names_in_snake_case_are_read() {
    let body = br#"{"resource_logs":[{"scope_logs":[{"log_records":[{"event_name":"e",
        "time_unix_nano":"1","attributes":[{"key":"a","value":{"int_value":7}}]}]}]}]}"#;
    let text = text_of(JSON, body).unwrap();
    let draft = &read(&text, MAX_EVENTS).unwrap().items[0].draft;
    assert_eq!(draft.event_name.as_deref(), Some("e"));
    assert_eq!(draft.properties.as_ref().unwrap().get(), "{\"a\":7}");
}

#[test]
fn body_without_a_media_type_is_json_by_its_first_byte() {
    for (body, expected) in [("[]", "array"), ("{\"resourceLogs\":7}", "number")] {
        let error = text_of("text/plain", body.as_bytes()).unwrap_err();
        let ParseError::Shape(errors) = error else { panic!("{error}") };
        assert!(errors[0].message.contains(expected), "{}", errors[0].message);
    }
}

#[test]
fn request_may_be_empty() {
    for (media_type, body) in [
        (PROTOBUF, &b""[..]),
        (PROTOBUF, b"\x0a\x00"),
        (JSON, b"\xef\xbb\xbf{}"),
        ("text/plain", b" {}"),
        (JSON, br#"{"resourceLogs":null}"#),
        (JSON, br#"{"resourceLogs":[{}],"resourceSpans":7}"#),
        (JSON, br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[]}, {"logRecords":null}]}]}"#),
    ] {
        let text = text_of(media_type, body).unwrap();
        assert_eq!(read(&text, MAX_EVENTS).unwrap().items.len(), 0, "{body:?}");
    }
}

#[test]
fn sdk_is_known_by_its_language() {
    let text = both(&request(vec![record()]));
    assert_eq!(read(&text, MAX_EVENTS).unwrap().library, "opentelemetry-python");
}

#[test]
fn example_is_an_event() {
    let text = text_of(JSON, EXAMPLE.as_bytes()).unwrap();
    let item = read(&text, MAX_EVENTS).unwrap().items.remove(0);
    assert_eq!((errors(&item), item.draft.anonymous_id.as_deref()), (vec![], Some("shop")));
}
