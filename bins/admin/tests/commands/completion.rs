//! The hidden command that completes. tests/shells asks it through real shells.

use mercurio_storage::testing::TestDatabase;

use crate::test_machine::TestMachine;

/// The candidates for zsh, without descriptions. The last word is the one at the cursor.
#[track_caller]
fn candidates(machine: &TestMachine, words: &[&str]) -> Vec<String> {
    let answer = machine.run_args(&[&["__complete", "zsh"], words].concat());
    assert_eq!((answer.code, &*answer.err), (0, ""), "{words:?}");
    let values = answer.out.lines().map(|line| line.split('\t').next().unwrap_or_default());
    values.map(str::to_owned).collect()
}

#[test]
fn words_of_the_grammar_are_offered_where_they_fit() {
    let machine = TestMachine::default();
    let offered = |words: &[&str]| candidates(&machine, words);
    assert_eq!(offered(&["key", ""])[..5], ["create", "list", "show", "rotate", "revoke"]);
    assert_eq!(offered(&["tenant", "li"]), ["list", "limits"]);
    assert_eq!(offered(&["events", "export", "--f"]), ["--format", "--from"]);
    // A value equal to a command's name does not change the command.
    assert!(offered(&["tenant", "limits", "key", "--"]).contains(&"--unset".to_owned()));
    // The required option first, none twice, and those of the result where there is one.
    let options = ["--tenant", "--output", "--columns", "--wide", "--help"];
    assert_eq!(offered(&["key", "list", "--"]), options);
    assert_eq!(offered(&["key", "list", "--tenant", "a", ""]), options[1..]);
    assert_eq!(offered(&["tenant", "show", "a", ""]), ["--output", "--help"]);
    // May be repeated.
    let set = ["tenant", "limits", "a", "--set", "x=1", "--s"];
    assert_eq!(offered(&set), ["--set"]);
    // Behind an unknown command or `--`, nothing is known.
    assert_eq!(offered(&["tenants", ""]), [""; 0]);
    assert_eq!(offered(&["doctor", "--", "-"]), [""; 0]);
    assert_eq!(offered(&["--output", "js"]), ["json"]);
}

#[test]
fn ended_key_is_not_offered_to_be_revoked() {
    let database = TestDatabase::sqlite();
    let machine = TestMachine::on(&database);
    let first = machine.json("provision --tenant Acme")["api_key"]["id"].clone();
    let second = machine.json("key create --tenant acme")["id"].clone();
    let other = machine.json("provision --tenant Other")["api_key"]["id"].clone();
    let first = first.as_str().unwrap();
    assert_eq!(candidates(&machine, &["key", "revoke", ""]).len(), 3);
    machine.json(&format!("key revoke {first} --yes"));
    let left = candidates(&machine, &["key", "rotate", ""]);
    assert_eq!(left, [second.as_str().unwrap(), other.as_str().unwrap()]);
    let described = machine.run_args(&["__complete", "fish", "key", "revoke", ""]).out;
    assert!(described.contains("\tDefault API key of Acme\n"), "{described}");
}

#[test]
fn workspaces_of_all_tenants_are_offered_without_a_tenant() {
    let database = TestDatabase::sqlite();
    let machine = TestMachine::on(&database);
    machine.json("provision --tenant Acme --workspace Shop");
    machine.json("provision --tenant Other --workspace Staging");
    assert_eq!(candidates(&machine, &["workspace", "rename", "s"]), ["Shop", "Staging"]);
    let line = ["events", "count", "--tenant", "other", "--workspace", ""];
    assert_eq!(candidates(&machine, &line), ["Staging"]);
    assert_eq!(
        candidates(&machine, &["events", "count", "--tenant", "nobody", "--workspace", ""]),
        [""; 0]
    );
}

#[test]
fn strange_request_for_completion_gets_an_empty_answer() {
    let machine = TestMachine::default();
    for words in [&[][..], &["tcsh", "x"], &["zsh"], &["bash", "x"], &["bash", "", "mercurio-a"]] {
        let answer = machine.run_args(&[&["__complete"], words].concat());
        assert_eq!((answer.code, &*answer.out, &*answer.err), (0, "", ""), "{words:?}");
    }
}

#[test]
fn scripts_exist_for_three_shells_and_no_other() {
    let machine = TestMachine::default();
    for shell in ["bash", "zsh", "fish"] {
        let script = machine.run(&format!("completion {shell}"));
        assert!(script.out.contains(&format!("__complete {shell}")), "{shell}");
    }
    let refused = machine.run("completion tcsh");
    assert_eq!(refused.code, 64);
    assert!(refused.err.contains("\"tcsh\" is not one of bash, zsh, fish"), "{}", refused.err);
}
