//! Arguments of `rejections …`.

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::Timestamp;
use mercurio_domain::limits::MAX_PAGE_EVENTS;
use mercurio_domain::store::{RejectionQuery, TenantRef};
use mercurio_domain::tenant::Name;
use mercurio_domain::verdict::FieldErrorCode;

use super::consent::Consent;
use super::times::{TimeArg, past};
use super::values::{choice, name, number, optional, tenant_ref};
use crate::error::AdminError;

/// Default of `rejections list --limit`.
const DEFAULT_LIMIT: usize = 20;

/// Work on kept rejected events.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RejectionsCommand {
    List {
        selection: RejectionSelection,
        /// Includes the events as sent.
        full: bool,
    },
    Export(RejectionSelection),
    Purge {
        /// `None`: all tenants.
        tenant: Option<TenantRef>,
        /// `None`: all workspaces. Only with a tenant.
        workspace: Option<Name>,
        /// Exclusive upper bound of the time of receipt.
        before: TimeArg,
        consent: Consent,
    },
}

/// Rejected events of one tenant.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct RejectionSelection {
    pub tenant: TenantRef,
    /// `None`: all workspaces.
    pub workspace: Option<Name>,
    /// All filters but the times.
    pub query: RejectionQuery,
    /// Inclusive lower bound of the time of receipt.
    pub from: Option<TimeArg>,
    /// Exclusive upper bound of the time of receipt.
    pub to: Option<TimeArg>,
}

impl RejectionSelection {
    /// Returns the query at `now`, from which ages are counted.
    pub(crate) fn at(&self, now: Timestamp) -> Result<RejectionQuery, AdminError> {
        let from = self.from.map(|from| from.before(now));
        let to = self.to.map(|to| to.before(now));
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            let message =
                format!("--from ({from}) is not before --to ({to}): no event can be in between");
            return Err(AdminError::Usage(vec![message]));
        }
        Ok(RejectionQuery { from, to, ..self.query.clone() })
    }
}

impl RejectionsCommand {
    /// See [`Command::change`](super::Command::change).
    pub(super) fn change(&self) -> Option<&'static str> {
        match self {
            Self::Purge { consent: Consent::DryRun, .. } => None,
            Self::Purge { .. } => Some("rejections purge"),
            Self::List { .. } | Self::Export(_) => None,
        }
    }
}

/// List, export and purge rejected events.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "rejections")]
pub(super) struct RejectionsArgs {
    #[argh(subcommand)]
    command: RejectionsSubcommand,
}

#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
enum RejectionsSubcommand {
    List(RejectionsListArgs),
    Export(RejectionsExportArgs),
    Purge(RejectionsPurgeArgs),
}

/// List the newest rejected events of a tenant, by time of receipt. Servers keep them for some days, and only a sample of
/// many.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "list",
    example = "{command_name} --tenant Acme --code required --from 24h",
    example = "{command_name} --tenant Acme --limit 1 --full --output json"
)]
struct RejectionsListArgs {
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
    /// one of its workspaces; default: all
    #[argh(option, arg_name = "workspace")]
    workspace: Option<String>,
    /// maximum number of events, 1 to 1000; default: 20
    #[argh(option, arg_name = "number")]
    limit: Option<String>,
    /// only events with this error, such as required or too_long
    #[argh(option, arg_name = "code")]
    code: Option<String>,
    /// only events with this event_name
    #[argh(option, arg_name = "name")]
    event_name: Option<String>,
    /// only events received at this time or later: 2026-11-01 (UTC), RFC 3339, or an age such as 30d
    #[argh(option, arg_name = "time")]
    from: Option<String>,
    /// only events received before this time, in the same forms
    #[argh(option, arg_name = "time")]
    to: Option<String>,
    /// with the events as sent; a table shows them with --wide
    #[argh(switch)]
    full: bool,
}

/// Write all kept rejected events of a tenant to stdout as NDJSON, newest first, with the events as sent.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "export",
    example = "{command_name} --tenant Acme --from 24h > rejections.ndjson"
)]
struct RejectionsExportArgs {
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
    /// one of its workspaces; default: all, one after the other
    #[argh(option, arg_name = "workspace")]
    workspace: Option<String>,
    /// only events with this error, such as required or too_long
    #[argh(option, arg_name = "code")]
    code: Option<String>,
    /// only events with this event_name
    #[argh(option, arg_name = "name")]
    event_name: Option<String>,
    /// only events received at this time or later: 2026-11-01 (UTC), RFC 3339, or an age such as 30d
    #[argh(option, arg_name = "time")]
    from: Option<String>,
    /// only events received before this time, in the same forms
    #[argh(option, arg_name = "time")]
    to: Option<String>,
}

/// Delete old rejected events and their counts, and print their number. The time of receipt counts; of the hour with that
/// time, all counts are deleted.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "purge", example = "{command_name} --tenant Acme --before 24h --yes")]
struct RejectionsPurgeArgs {
    /// the tenant's name, or id:42; default: all tenants
    #[argh(option, arg_name = "tenant")]
    tenant: Option<String>,
    /// one of its workspaces; default: all
    #[argh(option, arg_name = "workspace")]
    workspace: Option<String>,
    /// the time before which events were received: 2026-11-01 (UTC), RFC 3339, or an age such as 24h
    #[argh(option, arg_name = "time")]
    before: String,
    /// only count what would be deleted
    #[argh(switch)]
    dry_run: bool,
    /// skip the confirmation
    #[argh(switch)]
    yes: bool,
}

/// The filters as given.
struct Filters {
    code: Option<String>,
    event_name: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

impl RejectionsArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<RejectionsCommand> {
        match self.command {
            RejectionsSubcommand::List(args) => args.read(invalid),
            RejectionsSubcommand::Export(args) => args.read(invalid),
            RejectionsSubcommand::Purge(args) => args.read(invalid),
        }
    }
}

impl RejectionsListArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<RejectionsCommand> {
        let Self { tenant, workspace, limit, code, event_name, from, to, full } = self;
        let limit = match limit.as_deref() {
            None => Some(DEFAULT_LIMIT),
            Some(text) => number("--limit", text, MAX_PAGE_EVENTS, invalid),
        };
        let filters = Filters { code, event_name, from, to };
        let selection = filters.read(&tenant, workspace, limit.unwrap_or(DEFAULT_LIMIT), invalid);
        limit.and(selection).map(|selection| RejectionsCommand::List { selection, full })
    }
}

impl RejectionsExportArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<RejectionsCommand> {
        let Self { tenant, workspace, code, event_name, from, to } = self;
        let filters = Filters { code, event_name, from, to };
        // The largest page: fewest queries for an export of everything.
        let selection = filters.read(&tenant, workspace, MAX_PAGE_EVENTS, invalid);
        selection.map(RejectionsCommand::Export)
    }
}

impl RejectionsPurgeArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<RejectionsCommand> {
        if self.workspace.is_some() && self.tenant.is_none() {
            invalid.push("--workspace needs --tenant: names repeat among tenants".to_owned());
        }
        let tenant = optional(self.tenant.as_deref(), |text| tenant_ref("--tenant", text, invalid));
        let workspace =
            optional(self.workspace.as_deref(), |text| name("--workspace", text, invalid));
        let before = past("--before", &self.before, invalid);
        let consent = Consent::of(self.yes, self.dry_run);
        Some(RejectionsCommand::Purge {
            tenant: tenant?,
            workspace: workspace?,
            before: before?,
            consent,
        })
    }
}

impl Filters {
    fn read(
        self,
        tenant: &str,
        workspace: Option<String>,
        limit: usize,
        invalid: &mut Vec<String>,
    ) -> Option<RejectionSelection> {
        let tenant = tenant_ref("--tenant", tenant, invalid);
        let workspace = optional(workspace.as_deref(), |text| name("--workspace", text, invalid));
        let code = optional(self.code.as_deref(), |text| error_code(text, invalid));
        let from = optional(self.from.as_deref(), |text| past("--from", text, invalid));
        let to = optional(self.to.as_deref(), |text| past("--to", text, invalid));
        let query = RejectionQuery {
            code: code?,
            event_name: self.event_name,
            limit,
            ..RejectionQuery::default()
        };
        Some(RejectionSelection {
            tenant: tenant?,
            workspace: workspace?,
            query,
            from: from?,
            to: to?,
        })
    }
}

fn error_code(text: &str, invalid: &mut Vec<String>) -> Option<FieldErrorCode> {
    let word = choice("--code", text, &FieldErrorCode::ALL.map(FieldErrorCode::as_str), invalid)?;
    FieldErrorCode::from_text(word)
}
