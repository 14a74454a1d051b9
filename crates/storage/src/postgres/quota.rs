//! Monthly quotas in PostgreSQL: counted in the transaction of the events, exact, and without a row for which all writers wait.
//!
//! What a *writer*, that is whoever stores one group of events after the other, may count is *reserved* for it beforehand: a part of what
//! is left of an account, a tenant's month. It knows how much, and so a group costs one row, in `quota_log`, that says what it counts of all
//! its accounts. That row is written together with `BEGIN`, before anything else, for all events that will be stored if the try does not
//! fail; of which it can't be known whether they will be stored, a second one is written last. Now and then the rows are added up.
//!
//! What is reserved can be taken back, also from a writer that is dead: a group that counts locks its writer's row and finds there that
//! nothing changed without its knowing, its *epoch* is the same; whoever takes back locks that row too, waits for that group by it, and
//! raises the epoch.
//!
//! Of an account of which too little is left to reserve parts of it, each group locks the account's own row, before anything else, takes
//! back whatever is reserved, and so knows what is used. It refuses what does not fit, and counts in that row.
//!
//! No deadlock comes of it: accounts are locked first, in their order, then writers, in theirs, and then what the events need. What comes
//! out of this order, counting from what is reserved, waits for nobody.
//!
//! An account that was found short is remembered. From then on each of its groups looks first, without a lock, what is used and
//! which keys are taken, and refuses what can't fit: what is used never shrinks, and so no lock is needed to say no.

mod draw;
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
pub(super) use reserve::forget;
use scarce::ScarceAccounts;
pub(super) use writer::{NOT_FREE, PREPARE};
use writer::{Writer, Writers};

use crate::error::{Failure, Fault};

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

fn moved() -> Failure {
    Failure::Sorted(Fault::QuotaMoved, "what is reserved of a quota has changed".to_owned())
}

/// What was counted of a tenant in a month, or where nothing was, what is stored of it.
pub(super) fn used_in(connection: &mut PgConnection, tenant_id: TenantId, month: Month) -> Result<u64, Failure> {
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
