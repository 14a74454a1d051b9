//! What bodies are read, and what is said of those that are not.

use proptest::prelude::*;

use super::*;

fn limits() -> Limits {
    Limits::default()
}

fn errors(body: &str) -> Vec<(String, FieldErrorCode)> {
    let told = |errors: &[FieldError]| {
        errors.iter().map(|fault| (fault.pointer.clone(), fault.code)).collect::<Vec<_>>()
    };
    match batch(body.as_bytes(), &limits()) {
        Ok(envelope) => envelope.items.iter().flat_map(|item| told(&item.errors)).collect(),
        Err(ParseError::Shape(errors)) => told(&errors),
        Err(other) => panic!("{body}: {other}"),
    }
}

fn check(body: &str, expected: &[(&str, FieldErrorCode)]) {
    let told = errors(body);
    let told: Vec<_> = told.iter().map(|(pointer, code)| (pointer.as_str(), *code)).collect();
    assert_eq!(told, expected, "{body}");
}

fn check_malformed(body: &[u8], line: usize, column: usize) {
    match batch(body, &limits()) {
        Err(ParseError::Malformed { line: l, column: c, message }) => {
            assert_eq!((l, c), (line, column), "{message}");
            assert!(!message.contains(" at line "), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_members_of_events_are_slices_of_the_body() {
    let body = r#" {"events" : [ {"event_id":"a","event_name":"n","properties":{ "x": 1.0 },"user_id":null} , {"event_name":"\u0041é"}], "sent_at":"2026-11-22T10:00:00Z"} "#;
    let envelope = batch(body.as_bytes(), &limits()).unwrap();
    assert_eq!(envelope.items[0].draft.properties.as_ref().unwrap().get(), r#"{ "x": 1.0 }"#);
    assert!(matches!(envelope.items[0].draft.event_id, Some(std::borrow::Cow::Borrowed("a"))));
    assert_eq!(envelope.items[0].draft.user_id, None);
    assert_eq!(envelope.items[1].draft.event_name.as_deref(), Some("Aé"));
    assert_eq!(envelope.items[1].text, r#"{"event_name":"\u0041é"}"#);
    assert_eq!(envelope.items[1].pointer.to_string(), "/events/1");
    assert_eq!(envelope.sent_at.unwrap().to_string(), "2026-11-22T10:00:00.000000Z");
}

#[test]
fn what_is_not_json_is_told_with_its_place() {
    check_malformed(b"", 1, 0);
    check_malformed(b"not json", 1, 2);
    check_malformed(b"{\"events\":[]} x", 1, 15);
    check_malformed(b"{\"events\":[]}{}", 1, 14);
    check_malformed(b"{\n \"events\":[{},]}", 2, 15);
    check_malformed(b"{\"events\":[{\"a\":1e}]}", 1, 19);
    check_malformed(b"{\"events\":[{\"a\":\"\xff\"}]}", 1, 18);
    check_malformed(b"{\"events\":\n[{\"a\":NaN}]}", 2, 7);
    check_malformed(b"\xff\xfe{\x00", 1, 1);
}

#[test]
fn a_body_of_another_shape_is_told_with_a_pointer() {
    check("[]", &[("", FieldErrorCode::WrongType)]);
    check("\"x\"", &[("", FieldErrorCode::WrongType)]);
    check("null", &[("", FieldErrorCode::WrongType)]);
    check("{}", &[("/events", FieldErrorCode::Required)]);
    for events in ["{}", "{\"a\":[1]}", "\"x\"", "1", "-1", "1.5", "true", "null"] {
        check(&format!("{{\"events\":{events}}}"), &[("/events", FieldErrorCode::WrongType)]);
    }
    check(r#"{"events":[{}],"sent_at":5}"#, &[("/sent_at", FieldErrorCode::WrongType)]);
    check(r#"{"events":[{}],"sent_at":"now"}"#, &[("/sent_at", FieldErrorCode::InvalidTimestamp)]);
    check(r#"{"events":[{}],"sentAt":"x"}"#, &[("/sentAt", FieldErrorCode::UnknownField)]);
    check(r#"{"events":[{}],"events":[{}]}"#, &[("/events", FieldErrorCode::DuplicateField)]);
    check(r#"{"events":[{}],"sent_at":null}"#, &[]);
}

#[test]
fn a_batch_has_one_event_at_least_and_as_many_as_allowed_at_most() {
    let of = |count: usize| format!("{{\"events\":[{}]}}", vec!["{}"; count].join(","));
    assert_eq!(batch(of(0).as_bytes(), &limits()).unwrap_err(), ParseError::BatchEmpty);
    assert_eq!(batch(of(50).as_bytes(), &limits()).unwrap().items.len(), 50);
    let too_large = ParseError::BatchTooLarge { limit: 50, actual: 51 };
    assert_eq!(batch(of(51).as_bytes(), &limits()).unwrap_err(), too_large);
}

#[test]
fn the_faults_of_an_event_stay_with_it() {
    check(
        r#"{"events":[{}, 5, {"event_name":1}]}"#,
        &[
            ("/events/1", FieldErrorCode::WrongType),
            ("/events/2/event_name", FieldErrorCode::WrongType),
        ],
    );
    check(
        r#"{"events":[{"user_id":"a","user_id":"b"}]}"#,
        &[("/events/0/user_id", FieldErrorCode::DuplicateField)],
    );
    check(
        r#"{"events":[{"a/b~":[{}],"sent_at":"x"}]}"#,
        &[
            ("/events/0/a~1b~0", FieldErrorCode::UnknownField),
            ("/events/0/sent_at", FieldErrorCode::UnknownField),
        ],
    );
    check(
        r#"{"events":[{"event_id":"\ud800"}]}"#,
        &[("/events/0/event_id", FieldErrorCode::LoneSurrogate)],
    );
    check(r#"{"events":[{"\udfff":1}]}"#, &[("/events/0", FieldErrorCode::LoneSurrogate)]);
}

#[test]
fn the_depth_of_a_body_has_no_limit_of_its_own() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    check(
        &format!("{{\"events\":[{{\"x\":{deep}}}]}}"),
        &[("/events/0/x", FieldErrorCode::UnknownField)],
    );
    check(&format!("{{\"events\":[{deep}]}}"), &[("/events/0", FieldErrorCode::WrongType)]);
    check(&format!("{{\"events\":[{{}}],\"x\":{deep}}}"), &[("/x", FieldErrorCode::UnknownField)]);
    check(&deep, &[("", FieldErrorCode::WrongType)]);
    let properties = format!("{{\"events\":[{{\"properties\":{deep}}}]}}");
    assert!(errors(&properties).is_empty());
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    assert!(batch("\u{FEFF}{\"events\":[{}]}".as_bytes(), &limits()).is_ok());
}

#[test]
fn a_single_event_is_the_body_and_may_say_when_it_was_sent() {
    let envelope = single(br#"{"event_name":"a","sent_at":"2026-11-22T10:00:00Z"}"#).unwrap();
    assert_eq!(envelope.items[0].pointer.to_string(), "");
    assert!(envelope.sent_at.is_some() && envelope.items[0].errors.is_empty());
    assert_eq!(single(b"[]").unwrap().items[0].errors[0].code, FieldErrorCode::WrongType);
    assert_eq!(single(br#"{"sent_at":7}"#).unwrap().items[0].errors[0].pointer, "/sent_at");
    assert!(matches!(single(b"{} {}"), Err(ParseError::Malformed { .. })));
}

/// The parser's answer alone.
fn parsed<'a>(body: &'a str, limits: &Limits) -> Result<Envelope<'a>, ParseError> {
    let envelope = envelope::read(body, limits.max_batch_events)?;
    let items = envelope
        .events
        .iter()
        .enumerate()
        .map(|(index, raw)| item::read(raw.get(), index))
        .collect();
    Ok(Envelope { items, sent_at: envelope.sent_at })
}

/// That one pass gives what the parser gives, or nothing. Whether it gave something.
fn check_one_pass(body: &str) -> bool {
    let shown = |envelope: &Envelope<'_>| {
        let drafts = envelope
            .items
            .iter()
            .map(|item| serde_json::to_string(&item.draft).unwrap())
            .collect::<Vec<_>>();
        let others =
            envelope.items.iter().map(|item| (item.index, item.pointer, item.text, &item.errors));
        (drafts, format!("{:?} {:?}", others.collect::<Vec<_>>(), envelope.sent_at))
    };
    let scanned = scan_batch(body, limits().max_batch_events);
    if let Some(scanned) = &scanned {
        let parsed = parsed(body, &limits()).unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(shown(scanned), shown(&parsed), "{body}");
    }
    let one = item::scan_single(body);
    if let Some((item, sent_at)) = one {
        serde_json::from_str::<&RawValue>(body).unwrap_or_else(|error| panic!("{body}: {error}"));
        let (parsed, parsed_at) = item::read_single(body.trim());
        let scanned = Envelope { items: vec![item], sent_at };
        assert_eq!(
            shown(&scanned),
            shown(&Envelope { items: vec![parsed], sent_at: parsed_at }),
            "{body}"
        );
    }
    scanned.is_some()
}

#[test]
fn a_sound_body_is_read_in_one_pass_and_any_other_by_the_parser() {
    for (body, in_one_pass) in [
        (r#"{"events":[{}]}"#, true),
        (" { \"sent_at\" : null , \"events\" : [ { } , {\"user_id\":\"a\\nb\"} ] } ", true),
        (
            r#"{"events":[{"event_name":5,"x":1,"user_id":"a","user_id":"b","properties":[1]}],"sent_at":"2026-11-22T10:00:00Z"}"#,
            true,
        ),
        (r#"{"events":[{"\u0061":1}]}"#, false),
        (r#"{"events":[7]}"#, false),
        (r#"{"events":[]}"#, false),
        (r#"{"events":[{}],"events":[{}]}"#, false),
        (r#"{"events":[{}],"sent_at":"now"}"#, false),
        (r#"{"events":[{}],"more":1}"#, false),
        (r#"{"events":[{}]} x"#, false),
        (r#"{"events":[{},]}"#, false),
        ("[]", false),
    ] {
        assert_eq!(check_one_pass(body), in_one_pass, "{body}");
    }
}

proptest! {
    #[test]
    fn one_pass_gives_what_the_parser_gives(place in 0_usize..400, byte in 0_u8..128, cut in 0_usize..400) {
        let body = r#" {"sent_at":"2026-11-22T10:00:00Z", "events":[{"event_id":"a","type":"page","properties":{"a":[1,2.5e1,"x\ud83d\ude00"],"b":{}}, "traits":null},{"event_name":"\u00e9","user_id":"u","timestamp":"t","context":{"n":-0}},{}]} "#;
        let mut bytes = body.as_bytes().to_vec();
        let place = place % bytes.len();
        bytes[place] = byte;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            check_one_pass(text);
            check_one_pass(&text[..cut.min(text.len())]);
        }
        assert!(check_one_pass(body));
    }

    #[test]
    fn no_bytes_make_the_parser_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        batch(&body, &limits()).ok();
        single(&body).ok();
    }

    #[test]
    fn no_nearly_right_text_makes_the_parser_panic(
        body in r#"(\{"events":)?[\[\]{}",:\\ue0d8 "events"sent_at"user_id"null1-]{0,60}"#
    ) {
        batch(body.as_bytes(), &limits()).ok();
        single(body.as_bytes()).ok();
    }
}
