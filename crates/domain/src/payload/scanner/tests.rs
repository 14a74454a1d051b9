//! The scanner against `serde_json`: it accepts only JSON, and is right about what a store can
//! keep.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

/// Scans a whole text; returns whether a store can keep it.
fn scanned(text: &str) -> Option<bool> {
    let mut scanner = Scanner::new(text);
    let value = scanner.value()?;
    scanner.is_at_end().then_some(value.is_storable)
}

fn check(text: &str) {
    let parsed = serde_json::from_str::<&RawValue>(text);
    match scanned(text) {
        Some(is_storable) => {
            assert!(parsed.is_ok(), "{text:?} is not JSON");
            let mut errors = Vec::new();
            super::super::errors::add_errors(text, String::new(), &mut errors);
            assert_eq!(is_storable, errors.is_empty(), "{text:?} {errors:?}");
        }
        // The scanner may leave JSON to the parser only if it is nested too deep.
        None => assert!(parsed.is_err() || text.contains("[[["), "{text:?} is JSON"),
    }
}

#[test]
fn well_formed_text_is_scanned_to_its_end() {
    for text in [
        "{}",
        "[]",
        " { } ",
        "[ ]",
        "0",
        "-0",
        "12.50",
        "1e5",
        "-1.0E-7",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\"",
        r#"{"a":1,"b":[true,{"c":null}],"d":{"e":"f"}}"#,
        r#"[1,2, 3 ,[],{},""]"#,
        "{\"long name that needs several words\":\"and a long text, with ümläuts and 漢字\"}",
        r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#,
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\t[\n1\r]\n",
    ] {
        assert!(scanned(text).is_some(), "{text:?}");
        check(text);
    }
}

#[test]
fn malformed_text_is_left_to_the_parser() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\":1]",
        "[1}",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "0x1",
        "nul",
        "tru",
        "truex",
        "\"",
        "\"a",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"a\nb\"",
        "\"\u{1}\"",
        "1 2",
        "{}{}",
        "[1 2]",
        "{\"a\" 1}",
        "NaN",
        "'a'",
        "//",
        "\u{FEFF}1",
    ] {
        assert_eq!(scanned(text), None, "{text:?}");
        check(text);
    }
}

#[test]
fn special_character_is_found_at_any_position() {
    // Beyond several words of eight bytes, so each offset in a word occurs.
    for length in 0..40 {
        for index in 0..length {
            for special in ["\"", "\\", "\u{1f}", "\0", "\n"] {
                // Non-ASCII bytes have the high bit, the one the search tests.
                let mut text = "xé".repeat(length)[..length * 3].to_owned();
                let at = text.char_indices().nth(index).map_or(0, |(at, _)| at);
                text.insert_str(at, special);
                assert_eq!(find_special(text.as_bytes(), 0), Some(at), "{text:?}");
            }
        }
    }
}

#[test]
fn nesting_beyond_the_limit_is_left_to_the_parser() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(scanned(&nested(MAX_NESTING)), Some(true));
    assert_eq!(scanned(&nested(MAX_NESTING + 1)), None);
    assert_eq!(scanned(&nested(MAX_NESTING + 2)), None);
}

#[test]
fn number_is_storable_within_the_range_of_a_double() {
    for (number, expected) in [
        ("1e5".to_owned(), true),
        ("-1.5E-400".to_owned(), true),
        ("1e308".to_owned(), true),
        ("1e309".to_owned(), false),
        ("-1E+400".to_owned(), false),
        ("9".repeat(SURELY_FINITE_BYTES), true),
        // One digit more takes the exact test, which also passes up to 308 digits.
        ("9".repeat(SURELY_FINITE_BYTES + 1), true),
        ("9".repeat(310), false),
    ] {
        assert_eq!(scanned(&format!("[{number}]")), Some(expected), "{number}");
    }
}

#[test]
fn escape_is_storable_unless_nul_or_half_a_pair() {
    for (escapes, expected) in [
        (r"\u00e9\u00DF", true),
        (r"\ud83d\ude00", true),
        (r"\uD83D\uDE00x", true),
        (r"\\u0000", true),
        // The neighbors of the surrogate range.
        (r"\ud7ff\ue000", true),
        (r"\u0000", false),
        (r"\ud83d", false),
        (r"\ud83dx", false),
        (r"\ud83d\n", false),
        (r"\ud83d\u0041", false),
        // A complete pair after a lone leading unit does not repair it.
        (r"\ud83d\ud83d\ude00", false),
        (r"\ude00\ud83d", false),
    ] {
        for text in [format!("\"{escapes}\""), format!("{{\"{escapes}\":1}}")] {
            assert_eq!(scanned(&text), Some(expected), "{text}");
            check(&text);
        }
    }
}

proptest! {
    #[test]
    fn scanner_agrees_with_the_parser_on_nearly_right_text(
        text in r#"[\[\]{}",:\\ue0d8 a\n\t.0-9+-Etruefalsn]{0,24}"#
    ) {
        check(&text);
    }

    #[test]
    fn scanner_agrees_with_the_parser_after_one_changed_byte(
        index in 0_usize..200, byte in 0_u8..128
    ) {
        let mut bytes = br#"{"a":"text \u00e9 \ud83d\ude00 \\ \"","n":[-1.5e+3,0,12,1e307],"o":{"t":true,"f":false,"z":null,"e":{},"l":[[]]}}"#.to_vec();
        let index = index % bytes.len();
        bytes[index] = byte;
        check(std::str::from_utf8(&bytes).unwrap());
    }
}
