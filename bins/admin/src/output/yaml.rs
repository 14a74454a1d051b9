//! Results as YAML: mappings and lists in block style, and every other value as in JSON, which YAML
//! 1.2 contains.
//!
//! So no text can be taken for a number or a date, or for another key. The libraries leave text
//! unquoted where they can, and with it characters that a terminal obeys.

use serde_json::Value;

use crate::escape;

/// Keys with another meaning than text in YAML 1.1.
const RESERVED: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

pub(super) fn render(result: &Value) -> String {
    let mut text = lines(result).join("\n");
    text.push('\n');
    text
}

fn lines(value: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                let key = key(name);
                if is_block(value) {
                    lines.push(format!("{key}:"));
                    lines.extend(self::lines(value).iter().map(|line| format!("  {line}")));
                } else {
                    lines.push(format!("{key}: {}", scalar(value)));
                }
            }
        }
        Value::Array(values) if !values.is_empty() => {
            for value in values {
                // The first line of an element follows its dash.
                for (index, line) in self::lines(value).iter().enumerate() {
                    lines.push(format!("{}{line}", if index == 0 { "- " } else { "  " }));
                }
            }
        }
        other => lines.push(scalar(other)),
    }
    lines
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(values) => !values.is_empty(),
        _ => false,
    }
}

/// A key without quotes if it is a word, such as the names of all members but those in payloads.
fn key(name: &str) -> String {
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && !RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name));
    if is_word { name.to_owned() } else { scalar(&Value::from(name)) }
}

fn scalar(value: &Value) -> String {
    escape::yaml(&value.to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_those_of_json_and_cannot_control_a_terminal() {
        let yaml = render(&json!({
            "tenants": [
                {"id": "1", "name": "no", "limits": {}, "scopes": ["a: b", "- c"]},
                {"limits": {"events_burst": 5}, "rows": [[1, 2], []]},
            ],
            "created_at": "2026-11-22T10:00:00.123456Z",
            "ratio": -1.5,
            "none": null,
            "No": true,
            "a b": "#",
            "hostile\u{202e}": "a\n\u{9b}2J\u{202e}\u{2028}\"\\é",
        }));
        let expected = r##"tenants:
  - id: "1"
    name: "no"
    limits: {}
    scopes:
      - "a: b"
      - "- c"
  - limits:
      events_burst: 5
    rows:
      - - 1
        - 2
      - []
created_at: "2026-11-22T10:00:00.123456Z"
ratio: -1.5
none: null
"No": true
"a b": "#"
"hostile\u202e": "a\n\u009b2J\u202e\u2028\"\\é"
"##;
        assert_eq!(yaml, expected);
        assert_eq!(render(&json!({})), "{}\n");
    }
}
