//! The command line as text: defaults, errors and help.

use mercurio_domain::ApiKeyId;
use mercurio_domain::api_key::Scopes;
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;

use super::*;
use crate::completion::bash_line::BashLine;

fn arguments(line: &[&str]) -> Vec<String> {
    line.iter().map(|word| (*word).to_owned()).collect()
}

fn provision_command(line: &[&str]) -> ProvisionCommand {
    match parse(&arguments(line)) {
        Ok(Request::Run { command, .. }) => match *command {
            Command::Provision(command) => command,
            other => panic!("{line:?}: {other:?}"),
        },
        other => panic!("{line:?}: {other:?}"),
    }
}

#[track_caller]
fn check_usage_errors(line: &[&str], expected: &[&str]) {
    match parse(&arguments(line)) {
        Err(AdminError::CommandLine { errors: invalid, .. }) => {
            for expected in expected {
                assert!(
                    invalid.iter().any(|error| error.contains(expected)),
                    "{expected}: {invalid:?}"
                );
            }
        }
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn missing_option_has_its_default() {
    let command = provision_command(&["provision", "--tenant", " Acme "]);
    assert_eq!(command.tenant.as_str(), "Acme");
    assert_eq!(command.workspace.as_str(), "Default");
    assert_eq!(command.key_name.as_str(), "Default API key");
    assert_eq!(command.scopes, Scopes::all());
    assert!(!command.samples);
}

#[test]
fn option_value_follows_a_space_or_an_equals_sign() {
    let command = provision_command(&[
        "provision",
        "--tenant=A=B",
        "--workspace",
        "Production",
        "--scopes=events:read",
        "--key-name",
        "CI",
        "--samples",
    ]);
    assert_eq!(command.tenant.as_str(), "A=B");
    assert_eq!(command.workspace.as_str(), "Production");
    assert_eq!(command.key_name.as_str(), "CI");
    assert_eq!(command.scopes.to_string(), "events:read");
    assert!(command.samples);
    assert_eq!(
        provision_command(&["provision", "--tenant", "a", "--workspace", "W"]).key_name.as_str(),
        "W API key"
    );
}

#[test]
fn errors_of_all_options_are_reported_at_once() {
    check_usage_errors(
        &[
            "provision",
            "--tenant",
            "",
            "--workspace",
            "",
            "--key-name",
            "a\u{7}",
            "--scopes",
            "all",
        ],
        &["--tenant: ", "--workspace: ", "--key-name: ", "--scopes: there is no scope \"all\""],
    );
    check_usage_errors(
        // With " API key", the derived name exceeds 255 characters.
        &["provision", "--tenant", "a", "--workspace", &"w".repeat(250)],
        &["the key's name: "],
    );
    check_usage_errors(&["provision", "--tenant", "a", "--scopes", ","], &["--scopes: "]);
}

/// Asserts the first error, and the usage that follows it.
#[track_caller]
fn check_error(line: &[&str], error: &str, usage: &str) {
    match parse(&arguments(line)) {
        Err(AdminError::CommandLine { errors, usage: found }) => {
            assert_eq!(errors[0], error);
            assert!(found.starts_with(&format!("Usage: mercurio-admin{usage}")), "{found}");
        }
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn typo_gets_the_word_meant_and_the_usage_concerned() {
    check_error(&["tenants"], "there is no command \"tenants\": did you mean `tenant`?", " [--");
    check_error(
        &["tenant", "lst"],
        "there is no command \"tenant lst\": did you mean `tenant list`?",
        " tenant ",
    );
    check_error(
        &["rotate", "k3v9"],
        "there is no command \"rotate\": did you mean `key rotate`?",
        " [--",
    );
    check_error(&["destroy"], "there is no command \"destroy\"", " [--");
    check_error(
        &["key", "create", "--tenant", "a", "--scop", "x"],
        "`key create` has no option --scop: did you mean --scopes?",
        " key create [<name>] --tenant <tenant>\n    [--workspace",
    );
    check_error(
        &["tenant", "show", "--tenant", "Acme"],
        "`tenant show` has no option --tenant: give <tenant> without it",
        " tenant show <tenant>",
    );
    check_error(
        &["events", "export", "--tenant", "a", "--csv"],
        "`events export` has no option --csv: did you mean --format csv?",
        " events export --tenant <tenant> [",
    );
    check_error(
        &["events", "export", "--tenant", "a", "--format", "cvs"],
        "--format: \"cvs\" is not one of ndjson, csv; did you mean csv?",
        " events export",
    );
    check_error(
        &["tenant", "limits", "a", "--unset", "event_burst"],
        "--unset: there is no limit \"event_burst\": did you mean events_burst?",
        " tenant limits <tenant> [--set <limit=value>]…",
    );
    check_error(
        &["provision", "--tenant", "a", "--scopes", "event:read"],
        "--scopes: there is no scope \"event:read\"; the scopes are events:write and events:read; \
         did you mean events:read?",
        " provision",
    );
}

#[test]
fn missing_words_are_named_with_an_example() {
    check_error(&[], "no command is given", " [--");
    check_error(&["tenant"], "`tenant` needs a command", " tenant ");
    check_error(
        &["tenant", "show"],
        "<tenant> is missing: the tenant's name, or id:42",
        " tenant show <tenant> [--output table|json|yaml|csv]\nExample: mercurio-admin tenant show Acme\nHelp: ",
    );
    check_usage_errors(
        &["workspace", "create"],
        &["<name> is missing: ", "--tenant <tenant> is missing: "],
    );
    check_error(
        &["provision", "--tenant"],
        "--tenant needs a value: --tenant <name>",
        " provision --tenant <name> [",
    );
    // The value was forgotten, and an option follows.
    check_error(
        &["tenant", "delete", "--yes", "--output", "json"],
        "<tenant> is missing: the tenant's name, or id:42",
        " tenant delete <tenant> [--dry-run] [--yes]",
    );
    check_error(
        &["key", "list", "--tenant", "--wide"],
        "--tenant needs a value: --tenant <tenant>",
        " key list [--tenant <tenant>]",
    );
}

#[test]
fn superfluous_words_are_refused() {
    check_error(
        &["tenant", "show", "Acme", "Corp"],
        "\"Corp\" is one word too many for `tenant show`: put <tenant> with blanks into quotes",
        " tenant show",
    );
    check_error(
        &["migrate", "status", "now"],
        "\"now\" is one word too many for `migrate status`",
        " migrate status",
    );
    check_error(&["migrate", "now"], "there is no command \"migrate now\"", " migrate");
    check_error(
        &["provision", "--tenant", "a", "--tenant", "b"],
        "--tenant is given twice: give it once",
        " provision",
    );
    check_error(&["tenant", "delete", "a", "--yes=no"], "--yes takes no value", " tenant delete");
    check_error(&["tenant", "show", "a", "-x"], "`tenant show` has no option -x", " tenant show");
    check_error(&["--loud"], "there is no option --loud", " [--");
    // The value of an unknown option is no error of its own.
    for line in [&["--colour", "red", "tenant", "list"][..], &["tenant", "list", "--colour", "red"]]
    {
        let Err(AdminError::CommandLine { errors, .. }) = parse(&arguments(line)) else {
            panic!("{line:?}")
        };
        assert_eq!(errors.len(), 1, "{errors:?}");
    }
}

#[test]
fn examples_parse_and_every_required_word_has_one() {
    let info = AdminArgs::get_args_info();
    for node in Node::program(&info).all() {
        let usage = help::usage(&node);
        let is_complete = parse(&arguments(node.words())).is_ok() || node.is_group();
        assert!(is_complete || !node.info.examples.is_empty(), "{usage}");
        for example in node.info.examples {
            let example = example.replace("{command_name}", &node.call());
            // A redirection or a pipe is for the shell.
            let line = example.split(['>', '|']).next().unwrap_or_default();
            let words = BashLine::read(&format!("{line} "), "").expect("a line").words;
            assert!(parse(&words).is_ok(), "{example}: {:?}", parse(&words));
        }
    }
}

#[test]
fn option_about_the_result_fits_the_command() {
    check_error(
        &["tenant", "list", "--json"],
        "`tenant list` has no option --json: did you mean --output json?",
        " tenant list [--",
    );
    check_error(
        &["tenant", "list", "--output", "jsn"],
        "--output: \"jsn\" is not one of table, json, yaml, csv; did you mean json?",
        " tenant list",
    );
    check_error(
        &["tenant", "list", "--columns", "nmae"],
        "--columns: there is no column \"nmae\": did you mean name?",
        " tenant list",
    );
    // One tenant is no list, and an export has formats of its own.
    for line in [
        &["tenant", "show", "Acme", "--columns", "name"][..],
        &["--wide", "tenant", "show", "Acme"],
        &["events", "export", "--tenant", "Acme", "--output", "csv"],
    ] {
        check_usage_errors(line, &["has no option --"]);
    }
}

#[test]
fn options_stand_anywhere_and_names_may_look_like_options() {
    let expected = || command_of(&["key", "list", "--tenant", "Acme"]);
    for line in [
        &["--output", "csv", "key", "list", "--tenant=Acme", "--wide"][..],
        &["key", "-o", "csv", "list", "--tenant", "Acme", "--wide", "--wide"],
    ] {
        match parse(&arguments(line)) {
            Ok(Request::Run { command, style }) => {
                assert_eq!(
                    (*command, style.format, style.wide),
                    (expected(), Some(Format::Csv), true)
                );
            }
            other => panic!("{line:?}: {other:?}"),
        }
    }
    for name in ["--yes", "help", "-"] {
        let command = command_of(&["tenant", "show", "--", name]);
        let expected = TenantRef::Name(Name::parse(name).unwrap());
        assert_eq!(command, Command::Tenant(TenantCommand::Show(expected)));
    }
    let Command::Key(KeyCommand::List(tenant)) = command_of(&["key", "list", "--tenant=--wide"])
    else {
        panic!("no list")
    };
    assert_eq!(tenant, Some(TenantRef::Name(Name::parse("--wide").unwrap())));
}

#[test]
fn help_and_version_are_printed() {
    for line in [
        &["--help"][..],
        &["-h"],
        &["help"],
        &["provision", "--help"],
        &["migrate", "-h"],
        &["help", "seed"],
        // The rest of the line may be wrong.
        &["key", "create", "--scopes", "x", "--help"],
    ] {
        let Ok(Request::Print(text)) = parse(&arguments(line)) else { panic!("{line:?}") };
        assert!(text.contains("Usage: mercurio-admin"), "{text}");
    }
    let Ok(Request::Print(text)) = parse(&arguments(&["--help"])) else { panic!("no help") };
    for part in ["migrate", "provision", "seed", "DATABASE_URL", "69", "--version"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for flag in ["--version", "-V"] {
        let Ok(Request::Print(text)) = parse(&arguments(&[flag])) else { panic!("no version") };
        let first = format!("mercurio-admin {}\ncommit    ", env!("CARGO_PKG_VERSION"));
        assert!(text.starts_with(&first) && text.contains("\ntarget    "), "{text}");
        assert!(text.ends_with(if cfg!(feature = "tls") { "tls\n" } else { "none\n" }), "{text}");
    }
}

#[test]
fn invalid_optional_value_is_reported_with_the_rest() {
    check_usage_errors(
        &["events", "list", "--tenant", "id:x", "--workspace", "", "--limit", "0"],
        &["\"id:x\" is not an id", "--workspace: ", "--limit: \"0\""],
    );
    check_usage_errors(
        &["events", "export", "--tenant", "a", "--from", "today", "--to", "now"],
        &["--from: \"today\"", "--to: \"now\""],
    );
    check_usage_errors(
        &["events", "purge", "--tenant", "", "--older-than", "5"],
        &["--tenant: ", "--older-than: \"5\" is not a time"],
    );
    check_usage_errors(
        &["key", "rotate", "mk_a_b", "--overlap", "1w"],
        &["looks like a whole key", "--overlap: \"1w\""],
    );
}

fn command_of(line: &[&str]) -> Command {
    match parse(&arguments(line)) {
        Ok(Request::Run { command, .. }) => *command,
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn object_of_a_command_needs_no_option() {
    let acme = || TenantRef::Name(Name::parse("Acme").unwrap());
    for line in [&["tenant", "show", "Acme"][..], &["tenant", "show", "--", "Acme"]] {
        assert_eq!(command_of(line), Command::Tenant(TenantCommand::Show(acme())));
    }
    // Options may come before and after it.
    for line in [
        ["workspace", "create", "W", "--tenant", "Acme"],
        ["workspace", "create", "--tenant", "Acme", "W"],
    ] {
        let workspace = Name::parse("W").unwrap();
        let expected = WorkspaceCommand::Create { tenant: acme(), workspace };
        assert_eq!(command_of(&line), Command::Workspace(expected));
    }
    let Command::Key(KeyCommand::Create(key)) = command_of(&["key", "create", "--tenant", "Acme"])
    else {
        panic!("no key")
    };
    assert_eq!(key.name, None);
    let key = ApiKeyId::new("k3v9");
    let expected = Command::Key(KeyCommand::Revoke { key, yes: false });
    assert_eq!(command_of(&["key", "revoke", "k3v9"]), expected);
}

#[test]
fn alias_runs_the_command_it_stands_for() {
    assert_eq!(command_of(&["tenant", "ls"]), command_of(&["tenant", "list"]));
    assert_eq!(command_of(&["tenant", "rm", "Acme"]), command_of(&["tenant", "delete", "Acme"]));
    // An argument is no alias.
    let Command::Tenant(TenantCommand::Create(name)) = command_of(&["tenant", "create", "ls"])
    else {
        panic!("no tenant")
    };
    assert_eq!(name.as_str(), "ls");
}
