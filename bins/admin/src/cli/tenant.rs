//! Arguments of `tenant …`.

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::limits::{LimitChange, LimitError, LimitName};
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;

use super::consent::Consent;
use super::values::{name, tenant_ref};
use crate::suggest::closest;

/// Work on tenants.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TenantCommand {
    Create(Name),
    List,
    Show(TenantRef),
    Rename {
        tenant: TenantRef,
        name: Name,
    },
    Suspend(TenantRef),
    Resume(TenantRef),
    Delete {
        tenant: TenantRef,
        consent: Consent,
    },
    Limits {
        tenant: TenantRef,
        /// Empty: only show the limits. A limit without a value returns to the server's.
        changes: Vec<LimitChange>,
    },
}

impl TenantCommand {
    /// See [`Command::change`](super::Command::change).
    pub(super) fn change(&self) -> Option<&'static str> {
        match self {
            Self::Create(_) => Some("tenant create"),
            Self::Suspend(_) => Some("tenant suspend"),
            Self::Resume(_) => Some("tenant resume"),
            Self::Rename { .. } => Some("tenant rename"),
            // A dry run changes nothing, so it leaves no entry.
            Self::Delete { consent: Consent::DryRun, .. } => None,
            Self::Delete { .. } => Some("tenant delete"),
            Self::Limits { changes, .. } if !changes.is_empty() => Some("tenant limits"),
            Self::List | Self::Show(_) | Self::Limits { .. } => None,
        }
    }
}

/// Create, list, rename, suspend and delete tenants, and set their limits.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "tenant")]
pub(super) struct TenantArgs {
    #[argh(subcommand)]
    command: TenantSubcommand,
}

#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
enum TenantSubcommand {
    Create(TenantCreateArgs),
    List(TenantListArgs),
    Show(TenantShowArgs),
    Rename(TenantRenameArgs),
    Suspend(TenantSuspendArgs),
    Resume(TenantResumeArgs),
    Delete(TenantDeleteArgs),
    Limits(TenantLimitsArgs),
}

/// Create a tenant without a workspace. `provision` creates both, and a key.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "create", example = "{command_name} Acme")]
struct TenantCreateArgs {
    /// the new name; unique, ignoring case
    #[argh(positional)]
    name: String,
}

/// List all tenants.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "list")]
struct TenantListArgs {}

/// Show a tenant, its own limits and its usage this month.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "show", example = "{command_name} Acme")]
struct TenantShowArgs {
    /// the tenant's name, or id:42
    #[argh(positional)]
    tenant: String,
}

/// Rename a tenant. Its id, its keys and its events stay; clients notice nothing.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "rename", example = "{command_name} Acme \"Acme Corporation\"")]
struct TenantRenameArgs {
    /// the tenant's name, or id:42
    #[argh(positional)]
    tenant: String,
    /// the new name; unique, ignoring case
    #[argh(positional)]
    name: String,
}

/// Refuse every request of a tenant, on all servers within a second. Its data is kept.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "suspend", example = "{command_name} Acme")]
struct TenantSuspendArgs {
    /// the tenant's name, or id:42
    #[argh(positional)]
    tenant: String,
}

/// End the suspension of a tenant.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "resume", example = "{command_name} Acme")]
struct TenantResumeArgs {
    /// the tenant's name, or id:42
    #[argh(positional)]
    tenant: String,
}

/// Delete a tenant with its workspaces, keys and events, and print their numbers. Every server refuses the tenant within a
/// second; its data is then deleted in short transactions. After an interruption, run the same command again to finish.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "delete", example = "{command_name} Acme")]
struct TenantDeleteArgs {
    /// the tenant's name, or id:42
    #[argh(positional)]
    tenant: String,
    /// only count what would be deleted
    #[argh(switch)]
    dry_run: bool,
    /// skip the confirmation
    #[argh(switch)]
    yes: bool,
}

/// Set or unset a tenant's own limits, and show them.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "limits",
    example = "{command_name} Acme --set events_per_second=500 --set max_batch_events=100 --unset max_body_bytes",
    note = "Limits: max_body_bytes, max_batch_events, max_event_bytes, max_event_age_days, max_event_future_seconds, events_per_second, events_burst, requests_per_second, requests_burst, reads_per_second, reads_burst, max_concurrent_reads, monthly_events, retention_days. Each replaces a setting of the server: max_body_bytes replaces MERCURIO_MAX_BODY_BYTES."
)]
struct TenantLimitsArgs {
    /// the tenant's name, or id:42
    #[argh(positional)]
    tenant: String,
    /// set a limit; may be repeated
    #[argh(option, arg_name = "limit=value")]
    set: Vec<String>,
    /// return a limit to the server's value; may be repeated
    #[argh(option, arg_name = "limit")]
    unset: Vec<String>,
}

impl TenantArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<TenantCommand> {
        match self.command {
            TenantSubcommand::List(TenantListArgs {}) => Some(TenantCommand::List),
            TenantSubcommand::Create(TenantCreateArgs { name: text }) => {
                name("name", &text, invalid).map(TenantCommand::Create)
            }
            TenantSubcommand::Show(TenantShowArgs { tenant }) => {
                tenant_ref("tenant", &tenant, invalid).map(TenantCommand::Show)
            }
            TenantSubcommand::Rename(args) => args.read(invalid),
            TenantSubcommand::Suspend(TenantSuspendArgs { tenant }) => {
                tenant_ref("tenant", &tenant, invalid).map(TenantCommand::Suspend)
            }
            TenantSubcommand::Resume(TenantResumeArgs { tenant }) => {
                tenant_ref("tenant", &tenant, invalid).map(TenantCommand::Resume)
            }
            TenantSubcommand::Delete(TenantDeleteArgs { tenant, dry_run, yes }) => {
                let tenant = tenant_ref("tenant", &tenant, invalid)?;
                Some(TenantCommand::Delete { tenant, consent: Consent::of(yes, dry_run) })
            }
            TenantSubcommand::Limits(args) => args.read(invalid),
        }
    }
}

impl TenantRenameArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<TenantCommand> {
        let tenant = tenant_ref("tenant", &self.tenant, invalid);
        let name = name("name", &self.name, invalid);
        Some(TenantCommand::Rename { tenant: tenant?, name: name? })
    }
}

impl TenantLimitsArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<TenantCommand> {
        let tenant = tenant_ref("tenant", &self.tenant, invalid);
        let mut changes: Vec<LimitChange> = Vec::new();
        for text in &self.set {
            let Some((limit, value)) = text.split_once('=') else {
                invalid.push(format!(
                    "--set: {text:?} is not a limit: use limit=value, as in max_batch_events=100"
                ));
                continue;
            };
            match read_limit(limit, value) {
                Ok(change) => changes.push(change),
                Err(error) => invalid.push(limit_error("--set", &error)),
            }
        }
        for text in &self.unset {
            match text.trim().parse::<LimitName>() {
                Ok(name) => changes.push(LimitChange { name, value: None }),
                Err(error) => invalid.push(limit_error("--unset", &error)),
            }
        }
        // The order of `--set` and `--unset` is lost, so a repeated limit is ambiguous.
        let mut names: Vec<_> = changes.iter().map(|change| change.name).collect();
        // Sorted: equal names are adjacent.
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            invalid.push(format!("the limit {} is given twice: set or unset it once", pair[0]));
        }
        Some(TenantCommand::Limits { tenant: tenant?, changes })
    }
}

fn limit_error(option: &str, error: &LimitError) -> String {
    if let LimitError::Unknown(word) = error
        && let Some(meant) = closest(word, LimitName::ALL.map(LimitName::as_str))
    {
        // Without the list of all limits.
        return format!("{option}: there is no limit {word:?}: did you mean {meant}?");
    }
    format!("{option}: {error}")
}

fn read_limit(limit: &str, value: &str) -> Result<LimitChange, LimitError> {
    let name: LimitName = limit.trim().parse()?;
    Ok(LimitChange { name, value: Some(name.parse_value(value)?) })
}
