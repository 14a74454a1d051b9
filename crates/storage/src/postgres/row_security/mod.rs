//! The second wall between tenants: what is read of one tenant's events is read as a role that sees no other's, whatever the query.
//!
//! The first wall is the code, which names the tenant in every query. This one is row security: a reading transaction becomes
//! `mercurio_reader` and names its tenant, and the policies of the tables do the rest (docs/adr/0009-row-security-for-readers.md).

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use mercurio_domain::TenantId;

use crate::error::{Failed, Failure, Fault};
use crate::pool::Pool;
use crate::transaction;

/// How long a wall that was not found is not looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Whether the database has the wall for this user.
#[derive(Debug, Default)]
pub(super) struct Wall {
    /// Set once it was found: a wall is not taken down while servers run.
    stands: OnceLock<()>,
    /// When it was not found.
    missed: Mutex<Option<Instant>>,
}

/// Opens a transaction that sees what is one tenant's, in one round trip. Both settings end with it.
fn begin(tenant_id: TenantId) -> String {
    format!(
        "BEGIN READ ONLY; SET LOCAL ROLE mercurio_reader; SET LOCAL mercurio.tenant_id = '{}'",
        tenant_id.0
    )
}

impl Wall {
    /// Runs `body`, which reads what is `tenant_id`'s: behind the wall, where there is one.
    pub(super) fn read<T>(
        &self,
        readers: &Pool<PgConnection>,
        tenant_id: TenantId,
        body: impl FnMut(&mut PgConnection) -> Result<T, Failure>,
    ) -> Result<T, Failed> {
        if self.stands(readers)? {
            transaction::read_in(readers, &begin(tenant_id), body)
        } else {
            transaction::read(readers, body)
        }
    }

    /// Whether this user may become the reader, and the reader read. Found out by doing it, and again each minute where it could not.
    fn stands(&self, readers: &Pool<PgConnection>) -> Result<bool, Failed> {
        if self.stands.get().is_some() {
            return Ok(true);
        }
        let missed = *self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if missed.is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
            return Ok(false);
        }
        let look = |connection: &mut PgConnection| {
            Ok(connection.batch_execute("SELECT FROM events, event_keys LIMIT 0")?)
        };
        match transaction::read_in(readers, &begin(TenantId(0)), look) {
            Ok(()) => {
                self.stands.get_or_init(|| ());
                Ok(true)
            }
            Err(failed) if matches!(failed.fault, Fault::Unavailable | Fault::Conflict) => {
                Err(failed)
            }
            Err(_) => {
                *self.missed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests;
