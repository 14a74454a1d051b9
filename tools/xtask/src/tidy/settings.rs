//! Rules for settings: the code reads exactly those in `.env.example`, and each has a comment
//! there.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};

use super::finding::Finding;
use super::syntax::Source;

/// Returns the names of settings in the code of a source, in literals as well, without comments and
/// tests.
pub(crate) fn settings_of(source: &Source) -> BTreeSet<String> {
    let mut settings = BTreeSet::new();
    add_settings(source.code.clone(), &mut settings);
    settings
}

fn add_settings(tokens: TokenStream, settings: &mut BTreeSet<String>) {
    let mut before = [String::new(), String::new()];
    for tree in tokens {
        match tree {
            // The compiler reads `env!("…")`, from a build script.
            TokenTree::Group(_) if before == ["env", "!"] => {}
            TokenTree::Group(ref group) => add_settings(group.stream(), settings),
            TokenTree::Punct(_) => {}
            ref word => settings.extend(names_in(&word.to_string()).map(str::to_owned)),
        }
        // The last two tokens before a group identify `env!`.
        let [_, last] = before;
        before =
            [last, if let TokenTree::Group(_) = tree { String::new() } else { tree.to_string() }];
    }
}

fn names_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    words.filter(|word| is_setting(word))
}

/// Whether a word is the name of a setting. A prefix alone is none, and `MERCURIO_TEST_…` is for
/// tests.
pub(crate) fn is_setting(word: &str) -> bool {
    let is_ours = word.strip_prefix("MERCURIO_").is_some_and(|rest| {
        !rest.is_empty()
            && !rest.ends_with('_')
            && !rest.starts_with("TEST_")
            && !rest.contains(|char: char| char.is_ascii_lowercase())
    });
    is_ours
        || ["OTEL_", "SEED_"].iter().any(|prefix| word.starts_with(prefix))
        || ["DATABASE_URL", "DATABASE_URL_FILE"].contains(&word)
}

/// Compares the example file with the settings in the code.
pub(crate) fn example_findings(read: &BTreeSet<String>, example: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut described = BTreeSet::new();
    let mut after_comment = false;
    for (index, line) in example.lines().map(str::trim).enumerate() {
        // A commented line is a setting with its default.
        let name = line.trim_start_matches(['#', ' ']).split_once('=').map(|parts| parts.0.trim());
        let Some(name) = name.filter(|name| is_setting(name)) else {
            after_comment = line.starts_with('#');
            continue;
        };
        if !after_comment {
            findings.push(Finding::at(index + 1, format!("{name} has no comment above it")));
        }
        if !read.contains(name) {
            findings.push(Finding::at(index + 1, format!("no code reads {name}")));
        }
        described.insert(name.to_owned());
        after_comment = false;
    }
    for name in read.difference(&described) {
        findings.push(Finding::whole(format!("lacks {name}, which the code reads")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_settings(text: &str, expected: &[&str]) {
        let source = Source::read(text).expect("Rust");
        let settings = settings_of(&source);
        assert_eq!(settings.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn setting_is_found_in_code_but_not_in_comments_and_tests() {
        check_settings("fn f() { get(\"MERCURIO_ADDR\") }", &["MERCURIO_ADDR"]);
        check_settings("fn f() { get(\"SEED_TENANT_NAME\") }", &["SEED_TENANT_NAME"]);
        check_settings(
            "fn f() { get(\"DATABASE_URL\"); format!(\"set MERCURIO_B2_MS=1\") }",
            &["DATABASE_URL", "MERCURIO_B2_MS"],
        );
        check_settings(
            "/// MERCURIO_ADDR\nmod a { } // MERCURIO_A\n#[cfg(test)] mod tests { const A: &str = \"MERCURIO_B\"; }",
            &[],
        );
        check_settings(
            "fn f() { concat!(\"a\", env!(\"MERCURIO_BUILD_HASH\")); get(\"MERCURIO_ADDR\") }",
            &["MERCURIO_ADDR"],
        );
        check_settings(
            "fn f() { starts_with(\"MERCURIO_\"); [\"MERCURIO_RATE_\", \"MERCURIO_TEST_POSTGRES_URL\"]; MERCURIO_Odd }",
            &[],
        );
    }

    #[track_caller]
    fn check_example(example: &str, expected: &[&str]) {
        let read = ["DATABASE_URL", "MERCURIO_ADDR"].map(str::to_owned).into();
        let findings = example_findings(&read, example);
        let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(messages, expected, "{example}");
    }

    #[test]
    fn example_describes_the_settings_of_the_code_alone() {
        check_example("# Where.\nDATABASE_URL=a\n\n# Listen.\n# MERCURIO_ADDR=b\n", &[]);
        check_example("# Where.\nDATABASE_URL=a\n", &["lacks MERCURIO_ADDR, which the code reads"]);
        check_example(
            "# Where.\nDATABASE_URL=a\nMERCURIO_ADDR=b\n",
            &["MERCURIO_ADDR has no comment above it"],
        );
        check_example(
            "# Where.\nDATABASE_URL=a\n# Listen.\nMERCURIO_ADDR=b\n# Odd.\n# MERCURIO_ODD=\n",
            &["no code reads MERCURIO_ODD"],
        );
    }
}
