//! Arguments of `events …`.

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::EventId;
use mercurio_domain::limits::{MAX_PAGE_EVENTS, MAX_PERSON_ID_CHARS};
use mercurio_domain::store::{Person, TenantRef};

use super::consent::Consent;
use super::filters::{EventFilter, FilterArgs, Selection, selection};
use super::forward::{EventsForwardArgs, ForwardCommand};
use super::times::{TimeArg, past};
use super::values::{choice, number, optional, tenant_ref};

/// Default of `events list --limit`.
const DEFAULT_LIMIT: usize = 20;

/// Work on stored events.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum EventsCommand {
    Count(Selection),
    List(Selection),
    Show {
        tenant: TenantRef,
        event: EventId,
    },
    Export {
        selection: Selection,
        format: ExportFormat,
    },
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

impl EventsCommand {
    /// See [`Command::change`](super::Command::change).
    pub(super) fn change(&self) -> Option<&'static str> {
        match self {
            // A dry run changes nothing, so it leaves no entry.
            Self::Erase { consent: Consent::DryRun, .. }
            | Self::Purge { consent: Consent::DryRun, .. } => None,
            Self::Erase { .. } => Some("events erase"),
            Self::Purge { .. } => Some("events purge"),
            Self::Count(_)
            | Self::List(_)
            | Self::Show { .. }
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

/// Count, list, show, export, forward, erase and purge events.
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
    Show(EventsShowArgs),
    Export(EventsExportArgs),
    Forward(EventsForwardArgs),
    Erase(EventsEraseArgs),
    Purge(EventsPurgeArgs),
}

/// Count the events of a tenant.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "count", example = "{command_name} --tenant Acme")]
struct EventsCountArgs {
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
    /// one of its workspaces; default: all
    #[argh(option, arg_name = "workspace")]
    workspace: Option<String>,
}

/// List the newest events of a tenant.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "list",
    example = "{command_name} --tenant Acme --limit 5 --user-id 4711",
    example = "{command_name} --tenant Acme --event-name \"Order Completed\" --from 7d"
)]
struct EventsListArgs {
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
    /// one of its workspaces; default: all
    #[argh(option, arg_name = "workspace")]
    workspace: Option<String>,
    /// maximum number of events, 1 to 1000; default: 20
    #[argh(option, arg_name = "number")]
    limit: Option<String>,
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
}

/// Show an event.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "show",
    example = "{command_name} 01930b5f-7a3c-7cc2-9d5e-2f1f5b7f0a11 --tenant Acme"
)]
struct EventsShowArgs {
    /// the event_id
    #[argh(positional)]
    event_id: String,
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
}

/// Write all events of a tenant to stdout, newest first. Every event stored at the start appears exactly once, even while
/// new events arrive.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "export",
    example = "{command_name} --tenant Acme --format csv --from 2026-11-01 > events.csv"
)]
struct EventsExportArgs {
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
    /// one of its workspaces; default: all, one after the other
    #[argh(option, arg_name = "workspace")]
    workspace: Option<String>,
    /// one JSON object per line, or comma-separated values; default: ndjson
    #[argh(option, arg_name = "ndjson|csv")]
    format: Option<String>,
    /// keep CSV cells that a spreadsheet would run as formulas; default: a ' in front makes them text
    #[argh(switch)]
    raw: bool,
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
}

/// Delete all events of one person, and print their number. The ids of the events stay known: an event sent again is a
/// duplicate.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "erase", example = "{command_name} --tenant Acme --user-id 4711")]
struct EventsEraseArgs {
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
    /// the person, by user_id; this or --anonymous-id is required
    #[argh(option, arg_name = "id")]
    user_id: Option<String>,
    /// the person, by anonymous_id; this or --user-id is required
    #[argh(option, arg_name = "id")]
    anonymous_id: Option<String>,
    /// only count what would be deleted
    #[argh(switch)]
    dry_run: bool,
    /// skip the confirmation
    #[argh(switch)]
    yes: bool,
}

/// Delete old events, and print their number. The time of receipt counts; for all tenants, only whole days (UTC) are
/// deleted. The ids of the events stay known for 30 more days.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "purge", example = "{command_name} --older-than 400d --yes")]
struct EventsPurgeArgs {
    /// the tenant's name, or id:42; default: all tenants
    #[argh(option, arg_name = "tenant")]
    tenant: Option<String>,
    /// minimum age such as 400d or 1y, or the time before which events were received: 2026-01-01 (UTC), RFC 3339
    #[argh(option, arg_name = "age")]
    older_than: String,
    /// only count what would be deleted
    #[argh(switch)]
    dry_run: bool,
    /// skip the confirmation
    #[argh(switch)]
    yes: bool,
}

impl EventsArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        match self.command {
            EventsSubcommand::Count(args) => args.read(invalid),
            EventsSubcommand::List(args) => args.read(invalid),
            EventsSubcommand::Show(args) => args.read(invalid),
            EventsSubcommand::Export(args) => args.read(invalid),
            EventsSubcommand::Forward(args) => {
                args.read(invalid).map(Box::new).map(EventsCommand::Forward)
            }
            EventsSubcommand::Erase(args) => args.read(invalid),
            EventsSubcommand::Purge(args) => args.read(invalid),
        }
    }
}

impl EventsCountArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let filter = Some(EventFilter::default());
        selection(&self.tenant, self.workspace, filter, invalid).map(EventsCommand::Count)
    }
}

impl EventsListArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let Self {
            tenant,
            workspace,
            limit,
            event_name,
            kind,
            user_id,
            anonymous_id,
            session_id,
            from,
            to,
        } = self;
        let filters = FilterArgs { event_name, kind, user_id, anonymous_id, session_id, from, to };
        let limit = match limit.as_deref() {
            None => Some(DEFAULT_LIMIT),
            Some(text) => number("--limit", text, MAX_PAGE_EVENTS, invalid),
        };
        let filter = filters.read(limit.unwrap_or(DEFAULT_LIMIT), invalid);
        let selection = selection(&tenant, workspace, filter, invalid);
        limit.and(selection).map(EventsCommand::List)
    }
}

impl EventsShowArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let tenant = tenant_ref("--tenant", &self.tenant, invalid);
        Some(EventsCommand::Show { tenant: tenant?, event: EventId::lookup(self.event_id) })
    }
}

impl EventsExportArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let Self {
            tenant,
            workspace,
            format,
            raw,
            event_name,
            kind,
            user_id,
            anonymous_id,
            session_id,
            from,
            to,
        } = self;
        let filters = FilterArgs { event_name, kind, user_id, anonymous_id, session_id, from, to };
        let format = format.as_deref().unwrap_or("ndjson");
        let format = match choice("--format", format, &["ndjson", "csv"], invalid) {
            Some("csv") => Some(ExportFormat::Csv { raw }),
            Some(_) if raw => {
                invalid.push("--raw needs --format csv: NDJSON has no formulas".to_owned());
                None
            }
            Some(_) => Some(ExportFormat::Ndjson),
            None => None,
        };
        // The largest page: fewest queries for an export of everything.
        let filter = filters.read(MAX_PAGE_EVENTS, invalid);
        let selection = selection(&tenant, workspace, filter, invalid);
        Some(EventsCommand::Export { selection: selection?, format: format? })
    }
}

impl EventsEraseArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let tenant = tenant_ref("--tenant", &self.tenant, invalid);
        let person = match (self.user_id, self.anonymous_id) {
            (Some(id), None) => person_id("--user-id", id, invalid).map(Person::User),
            (None, Some(id)) => person_id("--anonymous-id", id, invalid).map(Person::Anonymous),
            // Erasing by either would be a guess.
            (Some(_), Some(_)) => {
                let message = "--user-id and --anonymous-id cannot be combined: erase by one, then \
                               by the other";
                invalid.push(message.to_owned());
                None
            }
            (None, None) => {
                let message = "one of --user-id and --anonymous-id is required: the person whose \
                               events are erased";
                invalid.push(message.to_owned());
                None
            }
        };
        let consent = Consent::of(self.yes, self.dry_run);
        Some(EventsCommand::Erase { tenant: tenant?, person: person?, consent })
    }
}

impl EventsPurgeArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        // `optional` keeps an invalid tenant apart from none: none means all tenants.
        let tenant = optional(self.tenant.as_deref(), |text| tenant_ref("--tenant", text, invalid));
        let older_than = past("--older-than", &self.older_than, invalid);
        let consent = Consent::of(self.yes, self.dry_run);
        Some(EventsCommand::Purge { tenant: tenant?, older_than: older_than?, consent })
    }
}

fn person_id(option: &str, id: String, invalid: &mut Vec<String>) -> Option<String> {
    let chars = id.chars().count();
    if (1..=MAX_PERSON_ID_CHARS).contains(&chars) {
        return Some(id);
    }
    // The id is personal data: the message gives only its length.
    invalid
        .push(format!("{option} has {chars} characters; it must have 1 to {MAX_PERSON_ID_CHARS}"));
    None
}
