//! The slots of an account, all of them, locked: how they are made, how what is left is spread over them, and how they are stored.

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
    /// Locks them in their order, and makes the first ones where there is none.
    pub(super) fn lock(connection: &mut PgConnection, account: &Account) -> Result<Self, Failure> {
        use tenant_usage::{month, quota, share, slot, table, tenant_id, used};
        let mine = (tenant_id.eq(account.tenant_id.0), month.eq(i64::from(account.month.number())));
        let first = (mine.0, mine.1, slot.eq(0), quota.eq(signed(account.limit)), share.eq(0), used.eq(0));
        // The first slot is locked by itself: whoever has it may have made further ones, which only a later statement sees.
        let is_new = loop {
            // Where another writer is making it, this waits for its end.
            let made = diesel::insert_into(table).values(first).on_conflict_do_nothing().execute(connection)?;
            let first = table.filter(mine.0).filter(mine.1).filter(slot.eq(0)).select(slot).for_no_key_update();
            // It is gone where the counts were forgotten meanwhile.
            if first.first::<i64>(connection).optional()?.is_some() {
                break made == 1;
            }
        };
        let rows: Vec<(i64, i64)> = table
            .filter(mine.0)
            .filter(mine.1)
            .order(slot)
            .select((share, used))
            .for_no_key_update()
            .load(connection)?;
        let mut rows: Vec<Slot> =
            rows.iter().map(|row| Slot { share: row.0.unsigned_abs(), used: row.1.unsigned_abs() }).collect();
        if is_new && let Some(first) = rows.first_mut() {
            // The quota may have been set in the middle of the month.
            let stored = stored_in(connection, account.tenant_id, account.month)?;
            *first = Slot { share: stored, used: stored };
            let counted = (share.eq(signed(stored)), used.eq(signed(stored)));
            diesel::update(table.filter(mine.0).filter(mine.1)).set(counted).execute(connection)?;
            if account.limit.saturating_sub(stored) / FIRST_SLOTS as u64 >= FIRST_SHARE {
                rows.resize(FIRST_SLOTS, Slot { share: 0, used: 0 });
            }
        }
        Ok(Self { rows })
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
        use diesel::upsert::excluded;
        use tenant_usage::{month, quota, share, slot, table, tenant_id, used};
        let row = |(place, row): (usize, &Slot)| {
            (
                tenant_id.eq(account.tenant_id.0),
                month.eq(i64::from(account.month.number())),
                slot.eq(place as i64),
                quota.eq(signed(account.limit)),
                share.eq(signed(row.share)),
                used.eq(signed(row.used)),
            )
        };
        diesel::insert_into(table)
            .values(self.rows.iter().enumerate().map(row).collect::<Vec<_>>())
            .on_conflict((tenant_id, month, slot))
            .do_update()
            .set((quota.eq(excluded(quota)), share.eq(excluded(share)), used.eq(excluded(used))))
            .execute(connection)?;
        Ok(())
    }
}
