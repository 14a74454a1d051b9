//! The command line: one file of argument structs per command, and the checks that need no database.
//!
//! The doc comments of the `…Args` structs are the texts of `--help`; tests/help holds all of them. `grammar` reads the
//! definitions, `line` checks the words by them, `help` renders them, and argh parses.

mod audit;
mod consent;
mod events;
mod filters;
mod forward;
pub(crate) mod grammar;
pub(crate) mod help;
mod key;
pub(crate) mod line;
pub(crate) mod manual;
mod migrate;
mod provision;
mod rejections;
mod tenant;
mod times;
pub(crate) mod values;
mod workspace;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use argh::{ArgsInfo, CommandInfoWithArgs, EarlyExit, FromArgs};

use crate::completion;
use crate::error::AdminError;
use crate::output::{Format, Layout, Style};
use crate::terminal::PROGRAM;
use grammar::Node;
use line::Line;
use values::choice;

pub use audit::AuditCommand;
pub use consent::Consent;
pub use events::{EventsCommand, ExportFormat, ImportCommand, TailCommand, TailFormat};
pub use filters::{EventFilter, Selection};
pub use forward::ForwardCommand;
pub use key::{Expiry, KeyCommand, KeyCreateCommand};
pub use migrate::MigrateCommand;
pub use provision::ProvisionCommand;
pub use rejections::{RejectionSelection, RejectionsCommand};
pub use tenant::TenantCommand;
pub use times::TimeArg;
pub use workspace::WorkspaceCommand;

/// The output of `--version`, from the build script.
const VERSION: &str = include_str!(concat!(env!("OUT_DIR"), "/version.txt"));

/// A parsed command line.
#[derive(Debug)]
pub enum Request {
    /// Help, the version or a completion script.
    Print(String),
    /// The manual pages.
    Manual {
        /// Gets all pages; `None`: the page of the program goes to stdout.
        folder: Option<PathBuf>,
    },
    /// A command.
    Run {
        /// The command, with valid arguments.
        command: Box<Command>,
        /// How its result is printed.
        style: Style,
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
    Rejections(RejectionsCommand),
    Audit(AuditCommand),
    Doctor,
    Config,
}

impl Command {
    /// Whether the command creates a missing database.
    #[must_use]
    pub fn creates_database(&self) -> bool {
        matches!(self, Self::Migrate(MigrateCommand::Up) | Self::Provision(_) | Self::Seed)
    }

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
            Self::Workspace(command) => return command.change(),
            Self::Key(KeyCommand::Create(_)) => "key create",
            Self::Key(KeyCommand::Rotate { .. }) => "key rotate",
            Self::Key(KeyCommand::Revoke { .. }) => "key revoke",
            Self::Events(command) => return command.change(),
            Self::Rejections(command) => return command.change(),
            Self::Migrate(MigrateCommand::Status)
            | Self::Key(KeyCommand::List(_) | KeyCommand::Show(_))
            | Self::Audit(_)
            | Self::Doctor
            | Self::Config => return None,
        })
    }
}

/// Administer Mercurio's database. Results go to stdout: a table on a terminal, JSON otherwise. Messages go to stderr.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    example = "{command_name} provision --tenant Acme --workspace Production",
    example = "{command_name} key create --tenant Acme --expires 90d",
    example = "DATABASE_URL=postgres://user@localhost/mercurio {command_name} migrate",
    note = "Options may stand anywhere on the line, as --name value or --name=value. Behind --, a word is never an option.",
    note = "A tenant is named by its name, in any case, or by its id as id:42.",
    note = "Settings, from the environment:\n  DATABASE_URL          postgres://USER:PASSWORD@HOST:PORT/NAME or\n                        sqlite://PATH; default: sqlite://data/mercurio.db\n  DATABASE_URL_FILE     a file with the URL, in place of DATABASE_URL\n  SEED_TENANT_NAME      the tenant of `seed`\n  SEED_WORKSPACE_NAME   its workspace; default: Default\n  MERCURIO_WEBHOOK_SECRET\n                        the secrets of `events forward`",
    error_code(0, "Done."),
    error_code(1, "Failed."),
    error_code(2, "Stopped after part of the work: run the same command again to finish."),
    error_code(3, "The name is taken."),
    error_code(4, "There is no such tenant, workspace, key or event."),
    error_code(64, "The command line or a setting is invalid."),
    error_code(
        69,
        "The database is unavailable, or a migration did not get its locks in a minute."
    )
)]
struct AdminArgs {
    /// print version, commit, target and features
    #[argh(switch, short = 'V')]
    version: bool,
    /// format of the result; default: table on a terminal, json otherwise
    #[argh(option, short = 'o', arg_name = "table|json|yaml|csv")]
    output: Option<String>,
    /// columns of a table or of CSV, separated by commas
    #[argh(option, arg_name = "columns")]
    columns: Option<String>,
    /// all columns of a table, and values in full
    #[argh(switch)]
    wide: bool,
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
    Rejections(rejections::RejectionsArgs),
    Audit(audit::AuditArgs),
    Doctor(DoctorArgs),
    Config(ConfigArgs),
    Completion(CompletionArgs),
    Man(ManArgs),
}

/// Create the tenant SEED_TENANT_NAME with the workspace SEED_WORKSPACE_NAME and a key. If both exist, print their ids and
/// change nothing.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "seed")]
struct SeedArgs {}

/// Check the settings, the database and Redis before a server starts, and change nothing. Each check is ok, a warning or
/// failed, with advice. Exit code 1 if a check failed, 69 if the database is unavailable.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "doctor")]
struct DoctorArgs {}

/// Show the settings of a server in this environment, with the source of each value. Secrets are hidden.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "config")]
struct ConfigArgs {}

/// Print a completion script for a shell. It completes commands, options and values, with names from the database in
/// DATABASE_URL.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "completion",
    example = "{command_name} bash > /etc/bash_completion.d/mercurio-admin",
    example = "{command_name} zsh > /usr/local/share/zsh/site-functions/_mercurio-admin",
    example = "{command_name} fish > ~/.config/fish/completions/mercurio-admin.fish",
    note = "To try it in this shell alone: source <({command_name} bash), with zsh in zsh; in fish: {command_name} fish | source"
)]
struct CompletionArgs {
    /// the shell
    #[argh(positional, arg_name = "bash|zsh|fish")]
    shell: String,
}

/// Print the manual page of this program, or write the pages of all commands into a folder.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "man",
    example = "{command_name} | man -l -",
    example = "{command_name} --dir /usr/local/share/man/man8"
)]
struct ManArgs {
    /// write all pages into this folder
    #[argh(option, arg_name = "directory")]
    dir: Option<String>,
}

/// The definitions of all commands.
pub(crate) fn definitions() -> CommandInfoWithArgs {
    AdminArgs::get_args_info()
}

/// Parses the command line without the program's name.
///
/// # Errors
/// [`AdminError::CommandLine`] with every error, and the usage of the command.
pub fn parse(arguments: &[String]) -> Result<Request, AdminError> {
    let info = definitions();
    let line = Line::read(Node::program(&info), arguments);
    if line.wants_help {
        return Ok(Request::Print(help::help(&line.node)));
    }
    let refused = |errors| AdminError::CommandLine { errors, usage: help::brief(&line.node) };
    if !line.errors.is_empty() {
        return Err(refused(line.errors));
    }
    let args = match AdminArgs::from_args(&[PROGRAM], &line.for_argh()) {
        Ok(args) => args,
        Err(_) if line.node.is_group() => return Err(refused(vec![no_command(&line.node)])),
        // The grammar and argh read the same definitions, so nothing is left to be refused.
        Err(EarlyExit { output, .. }) => return Err(refused(vec![output.trim_end().to_owned()])),
    };
    if args.version {
        return Ok(Request::Print(VERSION.to_owned()));
    }
    let mut invalid = Vec::new();
    let style = style(&line.node, args.output.as_deref(), args.columns.as_deref(), &mut invalid);
    let command = match args.command {
        Some(Subcommand::Completion(CompletionArgs { shell })) => {
            let shell = choice("shell", &shell, &["bash", "zsh", "fish"], &mut invalid);
            let script = shell.map(|shell| Request::Print(completion::script(shell).to_owned()));
            return script.ok_or_else(|| refused(invalid));
        }
        Some(Subcommand::Man(ManArgs { dir })) => {
            return Ok(Request::Manual { folder: dir.map(PathBuf::from) });
        }
        Some(Subcommand::Migrate(args)) => Some(Command::Migrate(args.read())),
        Some(Subcommand::Seed(SeedArgs {})) => Some(Command::Seed),
        Some(Subcommand::Provision(args)) => args.read(&mut invalid).map(Command::Provision),
        Some(Subcommand::Tenant(args)) => args.read(&mut invalid).map(Command::Tenant),
        Some(Subcommand::Workspace(args)) => args.read(&mut invalid).map(Command::Workspace),
        Some(Subcommand::Key(args)) => args.read(&mut invalid).map(Command::Key),
        Some(Subcommand::Events(args)) => args.read(&mut invalid).map(Command::Events),
        Some(Subcommand::Rejections(args)) => args.read(&mut invalid).map(Command::Rejections),
        Some(Subcommand::Audit(args)) => args.read(&mut invalid).map(Command::Audit),
        Some(Subcommand::Doctor(DoctorArgs {})) => Some(Command::Doctor),
        Some(Subcommand::Config(ConfigArgs {})) => Some(Command::Config),
        None => return Err(refused(vec![no_command(&line.node)])),
    };
    match command {
        // A reader may return a command although it reported an error, such as two values for one
        // limit.
        Some(command) if invalid.is_empty() => {
            let command = Box::new(command);
            Ok(Request::Run { command, style: Style { wide: args.wide, ..style } })
        }
        _ => Err(refused(invalid)),
    }
}

/// Reads the options about the result.
fn style(
    node: &Node<'_>,
    output: Option<&str>,
    columns: Option<&str>,
    invalid: &mut Vec<String>,
) -> Style {
    let format = output.and_then(|text| choice("--output", text, &Format::NAMES, invalid));
    let format = format.and_then(Format::named);
    let layout = Layout::of(&node.name());
    let mut style = Style { format, layout, ..Style::default() };
    // The grammar allows the option for commands with a layout alone.
    if let (Some(layout), Some(text)) = (layout, columns) {
        match layout.read_columns(text) {
            Ok(columns) => style.columns = columns,
            Err(errors) => invalid.extend(errors),
        }
    }
    style
}

fn no_command(group: &Node<'_>) -> String {
    match group.name() {
        program if program.is_empty() => "no command is given".to_owned(),
        group => format!("`{group}` needs a command"),
    }
}
