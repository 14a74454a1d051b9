//! The command line as text: defaults, errors and help.

use mercurio_domain::ApiKeyId;
use mercurio_domain::api_key::Scopes;
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;

use super::*;

fn arguments(line: &[&str]) -> Vec<String> {
    line.iter().map(|word| (*word).to_owned()).collect()
}

fn provision_command(line: &[&str]) -> ProvisionCommand {
    match parse(&arguments(line)) {
        Ok(Request::Run { command: Command::Provision(command), .. }) => command,
        other => panic!("{line:?}: {other:?}"),
    }
}

#[track_caller]
fn check_usage_errors(line: &[&str], expected: &[&str]) {
    match parse(&arguments(line)) {
        Err(AdminError::Usage(invalid)) => {
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

#[test]
fn invalid_command_is_a_usage_error() {
    check_usage_errors(&[], &["no command is given", "--help"]);
    check_usage_errors(&["destroy"], &["destroy", "--help"]);
    check_usage_errors(&["provision", "--colour", "red"], &["--colour"]);
    check_usage_errors(&["provision", "--tenant"], &["--tenant"]);
    check_usage_errors(&["provision", "--tenant", "a", "--tenant", "b"], &["tenant"]);
    check_usage_errors(&["provision"], &["--tenant"]);
    check_usage_errors(&["tenant", "show"], &["tenant"]);
    check_usage_errors(&["tenant", "show", "a", "b"], &["b"]);
    check_usage_errors(&["migrate", "now"], &["now"]);
}

#[test]
fn help_and_version_are_printed() {
    for line in [
        &["--help"][..],
        &["-h"],
        &["help"],
        &["provision", "--help"],
        &["migrate", "-h"],
        &["seed", "--help"],
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
        assert_eq!(text, format!("mercurio-admin {}", env!("CARGO_PKG_VERSION")));
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
        &["--tenant: ", "--older-than: \"5\" is not a duration"],
    );
    check_usage_errors(
        &["key", "rotate", "mk_a_b", "--overlap", "1w"],
        &["looks like a whole key", "--overlap: \"1w\""],
    );
}

fn command_of(line: &[&str]) -> Command {
    match parse(&arguments(line)) {
        Ok(Request::Run { command, .. }) => command,
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn object_of_a_command_needs_no_option() {
    let acme = || TenantRef::Name(Name::parse("Acme").unwrap());
    for line in [&["tenant", "show", "Acme"][..], &["tenant", "show", "--", "Acme"]] {
        assert_eq!(command_of(line), Command::Tenant(TenantCommand::Show(acme())));
    }
    // Options may stand before and behind it.
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
    let expected = Command::Key(KeyCommand::Revoke(ApiKeyId::new("k3v9")));
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
