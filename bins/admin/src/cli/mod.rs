//! The command line: its words, and the checks that need no database. All invalid are told at once.

mod completions;
mod events;
mod key;
mod migrate;
mod provision;
mod tenant;
mod workspace;

use argh::{ArgsInfo, EarlyExit, FromArgs};
use argh_complete::Generator;
use argh_complete::fish::Fish;
use argh_complete::zsh::Zsh;
use mercurio_domain::api_key::Scopes;
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;

use crate::config::name;
use crate::{AdminError, NAME};

pub use events::{EventsCommand, ExportFormat, Selection};
pub use key::{Expiry, KeyCommand};
pub use migrate::MigrateCommand;
pub use provision::ProvisionCommand;
pub use tenant::TenantCommand;
pub use workspace::WorkspaceCommand;

/// The name of a workspace where none is given.
pub const DEFAULT_WORKSPACE: &str = "Default";

/// What the command line asks for.
#[derive(Debug)]
pub enum Request {
    /// A text: help, or the version.
    Show(String),
    /// Work.
    Do {
        /// The work.
        command: Command,
        /// Whether its result is to be JSON, although a person looks at it.
        json: bool,
    },
}

/// The work that can be asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Tend the schema.
    Migrate(MigrateCommand),
    /// Make a tenant.
    Provision(ProvisionCommand),
    /// Make the tenant that the settings name, unless it is there.
    Seed,
    /// Tend tenants.
    Tenant(TenantCommand),
    /// Tend workspaces.
    Workspace(WorkspaceCommand),
    /// Tend API keys.
    Key(KeyCommand),
    /// Look at events, and remove them.
    Events(EventsCommand),
    /// Tell what is in the way of a server.
    Doctor,
    /// Show the settings that are in force.
    Config,
}

/// Tends Mercurio's database. Results go to stdout: a table where that is a terminal, else JSON. Messages go to stderr.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    help_triggers("-h", "--help", "help"),
    example = "{command_name} provision --tenant Acme --workspace Production",
    example = "DATABASE_URL=postgres://user@localhost/mercurio {command_name} migrate",
    note = "--json, anywhere on the line: JSON on a terminal too.\n\nA tenant is named by its name, or by its id as id:42.\n\nSettings, from the environment:\n  DATABASE_URL         postgres://USER:PASSWORD@HOST:PORT/NAME, or\n                       sqlite://PATH; default sqlite://data/mercurio.db\n  DATABASE_URL_FILE    a file that holds it, in place of the variable\n  SEED_TENANT_NAME     the tenant that `seed` makes\n  SEED_WORKSPACE_NAME  its workspace; default: Default",
    error_code(0, "Done."),
    error_code(1, "Failed."),
    error_code(2, "Ended when some of it was done; the same command does the rest."),
    error_code(3, "The name is taken."),
    error_code(4, "There is no such tenant, workspace or key."),
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

#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
enum CommandWords {
    Migrate(migrate::Words),
    Provision(provision::Words),
    Seed(SeedWords),
    Tenant(tenant::Words),
    Workspace(workspace::Words),
    Key(key::Words),
    Events(events::Words),
    Doctor(DoctorWords),
    Config(ConfigWords),
    Completions(CompletionsWords),
}

/// Make the tenant that SEED_TENANT_NAME and SEED_WORKSPACE_NAME name. Where it exists, its ids are printed and nothing is
/// changed.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "seed", help_triggers("-h", "--help", "help"))]
struct SeedWords {}

/// Look for what is in the way of a server with these settings: database, schema, clock, room, Redis. Each check is ok, a
/// warning or failed, with what to do. Changes nothing. Exit code 1 where one has failed, 69 where the database is away.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "doctor", help_triggers("-h", "--help", "help"))]
struct DoctorWords {}

/// Show the settings that a server with this environment has, each with where it came from. Secrets are hidden.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "config", help_triggers("-h", "--help", "help"))]
struct ConfigWords {}

/// Print a script by which a shell completes commands and options.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "completions",
    help_triggers("-h", "--help", "help"),
    example = "{command_name} bash > /etc/bash_completion.d/mercurio-admin"
)]
struct CompletionsWords {
    /// bash, zsh or fish
    #[argh(positional)]
    shell: String,
}

impl CompletionsWords {
    fn script(&self) -> Result<String, AdminError> {
        let words = Words::get_args_info();
        match &*self.shell {
            "bash" => Ok(completions::bash(NAME, &words)),
            "zsh" => Ok(Zsh::generate(NAME, &words)),
            "fish" => Ok(Fish::generate(NAME, &words)),
            other => Err(wrong(&format!(
                "there are no completions for {other:?}, but for bash, zsh and fish"
            ))),
        }
    }
}

/// Reads the command line, without the program's name.
///
/// # Errors
/// [`AdminError::Usage`] with every mistake.
pub fn read(arguments: &[String]) -> Result<Request, AdminError> {
    let json = arguments.iter().any(|argument| argument == JSON);
    let arguments: Vec<&str> = arguments
        .iter()
        .filter(|argument| *argument != JSON)
        .flat_map(|argument| halves(argument))
        .collect();
    let words = match Words::from_args(&[NAME], &arguments) {
        Ok(words) => words,
        Err(EarlyExit { output, status: Ok(()) }) => return Ok(Request::Show(output)),
        Err(EarlyExit { output, status: Err(()) }) => return Err(wrong(output.trim_end())),
    };
    if words.version {
        return Ok(Request::Show(format!("{NAME} {}", env!("CARGO_PKG_VERSION"))));
    }
    let mut invalid = Vec::new();
    let command = match words.command {
        Some(CommandWords::Completions(words)) => return words.script().map(Request::Show),
        Some(CommandWords::Migrate(words)) => Some(Command::Migrate(words.read())),
        Some(CommandWords::Seed(SeedWords {})) => Some(Command::Seed),
        Some(CommandWords::Provision(words)) => words.read(&mut invalid).map(Command::Provision),
        Some(CommandWords::Tenant(words)) => words.read(&mut invalid).map(Command::Tenant),
        Some(CommandWords::Workspace(words)) => words.read(&mut invalid).map(Command::Workspace),
        Some(CommandWords::Key(words)) => words.read(&mut invalid).map(Command::Key),
        Some(CommandWords::Events(words)) => words.read(&mut invalid).map(Command::Events),
        Some(CommandWords::Doctor(DoctorWords {})) => Some(Command::Doctor),
        Some(CommandWords::Config(ConfigWords {})) => Some(Command::Config),
        None => return Err(wrong("no command is given")),
    };
    match command {
        Some(command) if invalid.is_empty() => Ok(Request::Do { command, json }),
        _ => Err(AdminError::Usage(invalid)),
    }
}

/// Asks for JSON, wherever it stands: nobody should have to know to which word it belongs.
const JSON: &str = "--json";

/// `--name=value` as the two words that argh reads.
fn halves(argument: &str) -> impl Iterator<Item = &str> {
    let is_option = |name: &str| {
        name.strip_prefix("--").is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        })
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

/// An option that must be given; what is wrong goes to `invalid`.
fn required<'a>(
    option: &str,
    text: Option<&'a str>,
    meaning: &str,
    invalid: &mut Vec<String>,
) -> Option<&'a str> {
    if text.is_none() {
        invalid.push(format!("{option} is required: {meaning}"));
    }
    text
}

/// The tenant that `--tenant` names: by its name, or as `id:42`.
fn tenant_ref(text: Option<&str>, invalid: &mut Vec<String>) -> Option<TenantRef> {
    let text = required("--tenant", text, "the tenant's name, or its id as id:42", invalid)?;
    let Some(id) = text.strip_prefix("id:") else {
        return name("--tenant", text, invalid).map(TenantRef::Name);
    };
    let id = id
        .parse()
        .map_err(|_| invalid.push(format!("--tenant: {text:?} has no number behind id:")));
    id.ok().map(TenantRef::Id)
}

fn workspace_name(text: Option<&str>, invalid: &mut Vec<String>) -> Option<Name> {
    name("--workspace", text.unwrap_or(DEFAULT_WORKSPACE), invalid)
}

fn scopes(text: Option<&str>, invalid: &mut Vec<String>) -> Option<Scopes> {
    let scopes = text.map_or(Ok(Scopes::all()), Scopes::parse);
    scopes.map_err(|error| invalid.push(format!("--scopes: {error}"))).ok()
}

/// The name of a workspace's key where none is given.
pub(crate) fn key_name_of(workspace: &Name, invalid: &mut Vec<String>) -> Option<Name> {
    name("the key's name", &format!("{workspace} API key"), invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[&str]) -> Vec<String> {
        line.iter().map(|word| (*word).to_owned()).collect()
    }

    fn provisioning(line: &[&str]) -> ProvisionCommand {
        match read(&words(line)) {
            Ok(Request::Do { command: Command::Provision(command), .. }) => command,
            other => panic!("{line:?}: {other:?}"),
        }
    }

    #[track_caller]
    fn check_wrong(line: &[&str], expected: &[&str]) {
        match read(&words(line)) {
            Err(AdminError::Usage(invalid)) => {
                for expected in expected {
                    assert!(
                        invalid.iter().any(|mistake| mistake.contains(expected)),
                        "{expected}: {invalid:?}"
                    );
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
        assert_eq!(
            provisioning(&["provision", "--tenant", "a", "--workspace", "W"]).key_name.as_str(),
            "W API key"
        );
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        check_wrong(
            &["provision", "--workspace", "", "--key-name", "a\u{7}", "--scopes", "all"],
            &[
                "--tenant is required",
                "--workspace: ",
                "--key-name: ",
                "--scopes: there is no scope \"all\"",
            ],
        );
        check_wrong(
            &["provision", "--tenant", "a", "--workspace", &"w".repeat(250)],
            &["the key's name: "],
        );
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
        for line in [
            &["--help"][..],
            &["-h"],
            &["help"],
            &["provision", "--help"],
            &["migrate", "-h"],
            &["seed", "--help"],
        ] {
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
