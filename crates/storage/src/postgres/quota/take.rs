//! The statements of the fast way.
//!
//! Each finds a slot by its key, locks it, and then names it by its key. So one that another writer lets go while the statement runs
//! is taken from as it is then: PostgreSQL looks at the row anew (manual, "Read Committed Isolation Level").

use std::collections::BTreeMap;
use std::fmt::Write;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt};
use mercurio_domain::store::Account;

use super::signed;

/// What PostgreSQL says where an account has no slot that has room and that nobody holds. A query can't raise an error of its own:
/// these words stand in for a number there, and are none.
pub(in crate::postgres) const NO_SLOT: &str = "no slot of the quota is free";

/// What PostgreSQL says of a connection that [`PREPARE`] was not, or not yet, good for.
pub(super) const NOT_PREPARED: &str = "prepared statement \"mercurio_take";

/// Prepares what [`begin`] executes, for a connection that has begun no transaction.
pub(in crate::postgres) const PREPARE: &str = "
    PREPARE mercurio_take_one (bigint, bigint, bigint, bigint) AS
    UPDATE tenant_usage SET used = used + $4
    WHERE tenant_id = $1 AND month = $2 AND slot = coalesce((
        SELECT slot FROM tenant_usage
        WHERE tenant_id = $1 AND month = $2 AND quota = $3 AND share - used >= $4
        LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)::text, 'no slot of the quota is free')::bigint;

    PREPARE mercurio_take_many (bigint[], bigint[], bigint[], bigint[]) AS
    WITH wanted AS MATERIALIZED (
        SELECT tenant_id, month, coalesce(free.slot::text, 'no slot of the quota is free')::bigint AS slot, events
        FROM unnest($1, $2, $3, $4) AS wanted (tenant_id, month, quota, events) LEFT JOIN LATERAL (
            SELECT slot FROM tenant_usage AS usage
            WHERE usage.tenant_id = wanted.tenant_id AND usage.month = wanted.month AND usage.quota = wanted.quota
              AND share - used >= events
            LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) AS free ON true)
    UPDATE tenant_usage AS usage SET used = used + events FROM wanted
    WHERE usage.tenant_id = wanted.tenant_id AND usage.month = wanted.month AND usage.slot = wanted.slot";

/// Begins a transaction that has taken from all those accounts, or fails with [`NO_SLOT`]. In one round trip, which is most of
/// what taking costs.
pub(super) fn begin(wanted: &BTreeMap<Account, u64>) -> String {
    let columns = columns(wanted);
    let mut sql = "BEGIN; EXECUTE mercurio_take_".to_owned();
    sql.push_str(if wanted.len() == 1 { "one (" } else { "many (" });
    for (place, column) in columns.iter().enumerate() {
        let numbers: Vec<String> = column.iter().map(i64::to_string).collect();
        let (comma, numbers) = (if place == 0 { "" } else { ", " }, numbers.join(","));
        // A text takes whatever is written to it.
        _ = if wanted.len() == 1 { write!(sql, "{comma}{numbers}") } else { write!(sql, "{comma}'{{{numbers}}}'") };
    }
    sql.push(')');
    sql
}

/// Takes from those accounts that have a slot, and returns them. Prepared once a connection.
#[derive(Debug)]
pub(super) struct Take {
    columns: [Vec<i64>; 4],
}

impl Take {
    pub(super) fn of(wanted: &BTreeMap<Account, u64>) -> Self {
        Self { columns: columns(wanted) }
    }
}

/// Tenants, months, quotas, events.
fn columns(wanted: &BTreeMap<Account, u64>) -> [Vec<i64>; 4] {
    [
        wanted.keys().map(|account| account.tenant_id.0).collect(),
        wanted.keys().map(|account| i64::from(account.month.number())).collect(),
        wanted.keys().map(|account| signed(account.limit)).collect(),
        wanted.values().map(|events| signed(*events)).collect(),
    ]
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

impl QueryId for Take {
    type QueryId = Self;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for Take {
    type SqlType = (BigInt, BigInt);
}

impl RunQueryDsl<PgConnection> for Take {}
