//! Of which accounts little is left, as far as this process has found out.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mercurio_domain::store::Account;

/// How little is left of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scarcity {
    /// Too little to reserve parts of it that are enough for a group with so many events.
    Scarce(u64),
    /// Something was refused.
    Short,
}

/// The accounts of which little is left.
#[derive(Debug, Default)]
pub(super) struct ScarceAccounts(Mutex<HashMap<Account, Scarcity>>);

impl ScarceAccounts {
    fn lock(&self) -> MutexGuard<'_, HashMap<Account, Scarcity>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known now. Nobody else gets to know it meanwhile.
    pub(super) fn known(&self) -> Known<'_> {
        Known(self.lock())
    }

    /// Notes it. What is short stays so.
    pub(super) fn note(&self, account: Account, scarcity: Scarcity) {
        let mut scarce = self.lock();
        match scarce.get(&account) {
            Some(known) if *known == scarcity || *known == Scarcity::Short => return,
            Some(_) => {}
            // Its limit may have been another, and of months before the last one nothing comes any more.
            None => scarce.retain(|known, _| {
                known.key() != account.key() && known.month.renews_at() >= account.month.begins_at()
            }),
        }
        scarce.insert(account, scarcity);
    }

    pub(super) fn forget(&self, accounts: &[Account]) {
        let mut scarce = self.lock();
        accounts.iter().for_each(|account| _ = scarce.remove(account));
    }
}

/// What is known of scarce accounts.
pub(super) struct Known<'a>(MutexGuard<'a, HashMap<Account, Scarcity>>);

impl Known<'_> {
    pub(super) fn get(&self, account: &Account) -> Option<Scarcity> {
        // There are none, nearly always.
        if self.0.is_empty() { None } else { self.0.get(account).copied() }
    }
}
