//! Renders a result for people: each list as a table, and every other member as a line with name
//! and value. Scripts use the other formats.

use serde_json::{Map, Value};

use super::layout::Layout;
use super::words::{Colour, heading, state_colour};
use crate::escape;
use crate::text::{width, wrap};

/// Between two columns.
const GAP: usize = 2;
/// A longer word is broken if its table does not fit. Ids and times are shorter.
const LONGEST_WORD: usize = 40;
/// Least columns of a broken word.
const BROKEN_WORD: usize = 20;
/// In place of a missing value.
const NONE: &str = "–";

/// How a result is rendered.
#[derive(Default)]
pub(super) struct Look<'a> {
    pub(super) layout: Option<&'static Layout>,
    /// Chosen columns; empty: those of the layout.
    pub(super) columns: &'a [&'static str],
    /// All columns, and values in full.
    pub(super) wide: bool,
    /// Columns of the terminal; `None`: no limit.
    pub(super) width: Option<usize>,
    pub(super) colours: bool,
}

impl Look<'_> {
    pub(super) fn render(&self, result: &Value) -> String {
        match result {
            Value::Object(members) => self.object(members),
            other => cell(other),
        }
    }

    fn object(&self, members: &Map<String, Value>) -> String {
        let mut values = Vec::new();
        let mut sections = Vec::new();
        for (name, value) in members {
            match value {
                // A list of texts, such as scopes, fits into one cell.
                Value::Array(rows) if rows.iter().all(Value::is_object) => {
                    sections.push(self.list(name, rows));
                }
                Value::Object(inner) if !inner.is_empty() => match id_and_name(inner) {
                    Some(text) => values.push(Line { label: heading(name), value: text }),
                    None => sections.push(self.section(name, inner)),
                },
                value => {
                    values.push(Line { label: heading(name), value: self.text(name, value) });
                }
            }
        }
        if !values.is_empty() {
            // Single values come first, in front of sections and lists.
            sections.insert(0, self.lines(&values, ""));
        }
        sections.join("\n\n")
    }

    fn section(&self, name: &str, members: &Map<String, Value>) -> String {
        let mut values = Vec::with_capacity(members.len());
        for (member, value) in members {
            // Limits are named as `tenant limits --set` takes them.
            let label = if name == "limits" { member.clone() } else { heading(member) };
            values.push(Line { label, value: self.text(member, value) });
        }
        format!("{}\n{}", self.title(&heading(name)), self.lines(&values, "  "))
    }

    /// Names and values, below each other.
    fn lines(&self, values: &[Line], indent: &str) -> String {
        let labels = values.iter().map(|line| width(&line.label)).max().unwrap_or_default();
        let start = indent.len() + labels + GAP;
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(start).max(20));
        let mut lines = Vec::new();
        for Line { label, value } in values {
            let mut label = format!("{indent}{}", pad(label, labels, false));
            // A key stays on one line, so that it can be copied.
            for part in wrap(value, room, usize::MAX) {
                lines.push(format!("{label}  {}", self.state(label.trim(), &part)));
                label = " ".repeat(start - GAP);
            }
        }
        lines.join("\n")
    }

    fn list(&self, name: &str, rows: &[Value]) -> String {
        // An empty list has no members to name the columns.
        let Some(Value::Object(first)) = rows.first() else {
            return format!("no {}", heading(name).replacen("API", "api", 1).to_lowercase());
        };
        let layout = self.layout.filter(|layout| layout.list == name);
        let (names, fewest) = match layout {
            Some(_) if !self.columns.is_empty() => (self.columns.to_vec(), self.columns.len()),
            Some(layout) if self.wide => (layout.columns().collect(), usize::MAX),
            Some(layout) => (layout.default_columns(), layout.fewest()),
            None => (first.keys().map(String::as_str).collect(), usize::MAX),
        };
        let mut columns: Vec<_> = names.into_iter().map(|name| self.column(name, rows)).collect();
        if let Some(width) = self.width {
            fit(&mut columns, width, fewest);
        }
        let heading = columns.iter().map(|column| pad(&column.heading, column.width, column.right));
        let mut lines = vec![self.title(heading.collect::<Vec<_>>().join("  ").trim_end())];
        for row in 0..rows.len() {
            self.push_row(&columns, row, &mut lines);
        }
        lines.join("\n")
    }

    fn column(&self, name: &str, rows: &[Value]) -> Column {
        let values: Vec<_> = rows.iter().map(|row| row.get(name).unwrap_or(&Value::Null)).collect();
        let cells: Vec<_> = values.iter().map(|value| self.text(name, value)).collect();
        let is_number = |value: &&Value| value.is_number();
        let heading = heading(name);
        Column {
            width: cells.iter().map(|cell| width(cell)).max().unwrap_or(0).max(width(&heading)),
            least: cells
                .iter()
                .flat_map(|cell| cell.split(' '))
                .map(|word| match width(word) {
                    broken if broken > LONGEST_WORD => BROKEN_WORD,
                    whole => whole,
                })
                .max()
                .unwrap_or_default()
                .max(width(&heading)),
            // Numbers of one column are aligned, whatever their length.
            right: values.iter().any(is_number)
                && values.iter().all(|value| value.is_null() || value.is_number()),
            heading,
            cells,
        }
    }

    /// Adds a row, which has several lines if a cell was wrapped.
    fn push_row(&self, columns: &[Column], row: usize, lines: &mut Vec<String>) {
        let cells: Vec<_> = columns
            .iter()
            .map(|column| wrap(&column.cells[row], column.width, LONGEST_WORD))
            .collect();
        for number in 0..cells.iter().map(Vec::len).max().unwrap_or_default() {
            let mut line = String::new();
            for (column, cell) in columns.iter().zip(&cells) {
                let text = cell.get(number).map_or("", String::as_str);
                let text = pad(text, column.width, column.right);
                line.push_str(&self.state(&column.heading, &text));
                line.push_str("  ");
            }
            lines.push(line.trim_end().to_owned());
        }
    }

    /// A value as one line of text.
    fn text(&self, name: &str, value: &Value) -> String {
        let text = cell(value);
        // Microseconds help no one at a glance; the format stays the one of `--from`.
        let is_time = name.ends_with("_at") || name.ends_with("timestamp");
        match text.split_once('.') {
            Some((seconds, _)) if is_time && !self.wide => format!("{seconds}Z"),
            _ => text,
        }
    }

    fn title(&self, text: &str) -> String {
        Colour::Bold.paint(text, self.colours)
    }

    /// Paints the text of a column that holds states.
    fn state(&self, heading: &str, text: &str) -> String {
        match state_colour(heading, text.trim()) {
            Some(colour) => colour.paint(text, self.colours),
            None => text.to_owned(),
        }
    }
}

/// A value with its name.
struct Line {
    label: String,
    value: String,
}

struct Column {
    heading: String,
    cells: Vec<String>,
    width: usize,
    /// The longest word, which is not broken.
    least: usize,
    right: bool,
}

/// Leaves out those columns behind the `fewest` first ones that do not fit, and narrows the widest ones
/// until the table does.
fn fit(columns: &mut Vec<Column>, max: usize, fewest: usize) {
    let mut taken = 0;
    let mut index = 0;
    columns.retain(|column| {
        let with_it = taken + column.width + GAP;
        let is_kept = index < fewest || with_it - GAP <= max;
        index += 1;
        taken = if is_kept { with_it } else { taken };
        is_kept
    });
    while let Some(excess) = total(columns).checked_sub(max).filter(|excess| *excess > 0) {
        let widest = columns.iter_mut().filter(|column| column.width > column.least);
        let Some(column) = widest.max_by_key(|column| column.width) else { return };
        // In small steps: columns of one width are narrowed alike.
        column.width -= excess.min(column.width - column.least).min(4);
    }
}

fn total(columns: &[Column]) -> usize {
    columns.iter().map(|column| column.width + GAP).sum::<usize>().saturating_sub(GAP)
}

fn pad(text: &str, to: usize, right: bool) -> String {
    let blanks = " ".repeat(to.saturating_sub(width(text)));
    if right { format!("{blanks}{text}") } else { format!("{text}{blanks}") }
}

/// A tenant or workspace on one line.
fn id_and_name(members: &Map<String, Value>) -> Option<String> {
    let (id, name) = (members.get("id")?, members.get("name")?);
    (members.len() == 2).then(|| format!("{} (id {})", cell(name), cell(id)))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => NONE.to_owned(),
        Value::String(text) => escape::cell(text).into_owned(),
        Value::Array(values) if values.is_empty() => NONE.to_owned(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(" "),
        Value::Object(members) if members.is_empty() => NONE.to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        // Payloads stay JSON.
        other => escape::cell(&other.to_string()).into_owned(),
    }
}

#[cfg(test)]
mod tests;
