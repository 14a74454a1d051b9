//! Row security: a second barrier between tenants, behind the `WHERE tenant_id` of every query.
//!
//! A transaction that reads events switches to the role `mercurio_reader` and names its tenant. The
//! policies of the tables then hide the rows of other tenants, even from a query that forgets to.
//! Writes can't use it: PostgreSQL refuses `COPY` to a role under policies, and a group holds
//! events of many tenants.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use mercurio_domain::TenantId;

use crate::error::{Error, ErrorKind};
use crate::pool::Pool;
use crate::transaction;

/// Interval between attempts to use the reader role while that fails.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// Whether the server's role can read as `mercurio_reader`.
#[derive(Debug)]
pub(super) struct RowSecurity {
    /// The tables read, in SQL.
    tables: &'static str,
    /// Set once it worked. Policies are not removed while servers run.
    is_active: OnceLock<()>,
    /// The last failed attempt.
    failed_at: Mutex<Option<Instant>>,
}

/// Begins a transaction that sees only one tenant's rows, in one round trip. Role and setting end
/// with the transaction, so a pooled connection carries nothing over.
fn begin(tenant_id: TenantId) -> String {
    format!(
        "BEGIN READ ONLY; SET LOCAL ROLE mercurio_reader; SET LOCAL mercurio.tenant_id = '{}'",
        // SET takes no parameters; an `i64` needs no quoting.
        tenant_id.0
    )
}

/// Makes the statements of a transaction see one snapshot. Comes before its first query.
const ONE_SNAPSHOT: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ";

impl RowSecurity {
    pub(super) fn of(tables: &'static str) -> Self {
        Self { tables, is_active: OnceLock::new(), failed_at: Mutex::default() }
    }

    /// Runs `body`, which reads events of `tenant_id`, under row security if available.
    ///
    /// Without the role, which needs a privilege to create, reads go on: an upgrade must not stop a
    /// service.
    pub(super) fn read<T>(
        &self,
        readers: &Pool<PgConnection>,
        tenant_id: TenantId,
        body: impl FnMut(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.is_available(readers)? {
            transaction::read_in(readers, &begin(tenant_id), body)
        } else {
            transaction::read(readers, body)
        }
    }

    /// Like [`Self::read`], in a transaction whose statements see one snapshot. `settings` are
    /// statements for it.
    pub(super) fn read_snapshot<T>(
        &self,
        readers: &Pool<PgConnection>,
        tenant_id: TenantId,
        settings: &str,
        body: impl FnMut(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let begin = match self.is_available(readers)? {
            true => begin(tenant_id),
            false => "BEGIN READ ONLY".to_owned(),
        };
        transaction::read_in(readers, &format!("{begin}; {ONE_SNAPSHOT}; {settings}"), body)
    }

    /// Tries a read as the role until one succeeds, at most once per [`RETRY_INTERVAL`].
    fn is_available(&self, readers: &Pool<PgConnection>) -> Result<bool, Error> {
        if self.is_active.get().is_some() {
            return Ok(true);
        }
        let failed_at = *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
        // An attempt costs a round trip, and a failed one a line in the server's log.
        if failed_at.is_some_and(|at| at.elapsed() < RETRY_INTERVAL) {
            return Ok(false);
        }
        // No tenant has the id 0, so the attempt sees no rows.
        // Privileges are checked even if no row is read.
        let probe = format!("SELECT FROM {} LIMIT 0", self.tables);
        match transaction::read_in(readers, &begin(TenantId(0)), |connection| {
            Ok(connection.batch_execute(&probe)?)
        }) {
            Ok(()) => {
                self.is_active.get_or_init(|| ());
                Ok(true)
            }
            // The attempt says nothing about the role.
            Err(error) if matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Conflict) => {
                Err(error)
            }
            Err(_) => {
                *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Instant::now());
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests;
