//! Manual pages.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::test_machine::TestMachine;

/// Renders a page as plain text.
fn rendered(page: &Path) -> String {
    let output = Command::new("mandoc").args(["-Tascii", "-Owidth=200"]).arg(page).output();
    let output = output.expect("mandoc runs; install it");
    let text = String::from_utf8_lossy(&output.stdout);
    // Bold letters are printed twice: the letter, a backspace, the letter.
    let mut plain = String::new();
    for character in text.chars() {
        match character {
            '\u{8}' => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

#[test]
fn pages_are_sound_and_have_every_command_and_option() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("new/man8");
    let machine = TestMachine::default();
    let written = machine.run_args(&["man", "--dir", pages.to_str().unwrap()]);
    assert_eq!((written.code, &*written.out, &*written.err), (0, "", ""));
    let mut all = String::new();
    for entry in fs::read_dir(&pages).unwrap() {
        let path = entry.unwrap().path();
        let lint = Command::new("mandoc").args(["-Tlint", "-Wwarning"]).arg(&path).output();
        let lint = lint.expect("mandoc runs; install it");
        assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stdout));
        all.push_str(&rendered(&path));
    }
    let words = all.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut expected = Vec::new();
    let helps = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help");
    for entry in fs::read_dir(helps).unwrap() {
        let path = entry.unwrap().path();
        let help = fs::read_to_string(&path).unwrap();
        let usage = help.split("\n\n").next().unwrap().replace("\n   ", "").replace('…', "...");
        // A group has no entries of its own, except for the program.
        if usage.contains("<command>") && path.file_name().unwrap() != "mercurio-admin.txt" {
            continue;
        }
        let usage = usage.strip_prefix("Usage: ").unwrap();
        assert!(words.contains(usage), "{usage}");
        expected.extend(option_names(&help, "  "));
    }
    let mut found = option_names(&all, "       ");
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert!(all.contains("2026-11-22"), "the day of the clock");
}

/// The names at the beginnings of lines with this indent, such as `-h, --help`.
fn option_names(text: &str, indent: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(indent));
    lines.filter(|line| line.starts_with('-')).map(option_name).collect()
}

/// The name of an option, without a description on the same line: that of a short one, such as
/// `--wide all columns`, follows after one blank.
fn option_name(line: &str) -> String {
    let mut name: Vec<&str> = Vec::new();
    for word in line.split("  ").next().unwrap_or_default().split(' ') {
        let is_after_comma = name.last().is_some_and(|last| last.ends_with(','));
        // A value, such as `<time>` or `desc|asc`.
        if !name.is_empty() && !is_after_comma && !word.starts_with('<') && !word.contains('|') {
            break;
        }
        name.push(word);
    }
    name.join(" ")
}

#[test]
fn page_of_the_program_goes_to_stdout_with_the_day_of_the_build() {
    // The second of 2001-09-09 that has a round number.
    let machine = TestMachine::with(&[("SOURCE_DATE_EPOCH", "1000000000")]);
    let printed = machine.run("man");
    assert!(printed.out.starts_with(".TH MERCURIO\\-ADMIN 8 2001-09-09 "), "{}", printed.out);
    let unwritable = machine.run("man --dir /dev/null/man");
    assert_eq!(unwritable.code, 1);
    assert!(unwritable.err.contains("cannot write /dev/null/man"), "{}", unwritable.err);
}
