//! The statements of the fast way.
//!
//! Each finds a slot by its key, locks it, and then names it by its key. So one that another writer lets go while the statement runs
//! is taken from as it is then: PostgreSQL looks at the row anew (manual, "Read Committed Isolation Level").

use std::collections::BTreeMap;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt};
use mercurio_domain::store::Account;

use super::{signed, slots};

/// What PostgreSQL says where an account has no slot that has room and that nobody holds. A query can't raise an error of its own:
/// these words stand in for a number there, and are none.
pub(in crate::postgres) const NO_SLOT: &str = "no slot of the quota is free";

/// What PostgreSQL says of a connection that [`PREPARE`] was not, or not yet, good for.
pub(super) const NOT_PREPARED: &str = "prepared statement \"mercurio_take\" does not exist";

/// Prepares what [`begin`] executes, for a connection that has begun no transaction.
pub(in crate::postgres) const PREPARE: &str = "
    PREPARE mercurio_take (bigint, bigint, bigint, bigint) AS
    UPDATE tenant_usage SET used = used + $4
    WHERE tenant_id = $1 AND month = $2 AND slot = coalesce((
        SELECT slot FROM tenant_usage
        WHERE tenant_id = $1 AND month = $2 AND quota = $3 AND share - used >= $4
        LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)::text, 'no slot of the quota is free')::bigint";

/// Begins a transaction that has taken from the account, or fails with [`NO_SLOT`]. In one round trip, which is most of what taking
/// costs a small group.
pub(super) fn begin(account: &Account, events: u64) -> String {
    let (tenant_id, month) = slots::key(account);
    format!("BEGIN; EXECUTE mercurio_take ({tenant_id}, {month}, {}, {})", signed(account.limit), signed(events))
}

/// Takes from those accounts that have a slot, and returns them. Prepared once a connection.
#[derive(Debug, QueryId)]
pub(super) struct Take {
    columns: [Vec<i64>; 4],
}

impl Take {
    /// Tenants, months, quotas, events.
    pub(super) fn of(wanted: &BTreeMap<Account, u64>) -> Self {
        let columns = [
            wanted.keys().map(|account| account.tenant_id.0).collect(),
            wanted.keys().map(|account| i64::from(account.month.number())).collect(),
            wanted.keys().map(|account| signed(account.limit)).collect(),
            wanted.values().map(|events| signed(*events)).collect(),
        ];
        Self { columns }
    }
}

impl QueryFragment<Pg> for Take {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        pass.push_sql("WITH wanted AS MATERIALIZED (SELECT tenant_id, month, free.slot, events FROM unnest(");
        for (place, column) in self.columns.iter().enumerate() {
            pass.push_sql(if place == 0 { "" } else { ", " });
            pass.push_bind_param::<Array<BigInt>, _>(column)?;
        }
        pass.push_sql(
            ") AS wanted (tenant_id, month, quota, events) CROSS JOIN LATERAL (
                 SELECT slot FROM tenant_usage AS usage
                 WHERE usage.tenant_id = wanted.tenant_id AND usage.month = wanted.month AND usage.quota = wanted.quota
                   AND share - used >= events
                 LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) AS free)
             UPDATE tenant_usage AS usage SET used = used + events FROM wanted
             WHERE usage.tenant_id = wanted.tenant_id AND usage.month = wanted.month AND usage.slot = wanted.slot
             RETURNING usage.tenant_id, usage.month",
        );
        Ok(())
    }
}

impl Query for Take {
    type SqlType = (BigInt, BigInt);
}

impl RunQueryDsl<PgConnection> for Take {}
