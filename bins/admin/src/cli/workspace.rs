//! Arguments of `workspace …`.

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;

use super::values::{name, required, tenant_ref};

/// Work on the workspaces of a tenant.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum WorkspaceCommand {
    Create { tenant: TenantRef, workspace: Name },
    List(TenantRef),
}

/// Create and list the workspaces of a tenant.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "workspace", help_triggers("-h", "--help", "help"))]
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
#[argh(subcommand, name = "create", help_triggers("-h", "--help", "help"))]
struct WorkspaceCreateArgs {
    /// the tenant
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
    /// the workspace's name; unique within the tenant, ignoring case
    #[argh(option, arg_name = "name")]
    workspace: Option<String>,
}

/// List the workspaces of a tenant.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "list", help_triggers("-h", "--help", "help"))]
struct WorkspaceListArgs {
    /// the tenant
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
}

impl WorkspaceArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<WorkspaceCommand> {
        match self.command {
            WorkspaceSubcommand::Create(args) => args.read(invalid),
            WorkspaceSubcommand::List(args) => {
                tenant_ref(args.tenant.as_deref(), invalid).map(WorkspaceCommand::List)
            }
        }
    }
}

impl WorkspaceCreateArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<WorkspaceCommand> {
        let tenant = tenant_ref(self.tenant.as_deref(), invalid);
        let meaning = "the name of the new workspace";
        let workspace = required("--workspace", self.workspace.as_deref(), meaning, invalid)
            .and_then(|text| name("--workspace", text, invalid));
        Some(WorkspaceCommand::Create { tenant: tenant?, workspace: workspace? })
    }
}
