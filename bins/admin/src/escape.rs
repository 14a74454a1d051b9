//! Escapes stored text before it reaches a terminal or a spreadsheet.
//!
//! Clients choose the text of events. Control characters in it could move the cursor, set the
//! window's title or hide lines; bidirectional ones could make an id look like another.

use std::borrow::Cow;
use std::fmt::Write;

use mercurio_domain::text::is_unprintable;

/// First characters that make a spreadsheet run a cell as a formula, with their full-width forms
/// (OWASP, "CSV Injection").
const FORMULA_STARTS: [char; 11] =
    ['=', '+', '-', '@', '\t', '\r', '\n', '\u{FF1D}', '\u{FF0B}', '\u{FF0D}', '\u{FF20}'];

/// Returns one line of text for a table or a CSV cell on a terminal: unprintable characters become
/// `\u` and four hexadecimal digits, as in JSON.
pub(crate) fn cell(text: &str) -> Cow<'_, str> {
    escape(text, &[])
}

/// Like [`cell`], for a message or a question of several lines.
pub(crate) fn message(text: &str) -> Cow<'_, str> {
    escape(text, &['\n'])
}

/// Returns equal JSON without unprintable characters. Line breaks between tokens are kept.
pub(crate) fn json(json: &str) -> Cow<'_, str> {
    // JSON forbids these three in strings, so each is white space between tokens. All other
    // unprintable characters are in strings.
    escape(json, &['\n', '\r', '\t'])
}

/// Returns an equal value of JSON for a place in YAML. YAML 1.1 also breaks lines at separators that
/// JSON allows in strings, and knows no byte order marks there.
pub(crate) fn yaml(json: &str) -> Cow<'_, str> {
    escape_if(json, |character| {
        is_unprintable(character)
            || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    })
}

/// Returns equal JSON on one line without unprintable characters. Payloads keep the line breaks
/// their clients sent between tokens.
pub(crate) fn json_line(json: &str) -> Cow<'_, str> {
    match self::json(json) {
        json if json.contains(['\n', '\r', '\t']) => json.replace(['\n', '\r', '\t'], " ").into(),
        json => json,
    }
}

/// Returns a CSV cell that no spreadsheet runs: a `'` in front makes it text.
pub(crate) fn formula(cell: String) -> String {
    if cell.starts_with(FORMULA_STARTS) { format!("'{cell}") } else { cell }
}

fn escape<'a>(text: &'a str, kept: &[char]) -> Cow<'a, str> {
    escape_if(text, |character| is_unprintable(character) && !kept.contains(&character))
}

fn escape_if(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_escaped(character) {
            // All of them have at most four digits. Writing to a string cannot fail.
            write!(escaped, "\\u{:04x}", u32::from(character)).ok();
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Escape, DEL, the C1 form of `ESC [`, an override and an isolate of direction.
    const HOSTILE: &str = "a\u{1b}[2J\u{7f}\u{9b}1m\u{202e}b\u{2066}é😀";

    #[test]
    fn cell_is_one_line_without_unprintable_characters() {
        assert_eq!(cell(HOSTILE), "a\\u001b[2J\\u007f\\u009b1m\\u202eb\\u2066é😀");
        assert_eq!(cell("a\r\n\tb"), "a\\u000d\\u000a\\u0009b");
        assert_eq!(message("a\nb\r"), "a\nb\\u000d");
        assert!(matches!(cell("plain é"), Cow::Borrowed(_)));
    }

    #[test]
    fn escaped_json_has_the_same_values() {
        let text = serde_json::to_string_pretty(&serde_json::json!({"k": [HOSTILE, 1]})).unwrap();
        let escaped = json(&text);
        assert!(!escaped.chars().any(|found| is_unprintable(found) && found != '\n'), "{escaped}");
        let values = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(values(&escaped), values(&text));
        let line = json_line("{\n\t\"a\":\r\n\"\\n\u{85}\"}");
        assert_eq!(line, "{  \"a\":  \"\\n\\u0085\"}");
    }

    #[test]
    fn cell_with_a_formula_becomes_text() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1"] {
            assert_eq!(formula(text.to_owned()), format!("'{text}"));
        }
        for text in ["", "a=1", "{\"a\":1}", "2026-11-22T10:00:00Z", "'=1"] {
            assert_eq!(formula(text.to_owned()), text);
        }
    }
}
