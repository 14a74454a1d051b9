//! Rules for files as such: how a source opens, how long it may be, what no file mentions, and pairs of migrations.

use std::collections::BTreeSet;

use crate::source::Source;

/// Lines of code, without comments, blank lines and tests.
const MOST_CODE_LINES: usize = 400;

/// Faults of a Rust source. `file` is relative to the root.
pub(crate) fn source_faults(file: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(
            "doesn't open with `//!`: what lives here, how it is used, what is not here".to_owned(),
        );
    }
    let name = file.rsplit('/').next().unwrap_or(file);
    let lines = Source::read(text).code_lines();
    // The schema is printed by a tool; tests.rs is a test module in a file of its own.
    if lines > MOST_CODE_LINES && !["schema.rs", "tests.rs"].contains(&name) {
        faults.push(format!(
            "has {lines} lines of code; the limit is {MOST_CODE_LINES}. Make it a folder"
        ));
    }
    faults
}

/// Faults of any text file: a path that exists only on one machine.
pub(crate) fn machine_path_faults(text: &str) -> Vec<String> {
    // In two halves, or this file would fault itself.
    let places = [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"], ["/Us", "ers/"]]
        .map(|halves| halves.concat());
    let mut faults = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for place in &places {
            // Within a URL or below another directory it is not a path of this machine.
            let begins = |at: usize| {
                !line[..at]
                    .ends_with(|char: char| char.is_alphanumeric() || "._-}*~".contains(char))
                    && line[at + place.len()..]
                        .starts_with(|char: char| char.is_alphanumeric() || char == '.')
            };
            if line.match_indices(place.as_str()).any(|(at, _)| begins(at)) {
                faults.push(format!("line {}: a path of one machine ({place}…)", index + 1));
            }
        }
    }
    faults
}

/// Faults of the migrations: both databases have the same, each with its two files. `files` are relative to migrations/.
pub(crate) fn migration_faults(files: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    let names: BTreeSet<&str> = files.iter().filter_map(|file| file.split('/').nth(1)).collect();
    let have = |file: &String| files.contains(file);
    for name in names {
        let stamp_ends = name.find('_').unwrap_or(0);
        if stamp_ends == 0
            || !name[..stamp_ends].bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        {
            faults.push(format!(
                "{name}: a migration is called <stamp>_<name> (`just migration <name>`)"
            ));
        }
        for database in ["postgres", "sqlite"] {
            for part in ["up.sql", "down.sql"] {
                let file = format!("{database}/{name}/{part}");
                if !have(&file) {
                    faults.push(format!("{file} is missing"));
                }
            }
        }
    }
    faults
}

#[test]
fn a_source_is_faulted_for_how_it_opens_and_for_its_length() {
    let check = |file: &str, text: &str, expected: usize| {
        let faults = source_faults(file, text);
        assert_eq!(faults.len(), expected, "{file}: {faults:?}");
    };
    let longest = "let a = 1;\n".repeat(MOST_CODE_LINES);
    check("a.rs", "//! What lives here.\n", 0);
    check("a.rs", "\n//! Too late.\n", 1);
    check("a.rs", "", 1);
    check("a.rs", &format!("//! A\n\n// why\n{longest}"), 0);
    check("a.rs", &format!("//! A\n{longest}let b = 2;\n"), 1);
    check("a.rs", &format!("//! A\nlet b = 2;\n#[cfg(test)]\nmod tests {{\n{longest}}}\n"), 0);
    check("a/schema.rs", &format!("//! A\n{longest}let b = 2;\n"), 0);
    check("a/tests.rs", &format!("//! A\n{longest}let b = 2;\n"), 0);
}

#[test]
fn a_path_of_one_machine_is_found_and_a_url_is_not_one() {
    let check = |head: &str, tail: &str, expected: usize| {
        let faults = machine_path_faults(&format!("first line\n{head}{tail}"));
        assert_eq!(faults.len(), expected, "{head}{tail}: {faults:?}");
    };
    check("see /wo", "rk/here", 1);
    check("\"/ho", "me/anna/x\"", 1);
    check("PATH=/ro", "ot/.cargo", 1);
    check("(/Us", "ers/anna)", 1);
    check("https://example.com/wo", "rk/here", 0);
    check("$root/wo", "rk/here", 0);
    check("/wo", "rks/here", 0);
    check("the /ho", "me/ page", 0);
}

#[test]
fn migrations_are_faulted_where_a_twin_or_a_part_is_missing() {
    let check = |files: &[&str], expected: &[&str]| {
        let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
        let faults = migration_faults(&files);
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, expected) in faults.iter().zip(expected) {
            assert!(fault.contains(expected), "{fault}");
        }
    };
    check(&[], &[]);
    let sound = [
        "postgres/1_a/up.sql",
        "postgres/1_a/down.sql",
        "sqlite/1_a/up.sql",
        "sqlite/1_a/down.sql",
    ];
    check(&sound, &[]);
    check(&sound[..3], &["sqlite/1_a/down.sql is missing"]);
    check(&sound[..2], &["sqlite/1_a/up.sql is missing", "sqlite/1_a/down.sql is missing"]);
    check(
        &sound.map(|file| file.replace("1_a", "start")).each_ref().map(String::as_str),
        &["<stamp>_<name>"],
    );
    check(
        &[&sound[..], &["sqlite/2_b/up.sql"]].concat(),
        &["postgres/2_b/up", "postgres/2_b/down", "sqlite/2_b/down"],
    );
}
