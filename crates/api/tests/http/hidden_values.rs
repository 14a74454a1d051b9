//! Random wrong bodies: no answer repeats a value, and none is a failure of the server.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use mercurio_api::testing::TestApp;

/// Parts of every value that a client sends here.
const MARKS: [&str; 2] = ["zq7", "77390177"];

/// Values of every type, of wrong forms, and those no store can keep.
const VALUES: &[&str] = &[
    r#""zq7zq7""#,
    r#""zq7\u0000""#,
    r#""zq7\ud800""#,
    r#""""#,
    r#""{\"a\":\"zq7\"}""#,
    r#"{"a":"zq7","b":[77390177e999]}"#,
    r#"{"zq":{"a":"zq7\u0000"}}"#,
    r#"["zq7"]"#,
    "7739017739",
    "7739017739017",
    "-77390177e999",
    "true",
    "null",
];
/// Members, words of other tools and typing errors. Without those whose texts a message quotes:
/// `type`, `timestamp`, `sent_at` and `schema_version`.
const NAMES: &[&str] = &[
    "event_id",
    "event_name",
    "anonymous_id",
    "user_id",
    "session_id",
    "properties",
    "traits",
    "context",
    "event",
    "userId",
    "messageId",
    "distinct_id",
    "api_key",
    "batch",
    "received_at",
    "event_nam",
    "price",
    "",
    "a/b~",
];
/// Members whose texts a message quotes, with values of other types.
const QUOTED: &[&str] = &[
    r#""timestamp":7739017739"#,
    r#""timestamp":7739017739017"#,
    r#""timestamp":{"a":"zq7"}"#,
    r#""sent_at":7739017739"#,
    r#""type":77390177"#,
    r#""schema_version":["zq7"]"#,
];

fn member() -> impl Strategy<Value = String> {
    let names = prop::sample::select(NAMES);
    let values = prop::sample::select(VALUES);
    prop_oneof![
        6 => (names, values).prop_map(|(name, value)| format!("\"{name}\":{value}")),
        1 => prop::sample::select(QUOTED).prop_map(str::to_owned),
    ]
}

fn event() -> impl Strategy<Value = String> {
    let members = prop::collection::vec(member(), 0..6);
    members.prop_map(|members| format!("{{{}}}", members.join(",")))
}

fn body() -> impl Strategy<Value = String> {
    let whole = prop_oneof![
        4 => event(),
        4 => prop::collection::vec(event(), 0..4)
            .prop_map(|events| format!("{{\"events\":[{}]}}", events.join(","))),
        1 => event().prop_map(|event| format!("[{event}]")),
        1 => event().prop_map(|event| format!("{event}\n{event}")),
        1 => event().prop_map(|event| serde_json::to_string(&event).unwrap()),
        1 => event().prop_map(|event| event.replace('"', "'")),
        1 => Just("zq7=zq7zq7&a=77390177".to_owned()),
        1 => Just("zq7zq7".to_owned()),
    ];
    // A cut body is malformed in most cases.
    (whole, prop::bool::weighted(0.2), any::<prop::sample::Index>()).prop_map(
        |(mut body, is_cut, index)| {
            if is_cut {
                body.truncate(index.index(body.len() + 1));
            }
            body
        },
    )
}

/// Collects every text for people in a problem or in the results of a batch.
fn texts_for_people(json: &Value, texts: &mut Vec<String>) {
    match json {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if matches!(name.as_str(), "detail" | "message") => {
                        texts.push(text.clone());
                    }
                    value => texts_for_people(value, texts),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                texts_for_people(item, texts);
            }
        }
        _ => {}
    }
}

#[test]
fn no_answer_repeats_a_value_of_the_body() {
    let test_app = TestApp::new();
    let system = actix_web::rt::System::new();
    let app = system.block_on(test_app.app());
    let mut runner =
        // No file with failed cases: the panic shows the smallest one.
        TestRunner::new(Config { cases: 2000, failure_persistence: None, ..Config::default() });
    let seen = std::cell::Cell::new(0);
    let result = runner.run(&body(), |body| {
        for path in ["/v1/events/track", "/v1/events/batch"] {
            let request = test_app.post(path, body.clone());
            let response = system.block_on(request.send(&app));
            prop_assert!(response.status < 500, "{response:?}");
            let mut texts = Vec::new();
            texts_for_people(&response.json, &mut texts);
            for text in &texts {
                prop_assert!(!MARKS.iter().any(|mark| text.contains(mark)), "{text}");
                prop_assert!(text.len() < 300, "{text}");
            }
            seen.set(seen.get() + texts.len());
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    // Guards against bodies that nothing refuses.
    assert!(seen.get() > 5000, "{}", seen.get());
}
