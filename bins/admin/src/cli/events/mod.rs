//! Arguments of `events …`.

mod read;
mod removal;
mod stream;

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::EventId;
use mercurio_domain::store::{FeedStart, Person, TenantRef};
use mercurio_domain::tenant::Name;

use super::consent::Consent;
use super::filters::{EventFilter, Selection};
use super::times::TimeArg;
use read::{EventsCountArgs, EventsExportArgs, EventsGetArgs, EventsListArgs};
use removal::{EventsEraseArgs, EventsPurgeArgs};
use stream::{EventsImportArgs, EventsTailArgs};

/// Work on stored events.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum EventsCommand {
    Count(Selection),
    List(Selection),
    Get {
        tenant: TenantRef,
        event: EventId,
    },
    Tail(Box<TailCommand>),
    Export {
        selection: Selection,
        format: ExportFormat,
    },
    Import(ImportCommand),
    Erase {
        tenant: TenantRef,
        person: Person,
        consent: Consent,
    },
    Purge {
        /// `None`: all tenants.
        tenant: Option<TenantRef>,
        /// Exclusive upper bound of the time of receipt.
        older_than: TimeArg,
        consent: Consent,
    },
}

/// Arguments of `events tail`.
#[derive(Debug, PartialEq, Eq)]
pub struct TailCommand {
    /// The tenant.
    pub tenant: TenantRef,
    /// Its workspace.
    pub workspace: Name,
    /// Start.
    pub start: FeedStart,
    /// Whether it waits for further events.
    pub follows: bool,
    /// Maximum events.
    pub limit: Option<u64>,
    /// Shows only some events of the feed.
    pub filter: EventFilter,
    /// `None`: a table on a terminal, NDJSON otherwise.
    pub format: Option<TailFormat>,
}

/// Format of a tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailFormat {
    /// One line per event, for people.
    Table,
    /// One JSON object per line.
    Ndjson,
}

/// Arguments of `events import`.
#[derive(Debug, PartialEq, Eq)]
pub struct ImportCommand {
    /// The tenant.
    pub tenant: TenantRef,
    /// Its workspace.
    pub workspace: Name,
    /// `None`: standard input.
    pub file: Option<std::path::PathBuf>,
    /// Checks the lines, and stores nothing.
    pub is_dry_run: bool,
    /// Takes the events of another tenant or workspace.
    pub remaps: bool,
    /// Stops at the first rejected line.
    pub stops_on_error: bool,
}

impl EventsCommand {
    /// See [`Command::change`](super::Command::change).
    pub(super) fn change(&self) -> Option<&'static str> {
        match self {
            // A dry run changes nothing, so it leaves no entry.
            Self::Erase { consent: Consent::DryRun, .. }
            | Self::Purge { consent: Consent::DryRun, .. }
            | Self::Import(ImportCommand { is_dry_run: true, .. }) => None,
            Self::Erase { .. } => Some("events erase"),
            Self::Purge { .. } => Some("events purge"),
            Self::Import(_) => Some("events import"),
            Self::Count(_)
            | Self::List(_)
            | Self::Get { .. }
            | Self::Tail(_)
            | Self::Export { .. } => None,
        }
    }
}

/// Format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One JSON object per line.
    Ndjson,
    /// Comma-separated values with a header (RFC 4180).
    Csv {
        /// Keeps cells that a spreadsheet would run as formulas.
        raw: bool,
    },
}

/// Count, list, get, tail, export, import, erase and purge events.
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
            EventsSubcommand::Erase(args) => args.read(invalid),
            EventsSubcommand::Purge(args) => args.read(invalid),
        }
    }
}
