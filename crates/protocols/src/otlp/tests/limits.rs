//! Levels, numbers of records, and copies of resources.

use super::*;

/// Arrays of this many levels.
fn nested_array(levels: usize) -> Any {
    let mut value = Any::Array(ArrayValue::default());
    for _ in 1..levels {
        value = Any::Array(ArrayValue { values: vec![AnyValue { value: Some(value) }] });
    }
    value
}

/// Objects of this many levels.
fn nested_list(levels: usize) -> Any {
    let mut value = Any::List(KeyValueList::default());
    for _ in 1..levels {
        value = Any::List(KeyValueList { values: vec![attribute("a", value)] });
    }
    value
}

#[test]
fn value_with_too_many_levels_refuses_its_record_alone() {
    for (levels, expected) in [(31, None), (32, Some(FieldErrorCode::TooDeep))] {
        let body = |value| Some(AnyValue { value: Some(value) });
        for record in [
            LogRecord { attributes: vec![attribute("a", nested_array(levels))], ..record() },
            LogRecord { attributes: vec![attribute("a", nested_list(levels))], ..record() },
            LogRecord { body: body(nested_array(levels)), ..record() },
            LogRecord { body: body(nested_list(levels)), ..record() },
        ] {
            let text = both(&request(vec![record, self::record()]));
            let read = read(&text, MAX_EVENTS).unwrap();
            let first = read.items[0].errors.first().map(|error| error.code);
            assert_eq!(first, expected, "{levels}");
            assert_eq!(errors(&read.items[1]), []);
        }
    }
    // Far beyond.
    for value in [nested_array(60), nested_list(60)] {
        let deep = LogRecord { attributes: vec![attribute("a", value)], ..record() };
        assert!(both(&request(vec![deep])).contains("too_deep"));
    }
}

#[test]
fn records_over_the_limit_are_counted() {
    let text = both(&request(vec![record(); MAX_EVENTS + 1]));
    let expected = ParseError::BatchTooLarge { limit: MAX_EVENTS, actual: MAX_EVENTS + 1 };
    assert_eq!(read(&text, MAX_EVENTS).unwrap_err(), expected);
    // More than are looked at.
    let count = 25_000;
    let expected = ParseError::BatchTooLarge { limit: MAX_EVENTS, actual: count };
    let records = vec!["{\"eventName\":\"e\"}"; count].join(",");
    let json = format!("{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{records}]}}]}}]}}");
    let protobuf = request(vec![record(); count]).protobuf();
    for (media_type, body) in [(JSON, json.as_bytes()), (PROTOBUF, &protobuf)] {
        let text = text_of(media_type, body).unwrap();
        assert_eq!(read(&text, MAX_EVENTS).unwrap_err(), expected, "{media_type}");
    }
}

#[test]
fn copies_of_a_resource_are_bounded() {
    let mut request = request(vec![record(); MAX_EVENTS]);
    let large = vec![text("service.name", &"x".repeat(20_000))];
    request.resource_logs[0].resource.as_mut().unwrap().attributes = large;
    let body = request.protobuf();
    let text = text_of(PROTOBUF, &body).unwrap();
    assert!(text.len() < 2 * body.len() + 4_500_000, "{} {}", text.len(), body.len());
    let items = read(&text, MAX_EVENTS).unwrap().items;
    let stored = items.iter().filter(|item| item.errors.is_empty()).count();
    assert!((150..300).contains(&stored), "{stored}");
    let expected = [("/logRecords/999".to_owned(), FieldErrorCode::EventTooLarge)];
    assert_eq!(errors(&items[999]), expected);
    // A copy of each would take minutes here.
    let mut request = self::request(vec![record(); 9_000]);
    let large = vec![model::text("service.name", &"x".repeat(6_000_000))];
    request.resource_logs[0].resource.as_mut().unwrap().attributes = large;
    let text = text_of(PROTOBUF, &request.protobuf()).unwrap();
    assert!(text.len() < 13_000_000 && text.contains("too_much"), "{}", text.len());
    // So is a text of characters that JSON escapes.
    let nul =
        LogRecord { attributes: vec![model::text("a", &"\u{1}".repeat(1_500_000))], ..record() };
    let body = self::request(vec![nul]).protobuf();
    let text = text_of(PROTOBUF, &body).unwrap();
    assert!(text.contains("too_much"), "{}", text.len());
    assert!(text.capacity() < 2 * body.len(), "no room stays reserved: {}", text.capacity());
}
