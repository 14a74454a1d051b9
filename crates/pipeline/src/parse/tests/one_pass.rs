//! The one-pass reader against the slow path: it returns the same items, or none.

use proptest::prelude::*;

use super::super::*;

/// Everything of the items that a later stage can see.
fn shown(items: &[Item<'_>]) -> String {
    let mut shown = String::new();
    for Item { index, origin, text, draft, errors } in items {
        let draft = serde_json::to_string(draft).unwrap();
        shown += &format!("\n{index} {origin:?} {text} {draft} {errors:?}");
    }
    shown
}

/// Checks a body as a batch and as a single event. Returns whether the batch was read in one pass.
#[track_caller]
fn check(body: &str) -> bool {
    let max_events = Limits::default().max_batch_events;
    let scanned = scan_batch(body, max_events);
    if let Some(scanned) = &scanned {
        let read = read_batch(body, max_events).unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(shown(scanned), shown(&read), "{body}");
    }
    if let Some(item) = item::scan_single(body) {
        serde_json::from_str::<&RawValue>(body).unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(shown(&[item]), shown(&[item::read_single(body.trim())]), "{body}");
    }
    scanned.is_some()
}

#[test]
fn one_pass_reads_well_formed_batches_only() {
    for (body, in_one_pass) in [
        (r#"{"events":[{}]}"#, true),
        (" { \"sent_at\" : null , \"events\" : [ { } , {\"user_id\":\"a\\nb\"} ] } ", true),
        (
            // Mistakes inside an event stay in its errors and need no second pass.
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
        assert_eq!(check(body), in_one_pass, "{body}");
    }
}

proptest! {
    #[test]
    fn one_pass_equals_the_slow_path(index in 0_usize..400, byte in 0_u8..128, cut in 0_usize..400) {
        let body = r#" {"sent_at":"2026-11-22T10:00:00Z", "events":[{"event_id":"a","type":"page","properties":{"a":[1,2.5e1,"x\ud83d\ude00"],"b":{}}, "traits":null},{"event_name":"\u00e9","user_id":"u","timestamp":"t","context":{"n":-0}},{}]} "#;
        // One changed byte and one cut at a time keep most of the body valid, so errors lie deep.
        let mut bytes = body.as_bytes().to_vec();
        let index = index % bytes.len();
        bytes[index] = byte;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            check(text);
            check(&text[..cut.min(text.len())]);
        }
        prop_assert!(check(body));
    }
}
