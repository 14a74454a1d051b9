//! Generates the secret of a new API key, and prints it.

use mercurio_domain::ApiKeyId;
use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey};
use mercurio_domain::store::Store;
use serde::Serialize;

use crate::error::AdminError;
use crate::machine::Machine;
use crate::output::Output;

/// Note for every command that prints a new key: the database stores only a hash of its secret.
pub(super) const PRINTED_ONCE: &str = "the key is printed only once: store it now";

/// Makes a key. Call it before the database is changed.
///
/// # Errors
/// [`AdminError::StdoutLost`] if the key could not be printed, [`AdminError::Entropy`] without random bytes.
pub(super) fn generate(machine: &Machine<'_>) -> Result<NewApiKey, AdminError> {
    if machine.stdout_is_lost {
        return Err(AdminError::StdoutLost);
    }
    let mut entropy = [0; ENTROPY_BYTES];
    (machine.entropy)(&mut entropy)?;
    Ok(NewApiKey::generate(&entropy))
}

/// Prints a result with the new key `id`, or revokes the key: nobody has seen it.
///
/// # Errors
/// [`AdminError::KeyLost`] if stdout fails.
pub(super) fn print(
    result: &impl Serialize,
    id: &ApiKeyId,
    store: &dyn Store,
    machine: &Machine<'_>,
    out: &mut Output<'_>,
) -> Result<(), AdminError> {
    let Err(error) = out.print(&serde_json::to_value(result)?) else { return Ok(()) };
    let revoked = store.revoke_api_key(id, machine.clock.now()).is_ok();
    Err(AdminError::KeyLost { id: id.clone(), revoked, source: Box::new(error) })
}
