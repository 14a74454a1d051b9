//! Arguments of `audit …`.

use argh::{ArgsInfo, FromArgs};

use super::times::{TimeArg, past};
use super::values::{number, optional};

/// Default of `--limit`.
const DEFAULT_LIMIT: usize = 100;
/// Maximum of `--limit`.
const MAX_LIMIT: usize = 100_000;

/// A look at the audit log.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AuditCommand {
    List {
        /// `None`: from the first entry on.
        since: Option<TimeArg>,
        limit: usize,
    },
}

/// Read the audit log: what was done with this program, by whom, when, and how it ended.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "audit")]
pub(super) struct AuditArgs {
    #[argh(subcommand)]
    command: AuditSubcommand,
}

#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
enum AuditSubcommand {
    List(AuditListArgs),
}

/// List the newest entries of the audit log, newest first.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "list", example = "{command_name} --since 30d --limit 1000")]
struct AuditListArgs {
    /// only entries of this time or later: 2026-11-01 (UTC), RFC 3339, or an age such as 30d
    #[argh(option, arg_name = "time")]
    since: Option<String>,
    /// maximum number of entries, 1 to 100000; default: 100
    #[argh(option, arg_name = "number")]
    limit: Option<String>,
}

impl AuditArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<AuditCommand> {
        let AuditSubcommand::List(args) = self.command;
        let since = optional(args.since.as_deref(), |text| past("--since", text, invalid));
        let limit = match args.limit.as_deref() {
            None => Some(DEFAULT_LIMIT),
            Some(text) => number("--limit", text, MAX_LIMIT, invalid),
        };
        Some(AuditCommand::List { since: since?, limit: limit? })
    }
}
