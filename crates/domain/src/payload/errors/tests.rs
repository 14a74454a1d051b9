//! Payloads that a store cannot keep, with the pointer of each error, and payloads it can.

use proptest::prelude::*;

use super::*;
use crate::payload::scanner::is_storable;

fn check(text: &str, expected: &[(&str, FieldErrorCode)]) {
    serde_json::from_str::<&serde_json::value::RawValue>(text).expect("a case is JSON");
    let mut errors = Vec::new();
    add_errors(text, "/p".to_owned(), &mut errors);
    let found: Vec<_> = errors.iter().map(|error| (error.pointer.as_str(), error.code)).collect();
    assert_eq!(found, expected, "{text}");
    assert_eq!(is_storable(text), expected.is_empty(), "{text}");
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn nul_is_found_in_names_and_values() {
    check(r#"{"a":"x\u0000"}"#, &[("/p/a", FieldErrorCode::NulCharacter)]);
    check(r#"{"a":[1,{"b\u0000":2}]}"#, &[("/p/a/1/b\0", FieldErrorCode::NulCharacter)]);
    // An escaped backslash and four zeros, not an escaped NUL.
    check(r#"{"a":"\\u0000"}"#, &[]);
}

#[test]
fn lone_surrogate_is_found_in_names_and_values() {
    check(r#"{"a":"\ud800"}"#, &[("/p/a", FieldErrorCode::LoneSurrogate)]);
    check(r#"{"a":"\uDC00x"}"#, &[("/p/a", FieldErrorCode::LoneSurrogate)]);
    check(r#"{"a":"\ud800\u0041"}"#, &[("/p/a", FieldErrorCode::LoneSurrogate)]);
    check(
        r#"{"o":{"\ud800":"\u0000"}}"#,
        // A name without UTF-8 form cannot be in a pointer, so both errors are at the object.
        &[("/p/o", FieldErrorCode::LoneSurrogate), ("/p/o", FieldErrorCode::NulCharacter)],
    );
    check(r#"{"a":"\ud83d\ude00","b":"\u00e9\ud7ff"}"#, &[]);
}

#[test]
fn number_beyond_a_double_is_found() {
    check(r#"{"a":1e400}"#, &[("/p/a", FieldErrorCode::NumberOutOfRange)]);
    // 1e-400 rounds to 0, within the range.
    check(r#"[-1E+400, 1e308, 1e-400]"#, &[("/p/0", FieldErrorCode::NumberOutOfRange)]);
    check(&format!("[{}]", "9".repeat(400)), &[("/p/0", FieldErrorCode::NumberOutOfRange)]);
    // Precision is not checked: the text is kept.
    check(&format!("[{}]", "9".repeat(40)), &[]);
    check(r#"{"a":"1e400","b":-0,"c":0.1e2}"#, &[]);
}

#[test]
fn nesting_counts_the_payload_as_the_first_level() {
    check(&nested(MAX_NESTING), &[]);
    let pointer = format!("/p{}", "/0".repeat(MAX_NESTING));
    let too_deep = (pointer.as_str(), FieldErrorCode::TooDeep);
    check(&nested(MAX_NESTING + 1), &[too_deep]);
    // Without recursion, so no depth overflows the stack.
    check(&nested(100_000), &[too_deep]);
    let followed = format!(r#"[{},"\u0000"]"#, nested(200));
    check(&followed, &[too_deep, ("/p/1", FieldErrorCode::NulCharacter)]);
}

#[test]
fn errors_end_at_the_limit() {
    for many in [
        format!("[{}1]", "1e400,".repeat(1000)),
        // Two errors per item: the limit also holds within one.
        format!("[{}1]", r#"{"\u0000":1e400},"#.repeat(1000)),
    ] {
        let mut errors = Vec::new();
        add_errors(&many, String::new(), &mut errors);
        assert_eq!(errors.len(), MAX_ERRORS_PER_EVENT);
    }
}

fn json() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[a-z\"\\\\/ ]{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        prop::collection::vec(
            prop_oneof![
                Just("\\u0000"),
                Just("\\ud800"),
                Just("\\udc00"),
                Just("\\ud83d\\ude00"),
                Just("\\u0041"),
                Just("\\n"),
                Just("\\\\"),
                Just("x"),
                Just("é"),
                Just("\\u00e9"),
            ],
            0..4
        )
        .prop_map(|parts| format!("\"{}\"", parts.concat())),
    ];
    let leaf = prop_oneof![
        text.clone(),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-0".to_owned()),
        Just("1e400".to_owned()),
        Just("12.5E-3".to_owned()),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
    ];
    // Up to 40 levels, beyond the limit of 32.
    leaf.prop_recursive(40, 64, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[ {}]", items.join(" ,"))),
            prop::collection::vec((text.clone(), inner), 0..4).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

#[test]
fn pointer_ends_before_a_name_that_makes_it_too_long() {
    let long = "x".repeat(300);
    for (text, pointer) in [
        (format!(r#"{{"a":{{"{long}":["\u0000"]}}}}"#), "/p/a"),
        (format!(r#"{{"{long}":"\u0000"}}"#), "/p"),
        (format!(r#"{{"{long}\u0000":1}}"#), "/p"),
        (r#"{"a":["\u0000"]}"#.to_owned(), "/p/a/0"),
    ] {
        let mut errors = Vec::new();
        add_errors(&text, "/p".to_owned(), &mut errors);
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, [pointer], "{text}");
    }
}

proptest! {
    #[test]
    fn scanner_refuses_exactly_the_payloads_with_errors(text in json()) {
        let mut errors = Vec::new();
        add_errors(&text, String::new(), &mut errors);
        prop_assert_eq!(errors.is_empty(), is_storable(&text));
        // serde_json builds a tree of exactly these payloads, and of those with a NUL, which Rust's
        // strings can hold.
        let is_tree = errors.iter().all(|error| error.code == FieldErrorCode::NulCharacter);
        prop_assert_eq!(is_tree, serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }

    #[test]
    fn arbitrary_text_causes_no_panic(text in "[\\[\\]{}\",:\\\\u0d8e1 é-]{0,40}") {
        let mut errors = Vec::new();
        add_errors(&text, String::new(), &mut errors);
        is_storable(&text);
    }
}
