//! A group on its way through the quotas of its tenants, over all tries of its transaction.

use std::collections::{BTreeMap, HashSet};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use mercurio_domain::store::{Account, Refused, Submission};
use mercurio_domain::{EventKey, TenantId};
use uuid::Uuid;

use super::super::schema::event_keys;
use super::scarce::Scarcity;
use super::writer::{NOT_FREE, NOT_PREPARED, PREPARE, Seat, Writer};
use super::{Quotas, moved, reserve, rows};
use crate::error::Failure;
use crate::pool::Driver;
use crate::transaction;
use crate::verdicts::Candidate;

/// How often writers' reservations are tried. From then on a try fails for nobody's doing.
const MAX_RESERVED_TRIES: u32 = 4;

/// What a group counts of its tenants' quotas, over all tries of its transaction.
pub(in crate::postgres) struct Draw<'a> {
    group: &'a [Submission],
    /// Sorted. Empty for nearly all groups, which then cost nothing here.
    accounts: Vec<Account>,
    /// For each submission the place of its account among those.
    places: Vec<Option<usize>>,
    quotas: &'a Quotas,
    /// Who stores the group, where it has accounts and was begun.
    writer: Option<Writer>,
    tries: u32,
    /// What the tries so far wanted to be reserved.
    needs: BTreeMap<Account, u64>,
    /// What this try will store if it does not fail, of the accounts of which it is reserved.
    certain: BTreeMap<Account, u64>,
    /// What this try has counted of what is reserved.
    counted: BTreeMap<Account, u64>,
    /// The accounts of which nothing is reserved, and what is certain of them.
    scarce: BTreeMap<Account, u64>,
    /// Those among them that had no row.
    missing: Vec<Account>,
    /// The scarce ones that this try has locked, and what is used of them.
    locked: BTreeMap<Account, u64>,
}

impl<'a> Draw<'a> {
    pub(in crate::postgres) fn of(group: &'a [Submission], quotas: &'a Quotas) -> Self {
        let accounts = Account::of_group(group);
        let place = |submission| Account::place(&accounts, submission);
        let places = if accounts.is_empty() { Vec::new() } else { group.iter().map(place).collect() };
        Self {
            group,
            accounts,
            places,
            quotas,
            writer: None,
            tries: 0,
            needs: BTreeMap::new(),
            certain: BTreeMap::new(),
            counted: BTreeMap::new(),
            scarce: BTreeMap::new(),
            missing: Vec::new(),
            locked: BTreeMap::new(),
        }
    }

    /// Begins a try, where it can with counting what `certain` needs: the rows that will be stored if the try does not fail.
    ///
    /// # Errors
    /// [`Fault::QuotaMoved`](crate::error::Fault::QuotaMoved) where others changed what is reserved. There is no transaction then.
    pub(in crate::postgres) fn begin(
        &mut self,
        connection: &mut PgConnection,
        number: u64,
        certain: impl Iterator<Item = Candidate<'a>>,
    ) -> Result<(), Failure> {
        if self.accounts.is_empty() {
            return transaction::begin(connection, PgConnection::BEGIN);
        }
        // A try by another connection is another writer's. What the one before did was rolled back.
        if let Some(other) = self.writer.take_if(|writer| !writer.is_of(number)) {
            self.quotas.put_back(other);
        }
        self.tries += 1;
        self.counted.clear();
        self.locked.clear();
        self.certain = self.count(certain);
        let seat = self.prepare(connection, number)?;
        if !self.scarce.is_empty() || self.certain.is_empty() {
            return transaction::begin(connection, PgConnection::BEGIN);
        }
        let begin = format!("BEGIN{}", Writer::counting(seat, &self.certain));
        let begun = match transaction::begin(connection, &begin) {
            Err(failure) if failure.to_string().contains(NOT_PREPARED) => {
                // It is as old as the schema, or older.
                connection.batch_execute(PREPARE)?;
                transaction::begin(connection, &begin)
            }
            begun => begun,
        };
        begun.map_err(|failure| self.moved_away(failure))?;
        self.counted = std::mem::take(&mut self.certain);
        Ok(())
    }

    /// Sees to it that what is certain is reserved, but for the accounts that are scarce or looked at.
    fn prepare(&mut self, connection: &mut PgConnection, number: u64) -> Result<Seat, Failure> {
        for account in &self.accounts {
            let is_reserved = match self.quotas.scarce.get(account) {
                None => true,
                // There may still be enough for a group that is much smaller.
                Some(Scarcity::Scarce(events)) => {
                    let wanted = self.certain.get(account).max(self.needs.get(account));
                    wanted.is_none_or(|wanted| *wanted <= events / 2)
                }
                // Looked at first. If it is still here after that, there is something left.
                Some(Scarcity::Short) => {
                    let is_looked_at = !self.needs.contains_key(account);
                    is_looked_at.then(|| self.certain.remove(account));
                    is_looked_at
                }
            };
            if !is_reserved || self.tries > MAX_RESERVED_TRIES {
                self.scarce.entry(*account).or_insert(0);
            }
        }
        for (account, events) in &self.certain {
            let need = self.needs.entry(*account).or_default();
            *need = (*need).max(*events);
        }
        self.needs.retain(|account, _| !self.scarce.contains_key(account));
        if !self.missing.is_empty() {
            let missing = std::mem::take(&mut self.missing);
            // The counts were forgotten, and with them how little was left.
            self.quotas.scarce.forget(&missing);
            rows::make(connection, &missing)?;
        }
        let writer = self.writer.get_or_insert_with(|| self.quotas.take_writer(number));
        for account in reserve::prepare(connection, writer, &self.needs)? {
            let needed = self.needs.remove(&account).unwrap_or_default();
            self.quotas.scarce.note(account, Scarcity::Scarce(needed));
            self.scarce.insert(account, 0);
        }
        for (account, events) in &mut self.scarce {
            *events = self.certain.remove(account).unwrap_or(0);
        }
        self.seat()
    }

    fn seat(&self) -> Result<Seat, Failure> {
        self.writer.as_ref().and_then(|writer| writer.seat).ok_or_else(moved)
    }

    /// Finds the submissions that do not fit. Those that are not found here fit, or the try fails.
    ///
    /// # Errors
    /// [`Fault::QuotaMoved`](crate::error::Fault::QuotaMoved) where another way must be taken.
    pub(in crate::postgres) fn admit(&mut self, connection: &mut PgConnection) -> Result<Refused, Failure> {
        if self.accounts.is_empty() {
            return Ok(Refused::default());
        }
        let mut used = Vec::new();
        for account in &self.accounts {
            let is_settled = self.scarce.contains_key(account) || self.counted.contains_key(account);
            if is_settled || self.quotas.scarce.get(account) != Some(Scarcity::Short) {
                continue;
            }
            // What is certain of it may be refused.
            self.certain.remove(account);
            match rows::used(connection, account.tenant_id, account.month)? {
                Some(counted) => used.push((*account, counted)),
                None => {
                    self.missing.push(*account);
                    self.scarce.insert(*account, 0);
                    return Err(moved());
                }
            }
        }
        let seat = self.seat()?;
        if !self.scarce.is_empty() {
            let scarce: Vec<Account> = self.scarce.keys().copied().collect();
            let missing = rows::lock(connection, &scarce)?;
            if !missing.is_empty() {
                self.missing = missing;
                return Err(moved());
            }
            let closed = reserve::close(connection, seat, &scarce, false)?;
            if !closed.is_own_unchanged {
                // It matters where something else is counted from what is reserved.
                self.writer.iter_mut().for_each(Writer::distrust);
            }
            let counted = |(account, rows): (&Account, &Vec<rows::Row>)| (*account, rows::sum_used(rows));
            self.locked = closed.rows.iter().map(counted).collect();
            for (account, counted) in &self.locked {
                if account.limit.saturating_sub(*counted) < self.scarce[account] {
                    // Also where they are duplicates all: others of it will be, too.
                    self.quotas.scarce.note(*account, Scarcity::Short);
                }
                used.push((*account, *counted));
            }
        }
        used.sort_unstable();
        let refused = self.refuse(connection, &used)?;
        if self.scarce.keys().any(|account| !self.locked.contains_key(account)) {
            return Err(moved());
        }
        // After those that are waited for.
        let certain = std::mem::take(&mut self.certain);
        self.count_reserved(connection, &certain)?;
        Ok(refused)
    }

    /// Finds those that do not fit into what is left where so much of the accounts is used. Accounts that were only looked at, and of which
    /// something new fits, are scarce from then on.
    fn refuse(&mut self, connection: &mut PgConnection, used: &[(Account, u64)]) -> Result<Refused, Failure> {
        if used.is_empty() {
            return Ok(Refused::default());
        }
        // After what is used: both only grow, and what does not fit now did not fit before.
        let taken = taken(connection, self.group, used)?;
        let refused = Refused::of(self.group, used, |tenant_id, key| taken.contains(&(tenant_id, key)));
        for (index, place) in self.places.iter().enumerate() {
            let Some(account) = place.map(|place| self.accounts[place]) else { continue };
            if refused.get(index).is_some() {
                self.quotas.scarce.note(account, Scarcity::Short);
            } else if !self.locked.contains_key(&account)
                && used.binary_search_by_key(&account, |(account, _)| *account).is_ok()
            {
                let keys = self.group[index].events.iter().map(|event| (account.tenant_id, event.key()));
                if keys.into_iter().any(|key| !taken.contains(&key)) {
                    self.scarce.entry(account).or_insert(0);
                }
            }
        }
        Ok(refused)
    }

    /// Counts `fresh`, as far as it was not counted before: the last thing before the commit.
    ///
    /// # Errors
    /// [`Fault::QuotaMoved`](crate::error::Fault::QuotaMoved) where another way must be taken.
    pub(in crate::postgres) fn take(
        &mut self,
        connection: &mut PgConnection,
        fresh: &[Candidate<'_>],
    ) -> Result<(), Failure> {
        if self.accounts.is_empty() {
            return Ok(());
        }
        let mut wanted = self.count(fresh.iter().copied());
        for (account, used) in &self.locked {
            let Some(events) = wanted.remove(account) else { continue };
            if used + events > account.limit {
                // Keys that were taken when it was admitted are free now: it is looked at again.
                return Err(moved());
            }
            rows::count(connection, account, events)?;
        }
        let mut is_lacking = false;
        for (account, events) in &wanted {
            if *events > self.writer.as_ref().map_or(0, |writer| writer.left(account)) {
                self.needs.insert(*account, *events);
                is_lacking = true;
            }
        }
        if is_lacking {
            return Err(moved());
        }
        for (account, counted) in &self.counted {
            // All that was counted is fresh, or there was an error.
            wanted.entry(*account).and_modify(|events| *events = events.saturating_sub(*counted));
        }
        wanted.retain(|_, events| *events > 0);
        self.count_reserved(connection, &wanted)
    }

    /// The group was stored: what was counted is gone from what is reserved.
    pub(in crate::postgres) fn stored(mut self) {
        if let Some(mut writer) = self.writer.take() {
            if !self.counted.is_empty() {
                writer.counted(&self.counted);
            }
            self.locked.keys().for_each(|account| writer.give_back(account));
            self.quotas.put_back(writer);
        }
    }

    /// Counts from what is reserved. Waits for nobody.
    fn count_reserved(
        &mut self,
        connection: &mut PgConnection,
        events: &BTreeMap<Account, u64>,
    ) -> Result<(), Failure> {
        if events.is_empty() {
            return Ok(());
        }
        let seat = self.seat()?;
        let counting = Writer::counting(seat, events);
        if let Err(error) = connection.batch_execute(counting.trim_start_matches("; ")) {
            return Err(self.moved_away(error.into()));
        }
        for (account, events) in events {
            *self.counted.entry(*account).or_default() += events;
        }
        Ok(())
    }

    /// Where it failed since what is reserved was changed, the writer must look at it.
    fn moved_away(&mut self, failure: Failure) -> Failure {
        if failure.to_string().contains(NOT_FREE) {
            self.writer.iter_mut().for_each(Writer::distrust);
            return moved();
        }
        failure
    }

    /// The rows of each account that has any.
    fn count<'r>(&self, rows: impl Iterator<Item = Candidate<'r>>) -> BTreeMap<Account, u64> {
        let mut counts = vec![0_u64; self.accounts.len()];
        for row in rows {
            if let Some(place) = self.places[row.submission()] {
                counts[place] += 1;
            }
        }
        self.accounts.iter().copied().zip(counts).filter(|(_, events)| *events > 0).collect()
    }
}

impl Drop for Draw<'_> {
    /// Whether the group was stored, and counted, is not known.
    fn drop(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            writer.distrust();
            self.quotas.put_back(writer);
        }
    }
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
