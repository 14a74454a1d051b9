//! `tenant …` on the command line.

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::limits::LimitName;
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;

use super::{required, tenant_ref};
use crate::config::name;

/// What to do with tenants.
#[derive(Debug, PartialEq, Eq)]
pub enum TenantCommand {
    /// Make one.
    Create(Name),
    /// Show all.
    List,
    /// Show one.
    Show(TenantRef),
    /// Refuse its requests.
    Suspend(TenantRef),
    /// Serve it again.
    Resume(TenantRef),
    /// Delete it with everything of its own.
    Delete {
        /// Which.
        tenant: TenantRef,
        /// Whether not to ask.
        yes: bool,
    },
    /// Change its limits, and show them.
    Limits {
        /// Whose.
        tenant: TenantRef,
        /// What to change; `None`: the server's own counts again.
        changes: Vec<(LimitName, Option<u64>)>,
    },
}

/// Make tenants, show them, suspend them, delete them, and set their limits.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "tenant", help_triggers("-h", "--help", "help"))]
pub(super) struct Words {
    #[argh(subcommand)]
    command: CommandWords,
}

#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
enum CommandWords {
    Create(CreateWords),
    List(ListWords),
    Show(ShowWords),
    Suspend(SuspendWords),
    Resume(ResumeWords),
    Delete(DeleteWords),
    Limits(LimitsWords),
}

/// Make a tenant without a workspace. `provision` makes both, and a key.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "create", help_triggers("-h", "--help", "help"))]
struct CreateWords {
    /// the tenant's name; no other tenant has it in any case
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
}

/// Show all tenants.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "list", help_triggers("-h", "--help", "help"))]
struct ListWords {}

/// Show a tenant and the limits that it has in place of the server's.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "show", help_triggers("-h", "--help", "help"))]
struct ShowWords {
    /// the tenant
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
}

/// Refuse every request of a tenant, on all servers within a second. Its data is kept.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "suspend", help_triggers("-h", "--help", "help"))]
struct SuspendWords {
    /// the tenant
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
}

/// Serve a tenant again that was suspended.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "resume", help_triggers("-h", "--help", "help"))]
struct ResumeWords {
    /// the tenant
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
}

/// Delete a tenant with its workspaces, keys and events, and tell how many they were. Every server refuses it within a second;
/// then everything goes in short steps. What was cut off is finished by the same command.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "delete", help_triggers("-h", "--help", "help"))]
struct DeleteWords {
    /// the tenant
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
    /// do not ask
    #[argh(switch)]
    yes: bool,
}

/// Set limits of a tenant in place of the server's, take them away, and show those that it has.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "limits",
    help_triggers("-h", "--help", "help"),
    example = "{command_name} --tenant Acme --set events_per_second=500 --set max_batch_events=100 --unset max_body_bytes",
    note = "Limits: max_body_bytes, max_batch_events, max_event_bytes, max_event_age_days, max_event_future_seconds,\nevents_per_second, events_burst, requests_per_second, requests_burst, monthly_events,\nretention_days. Each means what the setting of that name means."
)]
struct LimitsWords {
    /// the tenant
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
    /// set a limit; may be given several times
    #[argh(option, arg_name = "limit=value")]
    set: Vec<String>,
    /// take a limit away: the server's counts again; may be given several times
    #[argh(option, arg_name = "limit")]
    unset: Vec<String>,
}

impl Words {
    /// The command; what is wrong goes to `invalid`.
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<TenantCommand> {
        match self.command {
            CommandWords::List(ListWords {}) => Some(TenantCommand::List),
            CommandWords::Create(words) => {
                let text = required(
                    "--tenant",
                    words.tenant.as_deref(),
                    "the name of the tenant to make",
                    invalid,
                )?;
                name("--tenant", text, invalid).map(TenantCommand::Create)
            }
            CommandWords::Show(words) => {
                tenant_ref(words.tenant.as_deref(), invalid).map(TenantCommand::Show)
            }
            CommandWords::Suspend(words) => {
                tenant_ref(words.tenant.as_deref(), invalid).map(TenantCommand::Suspend)
            }
            CommandWords::Resume(words) => {
                tenant_ref(words.tenant.as_deref(), invalid).map(TenantCommand::Resume)
            }
            CommandWords::Delete(DeleteWords { tenant, yes }) => {
                tenant_ref(tenant.as_deref(), invalid)
                    .map(|tenant| TenantCommand::Delete { tenant, yes })
            }
            CommandWords::Limits(words) => words.read(invalid),
        }
    }
}

impl LimitsWords {
    fn read(self, invalid: &mut Vec<String>) -> Option<TenantCommand> {
        let tenant = tenant_ref(self.tenant.as_deref(), invalid);
        let mut changes: Vec<(LimitName, Option<u64>)> = Vec::new();
        for text in &self.set {
            let Some((limit, value)) = text.split_once('=') else {
                invalid.push(format!("--set: {text:?} is not of the form limit=value"));
                continue;
            };
            let change = limit
                .trim()
                .parse::<LimitName>()
                .and_then(|name| Ok((name, Some(name.parse_value(value)?))));
            match change {
                Ok(change) => changes.push(change),
                Err(error) => invalid.push(format!("--set: {error}")),
            }
        }
        for text in &self.unset {
            match text.trim().parse::<LimitName>() {
                Ok(name) => changes.push((name, None)),
                Err(error) => invalid.push(format!("--unset: {error}")),
            }
        }
        let mut names: Vec<_> = changes.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            invalid.push(format!("the limit {} is changed twice", twice[0]));
        }
        Some(TenantCommand::Limits { tenant: tenant?, changes })
    }
}
