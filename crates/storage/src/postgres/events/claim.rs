//! The statement that claims keys: one for any number of them.
//!
//! Each column travels as one array, so that the statement's text never changes; `VALUES` would have a text for every
//! number of rows, and end at 65,535 parameters.

use diesel::sql_types::{Array, BigInt, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::super::statement::statement;
use crate::rows::Micros;
use crate::verdicts::Candidate;

statement! {
    /// Inserts keys that are free, in the order given, and returns them. A key that another transaction is inserting is waited
    /// for: it is free if that one rolls back.
    pub(super) Claim -> (BigInt, SqlUuid) =
    "INSERT INTO event_keys (tenant_id, key, workspace_id, occurred_at, received_at) SELECT * FROM unnest(",
    tenant_ids: Vec<i64> => Array<BigInt>, ", ",
    keys: Vec<Uuid> => Array<SqlUuid>, ", ",
    workspace_ids: Vec<i64> => Array<BigInt>, ", ",
    occurred_at: Vec<Micros> => Array<Timestamptz>, ", ",
    received_at: Vec<Micros> => Array<Timestamptz>, ") ON CONFLICT DO NOTHING RETURNING tenant_id, key",
}

impl Claim {
    pub(super) fn of(rows: &[Candidate<'_>]) -> Self {
        Self {
            tenant_ids: rows.iter().map(|row| row.owner.tenant_id.0).collect(),
            keys: rows.iter().map(|row| row.event.key().0).collect(),
            workspace_ids: rows.iter().map(|row| row.owner.workspace_id.0).collect(),
            occurred_at: rows.iter().map(|row| row.event.parts().occurred_at.into()).collect(),
            received_at: rows.iter().map(|row| row.received_at.into()).collect(),
        }
    }
}
