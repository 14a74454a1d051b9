//! What the program says of itself: its help texts and its completions.

use crate::test_machine::Bench;

/// Every command line that has a help text.
fn commands_with_help() -> Vec<Vec<&'static str>> {
    let with = |first: &'static str, others: &[&'static str]| {
        let of = others.iter().map(|other| vec![first, *other]).collect::<Vec<_>>();
        [vec![vec![first]], of].concat()
    };
    [
        vec![vec![]],
        with("migrate", &["up", "status", "down"]),
        with("provision", &[]),
        with("seed", &[]),
        with("doctor", &[]),
        with("config", &[]),
        with("completions", &[]),
        with("tenant", &["create", "list", "show", "suspend", "resume", "delete", "limits"]),
        with("workspace", &["create", "list"]),
        with("key", &["create", "list", "rotate", "revoke"]),
        with("events", &["count", "list", "export", "erase", "purge"]),
    ]
    .concat()
}

/// With MERCURIO_TEST_WRITE_HELP set the files are written anew: read their diff before you commit them.
#[test]
fn every_help_text_is_as_it_was_read_last() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help");
    let write = std::env::var_os("MERCURIO_TEST_WRITE_HELP").is_some();
    let mut files = Vec::new();
    for words in commands_with_help() {
        let (code, text, err) = Bench::default().run(&[&words[..], &["--help"]].concat());
        assert_eq!((code, &*err), (0, ""), "{words:?}");
        let name = format!("{}.txt", [&["mercurio-admin"], &words[..]].concat().join(" "));
        if write {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(&name), &text).unwrap();
        }
        let known = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert_eq!(text, known, "{name}");
        // A command that is there and not in the list above would have no snapshot.
        let listed = text.split_once("Commands:").map(|(_, commands)| commands).unwrap_or_default();
        let listed = listed.lines().skip(1).take_while(|line| !line.is_empty());
        for command in listed.filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
            let command = command.split_whitespace().next().unwrap();
            let known = commands_with_help()
                .iter()
                .any(|known| known[..] == [&words[..], &[command]].concat()[..]);
            assert!(known, "{words:?} {command} has no snapshot");
        }
        files.push(name);
    }
    for file in std::fs::read_dir(&folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(files.contains(&name), "{name} is of no command");
    }
}

#[test]
fn bash_completes_commands_of_one_name_each_with_its_own_options() {
    let (code, script, err) = Bench::default().run(&["completions", "bash"]);
    assert_eq!((code, &*err), (0, ""));
    let complete = |line: &[&str]| -> Vec<String> {
        let words: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
        let ask = format!(
            "{script}\nCOMP_WORDS=(mercurio-admin {}); COMP_CWORD={}; _mercurio_admin; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            line.len()
        );
        let output =
            std::process::Command::new("bash").args(["-c", &ask]).output().expect("bash is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    };
    assert_eq!(complete(&["ev"]), ["events"]);
    assert_eq!(complete(&["key", ""])[..4], ["create", "list", "rotate", "revoke"]);
    assert_eq!(complete(&["tenant", "li"]), ["list", "limits"]);
    assert_eq!(complete(&["events", "export", "--f"]), ["--format", "--from"]);
    assert!(complete(&["key", "create", "--"]).contains(&"--scopes".to_owned()));
    assert!(!complete(&["tenant", "create", "--"]).contains(&"--scopes".to_owned()));
    assert!(
        complete(&["tenant", "show", "--tenant", "key", "--"]).contains(&"--tenant".to_owned())
    );
    for shell in ["zsh", "fish"] {
        assert!(Bench::default().run(&["completions", shell]).1.contains("rotate"), "{shell}");
    }
    assert_eq!(Bench::default().run(&["completions", "tcsh"]).0, 64);
}
