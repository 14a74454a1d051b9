//! Monthly quotas in PostgreSQL: counted in the transaction of the events, exact, and without a row for which all writers wait.
//!
//! A tenant's month has one or several *slots*, rows of `tenant_usage`, each with a share of the quota. There are two ways to take
//! events from a quota, and a step between them:
//! - the fast one, a statement for all accounts of a group, takes from slots that have room and that nobody holds. It never waits.
//!   An account that finds no such slot fails the try, and the transaction is rolled back;
//! - where there is plenty, what is left is spread anew in a short transaction, and the fast way tried again;
//! - the sure one, in the tries that follow, locks all slots of those accounts before anything else, and so knows what is used. It
//!   refuses what does not fit, and spreads what is left over the slots.
//!
//! No deadlock comes of it. The fast way takes its locks last and waits for none of them. The sure way takes them first, in the order
//! of accounts and slots.
//!
//! An account that was found short is remembered. From then on each of its groups looks first, without a lock, what is used and
//! which keys are taken, and refuses what can't fit: what is used never shrinks, and so no lock is needed to say no.

mod slots;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt};
use mercurio_domain::limits::Month;
use mercurio_domain::store::{Account, Refused, Submission};
use mercurio_domain::{EventKey, TenantId};
use uuid::Uuid;

use slots::Slots;

use super::schema::{event_keys, events, tenant_usage};
use crate::error::{Failure, Fault};
use crate::rows::Micros;
use crate::verdicts::Candidate;

/// How often the fast way is tried in a transaction. A slot that was let go while the statement ran is seen by the next one.
const FAST_TRIES: usize = 3;

/// The accounts of this process that were found short, so that their next groups are looked at first.
#[derive(Debug, Default)]
pub(super) struct Short(Mutex<HashSet<Account>>);

impl Short {
    fn note(&self, account: Account) {
        let mut short = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Its limit may have been another, and what is two months old comes no more.
        short.retain(|known| known.key() != account.key() && known.month.number() + 100 > account.month.number());
        short.insert(account);
    }

    fn has(&self, account: &Account) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(account)
    }
}

/// What a group takes from its tenants' quotas, over all tries of its transaction.
pub(super) struct Draw<'a> {
    group: &'a [Submission],
    /// Sorted. Empty for nearly all groups, which then cost nothing here.
    accounts: Vec<Account>,
    short: &'a Short,
    tries: u32,
    /// The accounts to take from in the sure way, and how much the fast one wanted.
    sure: BTreeMap<Account, u64>,
    /// The accounts whose slots this try has locked.
    locked: Vec<(Account, Slots)>,
}

impl<'a> Draw<'a> {
    pub(super) fn of(group: &'a [Submission], short: &'a Short) -> Self {
        let accounts = Account::of_group(group);
        Self { group, accounts, short, tries: 0, sure: BTreeMap::new(), locked: Vec::new() }
    }

    /// Before the second try: has what is left spread anew where there is plenty, and so the fast way tried again. `spread` does it in
    /// a transaction of its own, or the slots would be held for as long as the events take, and every other writer of the account
    /// would have to take the sure way too, one behind the other, for ever.
    pub(super) fn spread(
        &mut self,
        mut spread: impl FnMut(&Account, u64) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        if self.tries == 1 {
            for (account, wanted) in std::mem::take(&mut self.sure) {
                if !spread(&account, wanted)? {
                    self.sure.insert(account, wanted);
                }
            }
        }
        Ok(())
    }

    /// Begins a try, and finds the submissions that do not fit. Those that are not found here fit, or [`Draw::take`] fails.
    pub(super) fn admit(&mut self, connection: &mut PgConnection) -> Result<Refused, Failure> {
        self.locked.clear();
        self.tries += 1;
        if self.accounts.is_empty() {
            return Ok(Refused::default());
        }
        if self.tries > 2 {
            // The third try fails for nobody's shares.
            self.accounts.iter().for_each(|account| _ = self.sure.entry(*account).or_insert(0));
        }
        let mut used = Vec::new();
        for account in &self.accounts {
            if self.sure.contains_key(account) || !self.short.has(account) {
                continue;
            }
            match counted_in(connection, account.tenant_id, account.month)? {
                Some(counted) => used.push((*account, counted)),
                None => _ = self.sure.insert(*account, 0),
            }
        }
        for (account, wanted) in &self.sure {
            let slots = Slots::lock(connection, account, *wanted)?;
            used.push((*account, slots.used()));
            self.locked.push((*account, slots));
        }
        if used.is_empty() {
            return Ok(Refused::default());
        }
        used.sort_unstable();
        // After what is used: both only grow, and what does not fit now did not fit before.
        let taken = taken(connection, self.group, &used)?;
        let refused = Refused::of(self.group, &used, |tenant_id, key| taken.contains(&(tenant_id, key)));
        for (index, submission) in self.group.iter().enumerate() {
            if refused.get(index).is_some()
                && let Some(place) = Account::place(&self.accounts, submission)
            {
                self.short.note(self.accounts[place]);
            }
        }
        Ok(refused)
    }

    /// Counts `fresh`, the last thing before the commit.
    ///
    /// # Errors
    /// [`Fault::QuotaMoved`] where an account can't be taken from in the fast way. The next try takes the sure way.
    pub(super) fn take(&mut self, connection: &mut PgConnection, fresh: &[Candidate<'_>]) -> Result<(), Failure> {
        if self.accounts.is_empty() {
            return Ok(());
        }
        let mut counts = vec![0_u64; self.accounts.len()];
        for row in fresh {
            let key = (row.owner.tenant_id, Month::of(row.received_at));
            if let Ok(place) = self.accounts.binary_search_by_key(&key, Account::key) {
                counts[place] += 1;
            }
        }
        let mut wanted: BTreeMap<Account, u64> = self.accounts.iter().copied().zip(counts).collect();
        wanted.retain(|_, events| *events > 0);
        for (account, slots) in &mut self.locked {
            let Some(events) = wanted.remove(account) else { continue };
            if !slots.take(account, events) {
                // Keys that were taken when it was admitted are free now: it is looked at again.
                return Err(moved());
            }
            slots.store(connection, account)?;
        }
        for _ in 0..FAST_TRIES {
            if wanted.is_empty() {
                return Ok(());
            }
            let took: HashSet<(i64, i64)> = Take::of(&wanted).get_results(connection)?.into_iter().collect();
            wanted.retain(|account, _| !took.contains(&(account.tenant_id.0, i64::from(account.month.number()))));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        self.sure.extend(wanted);
        Err(moved())
    }
}

/// Spreads what is left of a quota over its slots, of which there are more where one had room and was held. `false`: there is not
/// so much left that each has room for what is wanted.
pub(super) fn spread(connection: &mut PgConnection, account: &Account, wanted: u64) -> Result<bool, Failure> {
    let mut slots = Slots::lock(connection, account, wanted)?;
    let left = account.limit.saturating_sub(slots.used());
    let is_plenty = left / (slots.rows.len().max(1) as u64) >= wanted.max(1) && slots.take(account, 0);
    if is_plenty {
        slots.store(connection, account)?;
    }
    Ok(is_plenty)
}

fn moved() -> Failure {
    Failure::Sorted(Fault::QuotaMoved, "the shares of a quota must be spread anew".to_owned())
}

/// The statement of the fast way, prepared once a connection. Returns the accounts that it could take from.
///
/// A slot is found by its key, locked, and then named by where it lies, so that it is looked for once. One that another writer has
/// let go since the statement began lies elsewhere than this statement sees, and is not taken from: the next statement sees it.
#[derive(Debug)]
struct Take {
    tenant_ids: Vec<i64>,
    months: Vec<i64>,
    quotas: Vec<i64>,
    events: Vec<i64>,
}

impl Take {
    fn of(wanted: &BTreeMap<Account, u64>) -> Self {
        Self {
            tenant_ids: wanted.keys().map(|account| account.tenant_id.0).collect(),
            months: wanted.keys().map(|account| i64::from(account.month.number())).collect(),
            quotas: wanted.keys().map(|account| signed(account.limit)).collect(),
            events: wanted.values().map(|events| signed(*events)).collect(),
        }
    }
}

impl QueryFragment<Pg> for Take {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        pass.push_sql("WITH slots AS MATERIALIZED (SELECT slot.place, wanted.events FROM unnest(");
        pass.push_bind_param::<Array<BigInt>, _>(&self.tenant_ids)?;
        pass.push_sql(", ");
        pass.push_bind_param::<Array<BigInt>, _>(&self.months)?;
        pass.push_sql(", ");
        pass.push_bind_param::<Array<BigInt>, _>(&self.quotas)?;
        pass.push_sql(", ");
        pass.push_bind_param::<Array<BigInt>, _>(&self.events)?;
        pass.push_sql(
            ") AS wanted (tenant_id, month, quota, events) CROSS JOIN LATERAL (
                 SELECT ctid AS place FROM tenant_usage
                 WHERE tenant_id = wanted.tenant_id AND month = wanted.month AND quota = wanted.quota
                   AND share - used >= wanted.events
                 LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) AS slot)
             UPDATE tenant_usage AS usage SET used = usage.used + slots.events FROM slots
             WHERE usage.ctid = slots.place
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

/// What was counted of a tenant in a month, or where nothing was, what is stored of it.
pub(super) fn used_in(connection: &mut PgConnection, tenant_id: TenantId, month: Month) -> Result<u64, Failure> {
    match counted_in(connection, tenant_id, month)? {
        Some(counted) => Ok(counted),
        None => stored_in(connection, tenant_id, month),
    }
}

fn counted_in(connection: &mut PgConnection, tenant_id: TenantId, month: Month) -> Result<Option<u64>, Failure> {
    let counted: Option<i64> = tenant_usage::table
        .filter(tenant_usage::tenant_id.eq(tenant_id.0))
        .filter(tenant_usage::month.eq(i64::from(month.number())))
        .select(sql::<diesel::sql_types::Nullable<BigInt>>("sum(used)::bigint"))
        .get_result(connection)?;
    Ok(counted.map(i64::unsigned_abs))
}

/// The events of a tenant that were received in a month. Reads the partitions of its days alone.
fn stored_in(connection: &mut PgConnection, tenant_id: TenantId, month: Month) -> Result<u64, Failure> {
    let count: i64 = events::table
        .filter(events::tenant_id.eq(tenant_id.0))
        .filter(events::received_at.ge(Micros::from(month.begins_at())))
        .filter(events::received_at.lt(Micros::from(month.renews_at())))
        .count()
        .get_result(connection)?;
    Ok(count.unsigned_abs())
}

/// Forgets what was counted of a tenant.
pub(super) fn forget(connection: &mut PgConnection, tenant_id: TenantId) -> Result<(), Failure> {
    diesel::delete(tenant_usage::table.filter(tenant_usage::tenant_id.eq(tenant_id.0))).execute(connection)?;
    Ok(())
}

/// The keys of the group that are taken, of the tenants in `used`.
fn taken(
    connection: &mut PgConnection,
    group: &[Submission],
    used: &[(Account, u64)],
) -> Result<HashSet<(TenantId, EventKey)>, Failure> {
    // A plan that was made while the table was small would read all of it.
    connection.batch_execute("SET LOCAL plan_cache_mode = force_custom_plan")?;
    let mut tenants: Vec<TenantId> = used.iter().map(|(account, _)| account.tenant_id).collect();
    tenants.dedup();
    let mut taken = HashSet::new();
    for tenant_id in tenants {
        let of_tenant = group.iter().filter(|submission| submission.owner.tenant_id == tenant_id);
        let keys: Vec<Uuid> = of_tenant.flat_map(|submission| &submission.events).map(|event| event.key().0).collect();
        let found: Vec<Uuid> = event_keys::table
            .filter(event_keys::tenant_id.eq(tenant_id.0))
            .filter(event_keys::key.eq_any(&keys))
            .select(event_keys::key)
            .load(connection)?;
        taken.extend(found.into_iter().map(|key| (tenant_id, EventKey(key))));
    }
    Ok(taken)
}

fn signed(events: u64) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
