//! The command line: its words, and the checks that need no database. All mistakes are told at once.

use argh::{EarlyExit, FromArgs};
use mercurio_domain::api_key::Scopes;
use mercurio_domain::tenant::Name;

use crate::config::name;
use crate::{AdminError, NAME};

/// The name of a workspace where none is given.
pub const DEFAULT_WORKSPACE: &str = "Default";

/// What the command line asks for.
#[derive(Debug)]
pub enum Request {
    /// A text: help, or the version.
    Show(String),
    /// Work.
    Do(Command),
}

/// The work that can be asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Bring the schema to this program's.
    Migrate,
    /// Make a tenant.
    Provision(ProvisionCommand),
    /// Make the tenant that the settings name, unless it is there.
    Seed,
}

/// What to make for a new tenant.
#[derive(Debug, PartialEq, Eq)]
pub struct ProvisionCommand {
    /// The tenant's name.
    pub tenant: Name,
    /// The workspace's name.
    pub workspace: Name,
    /// The key's name.
    pub key_name: Name,
    /// What the key may do.
    pub scopes: Scopes,
    /// Whether to add a few events.
    pub samples: bool,
}

/// Tends Mercurio's database. Results are JSON on stdout; messages go to stderr.
#[derive(FromArgs)]
#[argh(
    help_triggers("-h", "--help", "help"),
    example = "{command_name} provision --tenant Acme --workspace Production",
    example = "DATABASE_URL=postgres://user@localhost/mercurio {command_name} migrate",
    note = "Settings, from the environment:\n  DATABASE_URL         postgres://USER:PASSWORD@HOST:PORT/NAME, or\n                       sqlite://PATH; default sqlite://data/mercurio.db\n  SEED_TENANT_NAME     the tenant that `seed` makes\n  SEED_WORKSPACE_NAME  its workspace; default: Default",
    error_code(0, "Done."),
    error_code(1, "Failed."),
    error_code(3, "The name is taken."),
    error_code(64, "Wrong usage; nothing was tried."),
    error_code(69, "The database can't be reached.")
)]
struct Words {
    /// print the version
    #[argh(switch, short = 'V')]
    version: bool,
    #[argh(subcommand)]
    command: Option<CommandWords>,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum CommandWords {
    Migrate(MigrateWords),
    Provision(ProvisionWords),
    Seed(SeedWords),
}

/// Bring the database's schema to the one of this program. Safe to run again, and from many places at once.
#[derive(FromArgs)]
#[argh(subcommand, name = "migrate", help_triggers("-h", "--help", "help"))]
struct MigrateWords {}

/// Make a tenant with a workspace and an API key. The key is shown once.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "provision",
    help_triggers("-h", "--help", "help"),
    example = "{command_name} --tenant Acme --workspace Production --scopes events:write"
)]
struct ProvisionWords {
    /// the tenant's name; no other tenant has it in any case
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
    /// the workspace's name; default: Default
    #[argh(option, arg_name = "name")]
    workspace: Option<String>,
    /// the key's name; default: the workspace's, with "API key"
    #[argh(option, arg_name = "name")]
    key_name: Option<String>,
    /// what the key may do, divided by commas; default: events:write,events:read
    #[argh(option, arg_name = "list")]
    scopes: Option<String>,
    /// add a few example events
    #[argh(switch)]
    samples: bool,
}

/// Make the tenant that SEED_TENANT_NAME and SEED_WORKSPACE_NAME name. Where it exists, its ids are printed and nothing is
/// changed.
#[derive(FromArgs)]
#[argh(subcommand, name = "seed", help_triggers("-h", "--help", "help"))]
struct SeedWords {}

/// Reads the command line, without the program's name.
///
/// # Errors
/// [`AdminError::Usage`] with every mistake.
pub fn read(arguments: &[String]) -> Result<Request, AdminError> {
    let arguments: Vec<&str> = arguments.iter().flat_map(|argument| halves(argument)).collect();
    let words = match Words::from_args(&[NAME], &arguments) {
        Ok(words) => words,
        Err(EarlyExit { output, status: Ok(()) }) => return Ok(Request::Show(output)),
        Err(EarlyExit { output, status: Err(()) }) => return Err(wrong(output.trim_end())),
    };
    match words.command {
        _ if words.version => Ok(Request::Show(format!("{NAME} {}", env!("CARGO_PKG_VERSION")))),
        Some(CommandWords::Migrate(MigrateWords {})) => Ok(Request::Do(Command::Migrate)),
        Some(CommandWords::Seed(SeedWords {})) => Ok(Request::Do(Command::Seed)),
        Some(CommandWords::Provision(words)) => {
            provision(words).map(|command| Request::Do(Command::Provision(command)))
        }
        None => Err(wrong("no command is given: migrate, provision or seed")),
    }
}

/// `--name=value` as the two words that argh reads.
fn halves(argument: &str) -> impl Iterator<Item = &str> {
    let is_option = |name: &str| {
        name.strip_prefix("--")
            .is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'))
    };
    match argument.split_once('=').filter(|(name, _)| is_option(name)) {
        Some((name, value)) => [Some(name), Some(value)],
        None => [Some(argument), None],
    }
    .into_iter()
    .flatten()
}

fn wrong(message: &str) -> AdminError {
    AdminError::Usage(vec![message.to_owned(), format!("`{NAME} --help` tells more")])
}

fn provision(words: ProvisionWords) -> Result<ProvisionCommand, AdminError> {
    let mut mistakes = Vec::new();
    let tenant = match &words.tenant {
        Some(text) => name("--tenant", text, &mut mistakes),
        None => {
            mistakes.push("--tenant is required: the name of the tenant to make".to_owned());
            None
        }
    };
    let workspace = words.workspace.as_deref().unwrap_or(DEFAULT_WORKSPACE);
    let workspace = name("--workspace", workspace, &mut mistakes);
    let key_name = match &words.key_name {
        Some(text) => name("--key-name", text, &mut mistakes),
        None => workspace.as_ref().and_then(|workspace| key_name_of(workspace, &mut mistakes)),
    };
    let scopes = words.scopes.as_deref().map_or(Ok(Scopes::all()), Scopes::parse);
    let scopes = scopes.map_err(|error| mistakes.push(format!("--scopes: {error}"))).ok();
    match (tenant, workspace, key_name, scopes) {
        (Some(tenant), Some(workspace), Some(key_name), Some(scopes)) if mistakes.is_empty() => {
            Ok(ProvisionCommand { tenant, workspace, key_name, scopes, samples: words.samples })
        }
        _ => Err(AdminError::Usage(mistakes)),
    }
}

/// The name of a workspace's key where none is given.
pub(crate) fn key_name_of(workspace: &Name, mistakes: &mut Vec<String>) -> Option<Name> {
    name("the key's name", &format!("{workspace} API key"), mistakes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[&str]) -> Vec<String> {
        line.iter().map(|word| (*word).to_owned()).collect()
    }

    fn provisioning(line: &[&str]) -> ProvisionCommand {
        match read(&words(line)) {
            Ok(Request::Do(Command::Provision(command))) => command,
            other => panic!("{line:?}: {other:?}"),
        }
    }

    #[track_caller]
    fn check_wrong(line: &[&str], expected: &[&str]) {
        match read(&words(line)) {
            Err(AdminError::Usage(mistakes)) => {
                for expected in expected {
                    assert!(mistakes.iter().any(|mistake| mistake.contains(expected)), "{expected}: {mistakes:?}");
                }
            }
            other => panic!("{line:?}: {other:?}"),
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let command = provisioning(&["provision", "--tenant", " Acme "]);
        assert_eq!(command.tenant.as_str(), "Acme");
        assert_eq!(command.workspace.as_str(), "Default");
        assert_eq!(command.key_name.as_str(), "Default API key");
        assert_eq!(command.scopes, Scopes::all());
        assert!(!command.samples);
    }

    #[test]
    fn options_are_read_with_a_blank_or_an_equals_sign() {
        let command = provisioning(&[
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
        assert_eq!(provisioning(&["provision", "--tenant", "a", "--workspace", "W"]).key_name.as_str(), "W API key");
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        check_wrong(
            &["provision", "--workspace", "", "--key-name", "a\u{7}", "--scopes", "all"],
            &["--tenant is required", "--workspace: ", "--key-name: ", "--scopes: there is no scope \"all\""],
        );
        check_wrong(&["provision", "--tenant", "a", "--workspace", &"w".repeat(250)], &["the key's name: "]);
        check_wrong(&["provision", "--tenant", "a", "--scopes", ","], &["--scopes: "]);
    }

    #[test]
    fn what_is_no_command_is_wrong_usage() {
        check_wrong(&[], &["no command is given", "--help"]);
        check_wrong(&["destroy"], &["destroy", "--help"]);
        check_wrong(&["provision", "--colour", "red"], &["--colour"]);
        check_wrong(&["provision", "--tenant"], &["--tenant"]);
        check_wrong(&["provision", "--tenant", "a", "--tenant", "b"], &["tenant"]);
        check_wrong(&["migrate", "now"], &["now"]);
    }

    #[test]
    fn help_and_version_are_texts_to_show() {
        for line in
            [&["--help"][..], &["-h"], &["help"], &["provision", "--help"], &["migrate", "-h"], &["seed", "--help"]]
        {
            let Ok(Request::Show(text)) = read(&words(line)) else { panic!("{line:?}") };
            assert!(text.contains("Usage: mercurio-admin"), "{text}");
        }
        let Ok(Request::Show(text)) = read(&words(&["--help"])) else { panic!("no help") };
        for part in ["migrate", "provision", "seed", "DATABASE_URL", "69", "--version"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        for flag in ["--version", "-V"] {
            let Ok(Request::Show(text)) = read(&words(&[flag])) else { panic!("no version") };
            assert_eq!(text, format!("mercurio-admin {}", env!("CARGO_PKG_VERSION")));
        }
    }
}
