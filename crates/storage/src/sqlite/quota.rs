//! Monthly quotas in SQLite: one row for a tenant's month, written in the transaction of the events. There is one writer, which so
//! knows what is used before it writes.

use diesel::prelude::*;
use mercurio_domain::limits::Month;
use mercurio_domain::store::{Account, Refused, Submission};
use mercurio_domain::{EventKey, TenantId};

use super::schema::{events, tenant_usage};
use super::values::key_value;
use crate::error::Error;
use crate::rows::Micros;
use crate::verdicts::Candidate;

/// The accounts of a group, sorted, with what is used of each.
pub(super) struct Draw(Vec<(Account, u64)>);

impl Draw {
    pub(super) fn of(
        connection: &mut SqliteConnection,
        group: &[Submission],
    ) -> Result<Self, Error> {
        let with_use = |account: Account| {
            if let Some(used) = counted_in(connection, account.tenant_id, account.month)? {
                return Ok((account, used));
            }
            // The quota may have been set in the middle of the month.
            let used = stored_in(connection, account.tenant_id, account.month)?;
            store(connection, &account, used)?;
            Ok((account, used))
        };
        Account::of_group(group).into_iter().map(with_use).collect::<Result<_, _>>().map(Self)
    }

    /// The submissions that do not fit. The keys are looked at only where not all events of an account fit.
    pub(super) fn refused(
        &self,
        connection: &mut SqliteConnection,
        group: &[Submission],
    ) -> Result<Refused, Error> {
        let accounts: Vec<Account> = self.0.iter().map(|(account, _)| *account).collect();
        let mut offered = vec![0_u64; accounts.len()];
        for submission in group {
            if let Some(place) = Account::place(&accounts, submission) {
                offered[place] += submission.events.len() as u64;
            }
        }
        let is_short = |((account, used), offered): &(&(Account, u64), &u64)| {
            used.saturating_add(**offered) > account.limit
        };
        let short: Vec<_> =
            self.0.iter().zip(&offered).filter(is_short).map(|(account, _)| *account).collect();
        if short.is_empty() {
            return Ok(Refused::default());
        }
        let is_of_short = |submission: &&Submission| {
            short.iter().any(|(account, _)| account.tenant_id == submission.owner.tenant_id)
        };
        let mut taken = std::collections::HashSet::new();
        for submission in group.iter().filter(is_of_short) {
            for event in &submission.events {
                let key = (submission.owner.tenant_id, event.key());
                if is_taken(connection, key)? {
                    taken.insert(key);
                }
            }
        }
        Ok(Refused::of(group, &short, |tenant_id, key| taken.contains(&(tenant_id, key))))
    }

    /// Counts `fresh`.
    pub(super) fn take(
        self,
        connection: &mut SqliteConnection,
        fresh: &[Candidate<'_>],
    ) -> Result<(), Error> {
        let mut after = self.0.clone();
        for row in fresh {
            let key = (row.owner.tenant_id, Month::of(row.received_at));
            if let Ok(place) = after.binary_search_by_key(&key, |(account, _)| account.key()) {
                after[place].1 += 1;
            }
        }
        for ((account, after), (_, before)) in after.iter().zip(&self.0) {
            if after > before {
                store(connection, account, *after)?;
            }
        }
        Ok(())
    }
}

fn store(connection: &mut SqliteConnection, account: &Account, used: u64) -> Result<(), Error> {
    let used = i64::try_from(used).unwrap_or(i64::MAX);
    diesel::insert_into(tenant_usage::table)
        .values((
            tenant_usage::tenant_id.eq(account.tenant_id.0),
            tenant_usage::month.eq(i64::from(account.month.number())),
            tenant_usage::used.eq(used),
        ))
        .on_conflict((tenant_usage::tenant_id, tenant_usage::month))
        .do_update()
        .set(tenant_usage::used.eq(used))
        .execute(connection)?;
    Ok(())
}

fn is_taken(
    connection: &mut SqliteConnection,
    (tenant_id, key): (TenantId, EventKey),
) -> Result<bool, Error> {
    let event = events::table
        .filter(events::tenant_id.eq(tenant_id.0))
        .filter(events::key.eq(key_value(key)));
    Ok(event.select(events::tenant_id).first::<i64>(connection).optional()?.is_some())
}

/// What was counted of a tenant in a month, or where nothing was, what is stored of it.
pub(super) fn used_in(
    connection: &mut SqliteConnection,
    tenant_id: TenantId,
    month: Month,
) -> Result<u64, Error> {
    match counted_in(connection, tenant_id, month)? {
        Some(counted) => Ok(counted),
        None => stored_in(connection, tenant_id, month),
    }
}

fn counted_in(
    connection: &mut SqliteConnection,
    tenant_id: TenantId,
    month: Month,
) -> Result<Option<u64>, Error> {
    let counted = tenant_usage::table
        .filter(tenant_usage::tenant_id.eq(tenant_id.0))
        .filter(tenant_usage::month.eq(i64::from(month.number())))
        .select(tenant_usage::used)
        .first::<i64>(connection)
        .optional()?;
    Ok(counted.map(i64::unsigned_abs))
}

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// The events of a tenant that were received in a month. No index knows of that time, but rows lie in the order in which they were
/// written: none is looked at that lies behind one that was received a day before the month. At its beginning that is none at all.
fn stored_in(
    connection: &mut SqliteConnection,
    tenant_id: TenantId,
    month: Month,
) -> Result<u64, Error> {
    let begins_at = Micros::from(month.begins_at());
    let before = events::table
        .filter(events::received_at.lt(Micros(begins_at.0 - DAY)))
        .order(events::row_id.desc())
        .select(events::row_id)
        .first::<i64>(connection)
        .optional()?
        .unwrap_or(i64::MIN);
    let count: i64 = events::table
        .filter(events::row_id.gt(before))
        // The plus keeps the index on the tenant out of it.
        .filter(diesel::dsl::sql::<diesel::sql_types::BigInt>("+tenant_id").eq(tenant_id.0))
        .filter(events::received_at.ge(begins_at))
        .filter(events::received_at.lt(Micros::from(month.renews_at())))
        .count()
        .get_result(connection)?;
    Ok(count.unsigned_abs())
}

/// Forgets what was counted of a tenant.
pub(super) fn forget(connection: &mut SqliteConnection, tenant_id: TenantId) -> Result<(), Error> {
    diesel::delete(tenant_usage::table.filter(tenant_usage::tenant_id.eq(tenant_id.0)))
        .execute(connection)?;
    Ok(())
}
