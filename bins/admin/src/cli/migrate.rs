//! Arguments of `migrate …`.

use argh::{ArgsInfo, FromArgs};

/// A change to the schema, or a question about it.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MigrateCommand {
    Up,
    Status,
    Down {
        /// Skips the question.
        yes: bool,
    },
}

/// Update the schema to this program's version. Safe to repeat, and to run from several places at once.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "migrate")]
pub(super) struct MigrateArgs {
    #[argh(subcommand)]
    command: Option<MigrateSubcommand>,
}

#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
enum MigrateSubcommand {
    Up(MigrateUpArgs),
    Status(MigrateStatusArgs),
    Down(MigrateDownArgs),
}

/// Apply the missing migrations. `migrate` alone does the same.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "up")]
struct MigrateUpArgs {}

/// Show the state of the schema, and change nothing.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "status")]
struct MigrateStatusArgs {}

/// Revert the newest migration, and delete the data that only it had room for. Servers that need the migration become not
/// ready: replace them first, and make a backup.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "down")]
struct MigrateDownArgs {
    /// skip the confirmation
    #[argh(switch)]
    yes: bool,
}

impl MigrateArgs {
    pub(super) fn read(self) -> MigrateCommand {
        match self.command {
            None | Some(MigrateSubcommand::Up(MigrateUpArgs {})) => MigrateCommand::Up,
            Some(MigrateSubcommand::Status(MigrateStatusArgs {})) => MigrateCommand::Status,
            Some(MigrateSubcommand::Down(MigrateDownArgs { yes })) => MigrateCommand::Down { yes },
        }
    }
}
