//! Help texts, compared with the files in tests/help.

use std::path::Path;

use crate::test_machine::TestMachine;

/// Set `MERCURIO_TEST_WRITE_HELP` to rewrite the files, and read their diff before you commit it.
#[test]
fn help_texts_equal_their_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help");
    let mut files = Vec::new();
    // Begins with the program, and finds the other commands in the help texts.
    let mut commands = vec!["mercurio-admin".to_owned()];
    while let Some(command) = commands.pop() {
        let help = help_of(&command);
        let name = format!("{command}.txt");
        // A change of a doc comment changes a help text: the diff shows it for review.
        if std::env::var_os("MERCURIO_TEST_WRITE_HELP").is_some() {
            std::fs::write(folder.join(&name), &help).unwrap();
        }
        let expected = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert_eq!(help, expected, "{name}");
        commands.extend(listed_commands(&help).map(|inner| format!("{command} {inner}")));
        files.push(name);
    }
    for file in std::fs::read_dir(&folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(files.contains(&name), "{name} belongs to no command");
    }
}

#[test]
fn help_fits_a_terminal_of_80_columns() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help");
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            // An example stays on one line, so that it can be copied.
            let is_example = line.starts_with("  mercurio-admin ") || line.contains("=postgres:");
            assert!(is_example || line.chars().count() <= 80, "{}: {line}", path.display());
        }
    }
}

fn help_of(command: &str) -> String {
    let words = command.split(' ').skip(1).chain(["--help"]).collect::<Vec<_>>();
    let help = TestMachine::default().run_args(&words);
    assert_eq!((help.code, &*help.err), (0, ""), "{command:?}");
    help.out
}

/// The first word of each entry under "Commands:", without the comma in front of an alias.
/// Continued lines have a deeper indent.
fn listed_commands(help: &str) -> impl Iterator<Item = &str> {
    let commands = help.split_once("Commands:\n").map_or("", |(_, commands)| commands);
    let entries = commands.lines().take_while(|line| !line.is_empty());
    let entries = entries.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    entries.filter_map(|line| line.split_whitespace().next()).map(|name| name.trim_end_matches(','))
}
