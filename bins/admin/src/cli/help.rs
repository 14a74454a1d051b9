//! Usage and help texts from the definitions, 80 columns wide.
//!
//! argh could write them too, but breaks no paragraphs, and neither knows aliases nor options that
//! several commands share.

use argh::Optionality;

use super::grammar::{
    ALIASES, Flag, Node, Positional, is_repeated, is_required, placeholder, with_value,
};
use crate::output::Layout;
use crate::text::{width, wrap};

const WIDTH: usize = 80;
/// Column of descriptions. A longer name has its description on the next line.
const DESCRIPTIONS: usize = 28;

/// Returns the whole help of a command.
pub(super) fn help(node: &Node<'_>) -> String {
    let mut parts = vec![usage(node), paragraphs(node.info.description)];
    let arguments = node.positionals().iter().map(argument).collect::<Vec<_>>();
    parts.extend(section("Arguments", &arguments));
    parts.extend(section("Commands", &node.children().map(command).collect::<Vec<_>>()));
    let mut options: Vec<_> = node.own_flags().map(option).collect();
    options.extend(node.result_flags().map(option));
    options.push(Entry::new("-h, --help", "show this help"));
    parts.extend(section("Options", &options));
    let examples: Vec<_> = examples(node).map(|example| format!("  {example}")).collect();
    if !examples.is_empty() {
        parts.push(format!("Examples:\n{}", examples.join("\n")));
    }
    let notes = node.info.notes.iter();
    parts.extend(notes.map(|note| paragraphs(&note.replace("{command_name}", &node.call()))));
    parts.extend(columns(node).map(|columns| paragraphs(&columns)));
    let codes = node.info.error_codes.iter();
    let codes: Vec<_> =
        codes.map(|code| Entry::new(code.code.to_string(), code.description)).collect();
    parts.extend(section("Exit codes", &codes));
    parts.join("\n\n")
}

/// Returns what a person needs behind an error: the usage, an example, and the way to the help.
pub(super) fn brief(node: &Node<'_>) -> String {
    let mut lines = vec![usage(node)];
    if node.is_group() {
        let names: Vec<_> = node.children().map(|child| child.info.name).collect();
        lines.push(wrapped(&format!("Commands: {}", names.join(", ")), 10));
    } else {
        lines.extend(examples(node).next().map(|example| format!("Example: {example}")));
    }
    lines.push(format!("Help: {} --help", node.call()));
    lines.join("\n")
}

/// Returns the usage: what is required, and in brackets what is not.
pub(super) fn usage(node: &Node<'_>) -> String {
    let mut words = vec![format!("Usage: {}", node.call())];
    words.extend(node.positionals().iter().map(positional_usage));
    let (required, optional): (Vec<_>, Vec<_>) =
        node.own_flags().partition(|flag| is_required(&flag.optionality));
    words.extend(required.into_iter().map(with_value));
    words.extend(optional.into_iter().map(optional_usage));
    words.extend(node.result_flags().map(optional_usage));
    if node.is_group() {
        words.push("<command> …".to_owned());
    }
    // A blank within a word must not be broken, as in `--tenant <tenant>`.
    let words: Vec<_> = words.iter().map(|word| word.replace(' ', "\u{a0}")).collect();
    wrapped(&words.join(" "), 4).replace('\u{a0}', " ")
}

fn positional_usage(positional: Positional) -> String {
    let name = placeholder(positional.name);
    match positional.optionality {
        Optionality::Required => name,
        Optionality::Optional => format!("[{name}]"),
        Optionality::Repeating | Optionality::Greedy => format!("[{name}…]"),
    }
}

fn optional_usage(flag: Flag) -> String {
    let more = if is_repeated(&flag.optionality) { "…" } else { "" };
    format!("[{}]{more}", with_value(flag))
}

pub(super) fn examples<'a>(node: &Node<'a>) -> impl Iterator<Item = String> + use<'a> {
    let call = node.call();
    node.info.examples.iter().map(move |example| example.replace("{command_name}", &call))
}

/// The columns of a command that prints a list.
pub(super) fn columns(node: &Node<'_>) -> Option<String> {
    let layout = Layout::of(&node.name())?;
    Some(format!("Columns: {}.", layout.columns().collect::<Vec<_>>().join(", ")))
}

/// A name with its description.
struct Entry {
    name: String,
    description: String,
}

impl Entry {
    fn new(name: impl Into<String>, description: &str) -> Self {
        Self { name: name.into(), description: description.to_owned() }
    }
}

fn argument(positional: Positional) -> Entry {
    Entry::new(placeholder(positional.name), positional.description)
}

fn command(node: Node<'_>) -> Entry {
    let alias = ALIASES.iter().find(|alias| alias.name == node.info.name);
    let name = match alias {
        Some(alias) => format!("{}, {}", node.info.name, alias.short),
        None => node.info.name.to_owned(),
    };
    Entry::new(name, first_sentence(node.info.description))
}

fn option(flag: Flag) -> Entry {
    let name = match flag.short {
        Some(short) => format!("-{short}, {}", with_value(flag)),
        None => with_value(flag),
    };
    let required = if is_required(&flag.optionality) { " (required)" } else { "" };
    Entry { name, description: format!("{}{required}", flag.description) }
}

/// The first sentence, without its period behind the last word.
pub(crate) fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.')
}

fn section(title: &str, entries: &[Entry]) -> Option<String> {
    if entries.is_empty() {
        return None;
    }
    let mut lines = vec![format!("{title}:")];
    // Close together if all names are short, as exit codes are.
    let longest = entries.iter().map(|entry| width(&entry.name) + 4).max().unwrap_or_default();
    let column = longest.min(DESCRIPTIONS);
    for Entry { name, description } in entries {
        let mut start = format!("  {name}");
        if width(&start) + 2 > column {
            lines.push(start);
            start = String::new();
        }
        for part in wrap(description, WIDTH - column, WIDTH) {
            let blanks = " ".repeat(column - width(&start));
            lines.push(format!("{start}{blanks}{part}"));
            start = String::new();
        }
    }
    Some(lines.join("\n"))
}

/// Breaks paragraphs into lines. Indented lines stay as they are.
fn paragraphs(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with(' ') {
            lines.push(line.to_owned());
        } else {
            lines.push(wrapped(line, 0));
        }
    }
    lines.join("\n")
}

/// Breaks one paragraph, and indents its further lines.
fn wrapped(text: &str, indent: usize) -> String {
    let mut lines = wrap(text, WIDTH, WIDTH);
    if lines.len() > 1 && indent > 0 {
        let first = lines[0].clone();
        let rest = text[first.len()..].trim_start();
        lines = wrap(rest, WIDTH - indent, WIDTH);
        for line in &mut lines {
            line.insert_str(0, &" ".repeat(indent));
        }
        lines.insert(0, first);
    }
    lines.join("\n")
}
