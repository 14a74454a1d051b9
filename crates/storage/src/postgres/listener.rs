//! Changes of the catalogue as PostgreSQL tells them: `NOTIFY` by triggers, `LISTEN` on a connection of its own.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use mercurio_domain::store::{CatalogChange, CatalogWatch, StoreError};
use mercurio_domain::{ApiKeyId, TenantId};

use crate::error::Failure;
use crate::pool::failed;

/// How often the socket is looked at: diesel has no way to wait for it. A look costs a microsecond and sends nothing.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often the server is asked for a sign of life: a cut cable tells nothing by itself.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Listens on a connection.
pub(super) struct Watch {
    connection: PgConnection,
    asked_at: Instant,
}

impl Watch {
    /// Hears all changes that are committed from now on.
    pub(super) fn on(mut connection: PgConnection) -> Result<Self, Failure> {
        connection.batch_execute("LISTEN mercurio_catalog")?;
        Ok(Self { connection, asked_at: Instant::now() })
    }

    fn look(&mut self) -> Result<Vec<CatalogChange>, Failure> {
        if self.asked_at.elapsed() > ASK_EVERY {
            self.connection.batch_execute("SELECT 1")?;
            self.asked_at = Instant::now();
        }
        self.connection.notifications_iter().map(|told| Ok(change(&told?.payload))).collect()
    }
}

/// What a trigger told: the kind, a colon, the id.
fn change(payload: &str) -> CatalogChange {
    match payload.split_once(':') {
        Some(("key", id)) => CatalogChange::ApiKey(ApiKeyId::new(id)),
        Some(("tenant", id)) => {
            id.parse().map_or(CatalogChange::Anything, |id| CatalogChange::Tenant(TenantId(id)))
        }
        _ => CatalogChange::Anything,
    }
}

impl CatalogWatch for Watch {
    fn next(&mut self, timeout: Duration) -> Result<Vec<CatalogChange>, StoreError> {
        let end = Instant::now() + timeout;
        loop {
            // Whatever went wrong, this connection hears nothing any more.
            let lost =
                |failure| StoreError::Unavailable(failed::<PgConnection>(failure).reason.into());
            let changes = self.look().map_err(lost)?;
            let left = end.saturating_duration_since(Instant::now());
            if !changes.is_empty() || left.is_zero() {
                return Ok(changes);
            }
            std::thread::sleep(LOOK_EVERY.min(left));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_names_a_key_a_tenant_or_nothing() {
        assert_eq!(change("key:k3v9"), CatalogChange::ApiKey(ApiKeyId::new("k3v9")));
        assert_eq!(change("tenant:42"), CatalogChange::Tenant(TenantId(42)));
        for other in ["", "tenant:", "tenant:x", "event:1", "key"] {
            assert_eq!(change(other), CatalogChange::Anything, "{other}");
        }
    }
}
