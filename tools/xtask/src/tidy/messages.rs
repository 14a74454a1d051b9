//! Rule for log messages: `docs/LOGGING.md` explains each one.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};

use super::finding::Finding;
use super::syntax::{Source, is_punct};

/// The page that explains the messages.
pub(crate) const PAGE: &str = "docs/LOGGING.md";
/// The macros that log a line.
const MACROS: [&str; 6] = ["crit", "error", "warn", "info", "debug", "trace"];

/// Returns the messages in the code of a source, without tests.
pub(crate) fn messages_of(source: &Source) -> BTreeSet<String> {
    let mut messages = BTreeSet::new();
    add_messages(source.code.clone(), &mut messages);
    messages
}

fn add_messages(tokens: TokenStream, messages: &mut BTreeSet<String>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, tree) in trees.iter().enumerate() {
        let TokenTree::Group(group) = tree else { continue };
        let is_log = index >= 2
            && is_punct(trees.get(index - 1), '!')
            && matches!(&trees[index - 2], TokenTree::Ident(name) if MACROS.iter().any(|log| name == log));
        if is_log {
            messages.extend(first_text(group.stream()));
        }
        add_messages(group.stream(), messages);
    }
}

/// Returns the first literal text: the logger before it is an expression without one.
fn first_text(tokens: TokenStream) -> Option<String> {
    tokens.into_iter().find_map(|tree| match tree {
        TokenTree::Literal(literal) => {
            let text = literal.to_string();
            text.strip_prefix('"')?.strip_suffix('"').map(str::to_owned)
        }
        _ => None,
    })
}

/// Checks that the page explains every message, as code.
pub(crate) fn page_findings(messages: &BTreeSet<String>, page: &str) -> Vec<Finding> {
    let missing = messages.iter().filter(|message| !page.contains(&format!("`{message}`")));
    missing
        .map(|message| Finding::whole(format!("does not explain the log message {message:?}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_messages(text: &str, expected: &[&str]) {
        let source = Source::read(text).expect("Rust");
        let messages = messages_of(&source);
        assert_eq!(messages.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn message_is_the_first_text_of_a_log_macro() {
        check_messages("fn f() { info!(log, \"one\"; KEY => \"two\") }", &["one"]);
        check_messages(
            "fn f() { if a { warn!(self.log(), \"one\") } error!(b, \"two\"); }",
            &["one", "two"],
        );
        check_messages(
            "fn f() { println!(\"one\"); log::info(\"two\"); assert!(a, \"three\") }",
            &[],
        );
        check_messages("#[cfg(test)] mod tests { fn f() { info!(log, \"one\") } }", &[]);
    }

    #[test]
    fn page_explains_each_message_as_code() {
        let messages = ["one".to_owned(), "two".to_owned()].into();
        assert_eq!(page_findings(&messages, "| `one`, `two` |"), []);
        let findings = page_findings(&messages, "`one` and two");
        assert_eq!(findings, [Finding::whole("does not explain the log message \"two\"")]);
    }
}
