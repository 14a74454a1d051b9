//! A group on its way through the quotas of its tenants, over all tries of its transaction.

use std::collections::{BTreeMap, HashSet};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use mercurio_domain::store::{Account, Refused, Submission};
use mercurio_domain::{EventKey, TenantId, Timestamp};
use uuid::Uuid;

use super::super::schema::event_keys;
use super::keys::GroupKey;
use super::scarce::Scarcity;
use super::writer::{Seat, Writer};
use super::{Quotas, keys, moved, reserve, rows};
use crate::error::{Error, ErrorKind};
use crate::pool::Driver;
use crate::transaction;
use crate::verdicts::Candidate;

/// How often writers' reservations are tried. From then on a try fails for nobody's doing.
const MAX_RESERVED_TRIES: u32 = 4;

/// What a group wants of one of its accounts.
#[derive(Debug)]
struct Part {
    account: Account,
    /// What the tries so far wanted to be reserved.
    need: u64,
    /// What this try will store if it does not fail, and nothing is refused.
    certain: u64,
    /// What is reserved, less what was counted before this try.
    left: u64,
    /// What this try has counted of it.
    counted: u64,
    /// Whether nothing is reserved of it.
    is_scarce: bool,
    /// What is used of it, where it is scarce and this try has locked it.
    locked: Option<u64>,
    /// Whether it was found short before: then it is looked at first, and nothing of it is reserved.
    is_looked_at: bool,
}

/// What a group counts of its tenants' quotas, over all tries of its transaction.
pub(in crate::postgres) struct Draw<'a> {
    group: &'a [Submission],
    /// Sorted by account. Empty for nearly all groups, which then cost nothing here.
    parts: Vec<Part>,
    /// For each submission the place of its account among those.
    places: Vec<Option<usize>>,
    quotas: &'a Quotas,
    /// Who stores the group, where it has accounts and was begun.
    writer: Option<Writer>,
    tries: u32,
    /// The accounts that had no row.
    missing: Vec<Account>,
    /// The rows by which this try has counted of what is reserved.
    keys: u8,
}

impl<'a> Draw<'a> {
    pub(in crate::postgres) fn of(group: &'a [Submission], quotas: &'a Quotas) -> Self {
        let accounts = Account::of_group(group);
        let place = |submission| Account::place(&accounts, submission);
        let places =
            if accounts.is_empty() { Vec::new() } else { group.iter().map(place).collect() };
        let part = |account| Part {
            account,
            need: 0,
            certain: 0,
            left: 0,
            counted: 0,
            is_scarce: false,
            locked: None,
            is_looked_at: false,
        };
        let parts = accounts.into_iter().map(part).collect();
        Self { group, parts, places, quotas, writer: None, tries: 0, missing: Vec::new(), keys: 0 }
    }

    /// Begins a try. Before, it sees to it that what `certain` needs is reserved: the rows that will be stored if the try does not fail.
    ///
    /// # Errors
    /// [`ErrorKind::QuotaMoved`](crate::error::ErrorKind::QuotaMoved) where others changed what is reserved. There is no transaction then.
    pub(in crate::postgres) fn begin(
        &mut self,
        connection: &mut PgConnection,
        number: u64,
        certain: impl Iterator<Item = Candidate<'a>>,
    ) -> Result<(), Error> {
        if !self.parts.is_empty() {
            // A try by another connection is another writer's. What the one before did was rolled back.
            if let Some(other) = self.writer.take_if(|writer| !writer.is_of(number)) {
                self.quotas.put_back(other);
            }
            self.tries += 1;
            self.keys = 0;
            let certain = count(&self.places, self.parts.len(), certain);
            for (part, events) in self.parts.iter_mut().zip(certain) {
                part.certain = events;
                part.counted = 0;
                part.locked = None;
            }
            self.prepare(connection, number)?;
        }
        transaction::begin(connection, PgConnection::BEGIN)
    }

    /// Sees to it that what is certain is reserved, but for the accounts that are scarce or looked at.
    fn prepare(&mut self, connection: &mut PgConnection, number: u64) -> Result<(), Error> {
        let is_late = self.tries > MAX_RESERVED_TRIES;
        let known = self.quotas.scarce.known();
        for part in &mut self.parts {
            let scarcity = known.get(&part.account);
            part.is_looked_at = scarcity == Some(Scarcity::Short) && part.need == 0;
            let is_reserved = match scarcity {
                None => true,
                // There may still be enough for a group that is much smaller.
                Some(Scarcity::Scarce(events)) => part.certain.max(part.need) <= events / 2,
                // If it is still here after it was looked at, there is something left.
                Some(Scarcity::Short) => part.is_looked_at,
            };
            part.is_scarce |= !is_reserved || is_late;
            if part.is_scarce {
                part.need = 0;
            } else if !part.is_looked_at {
                part.need = part.need.max(part.certain);
            }
        }
        drop(known);
        if !self.missing.is_empty() {
            let missing = std::mem::take(&mut self.missing);
            // The counts were forgotten, and with them how little was left.
            self.quotas.scarce.forget(&missing);
            rows::make(connection, &missing)?;
        }
        let writer = self.writer.get_or_insert_with(|| self.quotas.take_writer(number));
        let is_ready = writer.ready().is_some();
        self.parts.iter_mut().for_each(|part| part.left = writer.left(&part.account));
        if is_ready && self.parts.iter().all(|part| part.left >= part.need) {
            return Ok(());
        }
        let needed = self.parts.iter().filter(|part| part.need > 0);
        let needs: BTreeMap<Account, u64> = needed.map(|part| (part.account, part.need)).collect();
        for account in reserve::prepare(connection, writer, &needs)? {
            self.quotas.scarce.note(account, Scarcity::Scarce(needs[&account]));
            for part in self.parts.iter_mut().filter(|part| part.account == account) {
                part.need = 0;
                part.is_scarce = true;
            }
        }
        self.parts.iter_mut().for_each(|part| part.left = writer.left(&part.account));
        Ok(())
    }

    fn seat(&self) -> Result<Seat, Error> {
        self.writer.as_ref().and_then(|writer| writer.seat).ok_or_else(moved)
    }

    /// Finds the submissions that do not fit. Those that are not found here fit, or the try fails.
    ///
    /// # Errors
    /// [`ErrorKind::QuotaMoved`](crate::error::ErrorKind::QuotaMoved) where another way must be taken.
    pub(in crate::postgres) fn admit(
        &mut self,
        connection: &mut PgConnection,
    ) -> Result<Refused, Error> {
        if self.parts.is_empty() {
            return Ok(Refused::default());
        }
        // Also what was found short since it began.
        let known = self.quotas.scarce.known();
        for part in self.parts.iter_mut().filter(|part| part.need == 0 && !part.is_scarce) {
            part.is_looked_at |= known.get(&part.account) == Some(Scarcity::Short);
        }
        drop(known);
        let mut used = Vec::new();
        for part in self.parts.iter_mut().filter(|part| part.is_looked_at && !part.is_scarce) {
            let account = part.account;
            if let Some(counted) = rows::used(connection, account.tenant_id, account.month)? {
                used.push((account, counted));
            } else {
                self.missing.push(account);
                part.is_scarce = true;
                return Err(moved());
            }
        }
        self.lock_scarce(connection)?;
        for Part { account, certain, locked, .. } in &self.parts {
            let Some(counted) = locked else { continue };
            if account.limit.saturating_sub(*counted) < *certain {
                // Also where they are duplicates all: others of it will be, too.
                self.quotas.scarce.note(*account, Scarcity::Short);
            }
            used.push((*account, *counted));
        }
        used.sort_unstable();
        let refused = self.refuse(connection, &used)?;
        if self.parts.iter().any(|part| part.is_scarce && part.locked.is_none()) {
            return Err(moved());
        }
        Ok(refused)
    }

    /// Locks the scarce accounts, and takes back whatever is reserved of them.
    fn lock_scarce(&mut self, connection: &mut PgConnection) -> Result<(), Error> {
        let scarce: Vec<Account> =
            self.parts.iter().filter(|part| part.is_scarce).map(|part| part.account).collect();
        if scarce.is_empty() {
            return Ok(());
        }
        let missing = rows::lock(connection, &scarce)?;
        if !missing.is_empty() {
            self.missing = missing;
            return Err(moved());
        }
        let seat = self.seat()?;
        let Some(writer) = &mut self.writer else { return Err(moved()) };
        // Where something else is counted from what is reserved, its own row is held from here on, in its turn among the writers': who holds
        // accounts must not wait later for whoever calls this one.
        let holds_own = scarce.len() < self.parts.len();
        let closed = reserve::close(connection, writer, seat, &scarce, holds_own)?;
        if !closed.is_own_unchanged {
            writer.distrust();
            if holds_own {
                return Err(moved());
            }
        }
        for part in &mut self.parts {
            part.locked = closed.rows.get(&part.account).map(|rows| rows::sum_used(rows));
        }
        Ok(())
    }

    /// Finds those that do not fit into what is left where so much of the accounts is used. Accounts that were only looked at, and of which
    /// something new fits, are scarce from then on.
    fn refuse(
        &mut self,
        connection: &mut PgConnection,
        used: &[(Account, u64)],
    ) -> Result<Refused, Error> {
        if used.is_empty() {
            return Ok(Refused::default());
        }
        // After what is used: both only grow, and what does not fit now did not fit before.
        let taken = taken(connection, self.group, used)?;
        let refused =
            Refused::of(self.group, used, |tenant_id, key| taken.contains(&(tenant_id, key)));
        for (index, place) in self.places.iter().enumerate() {
            let Some(place) = *place else { continue };
            let part = &mut self.parts[place];
            if refused.get(index).is_some() {
                self.quotas.scarce.note(part.account, Scarcity::Short);
            } else if part.is_looked_at && !part.is_scarce {
                let tenant_id = part.account.tenant_id;
                part.is_scarce = self.group[index]
                    .events
                    .iter()
                    .any(|event| !taken.contains(&(tenant_id, event.key())));
            }
        }
        Ok(refused)
    }

    /// The rows by which these are counted, before anything else of the group is written, and in one statement with their keys. They are
    /// all that the group stores, or nothing is.
    ///
    /// # Errors
    /// [`ErrorKind::QuotaMoved`](crate::error::ErrorKind::QuotaMoved) where more must be reserved.
    pub(in crate::postgres) fn count_first(
        &mut self,
        rows: &[Candidate<'_>],
    ) -> Result<Vec<GroupKey>, Error> {
        let Some(first) = rows.first().filter(|_| !self.parts.is_empty()) else {
            return Ok(Vec::new());
        };
        let wanted = count(&self.places, self.parts.len(), rows.iter().copied());
        // Of what was looked at and not refused, all keys are taken: that will be found out.
        let is_counted = |part: &Part| !part.is_scarce && !part.is_looked_at;
        self.draw(&wanted, is_counted)?;
        let counted = self
            .parts
            .iter()
            .filter(|part| part.counted > 0)
            .map(|part| (part.account, part.counted))
            .collect();
        self.keys_of(first.received_at, counted)
    }

    /// The next rows of this group.
    fn keys_of(
        &mut self,
        received_at: Timestamp,
        events: Vec<(Account, u64)>,
    ) -> Result<Vec<GroupKey>, Error> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let seat = self.seat()?;
        let number = self.writer.as_ref().map_or(0, Writer::number);
        let rows = GroupKey::of(seat, number, self.keys, received_at, events.into_iter())?;
        self.keys += rows.len() as u8;
        Ok(rows)
    }

    /// Somebody has taken this key, which is one of the group's own: the writer was called.
    pub(in crate::postgres) fn called(&mut self) -> Error {
        self.writer.iter_mut().for_each(Writer::distrust);
        // The next try wants it to be reserved, also where it was not certain.
        self.parts.iter_mut().for_each(|part| part.need = part.need.max(part.counted));
        moved()
    }

    /// Counts `fresh`, as far as it was not counted before: the last thing before the commit.
    ///
    /// # Errors
    /// [`ErrorKind::QuotaMoved`](crate::error::ErrorKind::QuotaMoved) where another way must be taken.
    pub(in crate::postgres) fn count_rest(
        &mut self,
        connection: &mut PgConnection,
        fresh: &[Candidate<'_>],
    ) -> Result<(), Error> {
        let Some(first) = fresh.first().filter(|_| !self.parts.is_empty()) else { return Ok(()) };
        let wanted = count(&self.places, self.parts.len(), fresh.iter().copied());
        for (part, events) in self.parts.iter().zip(&wanted).filter(|(_, events)| **events > 0) {
            let Some(used) = part.locked else { continue };
            if used + events > part.account.limit {
                // Keys that were taken when it was admitted are free now: it is looked at again.
                return Err(moved());
            }
            rows::count(connection, &part.account, *events)?;
        }
        let counted: Vec<u64> = self.parts.iter().map(|part| part.counted).collect();
        self.draw(&wanted, |part| part.locked.is_none())?;
        let more = |(part, counted): (&Part, u64)| (part.account, part.counted - counted);
        let more: Vec<(Account, u64)> =
            self.parts.iter().zip(counted).map(more).filter(|(_, events)| *events > 0).collect();
        let free = if self.keys == 0 { Some(self.seat()?) } else { None };
        let rows = self.keys_of(first.received_at, more)?;
        let counted = keys::count_last(connection, free, rows);
        if let Err(Error { kind: ErrorKind::QuotaMoved, .. }) = counted {
            return Err(self.called());
        }
        counted
    }

    /// Draws what is wanted of those parts from what is reserved.
    fn draw(&mut self, wanted: &[u64], is_of: impl Fn(&Part) -> bool) -> Result<(), Error> {
        let mut is_lacking = false;
        for (part, wanted) in self.parts.iter_mut().zip(wanted) {
            if *wanted == 0 || !is_of(part) {
                continue;
            }
            if *wanted > part.left {
                part.need = *wanted;
                is_lacking = true;
            }
            part.counted = *wanted;
        }
        if is_lacking { Err(moved()) } else { Ok(()) }
    }

    /// The group was stored: what was counted is gone from what is reserved.
    pub(in crate::postgres) fn stored(mut self) {
        if let Some(mut writer) = self.writer.take() {
            if self.keys > 0 {
                writer.counted(self.parts.iter().map(|part| (part.account, part.counted)));
            }
            self.parts
                .iter()
                .filter(|part| part.locked.is_some())
                .for_each(|part| writer.give_back(&part.account));
            self.quotas.put_back(writer);
        }
    }
}

/// How many of the rows fall to each account.
fn count<'r>(
    places: &[Option<usize>],
    parts: usize,
    rows: impl Iterator<Item = Candidate<'r>>,
) -> Vec<u64> {
    let mut counts = vec![0; parts];
    for row in rows {
        if let Some(place) = places[row.submission()] {
            counts[place] += 1;
        }
    }
    counts
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
) -> Result<HashSet<(TenantId, EventKey)>, Error> {
    // A plan that was made while the table was small would read all of it.
    connection.batch_execute("SET LOCAL plan_cache_mode = force_custom_plan")?;
    let mut tenants: Vec<TenantId> = used.iter().map(|(account, _)| account.tenant_id).collect();
    tenants.dedup();
    let mut taken = HashSet::new();
    for tenant_id in tenants {
        let of_tenant = group.iter().filter(|submission| submission.owner.tenant_id == tenant_id);
        let keys: Vec<Uuid> = of_tenant
            .flat_map(|submission| &submission.events)
            .map(|event| event.key().0)
            .collect();
        let found: Vec<Uuid> = event_keys::table
            .filter(event_keys::tenant_id.eq(tenant_id.0))
            .filter(event_keys::key.eq_any(&keys))
            .select(event_keys::key)
            .load(connection)?;
        taken.extend(found.into_iter().map(|key| (tenant_id, EventKey(key))));
    }
    Ok(taken)
}
