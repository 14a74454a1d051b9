//! Events as trackers send them, and bodies that none should send.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use mercurio_domain::request::Item;
use mercurio_domain::verdict::FieldErrorCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::BodyKey;

const MAX_EVENTS: usize = 1_000;

fn read_payload(body: &str) -> ForeignRequest<'_> {
    read(Payload, body, MAX_EVENTS).unwrap_or_else(|error| panic!("{body}: {error}"))
}

#[track_caller]
fn draft_of(item: &Item<'_>) -> Value {
    assert_eq!(item.errors, [], "{}", item.text);
    serde_json::to_value(&item.draft).unwrap()
}

/// Returns the draft of the only event of a body.
#[track_caller]
fn draft(event: Value) -> Value {
    let body = json!({"data": [event]}).to_string();
    draft_of(&read_payload(&body).items[0])
}

#[track_caller]
fn errors(event: Value) -> Vec<(String, FieldErrorCode)> {
    let body = json!({"data": [event]}).to_string();
    let errors = read_payload(&body).items.remove(0).errors;
    errors.into_iter().map(|error| (error.pointer, error.code)).collect()
}

#[track_caller]
fn draft_of_query(query: &str) -> Value {
    let head = Head { query, ..Head::default() };
    let text = payload(Pixel, &head, b"");
    let text = std::str::from_utf8(&text).unwrap();
    draft_of(&read(Pixel, text, MAX_EVENTS).unwrap().items[0])
}

const SELF_DESCRIBING: &str = r#"{"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0", "data": {"schema": "iglu:com.acme/order_completed/jsonschema/1-0-0", "data": {"price": 9.50, "items": ["a"]}}}"#;
const CONTEXTS: &str = r#"{"schema": "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-1", "data": [{"schema": "iglu:com.acme/ctx/jsonschema/1-0-0", "data": {"k": "v"}}]}"#;

#[test]
fn self_describing_event_has_the_name_of_its_schema() {
    let mut expected = json!({
        "event_id": "5eda0c7d-8951-450a-a818-1d537312fdb0",
        "type": "track",
        "event_name": "order_completed",
        "timestamp": "2026-11-28T21:31:55.525000Z",
        "user_id": "u-42",
        "properties": {"price": 9.50, "items": ["a"]},
        "context": {"snowplow": {
            "schema": "iglu:com.acme/order_completed/jsonschema/1-0-0",
            "co": serde_json::from_str::<Value>(CONTEXTS).unwrap(),
            "p": "srv", "tv": "py-1.1.0", "tna": "shop",
        }},
    });
    let plain = json!({
        "e": "ue", "ue_pr": SELF_DESCRIBING, "co": CONTEXTS, "p": "srv", "uid": "u-42",
        "eid": "5eda0c7d-8951-450a-a818-1d537312fdb0", "dtm": "1795901515525", "tv": "py-1.1.0",
        "tna": "shop", "aid": "mk_x", "stm": "1795901515000",
    });
    assert_eq!(draft(plain.clone()), expected);
    expected["context"]["snowplow"]["aid"] = json!("shop");
    for encode in [
        |text: &str| BASE64.encode(text.as_bytes()),
        |text: &str| BASE64URL_NOPAD.encode(text.as_bytes()),
    ] {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in plain.as_object().unwrap() {
            let text = value.as_str().unwrap();
            match &**name {
                "ue_pr" => query.append_pair("ue_px", &encode(text)),
                "co" => query.append_pair("cx", &encode(text)),
                "aid" => query.append_pair("aid", "shop"),
                _ => query.append_pair(name, text),
            };
        }
        assert_eq!(draft_of_query(&query.finish()), expected);
    }
}

#[test]
fn page_view_and_structured_event_become_events() {
    let page = json!({
        "e": "pv", "url": "https://shop.example/a?utm_source=x", "page": "\u{c4}", "refr": "https://r.example/",
        "duid": "d-1", "sid": "s-1", "vid": "3", "lang": "en", "uid": "",
    });
    assert_eq!(
        draft(page),
        json!({
            "type": "page", "anonymous_id": "d-1", "session_id": "s-1",
            "context": {
                "page": {
                    "url": "https://shop.example/a?utm_source=x", "title": "\u{c4}",
                    "referrer": "https://r.example/",
                },
                "snowplow": {"vid": "3", "lang": "en"},
            },
        })
    );
    let query = "e=se&se_ca=shop&se_ac=add+to+basket&se_la=l&se_pr=&se_va=9.5&duid=d%C3%A9";
    assert_eq!(
        draft_of_query(query),
        json!({
            "type": "track", "event_name": "add to basket", "anonymous_id": "d\u{e9}",
            "properties": {"category": "shop", "label": "l", "value": 9.5},
        })
    );
    // Only a number is one.
    for (value, expected) in [("9,5", json!("9,5")), ("-", json!("-")), ("1e3", json!(1e3))] {
        let event = json!({"e": "se", "se_ac": "a", "se_va": value, "duid": "d"});
        assert_eq!(draft(event)["properties"]["value"], expected);
    }
    // Members of another kind of event are not lost.
    let other = json!({"e": "pp", "se_ca": "c", "ue_pr": "x", "duid": "d", "pp_mix": "0"});
    assert_eq!(
        draft(other),
        json!({
            "type": "track", "event_name": "page_ping", "anonymous_id": "d",
            "context": {"snowplow": {"pp_mix": "0", "se_ca": "c", "ue_pr": "x"}},
        })
    );
}

#[test]
fn true_time_needs_no_correction() {
    let body = json!({"data": [
        {"e": "pv", "duid": "d", "dtm": "1795901515525", "stm": "1795901516000"},
        {"e": "pv", "duid": "d", "dtm": "1795901515525", "ttm": "1795901515000", "stm": "1795901516000"},
        {"e": "pv", "duid": "d", "dtm": "1795901515525", "stm": "1795901515000"},
        {"e": "pv", "duid": "d", "dtm": "1795901515525"},
        {"e": "pv", "duid": "d", "stm": "x"},
    ]})
    .to_string();
    let items = read_payload(&body).items;
    let times: Vec<_> = items
        .iter()
        .map(|item| {
            let sent_at = item.origin.sent_at.map(|time| time.to_string());
            json!([item.draft.timestamp, sent_at])
        })
        .collect();
    let expected = [
        json!(["2026-11-28T21:31:55.525000Z", "2026-11-28T21:31:56.000000Z"]),
        json!(["2026-11-28T21:31:55.000000Z", null]),
        // A time of sending in whole seconds.
        json!(["2026-11-28T21:31:55.525000Z", "2026-11-28T21:31:55.525000Z"]),
        json!(["2026-11-28T21:31:55.525000Z", null]),
        json!([null, null]),
    ];
    assert_eq!(times, expected);
}

#[test]
fn error_points_to_the_member() {
    let time = FieldErrorCode::InvalidTimestamp;
    for (member, value, expected) in [
        ("e", json!(null), FieldErrorCode::Required),
        ("e", json!(7), FieldErrorCode::WrongType),
        ("eid", json!([]), FieldErrorCode::WrongType),
        ("dtm", json!({}), FieldErrorCode::WrongType),
        ("dtm", json!("99999999999999999999"), time),
        ("co", json!("{"), FieldErrorCode::InvalidValue),
        ("cx", json!("!"), FieldErrorCode::InvalidValue),
        ("cx", json!("e"), FieldErrorCode::InvalidValue),
        ("co", json!({}), FieldErrorCode::WrongType),
    ] {
        let mut event = json!({"e": "pv", "duid": "d"});
        event[member] = value;
        assert_eq!(errors(event), [(format!("/data/0/{member}"), expected)]);
    }
    for (member, value) in [
        ("ue_pr", json!("{}")),
        ("ue_pr", json!("[1]")),
        ("ue_pr", json!("x")),
        ("ue_pr", json!(r#"{"schema":"iglu:a/b/c/1","data":{"data":{}}}"#)),
        ("ue_pr", json!(r#"{"schema":"iglu:a/b/c/1","data":{"schema":"a/b/c/1","data":{}}}"#)),
    ] {
        let found = errors(json!({"e": "ue", "duid": "d", (member): value}));
        assert_eq!(found, [("/data/0/ue_pr".to_owned(), FieldErrorCode::InvalidValue)], "{value}");
    }
    let missing = errors(json!({"e": "ue", "duid": "d"}));
    assert_eq!(missing, [("/data/0/ue_pr".to_owned(), FieldErrorCode::InvalidValue)]);
}

/// Returns the key of events with these ids of the application.
fn key(aids: &[&str]) -> Option<String> {
    let events: Vec<_> =
        aids.iter().map(|aid| json!({"e": "pv", "duid": "d", "aid": aid})).collect();
    let body = json!({ "data": events }).to_string();
    let request = read_payload(&body);
    for (item, aid) in request.items.iter().zip(aids) {
        let kept = draft_of(item)["context"]["snowplow"]["aid"].clone();
        let expected = if aid.starts_with("mk_") { json!(null) } else { json!(aid) };
        assert_eq!(kept, expected);
    }
    match request.key {
        BodyKey::Text(key) => Some(key.into_owned()),
        BodyKey::Missing => None,
        BodyKey::Unclear => Some("unclear".to_owned()),
    }
}

#[test]
fn id_of_the_application_is_the_key_if_it_looks_like_one() {
    assert_eq!(key(&["mk_a", "shop", "mk_a"]), Some("mk_a".to_owned()));
    assert_eq!(key(&["shop"]), None);
    assert_eq!(key(&["mk_a", "mk_b"]), Some("unclear".to_owned()));
    // Also with escapes.
    let request = read_payload(r#"{"data":[{"e":"pv","a\u0069d":"\u006dk_a"}]}"#);
    assert_eq!(request.key, BodyKey::Text("mk_a".into()));
}

#[test]
fn tracker_is_known_by_its_version() {
    for (version, expected) in [
        ("js-4.10.1", "snowplow-js"),
        ("py-1.1.0", "snowplow-py"),
        ("own-1", OTHER_LIBRARY),
        ("", OTHER_LIBRARY),
    ] {
        let body = json!({"data": [{"e": "pv", "tv": version}, {"e": "pv", "tv": "rb-1"}]});
        assert_eq!(read_payload(&body.to_string()).library, expected);
    }
}

#[test]
fn deep_and_unstorable_values_are_left_to_the_rules() {
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    for data in [format!("{{\"a\":{deep}}}"), "7".to_owned(), "{\"a\":\"\\u0000\"}".to_owned()] {
        let described = format!(
            r#"{{"schema":"iglu:a/b/c/1","data":{{"schema":"iglu:a/n/c/1","data":{data}}}}}"#
        );
        let draft = draft(json!({"e": "ue", "duid": "d", "ue_pr": described}));
        let properties = serde_json::to_string(&draft["properties"]).unwrap();
        assert_eq!(properties, data);
    }
    let found = errors(json!({"e": "pv", "duid": "d", "co": deep}));
    assert_eq!(found[0].1, FieldErrorCode::TooDeep);
}

#[test]
fn pixel_is_an_image_and_errors_end_the_repeats() {
    let stored = Verdict::Stored(
        mercurio_domain::EventId::of_content("t", &[]),
        mercurio_domain::verdict::Outcome::Accepted,
    );
    let image = reply(Pixel, std::slice::from_ref(&stored)).unwrap();
    assert_eq!((image.status, image.content_type), (200, "image/gif"));
    assert!(image.body.starts_with(b"GIF89a") && image.body.ends_with(b";"));
    assert_eq!((reply(Payload, &[stored]), reply(Pixel, &[])), (None, None));
    for (status, expected) in [
        (400, 400),
        (401, 401),
        (403, 403),
        (408, 408),
        (413, 400),
        (415, 400),
        (422, 422),
        (429, 429),
        (503, 503),
    ] {
        let failure =
            Failure { status, code: "c", detail: "d", errors: None, retry_after_seconds: None };
        assert_eq!(super::failure(&failure), FailureReply::Problem(expected));
    }
}

#[test]
fn examples_are_events() {
    assert_eq!(draft_of(&read_payload(example(Payload)).items[0])["type"], "page");
    let request = read(Pixel, example(Pixel), MAX_EVENTS).unwrap();
    assert_eq!(draft_of(&request.items[0])["type"], "page");
}

proptest! {
    #[test]
    fn no_query_panics_and_each_is_one_event(query in "[a-z_=&%+0-9é{}\"]{0,60}|e=(ue|se|pv)&(ue_p[rx]|c[ox]|se_va|dtm)=.{0,20}") {
        let head = Head { query: &query, ..Head::default() };
        let text = payload(Pixel, &head, b"");
        let request = read(Pixel, std::str::from_utf8(&text).unwrap(), MAX_EVENTS).unwrap();
        prop_assert_eq!(request.items.len(), 1);
    }

    #[test]
    fn no_event_is_lost_or_invented(events in prop::collection::vec(prop::collection::hash_map("e|ue_pr|se_ac|co|aid|dtm|uid|.*", ".*", 0..5), 1..5)) {
        let body = json!({ "data": events }).to_string();
        let items = read_payload(&body).items;
        prop_assert_eq!(items.len(), events.len());
        for item in items {
            let _ = serde_json::to_value(&item.draft).unwrap();
        }
    }
}
