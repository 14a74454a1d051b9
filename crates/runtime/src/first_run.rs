//! The first run on an empty embedded database: a tenant and a key, a greeting with commands to
//! paste, and help with a lost key.

use std::net::SocketAddr;

use mercurio_domain::Timestamp;
use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey, Scopes, SecretKey};
use mercurio_domain::store::{
    CreateError, KeySelection, Provisioning, Store, StoreError, TenantRef,
};
use mercurio_domain::tenant::Name;

const TENANT: &str = "default";
const KEY: &str = "Default API key";

/// What a start finds.
#[derive(Debug)]
pub enum FirstRun {
    /// The database was empty. It has a tenant now, whose key must be shown.
    Made(SecretKey),
    /// Nobody has used the key yet: it may be lost, for example with a terminal that was closed.
    Unused,
    /// The database is in use.
    Past,
}

/// Addresses that reach the server from the same machine.
#[derive(Debug, Clone, Copy)]
pub struct Links {
    /// Takes events.
    pub api: SocketAddr,
    /// Serves `/docs`.
    pub docs: SocketAddr,
    /// Serves `/health`.
    pub health: SocketAddr,
}

/// Creates the tenant `default` with a key if the database is empty. `entropy` must be unpredictable.
///
/// # Errors
/// The database fails.
pub fn begin(
    store: &dyn Store,
    entropy: &[u8; ENTROPY_BYTES],
    now: Timestamp,
) -> Result<FirstRun, StoreError> {
    if !store.has_tenants()? {
        let new = NewApiKey::generate(entropy);
        let request = Provisioning {
            // Constants, valid without a check.
            tenant: Name::from_store(TENANT),
            workspace: Name::from_store("Default"),
            key_name: Name::from_store(KEY),
            key_id: new.id,
            secret_hash: new.secret_hash,
            scopes: Scopes::all(),
            samples: Vec::new(),
            created_at: now,
        };
        match store.provision(&request) {
            Ok(_) => return Ok(FirstRun::Made(new.key)),
            Err(CreateError::Store(error)) => return Err(error),
            // Another process on the same file was faster.
            Err(CreateError::NameTaken | CreateError::NoOwner) => {}
        }
    }
    Ok(if is_key_unused(store)? { FirstRun::Unused } else { FirstRun::Past })
}

fn is_key_unused(store: &dyn Store) -> Result<bool, StoreError> {
    let Some(found) = store.tenant(&TenantRef::Name(Name::from_store(TENANT)))? else {
        return Ok(false);
    };
    let keys = store.api_keys(&KeySelection::Tenant(found.tenant.id))?;
    let has_first = keys.iter().any(|found| found.key.name.as_str() == KEY);
    // A second tenant was made on purpose, and with a key of its own.
    let is_only_tenant = store.tenants(None, 2)?.len() == 1;
    // A use of another key shows that the first one is not missed.
    Ok(has_first && is_only_tenant && keys.iter().all(|found| found.key.last_used_at.is_none()))
}

/// Returns the greeting: the key, and commands that use it. Its lines have at most 80 characters
/// with an address of usual length, and bash and zsh take them as they are.
///
/// A person also gets what to do next; a script reads the key.
#[must_use]
pub fn greeting(key: &SecretKey, links: Links, for_person: bool) -> String {
    let Links { api, docs, health } = links;
    let key = key.expose();
    // In one line, the command that sets it would be too long. `export`, because fish has no other
    // form in common with sh.
    let (public, secret) = key.split_at(key.rfind('_').map_or(0, |end| end + 1));
    let mut text = format!(
        r#"
Mercurio created a database with the tenant `default`.
Its API key, shown only once:

  {key}

Send a first batch from another shell:

  export KEY={public}
  export KEY="$KEY"{secret}
  curl -sS 'http://{api}/v1/events/batch' \
    -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \
    -d '{{"events":[{{"event_id":"first","event_name":"hello","user_id":"me"}}]}}'

"#
    );
    if for_person {
        let rest = format!(
            r#"Send it again: the response says "duplicate", and nothing is stored twice.
Read the events back:

  curl -sS 'http://{api}/v1/events' -H "Authorization: Bearer $KEY"

Reference of the API: http://{docs}/docs
State of the server:  http://{health}/health

"#
        );
        text.push_str(&rest);
    }
    text
}

/// Returns the command that makes another key, with `separator` after the setting it needs.
fn key_command_with(database_url: Option<&str>, separator: &str) -> String {
    let url = database_url.map(|url| format!("DATABASE_URL={}{separator}", shell_word(url)));
    url.unwrap_or_default() + "mercurio-admin key create --tenant " + TENANT
}

/// Returns the command that makes another key. `database_url` is `None` for the default.
#[must_use]
pub fn key_command(database_url: Option<&str>) -> String {
    key_command_with(database_url, " ")
}

/// Returns the hint for a person whose key is lost.
#[must_use]
pub fn lost_key_hint(database_url: Option<&str>) -> String {
    let command = key_command_with(database_url, " \\\n    ");
    format!(
        r"
The API key of the tenant `default` was shown once, at the first start, and has
not been used since. If it is lost, make another one:

  {command}

"
    )
}

/// Quotes a word for a shell, if it needs quotes.
fn shell_word(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/:._-".contains(&byte);
    if word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use mercurio_domain::api_key::KeyUse;
    use mercurio_domain::store::Catalog;
    use mercurio_domain::testing::{MemoryStore, at, provisioning};

    use super::*;

    #[test]
    fn greeting_fits_a_terminal_and_has_no_shell_comment() {
        let key = NewApiKey::generate(&[7; ENTROPY_BYTES]).key;
        let [api, health] = [8080, 9091].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let text = greeting(&key, Links { api, docs: api, health }, true);
        for line in text.lines().chain(lost_key_hint(None).lines()) {
            assert!(line.chars().count() <= 80, "{line}");
            assert!(!line.contains('#'), "zsh takes no comments: {line}");
        }
        for link in ["http://127.0.0.1:8080/docs", "http://127.0.0.1:9091/health"] {
            assert!(text.contains(link), "{text}");
        }
    }

    #[test]
    fn command_for_another_key_names_the_database() {
        for (url, expected) in [
            (None, "mercurio-admin key create --tenant default"),
            (
                Some("sqlite:///srv/a.db"),
                "DATABASE_URL=sqlite:///srv/a.db mercurio-admin key create --tenant default",
            ),
            (
                Some("sqlite:///my files/it's.db"),
                r"DATABASE_URL='sqlite:///my files/it'\''s.db' mercurio-admin key create --tenant default",
            ),
        ] {
            assert_eq!(key_command(url), expected);
        }
    }

    #[test]
    fn first_run_makes_one_key_and_reports_it_until_its_use() {
        let store = MemoryStore::default();
        let begin = || begin(&store, &[7; ENTROPY_BYTES], at("2026-11-22T10:00:00Z"));
        let FirstRun::Made(_) = begin().unwrap() else { panic!("no key") };
        assert!(matches!(begin().unwrap(), FirstRun::Unused));
        let key_id = store.api_keys(&KeySelection::All).unwrap().remove(0).key.id;
        store.note_key_uses(&[KeyUse { key_id, used_at: at("2026-11-22T11:00:00Z") }]).unwrap();
        assert!(matches!(begin().unwrap(), FirstRun::Past));
    }

    #[test]
    fn tenant_made_on_purpose_gets_no_hint() {
        let store = MemoryStore::default();
        let now = at("2026-11-22T10:00:00Z");
        store.provision(&provisioning("acme", 1, now).0).unwrap();
        assert!(matches!(begin(&store, &[7; ENTROPY_BYTES], now).unwrap(), FirstRun::Past));
    }
}
