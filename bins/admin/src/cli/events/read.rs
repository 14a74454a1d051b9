//! Arguments of the commands that read stored events: `count`, `list`, `get` and `export`.

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::EventId;
use mercurio_domain::limits::MAX_PAGE_EVENTS;
use mercurio_domain::store::{Direction, EventOrder, EventSort};

use super::super::filters::{EventFilter, FilterArgs, selection};
use super::super::values::{choice, number, tenant_ref};
use super::command::{EventsCommand, ExportFormat};

/// Default of `events list --limit`.
const DEFAULT_LIMIT: usize = 20;

/// Count the events of a tenant.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "count", example = "{command_name} --tenant Acme")]
pub(super) struct EventsCountArgs {
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
    example = "{command_name} --tenant Acme --event-name \"Order Completed\" --from 7d",
    example = "{command_name} --tenant Acme --order received --received-from 1h"
)]
pub(super) struct EventsListArgs {
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
    /// one of its workspaces; default: all
    #[argh(option, arg_name = "workspace")]
    workspace: Option<String>,
    /// maximum number of events, 1 to 1000; default: 20
    #[argh(option, arg_name = "number")]
    limit: Option<String>,
    /// the time that orders the events: their own, or that of receipt; default: occurred
    #[argh(option, arg_name = "occurred|received")]
    order: Option<String>,
    /// desc: the newest events, newest first; asc: the oldest, oldest first; default: desc
    #[argh(option, arg_name = "desc|asc")]
    direction: Option<String>,
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

/// Get an event.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "get",
    example = "{command_name} 01930b5f-7a3c-7cc2-9d5e-2f1f5b7f0a11 --tenant Acme"
)]
pub(super) struct EventsGetArgs {
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
pub(super) struct EventsExportArgs {
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
    /// only events received at this time or later, in the same forms
    #[argh(option, arg_name = "time")]
    received_from: Option<String>,
    /// only events received before this time, in the same forms
    #[argh(option, arg_name = "time")]
    received_to: Option<String>,
}

impl EventsCountArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let filter = Some(EventFilter::default());
        selection(&self.tenant, self.workspace, filter, invalid).map(EventsCommand::Count)
    }
}

impl EventsListArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let Self { tenant, workspace, limit, order, direction, .. } = &self;
        let limit = match limit.as_deref() {
            None => Some(DEFAULT_LIMIT),
            Some(text) => number("--limit", text, MAX_PAGE_EVENTS, invalid),
        };
        let order = order.as_deref().unwrap_or(EventOrder::default().as_str());
        let order = choice("--order", order, &EventOrder::ALL.map(EventOrder::as_str), invalid);
        let direction = direction.as_deref().unwrap_or(Direction::default().as_str());
        let directions = Direction::ALL.map(Direction::as_str);
        let direction = choice("--direction", direction, &directions, invalid);
        let (tenant, workspace) = (tenant.clone(), workspace.clone());
        let filter = self.filters().read(limit.unwrap_or(DEFAULT_LIMIT), invalid);
        let mut selection = selection(&tenant, workspace, filter, invalid)?;
        selection.filter.query.sort = EventSort {
            order: EventOrder::from_text(order?)?,
            direction: Direction::from_text(direction?)?,
        };
        limit.map(|_| EventsCommand::List(selection))
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

impl EventsGetArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let tenant = tenant_ref("--tenant", &self.tenant, invalid);
        Some(EventsCommand::Get { tenant: tenant?, event: EventId::lookup(self.event_id) })
    }
}

impl EventsExportArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
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
            received_from,
            received_to,
        } = self;
        let filters = FilterArgs {
            event_name,
            kind,
            user_id,
            anonymous_id,
            session_id,
            from,
            to,
            received_from,
            received_to,
        };
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
