//! The first run on an empty SQLite database: creates a tenant and a key, and greets with a command
//! to paste.
//!
//! On PostgreSQL nothing is created unasked: `mercurio-admin provision` does that.

use std::io::Write;
use std::net::SocketAddr;

use mercurio_domain::Timestamp;
use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey, Scopes, SecretKey};
use mercurio_domain::store::{Backend, CreateError, Provisioning, Store};
use mercurio_domain::tenant::Name;

use super::error::StartError;
use crate::reachable::reachable;

/// Creates the tenant `default` if the database is SQLite and empty. Returns the new key, to be
/// shown once.
///
/// # Errors
/// The database or the random generator fails.
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
        // Constants, valid without a check.
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
        // Another process on the same file was faster.
        Err(CreateError::NameTaken | CreateError::NoOwner) => Ok(None),
        Err(CreateError::Store(error)) => Err(error.into()),
    }
}

/// Prints the key and commands that use it. `addr` is the listen address.
///
/// # Errors
/// The output fails.
pub(super) fn greet(
    out: &mut impl Write,
    key: &SecretKey,
    addr: SocketAddr,
    is_terminal: bool,
) -> std::io::Result<()> {
    let base = format!("http://{}", reachable(addr));
    let key = key.expose();
    writeln!(
        out,
        "\nMercurio created a new database with the tenant `default`. Its API key, shown only once:\n\n  {key}\n\n\
         Send a first batch:\n\n  \
         curl -sS {base}/v1/events/batch -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \
         -d '{{\"events\":[{{\"event_id\":\"first\",\"event_name\":\"hello\",\"user_id\":\"me\"}}]}}'\n"
    )?;
    // A person reads on; a script gets the key and one command.
    if is_terminal {
        writeln!(
            out,
            "Send it again: the response says `duplicate`, and nothing is stored twice. Then try:\n\n  \
             curl -sS {base}/v1/events -H 'Authorization: Bearer {key}'   # read the events back\n  \
             curl -sS {base}/health                                       # check the server\n"
        )?;
    }
    out.flush()
}
