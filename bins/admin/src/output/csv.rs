//! Results as comma-separated values with a header (RFC 4180): the rows of a list, or one row for
//! any other result.

use std::borrow::Cow;
use std::io;

use serde_json::{Map, Value};

use super::layout::Layout;
use crate::escape;

/// Renders a result. `columns` selects some; empty: all. On a terminal, unprintable characters are
/// escaped.
pub(super) fn render(
    result: &Value,
    layout: Option<&Layout>,
    columns: &[&str],
    is_terminal: bool,
) -> io::Result<Vec<u8>> {
    let rows = rows(result);
    let names: Vec<Cow<'_, str>> = match (rows.first(), layout) {
        _ if !columns.is_empty() => columns.iter().map(|name| Cow::Borrowed(*name)).collect(),
        (Some(first), _) => first.iter().map(|cell| cell.name.clone()).collect(),
        // Without rows, the header still names the columns.
        (None, Some(layout)) => layout.columns().map(Cow::Borrowed).collect(),
        (None, None) => Vec::new(),
    };
    let mut bytes = record(names.iter().map(|name| name.as_bytes()))?;
    for row in &rows {
        let cells = names.iter().map(|name| match row.iter().find(|cell| cell.name == *name) {
            Some(cell) => text(cell.value, is_terminal),
            None => String::new(),
        });
        bytes.extend(record(cells)?);
    }
    Ok(bytes)
}

/// A value with the name of its column: `limits.events_burst` in an object of an object.
struct Cell<'a> {
    name: Cow<'a, str>,
    value: &'a Value,
}

fn rows(result: &Value) -> Vec<Vec<Cell<'_>>> {
    let Value::Object(members) = result else { return Vec::new() };
    // A result has one list at most, and sums next to it.
    let list = members.values().find_map(|value| match value {
        Value::Array(rows) if rows.iter().all(Value::is_object) => Some(rows),
        _ => None,
    });
    match list {
        Some(rows) => rows
            .iter()
            .filter_map(Value::as_object)
            .map(|row| {
                // Payloads stay JSON: their members differ from row to row.
                let cells = row.iter();
                cells.map(|(name, value)| Cell { name: name.into(), value }).collect()
            })
            .collect(),
        None => vec![flat(members)],
    }
}

fn flat(members: &Map<String, Value>) -> Vec<Cell<'_>> {
    let mut cells = Vec::new();
    for (name, value) in members {
        match value {
            Value::Object(inner) => cells.extend(inner.iter().map(|(inner_name, value)| Cell {
                name: format!("{name}.{inner_name}").into(),
                value,
            })),
            value => cells.push(Cell { name: name.into(), value }),
        }
    }
    cells
}

/// The text of a cell: nothing for `null`, words for a list of texts, JSON for anything more complex.
fn text(value: &Value, is_terminal: bool) -> String {
    let text = match value {
        Value::Null => return String::new(),
        // A number is no formula, even a negative one.
        Value::Number(number) => return number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.iter().all(Value::is_string) => {
            values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    let text = escape::formula(text);
    if is_terminal { escape::cell(&text).into_owned() } else { text }
}

/// Returns a record as bytes with its line break.
///
/// # Errors
/// Those of the writer; memory has none.
pub(crate) fn record<T: AsRef<[u8]>>(cells: impl IntoIterator<Item = T>) -> io::Result<Vec<u8>> {
    let mut record = csv::WriterBuilder::new()
        // RFC 4180 ends lines with CRLF.
        .terminator(csv::Terminator::CRLF)
        // A spreadsheet that splits at `;` must not find a formula behind one.
        .quote_style(csv::QuoteStyle::Always)
        .from_writer(Vec::new());
    record.write_record(cells)?;
    record.into_inner().map_err(csv::IntoInnerError::into_error)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render_text(result: &Value, columns: &[&str]) -> String {
        let layout = Layout::of("tenant list");
        String::from_utf8(render(result, layout, columns, false).unwrap()).unwrap()
    }

    #[test]
    fn list_has_a_row_for_each_of_its_objects() {
        let result = json!({"state": "ok", "tenants": [
            {"id": "1", "name": "A \"b\"", "scopes": ["x", "y"], "events": -5, "limits": {"a": 1}},
            {"id": "2", "name": null, "scopes": [], "events": 7, "limits": {}},
        ]});
        let expected = "\"id\",\"name\",\"scopes\",\"events\",\"limits\"\r\n\
                        \"1\",\"A \"\"b\"\"\",\"x y\",\"-5\",\"{\"\"a\"\":1}\"\r\n\
                        \"2\",\"\",\"\",\"7\",\"{}\"\r\n";
        assert_eq!(render_text(&result, &[]), expected);
        assert_eq!(render_text(&result, &["name"]), "\"name\"\r\n\"A \"\"b\"\"\"\r\n\"\"\r\n");
    }

    #[test]
    fn empty_list_still_has_its_header() {
        let header = "\"id\",\"name\",\"status\",\"created_at\"\r\n";
        assert_eq!(render_text(&json!({"tenants": []}), &[]), header);
    }

    #[test]
    fn object_is_one_row_with_the_members_of_its_objects() {
        let result = json!({"id": "1", "usage": {"month": "2026-11", "events": 3}});
        let expected = "\"id\",\"usage.month\",\"usage.events\"\r\n\"1\",\"2026-11\",\"3\"\r\n";
        assert_eq!(render_text(&result, &[]), expected);
    }

    #[test]
    fn text_that_begins_like_a_formula_stays_text() {
        let result = json!({"name": "=1+1", "events": -1});
        assert_eq!(
            render_text(&result, &["name", "events"]),
            "\"name\",\"events\"\r\n\"'=1+1\",\"-1\"\r\n"
        );
        let hostile = json!({"name": "\u{9b}2J"});
        let file = render(&hostile, None, &[], false).unwrap();
        assert!(String::from_utf8(file).unwrap().contains('\u{9b}'));
        let terminal = render(&hostile, None, &[], true).unwrap();
        assert!(String::from_utf8(terminal).unwrap().contains("\\u009b2J"));
    }
}
