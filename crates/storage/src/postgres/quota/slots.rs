//! The slots of an account, all of them, locked: how they are made, how what is left is spread over them, and how they are stored.

use std::collections::HashSet;
use std::slice;

use diesel::prelude::*;
use mercurio_domain::store::Account;

use super::super::schema::tenant_usage;
use super::{signed, stored_in};
use crate::error::Failure;

/// Slots that an account has at most: more writers than that at the same moment, of one tenant, wait for each other.
pub(super) const MAX_SLOTS: usize = 16;
/// Slots that an account has from the first, where each then holds at least [`FIRST_SHARE`]: as many as two servers have lanes.
const FIRST_SLOTS: usize = 4;
/// Twenty batches: less is better kept together.
const FIRST_SHARE: u64 = 1_000;

/// All slots of an account, locked by this transaction.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) rows: Vec<Slot>,
}

/// The share and the use of a slot; its number is its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    share: u64,
    used: u64,
}

impl Slots {
    /// Locks them in their order, and makes them where there is none.
    pub(super) fn lock(connection: &mut PgConnection, account: &Account) -> Result<Self, Failure> {
        use tenant_usage::{month, share, slot, table, tenant_id, used};
        let mine = (tenant_id.eq(account.tenant_id.0), month.eq(i64::from(account.month.number())));
        // The first slot is locked by itself: whoever has it may have made further ones, which only a later statement sees.
        loop {
            make(connection, slice::from_ref(account))?;
            let first = table.filter(mine.0).filter(mine.1).filter(slot.eq(0)).select(slot).for_no_key_update();
            // It is gone where the counts were forgotten meanwhile.
            if first.first::<i64>(connection).optional()?.is_some() {
                break;
            }
        }
        let rows: Vec<(i64, i64)> = table
            .filter(mine.0)
            .filter(mine.1)
            .order(slot)
            .select((share, used))
            .for_no_key_update()
            .load(connection)?;
        let rows = rows.iter().map(|row| Slot { share: row.0.unsigned_abs(), used: row.1.unsigned_abs() }).collect();
        Ok(Self { rows })
    }

    /// The first ones of an account of which so much is used.
    fn first(account: &Account, used: u64) -> Self {
        let mut rows = vec![Slot { share: used, used }];
        if account.limit.saturating_sub(used) / FIRST_SLOTS as u64 >= FIRST_SHARE {
            rows.resize(FIRST_SLOTS, Slot { share: 0, used: 0 });
        }
        let mut slots = Self { rows };
        // Where more is used than may be, nothing is left to be spread.
        slots.take(account, 0);
        slots
    }

    /// Whether one has room for so many events.
    pub(super) fn have_room(&self, events: u64) -> bool {
        self.rows.iter().any(|slot| slot.share - slot.used >= events)
    }

    pub(super) fn used(&self) -> u64 {
        self.rows.iter().map(|slot| slot.used).sum()
    }

    /// Counts `events` and spreads what is then left evenly. `false`: they do not fit.
    pub(super) fn take(&mut self, account: &Account, events: u64) -> bool {
        let Some(left) = account.limit.checked_sub(self.used()).and_then(|left| left.checked_sub(events)) else {
            return false;
        };
        let count = self.rows.len() as u64;
        for (place, slot) in self.rows.iter_mut().enumerate() {
            if place == 0 {
                slot.used += events;
            }
            slot.share = slot.used + left / count + u64::from((place as u64) < left % count);
        }
        true
    }

    pub(super) fn store(&self, connection: &mut PgConnection, account: &Account) -> Result<(), Failure> {
        store(connection, &[(*account, self)])
    }
}

/// Those of the accounts that have no slots. It waits for nobody.
pub(super) fn without<'a>(
    connection: &mut PgConnection,
    accounts: impl Iterator<Item = &'a Account> + Clone,
) -> Result<Vec<Account>, Failure> {
    use tenant_usage::{month, slot, table, tenant_id};
    let tenant_ids = accounts.clone().map(|account| account.tenant_id.0);
    let known: HashSet<(i64, i64)> = table
        .filter(tenant_id.eq_any(tenant_ids.collect::<Vec<_>>()))
        .filter(slot.eq(0))
        .select((tenant_id, month))
        .load(connection)?
        .into_iter()
        .collect();
    let is_new = |account: &&Account| !known.contains(&key(account));
    Ok(accounts.filter(is_new).copied().collect())
}

/// By what its slots are found.
pub(super) fn key(account: &Account) -> (i64, i64) {
    (account.tenant_id.0, i64::from(account.month.number()))
}

/// Makes the first slots of those accounts, in their order, that have none, and returns those. It waits for whoever has the first
/// slot of one, or is making it.
pub(super) fn make(connection: &mut PgConnection, accounts: &[Account]) -> Result<Vec<(Account, Slots)>, Failure> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    use tenant_usage::{month, quota, share, slot, table, tenant_id, used};
    let first = |account: &Account| {
        (
            tenant_id.eq(account.tenant_id.0),
            month.eq(i64::from(account.month.number())),
            slot.eq(0),
            quota.eq(signed(account.limit)),
            share.eq(0),
            used.eq(0),
        )
    };
    let made: HashSet<(i64, i64)> = diesel::insert_into(table)
        .values(accounts.iter().map(first).collect::<Vec<_>>())
        .on_conflict_do_nothing()
        .returning((tenant_id, month))
        .get_results(connection)?
        .into_iter()
        .collect();
    let is_made = |account: &&Account| made.contains(&key(account));
    let made: Vec<Account> = accounts.iter().filter(is_made).copied().collect();
    if made.is_empty() {
        return Ok(Vec::new());
    }
    // Their quotas may have been set in the middle of the month.
    let stored = stored_in(connection, &made)?;
    let slots = |account: &Account| (*account, Slots::first(account, stored.get(&account.key()).copied().unwrap_or(0)));
    let made: Vec<(Account, Slots)> = made.iter().map(slots).collect();
    store(connection, &made.iter().map(|(account, slots)| (*account, slots)).collect::<Vec<_>>())?;
    Ok(made)
}

fn store(connection: &mut PgConnection, accounts: &[(Account, &Slots)]) -> Result<(), Failure> {
    use diesel::upsert::excluded;
    use tenant_usage::{month, quota, share, slot, table, tenant_id, used};
    let rows = accounts.iter().flat_map(|(account, slots)| {
        slots.rows.iter().enumerate().map(|(place, row)| {
            (
                tenant_id.eq(account.tenant_id.0),
                month.eq(i64::from(account.month.number())),
                slot.eq(place as i64),
                quota.eq(signed(account.limit)),
                share.eq(signed(row.share)),
                used.eq(signed(row.used)),
            )
        })
    });
    diesel::insert_into(table)
        .values(rows.collect::<Vec<_>>())
        .on_conflict((tenant_id, month, slot))
        .do_update()
        .set((quota.eq(excluded(quota)), share.eq(excluded(share)), used.eq(excluded(used))))
        .execute(connection)?;
    Ok(())
}
