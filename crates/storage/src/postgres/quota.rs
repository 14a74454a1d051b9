//! Monthly quotas in PostgreSQL: counted in the transaction of the events, exact, and without a row for which all writers wait.
//!
//! What a *writer*, that is whoever stores one group of events after the other, may count is *reserved* for it beforehand: a part of what
//! is left of an account, a tenant's month. It knows how much, and so a group costs one row more among the keys of its events, in
//! `event_keys`, that says what it counts of all its accounts: the *group's key*, of which the first part is the writer's number and the last
//! one that of the group. Where it can't be known beforehand what will be stored, that row is written last. Now and then the rows
//! are added up.
//!
//! What is reserved can be taken back, also from a writer that is dead: whoever does, takes the key of the writer's next group. A key is
//! taken once, so a group that is being stored is waited for, and the next one fails as one does whose event is a duplicate. Its writer then
//! looks what has changed, and goes on in a new *epoch*, with other keys.
//!
//! Of an account of which too little is left to reserve parts of it, each group locks the account's own row, before anything else, takes
//! back whatever is reserved, and so knows what is used. It refuses what does not fit, and counts in that row.
//!
//! No deadlock comes of it: accounts are locked first, in their order, then writers with the keys of their next groups, in theirs, then the
//! group's own key, and then what the events need. What comes out of this order, counting last, waits for nobody.
//!
//! An account that was found short is remembered. From then on each of its groups looks first, without a lock, what is used and
//! which keys are taken, and refuses what can't fit: what is used never shrinks, and so no lock is needed to say no.

mod draw;
mod keys;
mod reserve;
mod rows;
mod scarce;
mod writer;

use std::sync::{Mutex, PoisonError};

use diesel::prelude::*;
use mercurio_domain::TenantId;
use mercurio_domain::limits::Month;
use mercurio_domain::store::Account;

pub(super) use draw::Draw;
pub(super) use keys::{GroupKey, NOBODY};
pub(super) use reserve::forget;
use scarce::ScarceAccounts;
use writer::{Writer, Writers};

use crate::error::{Error, ErrorKind};

/// What a process keeps in mind of quotas.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    writers: Mutex<Writers>,
    scarce: ScarceAccounts,
}

impl Quotas {
    fn take_writer(&self, connection: u64) -> Writer {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner).take(connection)
    }

    fn put_back(&self, writer: Writer) {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner).put_back(writer);
    }
}

fn moved() -> Error {
    Error::new(ErrorKind::QuotaMoved, "what is reserved of a quota has changed")
}

/// What was counted of a tenant in a month, or where nothing was, what is stored of it.
pub(super) fn used_in(
    connection: &mut PgConnection,
    tenant_id: TenantId,
    month: Month,
) -> Result<u64, Error> {
    match rows::used(connection, tenant_id, month)? {
        Some(counted) => Ok(counted),
        None => {
            let account = Account { tenant_id, month, limit: 0 };
            Ok(rows::stored_in(connection, &[account])?.into_values().sum())
        }
    }
}

#[cfg(test)]
mod tests;
