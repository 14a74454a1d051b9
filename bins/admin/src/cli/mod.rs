//! The command line: one file of argument structs per command, and the checks that need no database.
//!
//! argh derives `--help` from the doc comments of the `…Args` structs. tests/help holds every help text.

mod audit;
mod bash;
mod events;
mod key;
mod migrate;
mod provision;
mod tenant;
pub(crate) mod values;
mod workspace;

#[cfg(test)]
mod tests;

use argh::{ArgsInfo, EarlyExit, FromArgs};
use argh_complete::Generator;
use argh_complete::fish::Fish;
use argh_complete::zsh::Zsh;

use crate::error::AdminError;
use crate::terminal::PROGRAM;

pub use audit::AuditCommand;
pub use events::{EventsCommand, ExportFormat, Selection};
pub use key::{Expiry, KeyCommand, KeyCreateCommand};
pub use migrate::MigrateCommand;
pub use provision::ProvisionCommand;
pub use tenant::TenantCommand;
pub use workspace::WorkspaceCommand;

/// A parsed command line.
#[derive(Debug)]
pub enum Request {
    /// Help, the version or a completion script.
    Print(String),
    /// A command.
    Run {
        /// The command, with valid arguments.
        command: Command,
        /// `--json` was given: print JSON even on a terminal.
        json: bool,
    },
}

/// A command with its arguments.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Command {
    Migrate(MigrateCommand),
    Provision(ProvisionCommand),
    Seed,
    Tenant(TenantCommand),
    Workspace(WorkspaceCommand),
    Key(KeyCommand),
    Events(EventsCommand),
    Audit(AuditCommand),
    Doctor,
    Config,
}

impl Command {
    /// Returns the words of a command that changes the database, for the audit log; `None` for a
    /// command that only reads.
    #[must_use]
    pub fn change(&self) -> Option<&'static str> {
        Some(match self {
            Self::Migrate(MigrateCommand::Up) => "migrate up",
            Self::Migrate(MigrateCommand::Down { .. }) => "migrate down",
            Self::Provision(_) => "provision",
            Self::Seed => "seed",
            Self::Tenant(command) => return command.change(),
            Self::Workspace(WorkspaceCommand::Create { .. }) => "workspace create",
            Self::Key(KeyCommand::Create(_)) => "key create",
            Self::Key(KeyCommand::Rotate { .. }) => "key rotate",
            Self::Key(KeyCommand::Revoke(_)) => "key revoke",
            Self::Events(EventsCommand::Erase { .. }) => "events erase",
            Self::Events(EventsCommand::Purge { .. }) => "events purge",
            Self::Migrate(MigrateCommand::Status)
            | Self::Workspace(WorkspaceCommand::List(_))
            | Self::Key(KeyCommand::List(_))
            | Self::Events(
                EventsCommand::Count(_) | EventsCommand::List(_) | EventsCommand::Export { .. },
            )
            | Self::Audit(_)
            | Self::Doctor
            | Self::Config => return None,
        })
    }
}

/// Administer Mercurio's database. Results go to stdout: a table on a terminal, JSON otherwise. Messages go to stderr.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    help_triggers("-h", "--help", "help"),
    example = "{command_name} provision --tenant Acme --workspace Production",
    example = "DATABASE_URL=postgres://user@localhost/mercurio {command_name} migrate",
    note = "--json, anywhere on the line, prints JSON on a terminal too.\n\nName a tenant by its name, in any case, or by its id as id:42.\n\nls is short for list, rm for delete. Behind --, a word is never an option: tenant show -- -odd-.\n\nSettings, from the environment:\n  DATABASE_URL         postgres://USER:PASSWORD@HOST:PORT/NAME or\n                       sqlite://PATH; default: sqlite://data/mercurio.db\n  DATABASE_URL_FILE    a file with the URL, in place of DATABASE_URL\n  SEED_TENANT_NAME     the tenant of `seed`\n  SEED_WORKSPACE_NAME  its workspace; default: Default",
    error_code(0, "Done."),
    error_code(1, "Failed."),
    error_code(2, "Stopped after part of the work: run the same command again to finish."),
    error_code(3, "The name is taken."),
    error_code(4, "There is no such tenant, workspace or key."),
    error_code(64, "The command line or a setting is invalid."),
    error_code(
        69,
        "The database is unavailable, or a migration did not get its locks in a minute."
    )
)]
struct AdminArgs {
    /// print the version
    #[argh(switch, short = 'V')]
    version: bool,
    #[argh(subcommand)]
    command: Option<Subcommand>,
}

#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
enum Subcommand {
    Migrate(migrate::MigrateArgs),
    Provision(provision::ProvisionArgs),
    Seed(SeedArgs),
    Tenant(tenant::TenantArgs),
    Workspace(workspace::WorkspaceArgs),
    Key(key::KeyArgs),
    Events(events::EventsArgs),
    Audit(audit::AuditArgs),
    Doctor(DoctorArgs),
    Config(ConfigArgs),
    Completions(CompletionsArgs),
}

/// Create the tenant SEED_TENANT_NAME with the workspace SEED_WORKSPACE_NAME and a key. If both exist, print their ids and
/// change nothing.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "seed", help_triggers("-h", "--help", "help"))]
struct SeedArgs {}

/// Check the settings, the database and Redis before a server starts, and change nothing. Each check is ok, a warning or
/// failed, with advice. Exit code 1 if a check failed, 69 if the database is unavailable.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "doctor", help_triggers("-h", "--help", "help"))]
struct DoctorArgs {}

/// Show the settings of a server in this environment, with the source of each value. Secrets are hidden.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "config", help_triggers("-h", "--help", "help"))]
struct ConfigArgs {}

/// Print a completion script for a shell.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "completions",
    help_triggers("-h", "--help", "help"),
    example = "{command_name} bash > /etc/bash_completion.d/mercurio-admin"
)]
struct CompletionsArgs {
    /// bash, zsh or fish
    #[argh(positional)]
    shell: String,
}

impl CompletionsArgs {
    fn script(&self) -> Result<String, AdminError> {
        let info = AdminArgs::get_args_info();
        match &*self.shell {
            // argh_complete's own script for bash is wrong: see `bash`.
            "bash" => Ok(bash::script(PROGRAM, &info)),
            "zsh" => Ok(Zsh::generate(PROGRAM, &info)),
            "fish" => Ok(Fish::generate(PROGRAM, &info)),
            other => Err(usage(&format!(
                "there are no completions for {other:?}: use bash, zsh or fish"
            ))),
        }
    }
}

/// Parses the command line without the program's name.
///
/// # Errors
/// [`AdminError::Usage`] with every error.
pub fn parse(arguments: &[String]) -> Result<Request, AdminError> {
    // argh knows an option of the program only before the command, so it never sees `--json`.
    let json = arguments.iter().any(|argument| argument == JSON);
    let mut words = split_options(arguments);
    resolve_alias(&mut words);
    let args = match AdminArgs::from_args(&[PROGRAM], &words) {
        Ok(args) => args,
        // argh ends parsing early for `--help`, without an error.
        Err(EarlyExit { output, status: Ok(()) }) => return Ok(Request::Print(output)),
        Err(EarlyExit { output, status: Err(()) }) => return Err(usage(output.trim_end())),
    };
    if args.version {
        return Ok(Request::Print(format!("{PROGRAM} {}", env!("CARGO_PKG_VERSION"))));
    }
    let mut invalid = Vec::new();
    let command = match args.command {
        Some(Subcommand::Completions(args)) => return args.script().map(Request::Print),
        Some(Subcommand::Migrate(args)) => Some(Command::Migrate(args.read())),
        Some(Subcommand::Seed(SeedArgs {})) => Some(Command::Seed),
        Some(Subcommand::Provision(args)) => args.read(&mut invalid).map(Command::Provision),
        Some(Subcommand::Tenant(args)) => args.read(&mut invalid).map(Command::Tenant),
        Some(Subcommand::Workspace(args)) => args.read(&mut invalid).map(Command::Workspace),
        Some(Subcommand::Key(args)) => args.read(&mut invalid).map(Command::Key),
        Some(Subcommand::Events(args)) => args.read(&mut invalid).map(Command::Events),
        Some(Subcommand::Audit(args)) => args.read(&mut invalid).map(Command::Audit),
        Some(Subcommand::Doctor(DoctorArgs {})) => Some(Command::Doctor),
        Some(Subcommand::Config(ConfigArgs {})) => Some(Command::Config),
        None => return Err(usage("no command is given")),
    };
    match command {
        // A reader may return a command although it reported an error, such as two values for one
        // limit.
        Some(command) if invalid.is_empty() => Ok(Request::Run { command, json }),
        _ => Err(AdminError::Usage(invalid)),
    }
}

/// Accepted anywhere on the line: argh would accept it only in front of the subcommand.
const JSON: &str = "--json";

/// Removes `--json`, and splits `--name=value` into the two words argh expects.
fn split_options(arguments: &[String]) -> Vec<&str> {
    let mut words = Vec::with_capacity(arguments.len());
    for argument in arguments.iter().filter(|argument| *argument != JSON) {
        match argument.split_once('=') {
            // Only the first `=` separates: a value may contain more of them.
            Some((option, value)) if is_option(option) => words.extend([option, value]),
            _ => words.push(argument),
        }
    }
    words
}

/// Short names of commands, behind the noun: `tenant ls`.
const ALIASES: [(&str, &str); 2] = [("ls", "list"), ("rm", "delete")];

fn resolve_alias(words: &mut [&str]) {
    if let Some(word) = words.get_mut(1)
        && let Some((_, name)) = ALIASES.iter().find(|(alias, _)| alias == word)
    {
        *word = name;
    }
}

/// Whether a word before `=` is an option. In `--set limit=5`, `limit` is not one, and the value stays whole.
fn is_option(word: &str) -> bool {
    let Some(name) = word.strip_prefix("--") else { return false };
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

fn usage(message: &str) -> AdminError {
    AdminError::Usage(vec![message.to_owned(), format!("run `{PROGRAM} --help` for usage")])
}
