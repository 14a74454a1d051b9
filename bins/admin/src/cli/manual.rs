//! Manual pages from the definitions, in the language of roff with the macros of man(7): one for the
//! program, and one for each of its commands, with the commands behind it.

use super::grammar::{Flag, Node, Positional, is_required, placeholder, with_value};
use super::help::{columns, examples, first_sentence, usage};
use crate::terminal::PROGRAM;

/// Section of commands for administrators.
const SECTION: &str = "8";

/// A manual page.
pub(crate) struct Page {
    /// Name of its file, such as `mercurio-admin-tenant.8`.
    pub(crate) file: String,
    /// Its source.
    pub(crate) text: String,
}

/// Returns the page of the program, followed by those of its commands. `date` is the day in their
/// footers.
pub(crate) fn pages(program: &Node<'_>, date: &str) -> Vec<Page> {
    let mut pages = vec![program_page(program, date)];
    pages.extend(program.children().map(|command| command_page(&command, date)));
    pages
}

/// Name of the page of a command: `mercurio-admin-tenant`.
fn page_name(node: &Node<'_>) -> String {
    node.call().replace(' ', "-")
}

fn program_page(program: &Node<'_>, date: &str) -> Page {
    let mut roff = Roff::page(program, date);
    roff.section("SYNOPSIS");
    roff.bold_line(&synopsis(program));
    roff.section("DESCRIPTION");
    roff.paragraphs(program.info.description);
    for note in program.info.notes {
        roff.macro_line("PP");
        roff.paragraphs(note);
    }
    roff.section("COMMANDS");
    for command in program.children() {
        let page = format!("{}({SECTION})", page_name(&command));
        roff.entry(&page, first_sentence(command.info.description));
    }
    roff.section("OPTIONS");
    roff.options(program);
    roff.examples(program);
    roff.section("EXIT STATUS");
    for code in program.info.error_codes {
        roff.entry(&code.code.to_string(), code.description);
    }
    let commands = program.children().map(|command| page_name(&command));
    roff.see_also(["mercurio-ingest".to_owned()].into_iter().chain(commands));
    roff.into_page(program)
}

fn command_page(command: &Node<'_>, date: &str) -> Page {
    let mut roff = Roff::page(command, date);
    let leaves: Vec<_> = command.all().into_iter().filter(|node| !node.is_group()).collect();
    roff.section("SYNOPSIS");
    for (index, leaf) in leaves.iter().enumerate() {
        if index > 0 {
            roff.macro_line("br");
        }
        roff.bold_line(&synopsis(leaf));
    }
    roff.section("DESCRIPTION");
    roff.paragraphs(command.info.description);
    if command.is_group() {
        roff.section("COMMANDS");
        for leaf in &leaves {
            roff.subsection(&leaf.name());
            roff.paragraphs(leaf.info.description);
            roff.arguments(leaf);
        }
    } else {
        roff.section("OPTIONS");
        roff.arguments(command);
    }
    roff.examples(command);
    roff.see_also([PROGRAM.to_owned()]);
    roff.into_page(command)
}

/// The usage on one line, for the formatter to break.
fn synopsis(node: &Node<'_>) -> String {
    let usage = usage(node);
    let words = usage.strip_prefix("Usage: ").unwrap_or(&usage).split_whitespace();
    words.collect::<Vec<_>>().join(" ")
}

struct Roff(String);

impl Roff {
    fn page(node: &Node<'_>, date: &str) -> Self {
        let name = page_name(node);
        let mut roff = Self(String::new());
        let title = escaped(&name.to_uppercase());
        let version = env!("CARGO_PKG_VERSION");
        roff.macro_line(&format!("TH {title} {SECTION} {date} \"Mercurio {version}\" Mercurio"));
        // Neither hyphens in options nor gaps between words.
        roff.macro_line("nh");
        roff.macro_line("ad l");
        roff.section("NAME");
        let summary = first_sentence(node.info.description);
        roff.raw_line(&format!("{} \\- {}", escaped(&name), escaped(summary)));
        roff
    }

    fn into_page(self, node: &Node<'_>) -> Page {
        Page { file: format!("{}.{SECTION}", page_name(node)), text: self.0 }
    }

    fn raw_line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn macro_line(&mut self, line: &str) {
        self.raw_line(&format!(".{line}"));
    }

    fn section(&mut self, title: &str) {
        self.macro_line(&format!("SH {title}"));
    }

    fn subsection(&mut self, title: &str) {
        self.macro_line(&format!("SS {}", escaped(title)));
    }

    fn bold_line(&mut self, text: &str) {
        self.raw_line(&format!("\\fB{}\\fR", escaped(text)));
    }

    /// A text of several paragraphs. Indented lines stay as they are.
    fn paragraphs(&mut self, text: &str) {
        let mut is_fixed = false;
        for line in text.lines() {
            if line.starts_with(' ') != is_fixed {
                is_fixed = !is_fixed;
                self.macro_line(if is_fixed { "nf" } else { "fi" });
            }
            self.raw_line(&prose(line));
        }
        if is_fixed {
            self.macro_line("fi");
        }
    }

    /// A name with its description below.
    fn entry(&mut self, name: &str, description: &str) {
        self.macro_line("TP");
        self.bold_line(name);
        self.raw_line(&prose(description));
    }

    fn options(&mut self, node: &Node<'_>) {
        for flag in node.flags() {
            self.option(flag);
        }
        self.entry("-h, --help", "show this help");
    }

    fn option(&mut self, flag: Flag) {
        let short = flag.short.map(|short| format!("-{short}, ")).unwrap_or_default();
        let required = if is_required(&flag.optionality) { " (required)" } else { "" };
        let description = format!("{}{required}", flag.description);
        self.entry(&format!("{short}{}", with_value(flag)), &description);
    }

    /// Arguments, options and notes of a command.
    fn arguments(&mut self, leaf: &Node<'_>) {
        for positional in leaf.positionals() {
            self.positional(positional);
        }
        self.options(leaf);
        let notes = leaf.info.notes.iter();
        let notes = notes.map(|note| note.replace("{command_name}", &leaf.call()));
        for note in notes.chain(columns(leaf)) {
            self.macro_line("PP");
            self.paragraphs(&note);
        }
    }

    fn positional(&mut self, positional: Positional) {
        self.entry(&placeholder(positional.name), positional.description);
    }

    /// Examples of a command and of those behind it.
    fn examples(&mut self, node: &Node<'_>) {
        let nodes = if node.is_program() { vec![node.clone()] } else { node.all() };
        let examples: Vec<_> = nodes.iter().flat_map(examples).collect();
        if examples.is_empty() {
            return;
        }
        self.section("EXAMPLES");
        self.macro_line("nf");
        for example in examples {
            self.raw_line(&escaped(&example));
        }
        self.macro_line("fi");
    }

    fn see_also(&mut self, names: impl IntoIterator<Item = String>) {
        self.section("SEE ALSO");
        let names = names.into_iter().map(|name| format!("\\fB{}\\fR({SECTION})", escaped(&name)));
        self.raw_line(&names.collect::<Vec<_>>().join(",\n"));
    }
}

/// Text with `code` in bold.
fn prose(text: &str) -> String {
    let mut prose = String::with_capacity(text.len() + 16);
    for (index, part) in text.split('`').enumerate() {
        let is_code = index % 2 == 1;
        let part = escaped(part);
        prose.push_str(&if is_code { format!("\\fB{part}\\fR") } else { part });
    }
    // Begins a macro otherwise.
    if prose.starts_with(['.', '\'']) { format!("\\&{prose}") } else { prose }
}

/// Text that roff prints as it is. A plain `-` would become a hyphen, which no shell takes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('…', "...")
}
