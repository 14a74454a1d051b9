//! Rules for single files: how a source opens, its length, paths of one machine, and pairs of
//! migrations.

use std::collections::BTreeSet;
use std::ops::Range;

use super::finding::Finding;
use super::syntax::Source;

/// Limit of lines of code in a source, without comments, blank lines and tests.
const MAX_CODE_LINES: usize = 400;

/// Checks a Rust source.
pub(crate) fn source_findings(file: &str, source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !source.text.starts_with("//!") {
        findings.push(Finding::at(1, "does not open with `//!`: purpose, promises, limits"));
    }
    let name = file.rsplit('/').next().unwrap_or(file);
    let lines = source.code_lines();
    // A tool prints schema.rs; tests.rs is a test module.
    if lines > MAX_CODE_LINES && !["schema.rs", "tests.rs"].contains(&name) {
        findings.push(Finding::whole(format!(
            "has {lines} lines of code; the limit is {MAX_CODE_LINES}. Split it"
        )));
    }
    findings
}

/// Checks any text for paths that exist only on one machine.
pub(crate) fn machine_path_findings(text: &str) -> Vec<Finding> {
    // In two halves, or this file would report itself.
    let folders = [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"], ["/Us", "ers/"]]
        .map(|halves| halves.concat());
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for folder in &folders {
            let mut found = line.match_indices(folder.as_str());
            if found.any(|(start, _)| is_machine_path(line, start..start + folder.len())) {
                findings.push(Finding::at(
                    index + 1,
                    format!("names a path of one machine ({folder}…)"),
                ));
            }
        }
    }
    findings
}

/// Whether the folder at `found` in `line` begins a path. In a URL, or below another folder, it
/// does not.
fn is_machine_path(line: &str, found: Range<usize>) -> bool {
    let before = line[..found.start].chars().next_back();
    let after = line[found.end..].chars().next();
    // After a letter or a dot, the folder is part of a longer path.
    !before.is_some_and(|char| char.is_alphanumeric() || "._-}*~".contains(char))
        // A blank after the folder is prose, not a path.
        && after.is_some_and(|char| char.is_alphanumeric() || char == '.')
}

/// Checks that both databases have the same migrations, each with its two files.
pub(crate) fn migration_findings(files: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    // The third part of `migrations/<database>/<name>/<file>`.
    let names: BTreeSet<&str> = files.iter().filter_map(|file| file.split('/').nth(2)).collect();
    for name in names {
        let stamp = name.split_once('_').map_or("", |parts| parts.0);
        // diesel's stamps look like `2026-11-28-000000`.
        if stamp.is_empty() || !stamp.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
            findings.push(Finding::whole(format!(
                "{name} is not named <stamp>_<name>; use `just migration NAME`"
            )));
        }
        for database in ["postgres", "sqlite"] {
            for part in ["up.sql", "down.sql"] {
                let file = format!("{database}/{name}/{part}");
                if !files.contains(&format!("migrations/{file}").as_str()) {
                    findings.push(Finding::whole(format!("{file} is missing")));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_source(file: &str, text: &str, expected: usize) {
        let findings = source_findings(file, &Source::read(text).expect("Rust"));
        assert_eq!(findings.len(), expected, "{file}: {findings:?}");
    }

    #[test]
    fn source_opens_with_its_purpose_and_is_short() {
        let longest = "const A: u8 = 1;\n".repeat(MAX_CODE_LINES);
        let one = "const B: u8 = 2;\n";
        check_source("a.rs", "//! What lives here.\n", 0);
        check_source("a.rs", "\n//! Too late.\n", 1);
        check_source("a.rs", "", 1);
        check_source("a.rs", &format!("//! A\n\n// why\n{longest}"), 0);
        check_source("a.rs", &format!("//! A\n{longest}{one}"), 1);
        check_source("a.rs", &format!("//! A\n{one}#[cfg(test)]\nmod tests {{\n{longest}}}\n"), 0);
        check_source("a/schema.rs", &format!("//! A\n{longest}{one}"), 0);
        check_source("a/tests.rs", &format!("//! A\n{longest}{one}"), 0);
    }

    #[track_caller]
    fn check_machine_path(head: &str, tail: &str, expected: usize) {
        let findings = machine_path_findings(&format!("first line\n{head}{tail}"));
        assert_eq!(findings.len(), expected, "{head}{tail}: {findings:?}");
    }

    #[test]
    fn path_of_one_machine_is_found_but_a_url_is_not() {
        check_machine_path("see /wo", "rk/here", 1);
        check_machine_path("\"/ho", "me/anna/x\"", 1);
        check_machine_path("PATH=/ro", "ot/.cargo", 1);
        check_machine_path("(/Us", "ers/anna)", 1);
        check_machine_path("https://example.com/wo", "rk/here", 0);
        check_machine_path("$root/wo", "rk/here", 0);
        check_machine_path("/wo", "rks/here", 0);
        check_machine_path("the /ho", "me/ page", 0);
    }

    #[track_caller]
    fn check_migrations(files: &[&str], expected: &[&str]) {
        let files: Vec<String> = files.iter().map(|file| format!("migrations/{file}")).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let findings = migration_findings(&files);
        assert_eq!(findings.len(), expected.len(), "{findings:?}");
        for (finding, expected) in findings.iter().zip(expected) {
            assert!(finding.message.contains(expected), "{finding:?}");
        }
    }

    #[test]
    fn migration_without_its_twin_or_a_part_is_reported() {
        check_migrations(&[], &[]);
        let complete = [
            "postgres/1_a/up.sql",
            "postgres/1_a/down.sql",
            "sqlite/1_a/up.sql",
            "sqlite/1_a/down.sql",
        ];
        check_migrations(&complete, &[]);
        check_migrations(&complete[..3], &["sqlite/1_a/down.sql is missing"]);
        check_migrations(
            &complete[..2],
            &["sqlite/1_a/up.sql is missing", "sqlite/1_a/down.sql is missing"],
        );
        check_migrations(
            &complete.map(|file| file.replace("1_a", "start")).each_ref().map(String::as_str),
            &["<stamp>_<name>"],
        );
        check_migrations(
            &[&complete[..], &["sqlite/2_b/up.sql"]].concat(),
            &["postgres/2_b/up", "postgres/2_b/down", "sqlite/2_b/down"],
        );
    }
}
