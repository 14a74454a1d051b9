//! The statement that claims any number of keys.
//!
//! Each column is one array parameter, so the text is constant. `VALUES` would need a text for each
//! number of rows and allow 65,535 parameters.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Timestamptz, Uuid as SqlUuid};
use mercurio_domain::{EventKey, TenantId, WorkspaceId};
use uuid::Uuid;

use super::super::statement::statement;
use crate::error::Error;
use crate::rows::Micros;
use crate::verdicts::{Candidate, StoredKey, TenantKey};

statement! {
    /// Inserts new keys in the order given, and returns those. Waits for a concurrent transaction
    /// that inserts the same key, which is new if that one rolls back.
    pub(super) Claim -> (BigInt, SqlUuid) =
    "INSERT INTO event_keys (position, tenant_id, key, workspace_id, occurred_at, received_at)
     SELECT ", position: i64 => BigInt, ", * FROM unnest(",
    tenant_ids: Vec<i64> => Array<BigInt>, ", ",
    keys: Vec<Uuid> => Array<SqlUuid>, ", ",
    workspace_ids: Vec<i64> => Array<BigInt>, ", ",
    occurred_at: Vec<Micros> => Array<Timestamptz>, ", ",
    received_at: Vec<Micros> => Array<Timestamptz>, ") ON CONFLICT DO NOTHING RETURNING tenant_id, key",
}

statement! {
    /// Selects the workspaces of stored keys. With a synchronous standby it also writes a WAL record
    /// under the transaction's id. Only so does the COMMIT of a transaction without new events wait
    /// for the standby; see [`super::super::replication`]. The record needs no privilege.
    Stored -> (BigInt, SqlUuid, BigInt) =
    "WITH logged AS MATERIALIZED (
         SELECT CASE WHEN current_setting('synchronous_standby_names') <> ''
                AND current_setting('synchronous_commit') NOT IN ('off', 'local')
             THEN pg_logical_emit_message(true, 'mercurio', '') END AS lsn)
     SELECT tenant_id, key, workspace_id FROM event_keys JOIN unnest(",
    tenant_ids: Vec<i64> => Array<BigInt>, ", ",
    keys: Vec<Uuid> => Array<SqlUuid>, ") AS wanted (tenant_id, key) USING (tenant_id, key)
     WHERE (SELECT coalesce(lsn, '0/0') >= '0/0' FROM logged)",
}

#[derive(Queryable)]
struct ClaimedRow {
    tenant_id: i64,
    key: Uuid,
}

#[derive(Queryable)]
struct StoredRow {
    tenant_id: i64,
    key: Uuid,
    workspace_id: i64,
}

impl Claim {
    pub(super) fn of(rows: &[Candidate<'_>], position: i64) -> Self {
        Self {
            position,
            tenant_ids: rows.iter().map(|row| row.owner.tenant_id.0).collect(),
            keys: rows.iter().map(|row| row.event.key().0).collect(),
            workspace_ids: rows.iter().map(|row| row.owner.workspace_id.0).collect(),
            occurred_at: rows.iter().map(|row| row.event.parts().occurred_at.into()).collect(),
            received_at: rows.iter().map(|row| row.received_at.into()).collect(),
        }
    }
}

/// Claims the keys of `rows` at a position of the feed, and returns the new ones.
pub(super) fn claim(
    connection: &mut PgConnection,
    rows: &[Candidate<'_>],
    position: i64,
) -> Result<Vec<TenantKey>, Error> {
    let mut keys = Vec::with_capacity(rows.len());
    for row in Claim::of(rows, position).get_results::<ClaimedRow>(connection)? {
        keys.push(TenantKey { tenant_id: TenantId(row.tenant_id), key: EventKey(row.key) });
    }
    Ok(keys)
}

/// Finds the workspaces that hold the keys of `rows`, and makes the COMMIT wait for a synchronous
/// standby.
pub(super) fn stored_keys(
    connection: &mut PgConnection,
    rows: &[Candidate<'_>],
) -> Result<Vec<StoredKey>, Error> {
    let statement = Stored {
        tenant_ids: rows.iter().map(|row| row.owner.tenant_id.0).collect(),
        keys: rows.iter().map(|row| row.event.key().0).collect(),
    };
    let mut stored = Vec::with_capacity(rows.len());
    for row in statement.get_results::<StoredRow>(connection)? {
        let key = TenantKey { tenant_id: TenantId(row.tenant_id), key: EventKey(row.key) };
        stored.push(StoredKey { key, workspace_id: WorkspaceId(row.workspace_id) });
    }
    Ok(stored)
}
