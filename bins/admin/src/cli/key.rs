//! `key …` on the command line.

use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::api_key::Scopes;
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;
use mercurio_domain::{ApiKeyId, Timestamp};

use super::{required, scopes, tenant_ref, workspace_name};
use crate::config::name;

/// How long the old key lives on beside the new one where nobody says.
const OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// What to do with API keys.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyCommand {
    /// Make one.
    Create {
        /// Whose.
        tenant: TenantRef,
        /// What it opens.
        workspace: Name,
        /// Its name; none: the workspace's, with "API key".
        name: Option<Name>,
        /// What it may do.
        scopes: Scopes,
        /// When it ends.
        expiry: Option<Expiry>,
    },
    /// Show those of a tenant.
    List(TenantRef),
    /// Make another like it, and let it end.
    Rotate {
        /// The old one.
        key: ApiKeyId,
        /// How long it lives on.
        overlap: Duration,
    },
    /// End it.
    Revoke(ApiKeyId),
}

/// When a key ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// At a time.
    At(Timestamp),
    /// After a while.
    In(Duration),
}

/// Make API keys, show them, replace them, and end them.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "key", help_triggers("-h", "--help", "help"))]
pub(super) struct Words {
    #[argh(subcommand)]
    command: CommandWords,
}

#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
enum CommandWords {
    Create(CreateWords),
    List(ListWords),
    Rotate(RotateWords),
    Revoke(RevokeWords),
}

/// Make an API key for a workspace. It is shown once.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "create",
    help_triggers("-h", "--help", "help"),
    example = "{command_name} --tenant Acme --workspace Production --scopes events:write --expires-in 90d"
)]
struct CreateWords {
    /// the tenant
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
    /// the workspace; default: Default
    #[argh(option, arg_name = "name")]
    workspace: Option<String>,
    /// the key's name; default: the workspace's, with "API key"
    #[argh(option, arg_name = "name")]
    name: Option<String>,
    /// what the key may do, divided by commas; default: events:write,events:read
    #[argh(option, arg_name = "list")]
    scopes: Option<String>,
    /// when it ends, as RFC 3339; default: never
    #[argh(option, arg_name = "time")]
    expires_at: Option<String>,
    /// after how long it ends: a number with s, m, h or d
    #[argh(option, arg_name = "duration")]
    expires_in: Option<String>,
}

/// Show the API keys of a tenant, also those that have ended.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "list", help_triggers("-h", "--help", "help"))]
struct ListWords {
    /// the tenant
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
}

/// Make a key like another one, which lives on for a while, so that clients can change over without a gap. The new key is shown
/// once.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "rotate",
    help_triggers("-h", "--help", "help"),
    example = "{command_name} --key k3v9abcdefghijkl --overlap 7d"
)]
struct RotateWords {
    /// the public id of the key
    #[argh(option, arg_name = "id")]
    key: Option<String>,
    /// how long the old key lives on: a number with s, m, h or d; default: 24h
    #[argh(option, arg_name = "duration")]
    overlap: Option<String>,
}

/// End a key, on all servers within a second. It can't be taken back.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "revoke", help_triggers("-h", "--help", "help"))]
struct RevokeWords {
    /// the public id of the key
    #[argh(option, arg_name = "id")]
    key: Option<String>,
}

impl Words {
    /// The command; what is wrong goes to `invalid`.
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<KeyCommand> {
        match self.command {
            CommandWords::List(words) => {
                tenant_ref(words.tenant.as_deref(), invalid).map(KeyCommand::List)
            }
            CommandWords::Revoke(words) => {
                key_id(words.key.as_deref(), invalid).map(KeyCommand::Revoke)
            }
            CommandWords::Rotate(words) => {
                let key = key_id(words.key.as_deref(), invalid);
                let overlap = words
                    .overlap
                    .as_deref()
                    .map_or(Some(OVERLAP), |text| duration("--overlap", text, invalid));
                Some(KeyCommand::Rotate { key: key?, overlap: overlap? })
            }
            CommandWords::Create(words) => words.read(invalid),
        }
    }
}

impl CreateWords {
    fn read(self, invalid: &mut Vec<String>) -> Option<KeyCommand> {
        let tenant = tenant_ref(self.tenant.as_deref(), invalid);
        let workspace = workspace_name(self.workspace.as_deref(), invalid);
        let name = self.name.as_deref().map(|text| name("--name", text, invalid));
        let scopes = scopes(self.scopes.as_deref(), invalid);
        let expiry = match (self.expires_at.as_deref(), self.expires_in.as_deref()) {
            (None, None) => Some(None),
            (Some(text), None) => {
                let time = Timestamp::parse(text)
                    .map_err(|error| invalid.push(format!("--expires-at: {error}")));
                time.ok().map(|time| Some(Expiry::At(time)))
            }
            (None, Some(text)) => {
                duration("--expires-in", text, invalid).map(|time| Some(Expiry::In(time)))
            }
            (Some(_), Some(_)) => {
                invalid.push("--expires-at and --expires-in can't be given both".to_owned());
                None
            }
        };
        let name = match name {
            Some(name) => Some(name?),
            None => None,
        };
        Some(KeyCommand::Create {
            tenant: tenant?,
            workspace: workspace?,
            name,
            scopes: scopes?,
            expiry: expiry?,
        })
    }
}

fn key_id(text: Option<&str>, invalid: &mut Vec<String>) -> Option<ApiKeyId> {
    let text =
        required("--key", text, "the public id of the key, as `key list` shows it", invalid)?
            .trim();
    if text.starts_with("mk_") {
        // It is not repeated: it may be a whole key.
        invalid.push(
            "--key: give the public id alone, the part between mk_ and the next _".to_owned(),
        );
        return None;
    }
    Some(ApiKeyId::new(text))
}

/// A number with a unit, of at most 100 years.
pub(super) fn duration(option: &str, text: &str, invalid: &mut Vec<String>) -> Option<Duration> {
    const MAX_SECONDS: u64 = 100 * 366 * 86_400;
    let split =
        text.trim().char_indices().next_back().map(|(end, unit)| (&text.trim()[..end], unit));
    let seconds = split.and_then(|(number, unit)| {
        let unit = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(unit).filter(|seconds| *seconds <= MAX_SECONDS)
    });
    if seconds.is_none() {
        invalid
            .push(format!("{option}: {text:?} is no number with s, m, h or d of up to 100 years"));
    }
    seconds.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_a_bound() {
        let read = |text| duration("--overlap", text, &mut Vec::new());
        assert_eq!(read("0s"), Some(Duration::ZERO));
        assert_eq!(read(" 90d "), Some(Duration::from_secs(90 * 86_400)));
        assert_eq!(read("36h"), Some(Duration::from_secs(36 * 3_600)));
        for text in ["", "d", "5", "-1d", "1.5h", "1w", "99999999999999999999d", "1000000d", "5é"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
