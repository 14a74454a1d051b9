//! The first run on an empty SQLite: a tenant, a key, and a greeting with a line that works when pasted.
//!
//! On PostgreSQL nothing is ever made unasked: that is what `mercurio-admin provision` is for.

use std::io::Write;
use std::net::SocketAddr;

use mercurio_domain::Timestamp;
use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey, Scopes, SecretKey};
use mercurio_domain::store::{Backend, CreateError, Provisioning, Store};
use mercurio_domain::tenant::Name;

use super::{StartError, reachable};

/// Makes the tenant `default` where the store is SQLite and empty, and returns its key, to be shown once.
///
/// # Errors
/// Where the store or the operating system's generator fails.
pub(super) fn provision_if_empty(
    store: &dyn Store,
    now: Timestamp,
) -> Result<Option<SecretKey>, StartError> {
    if store.backend() != Backend::Sqlite || store.has_tenants()? {
        return Ok(None);
    }
    let mut entropy = [0; ENTROPY_BYTES];
    getrandom::fill(&mut entropy).map_err(|error| StartError::Entropy(error.to_string()))?;
    let new = NewApiKey::generate(&entropy);
    let request = Provisioning {
        tenant: Name::from_store("default"),
        workspace: Name::from_store("Default"),
        key_name: Name::from_store("Default API key"),
        key_id: new.id,
        secret_hash: new.secret_hash,
        scopes: Scopes::all(),
        samples: Vec::new(),
        created_at: now,
    };
    match store.provision(&request) {
        Ok(_) => Ok(Some(new.key)),
        // Another process on the same file was first.
        Err(CreateError::NameTaken | CreateError::NoOwner) => Ok(None),
        Err(CreateError::Store(error)) => Err(error.into()),
    }
}

/// Tells a person what was made, and what to do with it. `addr`: where the server listens.
///
/// # Errors
/// Where nobody can be told.
pub(super) fn greet(
    out: &mut impl Write,
    key: &SecretKey,
    addr: SocketAddr,
    terminal: bool,
) -> std::io::Result<()> {
    let base = format!("http://{}", reachable(addr));
    let key = key.expose();
    writeln!(
        out,
        "\nMercurio made a new database with a tenant `default`. Its API key, shown this once:\n\n  {key}\n\n\
         Send a first batch:\n\n  \
         curl -sS {base}/v1/events/batch -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \
         -d '{{\"events\":[{{\"event_id\":\"first\",\"event_name\":\"hello\",\"user_id\":\"me\"}}]}}'\n"
    )?;
    if terminal {
        writeln!(
            out,
            "Send it again, and the answer says `duplicate`: nothing is stored twice. Then try:\n\n  \
             curl -sS {base}/v1/events -H 'Authorization: Bearer {key}'   # read the events back\n  \
             curl -sS {base}/health                                       # how the server is\n"
        )?;
    }
    out.flush()
}
