//! The rows of accounts in `tenant_usage`: one for the account itself, and one for each writer that has, or had, something reserved.
//!
//! Whoever holds the account's own row may reserve of it, or count in it. Whoever holds a writer's row in `quota_writers` may change the
//! rows of its reservations. Locks are taken in this order: accounts, by tenant and month; then writers, by number.

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt};
use mercurio_domain::TenantId;
use mercurio_domain::limits::Month;
use mercurio_domain::store::Account;

use super::super::schema::{events, tenant_usage};
use super::super::statement::statement;
use super::reserve::BEGIN;
use crate::error::Error;
use crate::rows::Micros;
use crate::transaction;

/// The number that stands for no writer, in an account's own row.
pub(super) const NOBODY: i64 = 0;

statement! {
    /// See [`lock`].
    pub(super) Lock -> (BigInt, BigInt) =
    "SELECT usage.tenant_id, usage.month FROM unnest(", tenant_ids: Vec<i64> => Array<BigInt>, ", ", months: Vec<i64> => Array<BigInt>,
    ") AS wanted (tenant_id, month)
    JOIN tenant_usage AS usage ON usage.tenant_id = wanted.tenant_id AND usage.month = wanted.month AND usage.writer_id = 0
    ORDER BY usage.tenant_id, usage.month FOR NO KEY UPDATE OF usage",
}

statement! {
    /// See [`read`].
    pub(super) Read -> (BigInt, BigInt, BigInt, BigInt, BigInt) =
    "SELECT usage.tenant_id, usage.month, writer_id, share, used
    FROM unnest(", tenant_ids: Vec<i64> => Array<BigInt>, ", ", months: Vec<i64> => Array<BigInt>, ") AS wanted (tenant_id, month)
    JOIN tenant_usage AS usage ON usage.tenant_id = wanted.tenant_id AND usage.month = wanted.month",
}

statement! {
    /// See [`take_back`].
    pub(super) TakeBack =
    "UPDATE tenant_usage AS usage SET share = used
    FROM unnest(", tenant_ids: Vec<i64> => Array<BigInt>, ", ", months: Vec<i64> => Array<BigInt>, ") AS wanted (tenant_id, month)
    WHERE usage.tenant_id = wanted.tenant_id AND usage.month = wanted.month AND share > used",
}

/// See [`used`]. The keys of a writer's groups in its epoch are those between `\\x000000` and `\\xffffff` behind both.
pub(super) const USED: &str = "SELECT sum(used + CASE WHEN share > used THEN (
        SELECT coalesce(sum(log.counted[place + 1]), 0)
        FROM (SELECT substring(int8send(writer_id) FROM 4) || int8send(epoch) AS series
              FROM quota_writers WHERE quota_writers.writer_id = usage.writer_id OFFSET 0) AS writer
        JOIN event_keys AS log ON log.tenant_id = 0
            AND log.key BETWEEN encode(series || '\\x000000', 'hex')::uuid AND encode(series || '\\xffffff', 'hex')::uuid
        CROSS JOIN generate_series(2, cardinality(log.counted), 2) AS place
        WHERE log.counted[1] = usage.month AND usage.tenant_id = ANY (log.counted) AND log.counted[place] = usage.tenant_id)
        ELSE 0 END)::bigint AS used
    FROM tenant_usage AS usage WHERE tenant_id = $1 AND month = $2";

/// A row: what a writer may count in all, and what was added up of it. In the account's own row both are the same.
#[derive(Debug, Clone, Copy, Queryable)]
pub(super) struct Row {
    tenant_id: i64,
    month: i64,
    pub(super) writer_id: i64,
    share: i64,
    used: i64,
}

impl Row {
    pub(super) fn share(&self) -> u64 {
        self.share.unsigned_abs()
    }

    pub(super) fn used(&self) -> u64 {
        self.used.unsigned_abs()
    }

    /// Whether something of it may have been counted that was not added up, or may still be.
    pub(super) fn is_open(&self) -> bool {
        self.share > self.used
    }
}

/// What was added up in all of an account's rows.
pub(super) fn sum_used(rows: &[Row]) -> u64 {
    rows.iter().map(Row::used).sum()
}

/// By what an account's rows are found.
fn key(account: &Account) -> (i64, i64) {
    (account.tenant_id.0, i64::from(account.month.number()))
}

/// Tenants and months, for `unnest`.
fn columns(accounts: &[Account]) -> (Vec<i64>, Vec<i64>) {
    accounts.iter().map(key).unzip()
}

/// Makes the own rows of those accounts that have none, in their order, with what is stored already. It waits for whoever is making one.
/// Nothing must be locked meanwhile.
pub(super) fn make(connection: &mut PgConnection, accounts: &[Account]) -> Result<(), Error> {
    use tenant_usage::{month, share, table, tenant_id, used, writer_id};
    let row = |account: &Account, events: i64| {
        let (tenant, number) = key(account);
        (
            tenant_id.eq(tenant),
            month.eq(number),
            writer_id.eq(NOBODY),
            share.eq(events),
            used.eq(events),
        )
    };
    transaction::within(connection, BEGIN, |connection| {
        let made: HashSet<(i64, i64)> = diesel::insert_into(table)
            .values(accounts.iter().map(|account| row(account, 0)).collect::<Vec<_>>())
            .on_conflict_do_nothing()
            .returning((tenant_id, month))
            .get_results(connection)?
            .into_iter()
            .collect();
        let made: Vec<Account> =
            accounts.iter().filter(|account| made.contains(&key(account))).copied().collect();
        // Their quotas may have been set in the middle of the month.
        for ((tenant, of), events) in stored_in(connection, &made)? {
            let events = signed(events);
            let row = table.find((tenant.0, i64::from(of.number()), NOBODY));
            diesel::update(row).set((share.eq(events), used.eq(events))).execute(connection)?;
        }
        Ok(())
    })
}

/// Locks the own rows of the accounts, which are sorted, in their order. Returns those that have none.
pub(super) fn lock(
    connection: &mut PgConnection,
    accounts: &[Account],
) -> Result<Vec<Account>, Error> {
    let (tenant_ids, months) = columns(accounts);
    let locked: HashSet<(i64, i64)> =
        Lock { tenant_ids, months }.load::<(i64, i64)>(connection)?.into_iter().collect();
    Ok(accounts.iter().filter(|account| !locked.contains(&key(account))).copied().collect())
}

/// All rows of the accounts.
pub(super) fn read(
    connection: &mut PgConnection,
    accounts: &[Account],
) -> Result<BTreeMap<Account, Vec<Row>>, Error> {
    let (tenant_ids, months) = columns(accounts);
    let rows: Vec<Row> = Read { tenant_ids, months }.load(connection)?;
    let mut of_accounts: BTreeMap<Account, Vec<Row>> =
        accounts.iter().map(|account| (*account, Vec::new())).collect();
    for row in rows {
        // They are sorted by just this.
        if let Ok(place) = accounts.binary_search_by_key(&(row.tenant_id, row.month), key) {
            of_accounts.entry(accounts[place]).or_default().push(row);
        }
    }
    Ok(of_accounts)
}

/// Sets what the writer may count in all, whose row is held, of accounts whose own rows are held.
pub(super) fn reserve(
    connection: &mut PgConnection,
    writer: i64,
    shares: &[(Account, u64)],
) -> Result<(), Error> {
    use diesel::upsert::excluded;
    use tenant_usage::{month, share, table, tenant_id, used, writer_id};
    let row = |(account, events): &(Account, u64)| {
        let (tenant, number) = key(account);
        (
            tenant_id.eq(tenant),
            month.eq(number),
            writer_id.eq(writer),
            share.eq(signed(*events)),
            used.eq(0),
        )
    };
    diesel::insert_into(table)
        .values(shares.iter().map(row).collect::<Vec<_>>())
        .on_conflict((tenant_id, month, writer_id))
        .do_update()
        .set(share.eq(excluded(share)))
        .execute(connection)?;
    Ok(())
}

/// Takes back what is reserved of the accounts and was not counted. Their own rows are held, and the writers of all that are open, whose
/// logs are added up.
pub(super) fn take_back(connection: &mut PgConnection, accounts: &[Account]) -> Result<(), Error> {
    let (tenant_ids, months) = columns(accounts);
    TakeBack { tenant_ids, months }.execute(connection)?;
    Ok(())
}

/// Counts events in an account's own row, which is held.
pub(super) fn count(
    connection: &mut PgConnection,
    account: &Account,
    events: u64,
) -> Result<(), Error> {
    use tenant_usage::{share, table, used};
    let (tenant, month) = key(account);
    let events = signed(events);
    diesel::update(table.find((tenant, month, NOBODY)))
        .set((share.eq(share + events), used.eq(used + events)))
        .execute(connection)?;
    Ok(())
}

/// What was counted of a tenant in a month, added up or not. `None`: nobody counts.
pub(super) fn used(
    connection: &mut PgConnection,
    tenant_id: TenantId,
    month: Month,
) -> Result<Option<u64>, Error> {
    #[derive(QueryableByName)]
    struct Used {
        #[diesel(sql_type = diesel::sql_types::Nullable<BigInt>)]
        used: Option<i64>,
    }
    // In one statement: what is added up meanwhile is seen once.
    let used: Used = diesel::sql_query(USED)
        .bind::<BigInt, _>(tenant_id.0)
        .bind::<BigInt, _>(i64::from(month.number()))
        .get_result(connection)?;
    Ok(used.used.map(i64::unsigned_abs))
}

/// The events that were received from each account's tenant in its month, if any. Reads the partitions of its days alone.
pub(super) fn stored_in(
    connection: &mut PgConnection,
    accounts: &[Account],
) -> Result<HashMap<(TenantId, Month), u64>, Error> {
    let mut months: Vec<Month> = accounts.iter().map(|account| account.month).collect();
    months.sort_unstable();
    months.dedup();
    let mut stored = HashMap::new();
    for month in months {
        let tenant_ids = accounts
            .iter()
            .filter(|account| account.month == month)
            .map(|account| account.tenant_id.0);
        let counts: Vec<(i64, i64)> = events::table
            .filter(events::tenant_id.eq_any(tenant_ids.collect::<Vec<_>>()))
            .filter(events::received_at.ge(Micros::from(month.begins_at())))
            .filter(events::received_at.lt(Micros::from(month.renews_at())))
            .group_by(events::tenant_id)
            .select((events::tenant_id, diesel::dsl::count_star()))
            .load(connection)?;
        stored.extend(
            counts.into_iter().map(|(id, count)| ((TenantId(id), month), count.unsigned_abs())),
        );
    }
    Ok(stored)
}

pub(super) fn signed(events: u64) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}
