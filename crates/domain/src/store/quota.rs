//! What a group takes from the quotas of its tenants, and which of its submissions do not fit. Without a database: each store
//! tells what is used and which keys are taken, and keeps the counts in its own way.

use std::collections::HashSet;

use super::Submission;
use crate::ids::{EventKey, TenantId};
use crate::limits::{Month, QuotaExceeded};

/// A tenant's quota of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The month.
    pub month: Month,
    /// Events that may be stored in it.
    pub limit: u64,
}

impl Account {
    /// The accounts from which a group takes, each once, by tenant and month. Submissions without a quota have none. Where those of
    /// one account differ, as right after a change, the last one's limit counts for all.
    #[must_use]
    pub fn of_group(group: &[Submission]) -> Vec<Self> {
        // Nearly all groups have none at all, and pay only for this look.
        if group.iter().all(|submission| submission.monthly_events == 0) {
            return Vec::new();
        }
        let account = |submission: &Submission| Self {
            tenant_id: submission.owner.tenant_id,
            month: Month::of(submission.received_at),
            limit: submission.monthly_events,
        };
        let mut accounts: Vec<Self> = group.iter().rev().map(account).collect();
        accounts.sort_by_key(Self::key);
        accounts.dedup_by_key(|account| account.key());
        accounts.retain(|account| account.limit > 0);
        accounts
    }

    /// What accounts are sorted by.
    #[must_use]
    pub fn key(&self) -> (TenantId, Month) {
        (self.tenant_id, self.month)
    }

    /// The place of a submission's account among `accounts`, which are sorted.
    #[must_use]
    pub fn place(accounts: &[Self], submission: &Submission) -> Option<usize> {
        let key = (submission.owner.tenant_id, Month::of(submission.received_at));
        accounts.binary_search_by_key(&key, Self::key).ok()
    }
}

/// The submissions of a group that do not fit into their quota.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused(Vec<Option<QuotaExceeded>>);

impl Refused {
    /// Finds those that do not fit: goes through the group in its order, and lets a submission pass where its fresh events, those
    /// whose keys are neither taken nor of one that passed before, fit whole into what is left.
    ///
    /// `used`: the accounts to hold to, sorted, and what is used of each. Others pass.
    #[must_use]
    pub fn of(
        group: &[Submission],
        used: &[(Account, u64)],
        is_taken: impl Fn(TenantId, EventKey) -> bool,
    ) -> Self {
        let accounts: Vec<Account> = used.iter().map(|(account, _)| *account).collect();
        let mut used: Vec<u64> = used.iter().map(|(_, used)| *used).collect();
        let mut known = HashSet::new();
        let mut refused = Self::default();
        for (index, submission) in group.iter().enumerate() {
            let tenant_id = submission.owner.tenant_id;
            if !accounts.iter().any(|account| account.tenant_id == tenant_id) {
                continue;
            }
            let is_fresh =
                |key: &EventKey| !known.contains(&(tenant_id, *key)) && !is_taken(tenant_id, *key);
            let keys = submission.events.iter().map(|event| event.key());
            let fresh: HashSet<EventKey> = keys.filter(is_fresh).collect();
            if let Some(place) = Account::place(&accounts, submission) {
                let Account { limit, month, .. } = accounts[place];
                let after = used[place].saturating_add(fresh.len() as u64);
                if after > limit && !fresh.is_empty() {
                    refused.0.resize(group.len(), None);
                    refused.0[index] = Some(QuotaExceeded { limit, used: used[place], month });
                    continue;
                }
                used[place] = after;
            }
            known.extend(fresh.into_iter().map(|key| (tenant_id, key)));
        }
        refused
    }

    /// Why the submission at `index` is refused, if it is.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<QuotaExceeded> {
        self.0.get(index).copied().flatten()
    }

    /// Whether none is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{EventId, Owner, WorkspaceId};
    use crate::testing::{at, submission};

    fn of_tenant(tenant: i64, monthly_events: u64, time: &str, ids: &[&str]) -> Submission {
        let owner = Owner { tenant_id: TenantId(tenant), workspace_id: WorkspaceId(1) };
        Submission { monthly_events, ..submission(owner, at(time), ids) }
    }

    const NOVEMBER: &str = "2026-11-22T10:00:00Z";
    const DECEMBER: &str = "2026-12-01T00:00:00Z";

    #[test]
    fn a_group_has_an_account_for_each_tenant_and_month_with_the_last_limit() {
        let group = [
            of_tenant(2, 10, NOVEMBER, &["a"]),
            of_tenant(1, 5, DECEMBER, &["a"]),
            of_tenant(2, 20, NOVEMBER, &["b"]),
            of_tenant(3, 0, NOVEMBER, &["a"]),
            of_tenant(1, 5, NOVEMBER, &["b"]),
            of_tenant(4, 7, NOVEMBER, &["b"]),
            of_tenant(4, 0, NOVEMBER, &["b"]),
        ];
        let accounts = Account::of_group(&group);
        let told: Vec<_> =
            accounts.iter().map(|a| (a.tenant_id.0, a.month.number(), a.limit)).collect();
        assert_eq!(told, [(1, 202_611, 5), (1, 202_612, 5), (2, 202_611, 20)]);
        assert_eq!(Account::place(&accounts, &group[0]), Some(2));
        assert_eq!(Account::place(&accounts, &group[3]), None);
        assert!(Account::of_group(&group[3..4]).is_empty());
    }

    #[test]
    fn a_submission_fits_whole_or_not_at_all_and_what_is_taken_costs_nothing() {
        let ids = |refused: &Refused, count: usize| -> Vec<Option<u64>> {
            (0..count).map(|index| refused.get(index).map(|exceeded| exceeded.used)).collect()
        };
        let check = |limit: u64, used: u64, group: &[&[&str]], expected: &[Option<u64>]| {
            let group: Vec<_> =
                group.iter().map(|ids| of_tenant(1, limit, NOVEMBER, ids)).collect();
            let accounts: Vec<_> =
                Account::of_group(&group).into_iter().map(|account| (account, used)).collect();
            let taken = EventKey::of(&EventId::lookup("taken"));
            let refused = Refused::of(&group, &accounts, |_, key| key == taken);
            assert_eq!(ids(&refused, group.len()), expected, "{limit} {used} {group:?}");
            assert_eq!(refused.is_empty(), expected.iter().all(Option::is_none));
        };
        check(10, 8, &[&["a", "b"], &["c"]], &[None, Some(10)]);
        check(10, 8, &[&["a", "b", "c"], &["d", "e"]], &[Some(8), None]);
        check(10, 8, &[&["a", "a", "taken", "b"], &["b", "taken"]], &[None, None]);
        check(10, 10, &[&["taken"], &["a"], &[]], &[None, Some(10), None]);
        // What a refused one would have made a duplicate is fresh.
        check(10, 8, &[&["a", "b", "c"], &["a", "b"], &["c"]], &[Some(8), None, Some(10)]);
        // A quota that was lowered below what is used.
        check(5, 8, &[&["a"], &["taken"]], &[Some(8), None]);
    }

    #[test]
    fn what_another_month_stores_in_the_same_group_is_a_duplicate() {
        let group = [of_tenant(1, 1, NOVEMBER, &["a"]), of_tenant(1, 1, DECEMBER, &["a", "b"])];
        let accounts: Vec<_> =
            Account::of_group(&group).into_iter().map(|account| (account, 0)).collect();
        assert!(Refused::of(&group, &accounts, |_, _| false).is_empty());
        // Where November is not to be held to, its events count as stored all the same.
        assert!(Refused::of(&group, &accounts[1..], |_, _| false).is_empty());
    }
}
