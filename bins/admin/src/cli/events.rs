//! Arguments of `events …`.

use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::limits::{MAX_PAGE_EVENTS, MAX_PERSON_ID_CHARS};
use mercurio_domain::store::{EventQuery, Person, TenantRef};
use mercurio_domain::tenant::Name;

use super::values::{choice, duration, name, number, optional, tenant_ref, time};

/// Default of `events list --limit`.
const DEFAULT_LIMIT: usize = 20;

/// Work on stored events.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum EventsCommand {
    Count(Selection),
    List(Selection),
    Export {
        selection: Selection,
        format: ExportFormat,
    },
    Erase {
        tenant: TenantRef,
        person: Person,
        /// Skips the question.
        yes: bool,
    },
    Purge {
        /// `None`: all tenants.
        tenant: Option<TenantRef>,
        /// Minimum age, counted from receipt.
        older_than: Duration,
        /// Skips the question.
        yes: bool,
    },
}

/// Events of one tenant.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Selection {
    pub tenant: TenantRef,
    /// `None`: all workspaces.
    pub workspace: Option<Name>,
    pub query: EventQuery,
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

/// Count, list, export, erase and purge events.
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
    Export(EventsExportArgs),
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
    example = "{command_name} --tenant Acme --limit 5 --user-id 4711"
)]
struct EventsListArgs {
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
    /// one of its workspaces; default: all, one after the other
    #[argh(option, arg_name = "workspace")]
    workspace: Option<String>,
    /// maximum number of events per workspace, 1 to 1000; default: 20
    #[argh(option, arg_name = "number")]
    limit: Option<String>,
    /// only events with this user_id
    #[argh(option, arg_name = "id")]
    user_id: Option<String>,
    /// only events with this anonymous_id
    #[argh(option, arg_name = "id")]
    anonymous_id: Option<String>,
}

/// Write all events of a tenant to stdout, newest first. Every event stored at the start appears exactly once, even while
/// new events arrive.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "export",
    example = "{command_name} --tenant Acme --format csv --from 2026-11-01T00:00:00Z > events.csv"
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
    /// only events that happened at this time or later, in RFC 3339
    #[argh(option, arg_name = "time")]
    from: Option<String>,
    /// only events that happened before this time, in RFC 3339
    #[argh(option, arg_name = "time")]
    to: Option<String>,
    /// only events with this user_id
    #[argh(option, arg_name = "id")]
    user_id: Option<String>,
    /// only events with this anonymous_id
    #[argh(option, arg_name = "id")]
    anonymous_id: Option<String>,
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
    /// skip the confirmation
    #[argh(switch)]
    yes: bool,
}

/// Delete old events, and print their number. The age counts from receipt; for all tenants, only whole days (UTC) are
/// deleted. The ids of the events stay known for 30 more days.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "purge", example = "{command_name} --older-than 400d --yes")]
struct EventsPurgeArgs {
    /// the tenant's name, or id:42; default: all tenants
    #[argh(option, arg_name = "tenant")]
    tenant: Option<String>,
    /// minimum age: a number followed by s, m, h or d
    #[argh(option, arg_name = "age")]
    older_than: String,
    /// skip the confirmation
    #[argh(switch)]
    yes: bool,
}

impl EventsArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        match self.command {
            EventsSubcommand::Count(args) => args.read(invalid),
            EventsSubcommand::List(args) => args.read(invalid),
            EventsSubcommand::Export(args) => args.read(invalid),
            EventsSubcommand::Erase(args) => args.read(invalid),
            EventsSubcommand::Purge(args) => args.read(invalid),
        }
    }
}

impl EventsCountArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let query = Some(EventQuery::default());
        selection(&self.tenant, self.workspace, query, invalid).map(EventsCommand::Count)
    }
}

impl EventsListArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let limit = match self.limit.as_deref() {
            None => Some(DEFAULT_LIMIT),
            Some(text) => number("--limit", text, MAX_PAGE_EVENTS, invalid),
        };
        let query = limit.map(|limit| EventQuery {
            user_id: self.user_id,
            anonymous_id: self.anonymous_id,
            limit,
            ..EventQuery::default()
        });
        selection(&self.tenant, self.workspace, query, invalid).map(EventsCommand::List)
    }
}

impl EventsExportArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let from = optional(self.from.as_deref(), |text| time("--from", text, invalid));
        let to = optional(self.to.as_deref(), |text| time("--to", text, invalid));
        let format = self.format.as_deref().unwrap_or("ndjson");
        let format = match choice("--format", format, &["ndjson", "csv"], invalid) {
            Some("csv") => Some(ExportFormat::Csv { raw: self.raw }),
            Some(_) if self.raw => {
                invalid.push("--raw needs --format csv: NDJSON has no formulas".to_owned());
                None
            }
            Some(_) => Some(ExportFormat::Ndjson),
            None => None,
        };
        let query = match (from, to) {
            (Some(from), Some(to)) => Some(EventQuery {
                user_id: self.user_id,
                anonymous_id: self.anonymous_id,
                from,
                to,
                // The largest page: fewest queries for an export of everything.
                limit: MAX_PAGE_EVENTS,
                ..EventQuery::default()
            }),
            _ => None,
        };
        let selection = selection(&self.tenant, self.workspace, query, invalid);
        Some(EventsCommand::Export { selection: selection?, format: format? })
    }
}

impl EventsEraseArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let tenant = tenant_ref("--tenant", &self.tenant, invalid);
        let person = match (self.user_id, self.anonymous_id) {
            (Some(id), None) => person_id("--user-id", id, invalid).map(Person::User),
            (None, Some(id)) => person_id("--anonymous-id", id, invalid).map(Person::Anonymous),
            // Both at once are refused too: erasing by either would be a guess.
            _ => {
                let message = "one of --user-id and --anonymous-id is required: the person whose \
                               events are erased";
                invalid.push(message.to_owned());
                None
            }
        };
        Some(EventsCommand::Erase { tenant: tenant?, person: person?, yes: self.yes })
    }
}

impl EventsPurgeArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        // `optional` keeps an invalid tenant apart from none: none means all tenants.
        let tenant = optional(self.tenant.as_deref(), |text| tenant_ref("--tenant", text, invalid));
        let older_than = duration("--older-than", &self.older_than, invalid);
        Some(EventsCommand::Purge { tenant: tenant?, older_than: older_than?, yes: self.yes })
    }
}

fn selection(
    tenant: &str,
    workspace: Option<String>,
    query: Option<EventQuery>,
    invalid: &mut Vec<String>,
) -> Option<Selection> {
    let tenant = tenant_ref("--tenant", tenant, invalid);
    let workspace = optional(workspace.as_deref(), |text| name("--workspace", text, invalid));
    Some(Selection { tenant: tenant?, workspace: workspace?, query: query? })
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
