//! `migrate …` on the command line.

use argh::{ArgsInfo, FromArgs};

/// What to do with the database's schema.
#[derive(Debug, PartialEq, Eq)]
pub enum MigrateCommand {
    /// Bring it to this program's.
    Up,
    /// Tell how it stands to this program's.
    Status,
    /// Take the newest migration back.
    Down {
        /// Whether not to ask.
        yes: bool,
    },
}

/// Bring the database's schema to the one of this program. Safe to run again, and from many places at once.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "migrate", help_triggers("-h", "--help", "help"))]
pub(super) struct Words {
    #[argh(subcommand)]
    command: Option<CommandWords>,
}

#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
enum CommandWords {
    Up(UpWords),
    Status(StatusWords),
    Down(DownWords),
}

/// Bring the schema to the one of this program: what `migrate` alone does.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "up", help_triggers("-h", "--help", "help"))]
struct UpWords {}

/// Tell how the schema stands to the one of this program, and change nothing.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "status", help_triggers("-h", "--help", "help"))]
struct StatusWords {}

/// Take the newest migration back, with all that only it had a place for. Servers of this release are not ready without it.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "down", help_triggers("-h", "--help", "help"))]
struct DownWords {
    /// do not ask
    #[argh(switch)]
    yes: bool,
}

impl Words {
    /// The command.
    pub(super) fn read(self) -> MigrateCommand {
        match self.command {
            None | Some(CommandWords::Up(UpWords {})) => MigrateCommand::Up,
            Some(CommandWords::Status(StatusWords {})) => MigrateCommand::Status,
            Some(CommandWords::Down(DownWords { yes })) => MigrateCommand::Down { yes },
        }
    }
}
