//! Arguments of `workspace …`.

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;

use super::values::{name, tenant_ref};

/// Work on the workspaces of a tenant.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum WorkspaceCommand {
    Create { tenant: TenantRef, workspace: Name },
    List(TenantRef),
}

/// Create and list the workspaces of a tenant.
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

impl WorkspaceArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<WorkspaceCommand> {
        match self.command {
            WorkspaceSubcommand::Create(args) => args.read(invalid),
            WorkspaceSubcommand::List(args) => {
                tenant_ref("--tenant", &args.tenant, invalid).map(WorkspaceCommand::List)
            }
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
