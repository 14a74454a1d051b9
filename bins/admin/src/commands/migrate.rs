//! `migrate`: brings the schema to this program's.

use mercurio_domain::store::{Backend, Store};
use serde::Serialize;

use super::{Done, Outcome};
use crate::{AdminError, database};

/// What `migrate` prints.
#[derive(Debug, Serialize)]
pub struct Migrated {
    /// Which database it is.
    pub backend: Backend,
    /// The migrations that ran, oldest first.
    pub applied: Vec<String>,
    /// How the schema stands to this program's, which is always `current` in the end.
    pub state: &'static str,
}

pub(super) fn migrate(store: &dyn Store) -> Result<Done, AdminError> {
    database::refuse_newer(store)?;
    let applied = store.migrate()?;
    let note = match applied.len() {
        0 => "the schema was current; nothing to do".to_owned(),
        1 => "the schema is current; 1 migration ran".to_owned(),
        count => format!("the schema is current; {count} migrations ran"),
    };
    let result = Migrated { backend: store.backend(), applied, state: "current" };
    Ok(Done { result: Outcome::Migrated(result), notes: vec![note] })
}
