//! `workspace …` on the command line.

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;

use super::{required, tenant_ref};
use crate::config::name;

/// What to do with workspaces.
#[derive(Debug, PartialEq, Eq)]
pub enum WorkspaceCommand {
    /// Make one.
    Create {
        /// Whose.
        tenant: TenantRef,
        /// Its name.
        workspace: Name,
    },
    /// Show those of a tenant.
    List(TenantRef),
}

/// Make the workspaces of a tenant, and show them.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "workspace", help_triggers("-h", "--help", "help"))]
pub(super) struct Words {
    #[argh(subcommand)]
    command: CommandWords,
}

#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
enum CommandWords {
    Create(CreateWords),
    List(ListWords),
}

/// Make a workspace. It has no key yet: `key create` makes one.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "create", help_triggers("-h", "--help", "help"))]
struct CreateWords {
    /// the tenant
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
    /// the workspace's name; no other of the tenant has it in any case
    #[argh(option, arg_name = "name")]
    workspace: Option<String>,
}

/// Show the workspaces of a tenant.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "list", help_triggers("-h", "--help", "help"))]
struct ListWords {
    /// the tenant
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
}

impl Words {
    /// The command; what is wrong goes to `invalid`.
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<WorkspaceCommand> {
        match self.command {
            CommandWords::List(words) => {
                tenant_ref(words.tenant.as_deref(), invalid).map(WorkspaceCommand::List)
            }
            CommandWords::Create(words) => {
                let tenant = tenant_ref(words.tenant.as_deref(), invalid);
                let meaning = "the name of the workspace to make";
                let text = required("--workspace", words.workspace.as_deref(), meaning, invalid);
                let workspace = text.and_then(|text| name("--workspace", text, invalid));
                Some(WorkspaceCommand::Create { tenant: tenant?, workspace: workspace? })
            }
        }
    }
}
