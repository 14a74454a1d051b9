//! Generates the secret of a new API key.

use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey};

use crate::error::AdminError;
use crate::machine::Machine;

/// Note for every command that prints a new key: the database stores only a hash of its secret.
pub(super) const PRINTED_ONCE: &str = "the key is printed only once: store it now";

pub(super) fn generate(machine: &Machine<'_>) -> Result<NewApiKey, AdminError> {
    let mut entropy = [0; ENTROPY_BYTES];
    (machine.entropy)(&mut entropy)?;
    Ok(NewApiKey::generate(&entropy))
}
