//! The second wall between tenants: what is read of one tenant's events is read as a role that sees no other's, whatever the query.
//!
//! The first wall is the code, which names the tenant in every query. This one is row security: a reading transaction becomes
//! `mercurio_reader` and names its tenant, and the policies of the tables do the rest (docs/adr/0009-row-security-for-readers.md).

use std::sync::OnceLock;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use mercurio_domain::TenantId;

use crate::error::{Failed, Failure, Fault};
use crate::pool::Pool;
use crate::transaction;

/// Whether the database has the wall for this user.
#[derive(Debug, Default)]
pub(super) struct Wall(OnceLock<bool>);

/// Opens a transaction that sees what is one tenant's, in one round trip. Both settings end with it.
fn begin(tenant_id: TenantId) -> String {
    format!("BEGIN READ ONLY; SET LOCAL ROLE mercurio_reader; SET LOCAL mercurio.tenant_id = '{}'", tenant_id.0)
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

    /// Whether this user may become the reader, and the reader read. Found out once, by doing it.
    fn stands(&self, readers: &Pool<PgConnection>) -> Result<bool, Failed> {
        if let Some(stands) = self.0.get() {
            return Ok(*stands);
        }
        let look =
            |connection: &mut PgConnection| Ok(connection.batch_execute("SELECT FROM events, event_keys LIMIT 0")?);
        let stands = match transaction::read_in(readers, &begin(TenantId(0)), look) {
            Ok(()) => true,
            Err(failed) if matches!(failed.fault, Fault::Unavailable | Fault::Conflict) => return Err(failed),
            Err(_) => false,
        };
        Ok(*self.0.get_or_init(|| stands))
    }
}

#[cfg(test)]
mod tests;
