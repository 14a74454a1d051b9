//! Arguments of `events …`.

mod command;
mod read;
mod removal;
mod stream;

use argh::{ArgsInfo, FromArgs};

use super::forward::EventsForwardArgs;

pub use command::{EventsCommand, ExportFormat, ImportCommand, TailCommand, TailFormat};
use read::{EventsCountArgs, EventsExportArgs, EventsGetArgs, EventsListArgs};
use removal::{EventsEraseArgs, EventsPurgeArgs};
use stream::{EventsImportArgs, EventsTailArgs};

/// Count, list, get, tail, export, import, forward, erase and purge events.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "events")]
pub(super) struct EventsArgs {
    #[argh(subcommand)]
    command: EventsSubcommand,
}

#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
enum EventsSubcommand {
    Count(EventsCountArgs),
    List(EventsListArgs),
    Get(EventsGetArgs),
    Tail(EventsTailArgs),
    Export(EventsExportArgs),
    Import(EventsImportArgs),
    Forward(EventsForwardArgs),
    Erase(EventsEraseArgs),
    Purge(EventsPurgeArgs),
}

impl EventsArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        match self.command {
            EventsSubcommand::Count(args) => args.read(invalid),
            EventsSubcommand::List(args) => args.read(invalid),
            EventsSubcommand::Get(args) => args.read(invalid),
            EventsSubcommand::Tail(args) => args.read(invalid),
            EventsSubcommand::Export(args) => args.read(invalid),
            EventsSubcommand::Import(args) => args.read(invalid),
            EventsSubcommand::Forward(args) => {
                args.read(invalid).map(Box::new).map(EventsCommand::Forward)
            }
            EventsSubcommand::Erase(args) => args.read(invalid),
            EventsSubcommand::Purge(args) => args.read(invalid),
        }
    }
}
