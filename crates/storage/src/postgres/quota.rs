//! Monthly quotas in PostgreSQL: counted in the transaction of the events, exact, and without a row for which all writers wait.
//!
//! A tenant's month has one or several *slots*, rows of `tenant_usage`, each with a share of the quota. There are two ways to take
//! events from a quota, and steps between them:
//! - the fast one, a statement for all accounts of a group, takes from slots that have room and that nobody holds. It never waits.
//!   It comes first, for all rows that will be stored if the try does not fail, and so an account that finds no such slot has cost
//!   next to nothing. For a group with one account it begins the transaction, in the same round trip. Of which rows it can't be known
//!   whether they will be stored, it takes last;
//! - where an account has no slots yet, the first ones are made, for all of a group at once in a short transaction;
//! - where a slot has room and is held, it is waited for in a short transaction that holds nothing else. Where none has, or that did
//!   not help, and there is plenty, what is left is spread anew in another one. Then the fast way is tried again;
//! - the sure one, in the tries that follow, locks all slots of those accounts before anything else, and so knows what is used. It
//!   refuses what does not fit, and spreads what is left over the slots.
//!
//! No deadlock comes of it. The fast way waits for no lock. The sure way takes its locks before any others, in the order of accounts
//! and slots.
//!
//! An account that was found short is remembered. From then on each of its groups looks first, without a lock, what is used and
//! which keys are taken, and refuses what can't fit: what is used never shrinks, and so no lock is needed to say no.

mod ease;
mod slots;
mod take;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use mercurio_domain::limits::Month;
use mercurio_domain::store::{Account, Refused, Submission};
use mercurio_domain::{EventKey, TenantId};
use uuid::Uuid;

pub(super) use ease::{Ease, ease};
use slots::Slots;
use take::Take;
pub(super) use take::{NO_SLOT, PREPARE};

use super::schema::{event_keys, events, tenant_usage};
use crate::error::{Failure, Fault};
use crate::pool::Driver;
use crate::rows::Micros;
use crate::transaction;
use crate::verdicts::Candidate;

/// How often the fast way is tried: at first, after slots were made or waited for, after what is left was spread, and once more.
const MAX_FAST_TRIES: u32 = 4;

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
    /// For each submission the place of its account among those.
    places: Vec<Option<usize>>,
    short: &'a Short,
    tries: u32,
    /// What this try has taken in the fast way, before anything was written.
    taken: BTreeMap<Account, u64>,
    /// The accounts that had no slot for what the fast way wanted.
    lacking: BTreeMap<Account, u64>,
    /// The accounts that lacked one before, and what was done about it.
    eased: BTreeMap<Account, Ease>,
    /// The accounts to take from in the sure way, and how much the fast one wanted.
    sure: BTreeMap<Account, u64>,
    /// The accounts whose slots this try has locked.
    locked: Vec<(Account, Slots)>,
}

impl<'a> Draw<'a> {
    pub(super) fn of(group: &'a [Submission], short: &'a Short) -> Self {
        let accounts = Account::of_group(group);
        let place = |submission| Account::place(&accounts, submission);
        let places = if accounts.is_empty() { Vec::new() } else { group.iter().map(place).collect() };
        Self {
            group,
            accounts,
            places,
            short,
            tries: 0,
            taken: BTreeMap::new(),
            lacking: BTreeMap::new(),
            eased: BTreeMap::new(),
            sure: BTreeMap::new(),
            locked: Vec::new(),
        }
    }

    /// Begins a try; the first one of a group with one account by taking what `certain` needs, the rows that will be stored if the
    /// try does not fail.
    ///
    /// # Errors
    /// [`Fault::QuotaMoved`] where an account can't be taken from in the fast way. There is no transaction then.
    pub(super) fn begin(
        &mut self,
        connection: &mut PgConnection,
        certain: impl Iterator<Item = Candidate<'a>>,
    ) -> Result<(), Failure> {
        self.taken.clear();
        self.locked.clear();
        self.tries += 1;
        let begins_by_taking = self.tries == 1 && self.accounts.len() == 1 && !self.short.has(&self.accounts[0]);
        let wanted = if begins_by_taking { self.count(certain) } else { BTreeMap::new() };
        let Some((account, events)) = wanted.first_key_value() else {
            return transaction::begin(connection, PgConnection::BEGIN);
        };
        let begin = take::begin(account, *events);
        let begun = match transaction::begin(connection, &begin) {
            Err(failure) if failure.to_string().contains(take::NOT_PREPARED) => {
                // It is as old as the schema, or older.
                connection.batch_execute(take::PREPARE)?;
                transaction::begin(connection, &begin)
            }
            begun => begun,
        };
        match begun {
            Ok(()) => self.taken = wanted,
            Err(failure) if failure.to_string().contains(take::NO_SLOT) => {
                self.lacking = wanted;
                return Err(moved());
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Eases the way of accounts that lacked a slot, by all ways in turn until one helps. Where none does, the sure way is left. `ease`
    /// does it in a transaction of its own, or slots would be held for as long as the events take, and every other writer of the account
    /// would lack one too, one behind the other, for ever; it returns the accounts that it helped.
    pub(super) fn ease(
        &mut self,
        mut ease: impl FnMut(Ease, &BTreeMap<Account, u64>) -> Result<Vec<Account>, Failure>,
    ) -> Result<(), Failure> {
        let mut lacking = std::mem::take(&mut self.lacking);
        for way in [Ease::Make, Ease::Wait, Ease::Spread] {
            let is_new = |account: &Account| self.eased.get(account).is_none_or(|tried| *tried < way);
            let chosen: BTreeMap<Account, u64> = lacking
                .iter()
                .filter(|(account, _)| is_new(account))
                .map(|(account, events)| (*account, *events))
                .collect();
            self.eased.extend(chosen.keys().map(|account| (*account, way)));
            // What nobody has yet can be made for all at once. Whoever waits for others holds no more than one.
            let turns: Vec<BTreeMap<Account, u64>> = match way {
                Ease::Make if chosen.is_empty() => Vec::new(),
                Ease::Make => vec![chosen],
                Ease::Wait | Ease::Spread => chosen.into_iter().map(|one| BTreeMap::from([one])).collect(),
            };
            for accounts in turns {
                for eased in ease(way, &accounts)? {
                    lacking.remove(&eased);
                }
            }
        }
        self.sure.extend(lacking);
        Ok(())
    }

    /// Finds the submissions that do not fit. Those that are not found here fit, or the try fails.
    ///
    /// # Errors
    /// [`Fault::QuotaMoved`] where another way must be taken.
    pub(super) fn admit(
        &mut self,
        connection: &mut PgConnection,
        certain: impl Iterator<Item = Candidate<'a>>,
    ) -> Result<Refused, Failure> {
        if self.accounts.is_empty() {
            return Ok(Refused::default());
        }
        if self.tries > MAX_FAST_TRIES {
            // From then on a try fails for nobody's shares.
            self.accounts.iter().for_each(|account| _ = self.sure.entry(*account).or_insert(0));
        }
        let mut used = Vec::new();
        for account in &self.accounts {
            if self.sure.contains_key(account) || self.taken.contains_key(account) || !self.short.has(account) {
                continue;
            }
            match counted_in(connection, account.tenant_id, account.month)? {
                Some(counted) => used.push((*account, counted)),
                None => _ = self.sure.insert(*account, 0),
            }
        }
        if !self.sure.is_empty() && !self.taken.is_empty() {
            // Whoever waits for slots holds none.
            return Err(moved());
        }
        for (account, wanted) in &self.sure {
            let slots = Slots::lock(connection, account)?;
            if account.limit.saturating_sub(slots.used()) < *wanted {
                self.short.note(*account);
            }
            used.push((*account, slots.used()));
            self.locked.push((*account, slots));
        }
        used.sort_unstable();
        let refused = self.refuse(connection, &used)?;
        if self.taken.is_empty() {
            // After those that are waited for. What is certain of accounts that were looked at may have been refused.
            let mut wanted = self.count(certain);
            wanted.retain(|account, _| used.binary_search_by_key(account, |(account, _)| *account).is_err());
            self.taken.clone_from(&wanted);
            self.take_fast(connection, wanted)?;
        }
        Ok(refused)
    }

    /// Finds those that do not fit into what is left where so much of the accounts is used.
    fn refuse(&self, connection: &mut PgConnection, used: &[(Account, u64)]) -> Result<Refused, Failure> {
        if used.is_empty() {
            return Ok(Refused::default());
        }
        // After what is used: both only grow, and what does not fit now did not fit before.
        let taken = taken(connection, self.group, used)?;
        let refused = Refused::of(self.group, used, |tenant_id, key| taken.contains(&(tenant_id, key)));
        for (index, place) in self.places.iter().enumerate() {
            if refused.get(index).is_some()
                && let Some(place) = place
            {
                self.short.note(self.accounts[*place]);
            }
        }
        Ok(refused)
    }

    /// Counts `fresh`, as far as it was not taken before: the last thing before the commit.
    ///
    /// # Errors
    /// [`Fault::QuotaMoved`] where another way must be taken.
    pub(super) fn take(&mut self, connection: &mut PgConnection, fresh: &[Candidate<'_>]) -> Result<(), Failure> {
        if self.accounts.is_empty() {
            return Ok(());
        }
        let mut wanted = self.count(fresh.iter().copied());
        for (account, taken) in &self.taken {
            // All that was taken for is fresh, or there was an error.
            wanted.entry(*account).and_modify(|events| *events = events.saturating_sub(*taken));
        }
        wanted.retain(|_, events| *events > 0);
        for (account, slots) in &mut self.locked {
            let Some(events) = wanted.remove(account) else { continue };
            if !slots.take(account, events) {
                // Keys that were taken when it was admitted are free now: it is looked at again.
                return Err(moved());
            }
            slots.store(connection, account)?;
        }
        self.take_fast(connection, wanted)
    }

    /// Takes from all of them in the fast way, or fails.
    fn take_fast(&mut self, connection: &mut PgConnection, mut wanted: BTreeMap<Account, u64>) -> Result<(), Failure> {
        if wanted.is_empty() {
            return Ok(());
        }
        let took: HashSet<(i64, i64)> = Take::of(&wanted).get_results(connection)?.into_iter().collect();
        wanted.retain(|account, _| !took.contains(&slots::key(account)));
        if wanted.is_empty() {
            return Ok(());
        }
        self.lacking = wanted;
        Err(moved())
    }

    /// The rows of each account that has any.
    fn count<'r>(&self, rows: impl Iterator<Item = Candidate<'r>>) -> BTreeMap<Account, u64> {
        if self.accounts.is_empty() {
            return BTreeMap::new();
        }
        let mut counts = vec![0_u64; self.accounts.len()];
        for row in rows {
            if let Some(place) = self.places[row.submission()] {
                counts[place] += 1;
            }
        }
        self.accounts.iter().copied().zip(counts).filter(|(_, events)| *events > 0).collect()
    }
}

fn moved() -> Failure {
    Failure::Sorted(Fault::QuotaMoved, "the shares of a quota must be spread anew".to_owned())
}

/// What was counted of a tenant in a month, or where nothing was, what is stored of it.
pub(super) fn used_in(connection: &mut PgConnection, tenant_id: TenantId, month: Month) -> Result<u64, Failure> {
    match counted_in(connection, tenant_id, month)? {
        Some(counted) => Ok(counted),
        None => {
            let account = Account { tenant_id, month, limit: 0 };
            Ok(stored_in(connection, &[account])?.into_values().sum())
        }
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

/// The events that were received from each account's tenant in its month, if any. Reads the partitions of its days alone.
fn stored_in(connection: &mut PgConnection, accounts: &[Account]) -> Result<HashMap<(TenantId, Month), u64>, Failure> {
    let mut months: Vec<Month> = accounts.iter().map(|account| account.month).collect();
    months.sort_unstable();
    months.dedup();
    let mut stored = HashMap::new();
    for month in months {
        let tenant_ids = accounts.iter().filter(|account| account.month == month).map(|account| account.tenant_id.0);
        let counts: Vec<(i64, i64)> = events::table
            .filter(events::tenant_id.eq_any(tenant_ids.collect::<Vec<_>>()))
            .filter(events::received_at.ge(Micros::from(month.begins_at())))
            .filter(events::received_at.lt(Micros::from(month.renews_at())))
            .group_by(events::tenant_id)
            .select((events::tenant_id, diesel::dsl::count_star()))
            .load(connection)?;
        stored.extend(counts.into_iter().map(|(id, count)| ((TenantId(id), month), count.unsigned_abs())));
    }
    Ok(stored)
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
