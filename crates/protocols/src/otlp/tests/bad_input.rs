//! Bodies that no exporter should send.

use super::*;

#[test]
fn record_that_is_not_otlp_is_refused_alone() {
    let records = json!([
        7,
        {"eventName": 7},
        {"eventName": "\u{e9}", "timeUnixNano": "x"},
        {"eventName": "e", "timeUnixNano": "-1"},
        {"eventName": "e", "attributes": {}},
        {"eventName": "e", "attributes": [{"key": 7}]},
        {"eventName": "e", "attributes": [7]},
        {"eventName": "e", "body": {"intValue": "9223372036854775808"}},
        {"eventName": "e", "body": {"doubleValue": "1e999"}},
        {"eventName": "e", "body": {"boolValue": 1}},
        {"eventName": "e", "body": {"bytesValue": "!"}},
        {"eventName": "e", "body": "text"},
        {"eventName": "e", "body": {"arrayValue": []}},
        {"eventName": "e", "traceId": 7},
    ]);
    let count = records.as_array().unwrap().len();
    let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}, {"logRecords": [
        {"eventName": "good", "eventName ": 1}
    ]}]}]});
    let text = text_of(JSON, body.to_string().as_bytes()).unwrap();
    let items = read(&text, MAX_EVENTS).unwrap().items;
    assert_eq!(items.len(), count + 1);
    let (good, bad) = items.split_last().unwrap();
    assert_eq!(errors(good), []);
    for item in bad {
        let expected = [(format!("/logRecords/{}", item.index), FieldErrorCode::WrongType)];
        assert_eq!(errors(item), expected, "{}: {}", item.text, body);
    }
    // A text that is not UTF-8, and a record that ends too early.
    for bytes in [&b"\x62\x01\xff"[..], b"\x62\x01e\x32\x05"] {
        let mut body = request(vec![record()]).protobuf();
        let logs = [b"\x12", &[bytes.len() as u8][..], bytes].concat();
        let scope = [b"\x12", &[logs.len() as u8][..], &logs].concat();
        body.extend([b"\x0a", &[scope.len() as u8][..], &scope].concat());
        let text = text_of(PROTOBUF, &body).unwrap();
        let items = read(&text, MAX_EVENTS).unwrap().items;
        assert_eq!(errors(&items[0]), []);
        assert_eq!(errors(&items[1]), [("/logRecords/1".to_owned(), FieldErrorCode::WrongType)]);
    }
}

#[test]
fn surroundings_that_are_not_otlp_refuse_their_records() {
    for (member, value) in
        [("resource", json!(7)), ("resource", json!({"attributes": {}})), ("schemaUrl", json!({}))]
    {
        let body = json!({"resourceLogs": [
            {member: value, "scopeLogs": [{"logRecords": [{"eventName": "e"}]}]},
            {"scopeLogs": [{"logRecords": [{"eventName": "e"}]}]},
        ]});
        let text = text_of(JSON, body.to_string().as_bytes()).unwrap();
        let items = read(&text, MAX_EVENTS).unwrap().items;
        assert_eq!(errors(&items[0]), [("/logRecords/0".to_owned(), FieldErrorCode::WrongType)]);
        assert_eq!(errors(&items[1]), []);
    }
}

#[test]
fn body_that_is_no_request_is_an_error() {
    for (media_type, body) in [
        (PROTOBUF, &b"{}"[..]),
        (PROTOBUF, b"\x0a\x05ab"),
        (PROTOBUF, b"\x08\x01\x0a"),
        (PROTOBUF, b"\x0a\x02\x12\x05"),
        (JSON, b""),
        (JSON, b"[]"),
        (JSON, b"7"),
        (JSON, b"{"),
        (JSON, b"\xff"),
        (JSON, b"\x0a\x00"),
        (JSON, br#"{"resourceLogs":{}}"#),
        (JSON, br#"{"resourceLogs":[7]}"#),
        (JSON, br#"{"resourceLogs":[],"resourceLogs":[]}"#),
        (JSON, br#"{"resourceLogs":[{"scopeLogs":7}]}"#),
        (JSON, br#"{"resourceLogs":[{"scopeLogs":[[]]}]}"#),
        (JSON, br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":{}}]}]}"#),
        ("text/plain", b"hello"),
    ] {
        assert!(text_of(media_type, body).is_err(), "{media_type}: {body:?}");
    }
}

proptest! {
    #[test]
    fn both_encodings_give_the_same_events(request in requests()) {
        let text = both(&request);
        let records = request.resource_logs.iter().flat_map(|logs| &logs.scope_logs);
        let records: Vec<_> = records.flat_map(|logs| &logs.log_records).collect();
        let items = read(&text, MAX_EVENTS).unwrap().items;
        prop_assert_eq!(items.len(), records.len());
        for (item, record) in items.iter().zip(records) {
            prop_assert_eq!(item.draft.event_name.as_deref().unwrap_or_default(), &record.event_name);
            let attributes = item.draft.properties.as_ref().map(|json| json.get().to_owned());
            let attributes: Value = attributes.map_or(json!({}), |text| serde_json::from_str(&text).unwrap());
            for KeyValue { key, .. } in &record.attributes {
                prop_assert!(record.event_name.is_empty() || attributes.get(key).is_some(), "{}", key);
            }
        }
    }

    #[test]
    fn no_body_panics(body in any::<Vec<u8>>(), json in "[\\[\\]{}:,a0\"]{0,40}") {
        for media_type in [PROTOBUF, JSON, ""] {
            for body in [&*body, json.as_bytes()] {
                if let Ok(text) = text_of(media_type, body) {
                    read(&text, MAX_EVENTS).unwrap();
                }
            }
        }
    }

    #[test]
    fn damaged_request_does_not_panic(request in requests(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = request.protobuf();
        if let Some(damaged) = (!body.is_empty()).then(|| at.index(body.len())) {
            body[damaged] = byte;
        }
        if let Ok(text) = text_of(PROTOBUF, &body) {
            read(&text, MAX_EVENTS).unwrap();
        }
    }
}
