//! Arguments of `provision`.

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::api_key::Scopes;
use mercurio_domain::tenant::Name;

use super::values::{default_key_name, name, scopes, workspace_name};

/// A tenant to create, with its first workspace and key. `seed` builds one from the settings.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ProvisionCommand {
    pub tenant: Name,
    pub workspace: Name,
    pub key_name: Name,
    pub scopes: Scopes,
    /// Adds the example events.
    pub samples: bool,
}

/// Create a tenant with a workspace and an API key. The key is printed once.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "provision",
    example = "{command_name} --tenant Acme --workspace Production --scopes events:write"
)]
pub(super) struct ProvisionArgs {
    /// the tenant's name; unique, ignoring case
    #[argh(option, arg_name = "name")]
    tenant: String,
    /// the workspace's name; default: Default
    #[argh(option, arg_name = "name")]
    workspace: Option<String>,
    /// the key's name; default: the workspace's name and "API key"
    #[argh(option, arg_name = "name")]
    key_name: Option<String>,
    /// the key's permissions, separated by commas; default: events:write,events:read
    #[argh(option, arg_name = "scopes")]
    scopes: Option<String>,
    /// add a few example events
    #[argh(switch)]
    samples: bool,
}

impl ProvisionArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<ProvisionCommand> {
        let tenant = name("--tenant", &self.tenant, invalid);
        let workspace = workspace_name(self.workspace.as_deref(), invalid);
        let key_name = match &self.key_name {
            Some(text) => name("--key-name", text, invalid),
            None => workspace.as_ref().and_then(|workspace| default_key_name(workspace, invalid)),
        };
        let scopes = scopes(self.scopes.as_deref(), invalid);
        // No `?` above: every option is read, so that all errors are reported at once.
        Some(ProvisionCommand {
            tenant: tenant?,
            workspace: workspace?,
            key_name: key_name?,
            scopes: scopes?,
            samples: self.samples,
        })
    }
}
