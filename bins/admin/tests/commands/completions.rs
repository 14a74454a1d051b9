//! Completion scripts.

use std::process::Command;

use crate::test_machine::TestMachine;

/// Completes the last word of `line` in a real bash.
fn complete(script: &str, line: &[&str]) -> Vec<String> {
    let words: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
    let ask = format!(
        "{script}\nCOMP_WORDS=(mercurio-admin {}); COMP_CWORD={}; _mercurio_admin; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        line.len()
    );
    let output = Command::new("bash").args(["-c", &ask]).output().expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_that_share_a_name() {
    let script = TestMachine::default().run("completions bash");
    assert_eq!((script.code, &*script.err), (0, ""));
    let complete = |line: &[&str]| complete(&script.out, line);
    assert_eq!(complete(&["ev"]), ["events"]);
    // Options follow the subcommands.
    assert_eq!(complete(&["key", ""])[..5], ["create", "list", "show", "rotate", "revoke"]);
    assert_eq!(complete(&["tenant", "li"]), ["list", "limits"]);
    assert_eq!(complete(&["events", "export", "--f"]), ["--format", "--from"]);
    assert!(complete(&["key", "create", "--"]).contains(&"--scopes".to_owned()));
    assert!(!complete(&["tenant", "create", "--"]).contains(&"--scopes".to_owned()));
    // A value equal to a command's name does not change the command.
    let line = ["tenant", "limits", "key", "--"];
    assert!(complete(&line).contains(&"--unset".to_owned()));
}

#[test]
fn completions_support_three_shells_and_refuse_others() {
    for shell in ["bash", "zsh", "fish"] {
        let script = TestMachine::default().run(&format!("completions {shell}"));
        assert!(script.out.contains("rotate"), "{shell}");
    }
    let refused = TestMachine::default().run("completions tcsh");
    assert_eq!(refused.code, 64);
    assert!(refused.err.contains("\"tcsh\" is not one of bash, zsh, fish"), "{}", refused.err);
}
