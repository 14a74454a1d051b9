//! What is done about accounts that lack a slot with room, each time in a short transaction of its own.

use std::collections::BTreeMap;

use diesel::prelude::*;
use mercurio_domain::store::Account;

use super::super::schema::tenant_usage;
use super::signed;
use super::slots::{self, Slots};
use crate::error::Failure;

/// What is done about an account that has no slot for what is wanted, gentlest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::postgres) enum Ease {
    /// Make the first slots of the month.
    Make,
    /// Wait until somebody lets a slot go that has room, and make one more of it.
    Wait,
    /// Spread what is left anew.
    Spread,
}

/// Does that about the accounts, for each of which so many events are wanted, and returns those that it helped.
pub(in crate::postgres) fn ease(
    connection: &mut PgConnection,
    ease: Ease,
    accounts: &BTreeMap<Account, u64>,
) -> Result<Vec<Account>, Failure> {
    if ease == Ease::Make {
        let without = slots::without(connection, accounts.keys())?;
        let made = slots::make(connection, &without)?;
        let have_room = made.into_iter().filter(|(account, slots)| slots.have_room(accounts[account]));
        return Ok(have_room.map(|(account, _)| account).collect());
    }
    let mut eased = Vec::new();
    for (account, wanted) in accounts {
        let helps = match ease {
            Ease::Wait => wait(connection, account, *wanted)?,
            _ => spread(connection, account, *wanted)?,
        };
        eased.extend(helps.then_some(*account));
    }
    Ok(eased)
}

/// Waits for a slot that has room, and where all that have were held, makes one more of it. It holds no other meanwhile: whoever
/// did, would be what the next one waits for.
fn wait(connection: &mut PgConnection, account: &Account, wanted: u64) -> Result<bool, Failure> {
    use tenant_usage::{month, quota, share, slot, table, tenant_id, used};
    let mine = (tenant_id.eq(account.tenant_id.0), month.eq(i64::from(account.month.number())));
    let with_room = table
        .filter(mine.0)
        .filter(mine.1)
        .filter(quota.eq(signed(account.limit)))
        .filter((share - used).ge(signed(wanted)))
        .order(slot)
        .limit(1);
    let free = with_room.select(slot).for_no_key_update().skip_locked().first::<i64>(connection);
    if free.optional()?.is_some() {
        return Ok(true);
    }
    let held = with_room.select((slot, share, used)).for_no_key_update();
    let Some((place, its_share, its_use)) = held.first::<(i64, i64, i64)>(connection).optional()? else {
        return Ok(false);
    };
    let new_share = (its_share - its_use) / 2;
    // Only whoever has the first slot makes others: see [`Slots::lock`].
    if place == 0 && new_share >= signed(wanted) {
        let slots: i64 = table.filter(mine.0).filter(mine.1).count().get_result(connection)?;
        if slots < slots::MAX_SLOTS as i64 {
            let new =
                (mine.0, mine.1, slot.eq(slots), quota.eq(signed(account.limit)), share.eq(new_share), used.eq(0));
            diesel::insert_into(table).values(new).execute(connection)?;
            let split = table.filter(mine.0).filter(mine.1).filter(slot.eq(place));
            diesel::update(split).set(share.eq(its_share - new_share)).execute(connection)?;
        }
    }
    Ok(true)
}

/// Spreads what is left of a quota over its slots. `false`: there is not so much left that each has room for what is wanted.
fn spread(connection: &mut PgConnection, account: &Account, wanted: u64) -> Result<bool, Failure> {
    let mut slots = Slots::lock(connection, account)?;
    let left = account.limit.saturating_sub(slots.used());
    let is_plenty = left / (slots.rows.len().max(1) as u64) >= wanted.max(1) && slots.take(account, 0);
    if is_plenty {
        slots.store(connection, account)?;
    }
    Ok(is_plenty)
}
