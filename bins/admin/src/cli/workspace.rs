//! Arguments of `workspace …`.

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;

use super::consent::Consent;
use super::values::{name, tenant_ref};

/// Work on the workspaces of a tenant.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum WorkspaceCommand {
    Create { tenant: TenantRef, workspace: Name },
    List(TenantRef),
    Rename { tenant: TenantRef, workspace: Name, name: Name },
    Delete { tenant: TenantRef, workspace: Name, consent: Consent },
}

impl WorkspaceCommand {
    /// See [`Command::change`](super::Command::change).
    pub(super) fn change(&self) -> Option<&'static str> {
        match self {
            Self::Create { .. } => Some("workspace create"),
            Self::Rename { .. } => Some("workspace rename"),
            // A dry run changes nothing, so it leaves no entry.
            Self::Delete { consent: Consent::DryRun, .. } => None,
            Self::Delete { .. } => Some("workspace delete"),
            Self::List(_) => None,
        }
    }
}

/// Create, list, rename and delete the workspaces of a tenant.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "workspace")]
pub(super) struct WorkspaceArgs {
    #[argh(subcommand)]
    command: WorkspaceSubcommand,
}

#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
enum WorkspaceSubcommand {
    Create(WorkspaceCreateArgs),
    List(WorkspaceListArgs),
    Rename(WorkspaceRenameArgs),
    Delete(WorkspaceDeleteArgs),
}

/// Create a workspace without a key. `key create` creates its keys.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "create", example = "{command_name} Production --tenant Acme")]
struct WorkspaceCreateArgs {
    /// the new name; unique within the tenant, ignoring case
    #[argh(positional)]
    name: String,
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
}

/// List the workspaces of a tenant.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "list", example = "{command_name} --tenant Acme")]
struct WorkspaceListArgs {
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
}

/// Rename a workspace. Its id, its keys and its events stay; clients notice nothing.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "rename", example = "{command_name} Production Shop --tenant Acme")]
struct WorkspaceRenameArgs {
    /// the workspace
    #[argh(positional)]
    workspace: String,
    /// the new name; unique within the tenant, ignoring case
    #[argh(positional)]
    name: String,
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
}

/// Delete a workspace with its keys and events, and print their numbers. Every server refuses its keys within a second; its
/// data is then deleted in short transactions. After an interruption, run the same command again to finish.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "delete", example = "{command_name} Staging --tenant Acme")]
struct WorkspaceDeleteArgs {
    /// the workspace
    #[argh(positional)]
    workspace: String,
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
    /// only count what would be deleted
    #[argh(switch)]
    dry_run: bool,
    /// skip the confirmation
    #[argh(switch)]
    yes: bool,
}

impl WorkspaceArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<WorkspaceCommand> {
        match self.command {
            WorkspaceSubcommand::Create(args) => args.read(invalid),
            WorkspaceSubcommand::List(args) => {
                tenant_ref("--tenant", &args.tenant, invalid).map(WorkspaceCommand::List)
            }
            WorkspaceSubcommand::Rename(args) => args.read(invalid),
            WorkspaceSubcommand::Delete(args) => args.read(invalid),
        }
    }
}

impl WorkspaceCreateArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<WorkspaceCommand> {
        let workspace = name("name", &self.name, invalid);
        let tenant = tenant_ref("--tenant", &self.tenant, invalid);
        Some(WorkspaceCommand::Create { tenant: tenant?, workspace: workspace? })
    }
}

impl WorkspaceRenameArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<WorkspaceCommand> {
        let workspace = name("workspace", &self.workspace, invalid);
        let name = name("name", &self.name, invalid);
        let tenant = tenant_ref("--tenant", &self.tenant, invalid);
        Some(WorkspaceCommand::Rename { tenant: tenant?, workspace: workspace?, name: name? })
    }
}

impl WorkspaceDeleteArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<WorkspaceCommand> {
        let workspace = name("workspace", &self.workspace, invalid);
        let tenant = tenant_ref("--tenant", &self.tenant, invalid);
        let consent = Consent::of(self.yes, self.dry_run);
        Some(WorkspaceCommand::Delete { tenant: tenant?, workspace: workspace?, consent })
    }
}
