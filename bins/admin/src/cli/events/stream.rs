//! Arguments of the commands that pass events on: `tail` and `import`.

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::limits::MAX_PAGE_EVENTS;
use mercurio_domain::store::{FeedCursor, FeedStart};

use super::super::filters::FilterArgs;
use super::super::values::{choice, name, number, optional, tenant_ref};
use super::command::{EventsCommand, ImportCommand, TailCommand, TailFormat};

/// Write the events of a workspace to stdout as they are stored: all of them, each once, in the order of commits. Follows until
/// Ctrl-C, and prints the cursor to continue with. Filters select what is written; the cursor passes the others too.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "tail",
    example = "{command_name} --tenant Acme --workspace Production",
    example = "{command_name} --tenant Acme --workspace Production --after oldest --no-follow > all.ndjson"
)]
pub(super) struct EventsTailArgs {
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
    /// one of its workspaces
    #[argh(option, arg_name = "workspace")]
    workspace: String,
    /// oldest: from the first event on; now: from the next one to be stored on; or the cursor that another run printed;
    /// default: now
    #[argh(option, arg_name = "start")]
    after: Option<String>,
    /// stop at the newest event instead of waiting for others; needs --after
    #[argh(switch)]
    no_follow: bool,
    /// stop after this number of events
    #[argh(option, arg_name = "number")]
    limit: Option<String>,
    /// one line or one JSON object per event; default: table on a terminal, ndjson otherwise
    #[argh(option, arg_name = "table|ndjson")]
    format: Option<String>,
    /// only events with this event_name
    #[argh(option, arg_name = "name")]
    event_name: Option<String>,
    /// only events of this type
    #[argh(option, long = "type", arg_name = "track|page|screen|identify|group|alias")]
    kind: Option<String>,
    /// only events with this user_id
    #[argh(option, arg_name = "id")]
    user_id: Option<String>,
    /// only events with this anonymous_id
    #[argh(option, arg_name = "id")]
    anonymous_id: Option<String>,
    /// only events with this session_id
    #[argh(option, arg_name = "id")]
    session_id: Option<String>,
    /// only events that happened at this time or later: 2026-11-01 (UTC), RFC 3339, or an age such as 30d
    #[argh(option, arg_name = "time")]
    from: Option<String>,
    /// only events that happened before this time, in the same forms
    #[argh(option, arg_name = "time")]
    to: Option<String>,
    /// only events received at this time or later, in the same forms
    #[argh(option, arg_name = "time")]
    received_from: Option<String>,
    /// only events received before this time, in the same forms
    #[argh(option, arg_name = "time")]
    received_to: Option<String>,
}

/// Store events of an export, as `events export` writes them (NDJSON). Keeps received_at, sent_timestamp and enrichment. Events
/// that are stored already are duplicates, so an import can be repeated, and continued after an interruption. A line that
/// breaks a rule is reported with its number, and the exit code is 1.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "import",
    example = "{command_name} --tenant Acme --workspace Production --dry-run events.ndjson",
    example = "{command_name} --tenant Acme --workspace Production --remap < events.ndjson"
)]
pub(super) struct EventsImportArgs {
    /// the export; default, or -: standard input
    #[argh(positional)]
    file: Option<String>,
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
    /// one of its workspaces
    #[argh(option, arg_name = "workspace")]
    workspace: String,
    /// take the events of another tenant, workspace or database: those of the first line
    #[argh(switch)]
    remap: bool,
    /// only check the lines
    #[argh(switch)]
    dry_run: bool,
    /// stop at the first line that breaks a rule; default: go on with the others
    #[argh(switch)]
    stop_on_error: bool,
}

impl EventsTailArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let Self { tenant, workspace, after, no_follow, limit, format, .. } = &self;
        let tenant = tenant_ref("--tenant", tenant, invalid);
        let workspace = name("--workspace", workspace, invalid);
        let start = optional(after.as_deref(), |text| start(text, invalid));
        if *no_follow && after.is_none() {
            let message = "--no-follow needs --after: from now on there is nothing to write; use \
                           oldest or a cursor";
            invalid.push(message.to_owned());
        }
        let limit = optional(limit.as_deref(), |text| number("--limit", text, usize::MAX, invalid));
        let format = optional(format.as_deref(), |text| tail_format(text, invalid));
        let follows = !no_follow;
        let filter = self.filters().read(MAX_PAGE_EVENTS, invalid);
        Some(EventsCommand::Tail(Box::new(TailCommand {
            tenant: tenant?,
            workspace: workspace?,
            start: start?.unwrap_or(FeedStart::Now),
            follows,
            limit: limit?.map(|limit| limit as u64),
            filter: filter?,
            format: format?,
        })))
    }

    fn filters(self) -> FilterArgs {
        FilterArgs {
            event_name: self.event_name,
            kind: self.kind,
            user_id: self.user_id,
            anonymous_id: self.anonymous_id,
            session_id: self.session_id,
            from: self.from,
            to: self.to,
            received_from: self.received_from,
            received_to: self.received_to,
        }
    }
}

fn start(text: &str, invalid: &mut Vec<String>) -> Option<FeedStart> {
    match text {
        "oldest" => Some(FeedStart::Oldest),
        "now" => Some(FeedStart::Now),
        cursor => match FeedCursor::from_text(cursor) {
            Ok(cursor) => Some(FeedStart::After(cursor)),
            Err(_) => {
                let message = "--after is neither oldest nor now nor a cursor: copy the one that \
                               the run before printed";
                invalid.push(message.to_owned());
                None
            }
        },
    }
}

fn tail_format(text: &str, invalid: &mut Vec<String>) -> Option<TailFormat> {
    let format = choice("--format", text, &["table", "ndjson"], invalid)?;
    Some(if format == "table" { TailFormat::Table } else { TailFormat::Ndjson })
}

impl EventsImportArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let tenant = tenant_ref("--tenant", &self.tenant, invalid);
        let workspace = name("--workspace", &self.workspace, invalid);
        Some(EventsCommand::Import(ImportCommand {
            tenant: tenant?,
            workspace: workspace?,
            file: self.file.filter(|file| file != "-").map(Into::into),
            is_dry_run: self.dry_run,
            remaps: self.remap,
            stops_on_error: self.stop_on_error,
        }))
    }
}
