//! The commands `events …` with valid arguments.

use std::path::PathBuf;

use mercurio_domain::EventId;
use mercurio_domain::store::{FeedStart, Person, TenantRef};
use mercurio_domain::tenant::Name;

use super::super::consent::Consent;
use super::super::filters::{EventFilter, Selection};
use super::super::forward::ForwardCommand;
use super::super::times::TimeArg;

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
    Forward(Box<ForwardCommand>),
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
    pub file: Option<PathBuf>,
    /// Checks the lines, and stores nothing.
    pub is_dry_run: bool,
    /// Takes the events of another tenant or workspace.
    pub remaps: bool,
    /// Stops at the first rejected line.
    pub stops_on_error: bool,
}

impl EventsCommand {
    /// See [`Command::change`](crate::cli::Command::change).
    pub(in crate::cli) fn change(&self) -> Option<&'static str> {
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
            | Self::Export { .. }
            // Its cursor says where it is.
            | Self::Forward(_) => None,
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
