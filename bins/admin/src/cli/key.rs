//! Arguments of `key …`.

use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::ApiKeyId;
use mercurio_domain::api_key::{Origins, Scopes};
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;

use super::times::{TimeArg, duration, future};
use super::values::{name, optional, scopes, tenant_ref, workspace_name};

/// Default of `--overlap`: clients get a day to switch to the new key.
const DEFAULT_OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// Work on API keys.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum KeyCommand {
    Create(KeyCreateCommand),
    /// `None`: the keys of all tenants.
    List(Option<TenantRef>),
    Show(ApiKeyId),
    Rotate {
        key: ApiKeyId,
        /// Remaining life of the old key.
        overlap: Duration,
        /// `None`: the new key lives as long as the old one was to live.
        expiry: Option<Expiry>,
    },
    Revoke {
        key: ApiKeyId,
        /// Skips the question.
        yes: bool,
    },
}

/// A key to create.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct KeyCreateCommand {
    pub tenant: TenantRef,
    pub workspace: Name,
    /// `None`: derived from the workspace's name as it is in the database.
    pub name: Option<Name>,
    pub scopes: Scopes,
    /// `None`: the key works from anywhere.
    pub origins: Option<Origins>,
    /// `None`: the key does not expire.
    pub expiry: Option<Expiry>,
}

/// End of a key's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Expiry {
    At(TimeArg),
    Never,
}

/// Create, list, show, rotate and revoke API keys.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "key")]
pub(super) struct KeyArgs {
    #[argh(subcommand)]
    command: KeySubcommand,
}

#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
enum KeySubcommand {
    Create(KeyCreateArgs),
    List(KeyListArgs),
    Show(KeyShowArgs),
    Rotate(KeyRotateArgs),
    Revoke(KeyRevokeArgs),
}

/// Create an API key for a workspace. The key is printed once.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "create",
    example = "{command_name} Importer --tenant Acme --workspace Production --scopes events:write --expires 90d",
    example = "{command_name} \"Web site\" --tenant Acme --workspace Production --origins https://shop.example,https://www.shop.example"
)]
struct KeyCreateArgs {
    /// the key's name; default: the workspace's name and "API key"
    #[argh(positional)]
    name: Option<String>,
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
    /// the workspace; default: Default
    #[argh(option, arg_name = "workspace")]
    workspace: Option<String>,
    /// the key's permissions, separated by commas; default: events:write,events:read, or events:write with --origins
    #[argh(option, arg_name = "scopes")]
    scopes: Option<String>,
    /// the pages that may use the key, separated by commas: https://shop.example, or https://*.shop.example for all
    /// subdomains; default: it works from anywhere
    #[argh(option, arg_name = "origins")]
    origins: Option<String>,
    /// end of the key's life: 2027-03-31 (UTC), RFC 3339, a time from now such as 90d, or never; default: never
    #[argh(option, arg_name = "time")]
    expires: Option<String>,
}

/// List the API keys of all tenants or of one, including expired and revoked ones.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "list", example = "{command_name} --tenant Acme")]
struct KeyListArgs {
    /// the tenant's name, or id:42; default: all tenants
    #[argh(option, arg_name = "tenant")]
    tenant: Option<String>,
}

/// Show an API key without its secret: its tenant and workspace, scopes, origins, life and last use, and the tenant's own limits.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "show", example = "{command_name} k3v9abcdefghijkl")]
struct KeyShowArgs {
    /// the public id of the key, from `key list`
    #[argh(positional)]
    key: String,
}

/// Create a key with the same name, scopes and origins. The old key stays valid for a while, so that clients can switch without a
/// gap. The new key is printed once.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "rotate", example = "{command_name} k3v9abcdefghijkl --overlap 7d")]
struct KeyRotateArgs {
    /// the public id of the old key, from `key list`
    #[argh(positional)]
    key: String,
    /// remaining life of the old key: a number followed by s, m, h, d or y; default: 24h
    #[argh(option, arg_name = "duration")]
    overlap: Option<String>,
    /// end of the new key's life: 2027-03-31 (UTC), RFC 3339, a time from now such as 90d, or never; default: it lives as
    /// long as the old key was to live
    #[argh(option, arg_name = "time")]
    expires: Option<String>,
}

/// Revoke a key for good, on all servers within a second.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "revoke", example = "{command_name} k3v9abcdefghijkl")]
struct KeyRevokeArgs {
    /// the public id of the key, from `key list`
    #[argh(positional)]
    key: String,
    /// skip the confirmation
    #[argh(switch)]
    yes: bool,
}

impl KeyArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<KeyCommand> {
        match self.command {
            KeySubcommand::Create(args) => args.read(invalid).map(KeyCommand::Create),
            KeySubcommand::List(KeyListArgs { tenant }) => {
                optional(tenant.as_deref(), |text| tenant_ref("--tenant", text, invalid))
                    .map(KeyCommand::List)
            }
            KeySubcommand::Show(args) => key_id(&args.key, invalid).map(KeyCommand::Show),
            KeySubcommand::Rotate(args) => args.read(invalid),
            KeySubcommand::Revoke(KeyRevokeArgs { key, yes }) => {
                key_id(&key, invalid).map(|key| KeyCommand::Revoke { key, yes })
            }
        }
    }
}

impl KeyCreateArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<KeyCreateCommand> {
        let tenant = tenant_ref("--tenant", &self.tenant, invalid);
        let workspace = workspace_name(self.workspace.as_deref(), invalid);
        let name = optional(self.name.as_deref(), |text| name("name", text, invalid));
        let scopes = key_scopes(self.scopes.as_deref(), self.origins.is_some(), invalid);
        let origins = optional(self.origins.as_deref(), |text| origins(text, invalid));
        let expiry = optional(self.expires.as_deref(), |text| expiry(text, invalid));
        Some(KeyCreateCommand {
            tenant: tenant?,
            workspace: workspace?,
            name: name?,
            scopes: scopes?,
            origins: origins?,
            expiry: expiry?,
        })
    }
}

impl KeyRotateArgs {
    fn read(self, invalid: &mut Vec<String>) -> Option<KeyCommand> {
        let key = key_id(&self.key, invalid);
        let overlap = match self.overlap.as_deref() {
            None => Some(DEFAULT_OVERLAP),
            Some(text) => duration("--overlap", text, invalid),
        };
        let expiry = optional(self.expires.as_deref(), |text| expiry(text, invalid));
        Some(KeyCommand::Rotate { key: key?, overlap: overlap?, expiry: expiry? })
    }
}

/// Reads the scopes of a key. A page publishes its key, so one with origins may only write.
fn key_scopes(text: Option<&str>, has_origins: bool, invalid: &mut Vec<String>) -> Option<Scopes> {
    match text {
        None if has_origins => Some(Scopes::WITH_ORIGINS),
        text => {
            let scopes = scopes(text, invalid)?;
            if !has_origins || scopes == Scopes::WITH_ORIGINS {
                return Some(scopes);
            }
            invalid.push(format!(
                "--scopes: a key with --origins has {} alone, not {scopes}: everyone who opens a page can \
                 read its key; create a second key for reading",
                Scopes::WITH_ORIGINS
            ));
            None
        }
    }
}

fn origins(text: &str, invalid: &mut Vec<String>) -> Option<Origins> {
    Origins::parse(text).map_err(|error| invalid.push(format!("--origins: {error}"))).ok()
}

fn expiry(text: &str, invalid: &mut Vec<String>) -> Option<Expiry> {
    match text.trim() {
        "never" => Some(Expiry::Never),
        text => future("--expires", text, invalid).map(Expiry::At),
    }
}

fn key_id(text: &str, invalid: &mut Vec<String>) -> Option<ApiKeyId> {
    let text = text.trim();
    if text.starts_with("mk_") {
        // The message omits the value: it may be a whole key with its secret.
        let message = "key looks like a whole key: give only its public id, the part between mk_ \
                       and the next _";
        invalid.push(message.to_owned());
        return None;
    }
    // Not checked further: the look-up reports an unknown id.
    Some(ApiKeyId::new(text))
}
