//! Renders a JSON result for a terminal: each list as a table, and every other member as a line
//! with name and value.
//!
//! The output is for people only. Scripts use JSON.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Map, Value};

use crate::escape;

#[must_use]
pub(crate) fn render(result: &Value) -> String {
    match result {
        Value::Object(members) => object(members),
        other => cell(other),
    }
}

fn object(members: &Map<String, Value>) -> String {
    let mut parts = Vec::new();
    let mut values = new_table();
    for (name, value) in members {
        match value {
            // A list of texts, such as scopes, fits into one cell.
            Value::Array(rows) if rows.iter().all(Value::is_object) => parts.push(list(name, rows)),
            Value::Object(inner) if !inner.is_empty() => {
                for (inner_name, value) in inner {
                    values.add_row([format!("{name}.{inner_name}"), cell(value)]);
                }
            }
            value => {
                values.add_row([name.clone(), cell(value)]);
            }
        }
    }
    if !values.is_empty() {
        // Single values come first, in front of the lists.
        parts.insert(0, lines(&values));
    }
    parts.join("\n\n")
}

fn list(name: &str, rows: &[Value]) -> String {
    // An empty list has no members to name the columns.
    let Some(Value::Object(first)) = rows.first() else {
        return format!("no {}", name.replace('_', " "));
    };
    let mut table = new_table();
    // Every row of a list has the members of the first.
    table.set_header(first.keys());
    for row in rows {
        table.add_row(first.keys().map(|column| row.get(column).map(cell).unwrap_or_default()));
    }
    lines(&table)
}

fn new_table() -> Table {
    let mut table = Table::new();
    // No wrapping: one row is one line.
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// Removes the padding, which would wrap on a narrow terminal.
fn lines(table: &Table) -> String {
    table
        .lines()
        .map(|line| line.trim_end().trim_start_matches(' ').to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => escape::cell(text).into_owned(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(" "),
        Value::Object(members) if members.is_empty() => "–".to_owned(),
        // Payloads stay JSON.
        other => escape::cell(&other.to_string()).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn list_becomes_a_table_with_a_header() {
        let text = render(&json!({"tenants": [
            {"id": "1", "name": "Acme", "limits": {}},
            {"id": "10", "name": "漢字", "limits": null},
        ]}));
        let lines: Vec<_> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
        assert_eq!(lines, [["id", "name", "limits"], ["1", "Acme", "–"], ["10", "漢字", "–"]]);
        assert_eq!(render(&json!({"api_keys": []})), "no api keys");
    }

    #[test]
    fn text_of_clients_cannot_control_the_terminal() {
        let text = render(&json!({
            "title": "\u{9b}2J",
            "events": [{"event_id": "a\n\u{1b}[1A\u{202e}b", "properties": {"p": "\u{9d}0;x\u{7f}"}}],
        }));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "title  \\u009b2J");
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[3].starts_with("a\\u000a\\u001b[1A\\u202eb  "), "{text}");
        assert!(lines[3].ends_with("{\"p\":\"\\u009d0;x\\u007f\"}"), "{text}");
    }

    #[test]
    fn object_becomes_names_and_values() {
        let text = render(
            &json!({"id": "1", "scopes": ["a", "b"], "limits": {"events_burst": 5}, "key": null}),
        );
        let lines: Vec<_> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
        assert_eq!(
            lines,
            [
                vec!["id", "1"],
                vec!["scopes", "a", "b"],
                vec!["limits.events_burst", "5"],
                vec!["key", "–"]
            ]
        );
    }
}
