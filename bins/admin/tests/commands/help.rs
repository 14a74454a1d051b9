//! Help texts, compared with the files in tests/help.

use std::path::Path;

use crate::test_machine::TestMachine;

/// Every command with a help text of its own, by its words.
const COMMANDS: &[&[&str]] = &[
    &[],
    &["migrate"],
    &["migrate", "up"],
    &["migrate", "status"],
    &["migrate", "down"],
    &["provision"],
    &["seed"],
    &["doctor"],
    &["config"],
    &["completions"],
    &["tenant"],
    &["tenant", "create"],
    &["tenant", "list"],
    &["tenant", "show"],
    &["tenant", "suspend"],
    &["tenant", "resume"],
    &["tenant", "delete"],
    &["tenant", "limits"],
    &["workspace"],
    &["workspace", "create"],
    &["workspace", "list"],
    &["key"],
    &["key", "create"],
    &["key", "list"],
    &["key", "rotate"],
    &["key", "revoke"],
    &["audit"],
    &["audit", "list"],
    &["events"],
    &["events", "count"],
    &["events", "list"],
    &["events", "export"],
    &["events", "erase"],
    &["events", "purge"],
];

/// Set `MERCURIO_TEST_WRITE_HELP` to rewrite the files, and read their diff before you commit it.
#[test]
fn help_texts_equal_their_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help");
    // A change of a doc comment changes a help text: the diff shows it for review.
    let write = std::env::var_os("MERCURIO_TEST_WRITE_HELP").is_some();
    let mut files = Vec::new();
    for command in COMMANDS {
        let help = TestMachine::default().run_args(&[command, &["--help"][..]].concat());
        assert_eq!((help.code, &*help.err), (0, ""), "{command:?}");
        let name = format!("{}.txt", [&["mercurio-admin"], *command].concat().join(" "));
        if write {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(&name), &help.out).unwrap();
        }
        let expected = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert_eq!(help.out, expected, "{name}");
        for subcommand in listed_subcommands(&help.out) {
            let subcommand = [*command, &[subcommand]].concat();
            assert!(COMMANDS.contains(&&subcommand[..]), "{subcommand:?} is not in COMMANDS");
        }
        files.push(name);
    }
    for file in std::fs::read_dir(&folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(files.contains(&name), "{name} belongs to no command");
    }
}

/// The first word of each entry under "Commands:". Continued lines have a deeper indent.
fn listed_subcommands(help: &str) -> Vec<&str> {
    let Some((_, commands)) = help.split_once("Commands:") else { return Vec::new() };
    let mut names = Vec::new();
    for line in commands.lines().skip(1).take_while(|line| !line.is_empty()) {
        if line.starts_with("  ") && !line.starts_with("   ") {
            names.extend(line.split_whitespace().next());
        }
    }
    names
}
