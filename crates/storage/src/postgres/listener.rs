//! Changes of the catalog in PostgreSQL, and the texts of live tails: triggers and servers call
//! `NOTIFY`, a dedicated connection runs `LISTEN` for both.
//!
//! A trigger sends its notification with the commit, so a change made by hand in SQL is received
//! too.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Text};
use mercurio_domain::store::{CatalogChange, CatalogListener, StoreError};
use mercurio_domain::{ApiKeyId, TenantId};

use super::statement::statement;
use crate::error::Error;

/// Interval for reading the socket. diesel can't wait for it; a read costs a microsecond and sends
/// nothing.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Interval for a round trip that detects a dead connection. A cut cable sends no signal.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// The channel of [`notify_tail`].
const TAIL_CHANNEL: &str = "mercurio_tail";

/// A connection that listens.
pub(super) struct NotificationListener {
    connection: PgConnection,
    tail: Vec<String>,
    checked_at: Instant,
}

impl NotificationListener {
    /// Receives all changes committed from now on.
    pub(super) fn start(mut connection: PgConnection) -> Result<Self, Error> {
        connection.batch_execute("LISTEN mercurio_catalog; LISTEN mercurio_tail")?;
        Ok(Self { connection, tail: Vec::new(), checked_at: Instant::now() })
    }

    fn poll(&mut self) -> Result<Vec<CatalogChange>, Error> {
        if self.checked_at.elapsed() > KEEPALIVE_INTERVAL {
            // Its failure ends the listener, and the caller opens a new one and clears its cache.
            self.connection.batch_execute("SELECT 1")?;
            self.checked_at = Instant::now();
        }
        let mut changes = Vec::new();
        for notification in self.connection.notifications_iter() {
            let notification = notification?;
            if notification.channel == TAIL_CHANNEL {
                self.tail.push(notification.payload);
            } else {
                changes.push(parse_change(&notification.payload));
            }
        }
        Ok(changes)
    }
}

statement! {
    /// Notifies the listeners of all servers. One statement: a notification takes a lock on all others.
    NotifyTail =
    "SELECT count(pg_notify('mercurio_tail', text)) FROM unnest(", texts: Vec<String> => Array<Text>, ") text",
}

/// Sends texts to all listeners, with the commit of the transaction.
pub(super) fn notify_tail(connection: &mut PgConnection, texts: &[String]) -> QueryResult<()> {
    NotifyTail { texts: texts.to_vec() }.execute(connection).map(|_| ())
}

/// Parses a trigger's payload: the kind, a colon, the id.
fn parse_change(payload: &str) -> CatalogChange {
    match payload.split_once(':') {
        Some(("key", id)) => CatalogChange::ApiKey(ApiKeyId::new(id)),
        Some(("tenant", id)) => {
            id.parse().map_or(CatalogChange::Anything, |id| CatalogChange::Tenant(TenantId(id)))
        }
        // A kind added by a newer release: clearing the whole cache is always correct.
        _ => CatalogChange::Anything,
    }
}

impl CatalogListener for NotificationListener {
    fn next(&mut self, timeout: Duration) -> Result<Vec<CatalogChange>, StoreError> {
        let end = Instant::now() + timeout;
        loop {
            // After any error the connection may have lost notifications.
            let changes = self.poll().map_err(|error| StoreError::Unavailable(Box::new(error)))?;
            let left = end.saturating_duration_since(Instant::now());
            if !changes.is_empty() || !self.tail.is_empty() || left.is_zero() {
                return Ok(changes);
            }
            std::thread::sleep(POLL_INTERVAL.min(left));
        }
    }

    fn take_tail(&mut self) -> Vec<String> {
        std::mem::take(&mut self.tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_names_a_key_a_tenant_or_nothing_known() {
        assert_eq!(parse_change("key:k3v9"), CatalogChange::ApiKey(ApiKeyId::new("k3v9")));
        assert_eq!(parse_change("tenant:42"), CatalogChange::Tenant(TenantId(42)));
        for other in ["", "tenant:", "tenant:x", "event:1", "key"] {
            assert_eq!(parse_change(other), CatalogChange::Anything, "{other}");
        }
    }
}
