//! `provision` on the command line.

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::api_key::Scopes;
use mercurio_domain::tenant::Name;

use super::{key_name_of, required, scopes, workspace_name};
use crate::config::name;

/// What to make for a new tenant.
#[derive(Debug, PartialEq, Eq)]
pub struct ProvisionCommand {
    /// The tenant's name.
    pub tenant: Name,
    /// The workspace's name.
    pub workspace: Name,
    /// The key's name.
    pub key_name: Name,
    /// What the key may do.
    pub scopes: Scopes,
    /// Whether to add a few events.
    pub samples: bool,
}

/// Make a tenant with a workspace and an API key. The key is shown once.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "provision",
    help_triggers("-h", "--help", "help"),
    example = "{command_name} --tenant Acme --workspace Production --scopes events:write"
)]
pub(super) struct Words {
    /// the tenant's name; no other tenant has it in any case
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
    /// the workspace's name; default: Default
    #[argh(option, arg_name = "name")]
    workspace: Option<String>,
    /// the key's name; default: the workspace's, with "API key"
    #[argh(option, arg_name = "name")]
    key_name: Option<String>,
    /// what the key may do, divided by commas; default: events:write,events:read
    #[argh(option, arg_name = "list")]
    scopes: Option<String>,
    /// add a few example events
    #[argh(switch)]
    samples: bool,
}

impl Words {
    /// The command; what is wrong goes to `invalid`.
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<ProvisionCommand> {
        let tenant =
            required("--tenant", self.tenant.as_deref(), "the name of the tenant to make", invalid);
        let tenant = tenant.and_then(|text| name("--tenant", text, invalid));
        let workspace = workspace_name(self.workspace.as_deref(), invalid);
        let key_name = match &self.key_name {
            Some(text) => name("--key-name", text, invalid),
            None => workspace.as_ref().and_then(|workspace| key_name_of(workspace, invalid)),
        };
        let scopes = scopes(self.scopes.as_deref(), invalid);
        Some(ProvisionCommand {
            tenant: tenant?,
            workspace: workspace?,
            key_name: key_name?,
            scopes: scopes?,
            samples: self.samples,
        })
    }
}
