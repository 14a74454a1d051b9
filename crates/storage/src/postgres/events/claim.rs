//! The statement that claims keys: one for any number of them, prepared once a connection.
//!
//! Each column travels as one array, so that the statement's text never changes; `VALUES` would have a text for every
//! number of rows, and end at 65,535 parameters. (diesel prepares and keeps what has a static [`QueryId`].)

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use crate::rows::Micros;
use crate::verdicts::Candidate;

/// Inserts keys that are free, in the order given, and returns them. A key that another transaction is inserting is waited
/// for: it is free if that one rolls back.
#[derive(Debug, QueryId)]
pub(super) struct Claim {
    tenant_ids: Vec<i64>,
    keys: Vec<Uuid>,
    workspace_ids: Vec<i64>,
    occurred_at: Vec<Micros>,
    received_at: Vec<Micros>,
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

impl QueryFragment<Pg> for Claim {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        pass.push_sql(
            "INSERT INTO event_keys (tenant_id, key, workspace_id, occurred_at, received_at) SELECT * FROM unnest(",
        );
        pass.push_bind_param::<Array<BigInt>, _>(&self.tenant_ids)?;
        pass.push_sql(", ");
        pass.push_bind_param::<Array<SqlUuid>, _>(&self.keys)?;
        pass.push_sql(", ");
        pass.push_bind_param::<Array<BigInt>, _>(&self.workspace_ids)?;
        pass.push_sql(", ");
        pass.push_bind_param::<Array<Timestamptz>, _>(&self.occurred_at)?;
        pass.push_sql(", ");
        pass.push_bind_param::<Array<Timestamptz>, _>(&self.received_at)?;
        pass.push_sql(") ON CONFLICT DO NOTHING RETURNING tenant_id, key");
        Ok(())
    }
}

impl Query for Claim {
    type SqlType = (BigInt, SqlUuid);
}

impl RunQueryDsl<PgConnection> for Claim {}
