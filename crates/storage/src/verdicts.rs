//! Turns a group of submissions into rows to write, and the stored rows into outcomes.

use mercurio_domain::event::EnrichedEvent;
use mercurio_domain::store::Submission;
use mercurio_domain::verdict::Outcome;
use mercurio_domain::{EventKey, Owner, TenantId, Timestamp, WorkspaceId};

/// The unique key of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TenantKey {
    pub(crate) tenant_id: TenantId,
    pub(crate) key: EventKey,
}

/// An event to store if its key is new.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) owner: Owner,
    pub(crate) received_at: Timestamp,
    pub(crate) event: &'a EnrichedEvent,
    /// The event's key, cached for sorting.
    key: EventKey,
    position: GroupPosition,
}

/// The position of an event in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct GroupPosition {
    submission: usize,
    event: usize,
}

impl Candidate<'_> {
    /// The unique key, and the order of writing.
    pub(crate) fn key(&self) -> TenantKey {
        TenantKey { tenant_id: self.owner.tenant_id, key: self.key }
    }
}

/// The events of a group without repeated keys: the first of each is kept.
///
/// Sorted by tenant and key: writers that take locks in the same order cannot deadlock.
#[derive(Debug)]
pub(crate) struct Candidates<'a> {
    group: &'a [Submission],
    rows: Vec<Candidate<'a>>,
}

/// A key that was stored before, and the workspace of its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredKey {
    pub(crate) key: TenantKey,
    pub(crate) workspace_id: WorkspaceId,
}

/// The result of storing candidates.
#[derive(Debug, Default)]
pub(crate) struct Appended<'a> {
    /// The candidates with new keys, stored now.
    pub(crate) fresh: Vec<Candidate<'a>>,
    /// The keys of the others, in any order.
    pub(crate) stored: Vec<StoredKey>,
}

/// Candidates by the prediction of the cache, both in the order of keys.
pub(crate) struct SplitCandidates<'a> {
    pub(crate) likely_stored: Vec<Candidate<'a>>,
    pub(crate) likely_new: Vec<Candidate<'a>>,
}

impl<'a> Candidates<'a> {
    pub(crate) fn of(group: &'a [Submission]) -> Self {
        let mut rows =
            Vec::with_capacity(group.iter().map(|submission| submission.events.len()).sum());
        for (index, submission) in group.iter().enumerate() {
            let Submission { owner, received_at, .. } = *submission;
            for (event_index, event) in submission.events.iter().enumerate() {
                let position = GroupPosition { submission: index, event: event_index };
                rows.push(Candidate { owner, received_at, event, key: event.key(), position });
            }
        }
        // The position makes the order total, so `dedup` keeps the first event of each key.
        rows.sort_unstable_by_key(|row| (row.key(), row.position));
        rows.dedup_by_key(|row| row.key());
        Self { group, rows }
    }

    pub(crate) fn rows(&self) -> &[Candidate<'a>] {
        &self.rows
    }

    /// Splits the rows by `likely_stored`, which has a flag per row.
    pub(crate) fn split(&self, likely_stored: &[bool]) -> SplitCandidates<'a> {
        debug_assert_eq!(likely_stored.len(), self.rows.len(), "one flag per row");
        let mut split = SplitCandidates {
            likely_stored: Vec::new(),
            // Nearly all keys are new, so the other list starts empty.
            likely_new: Vec::with_capacity(self.rows.len()),
        };
        for (row, likely_stored) in self.rows.iter().zip(likely_stored) {
            if *likely_stored {
                split.likely_stored.push(*row);
            } else {
                split.likely_new.push(*row);
            }
        }
        split
    }

    /// The outcomes of the whole group in its order.
    pub(crate) fn outcomes(&self, appended: &Appended<'_>) -> Vec<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(self.group.len());
        for submission in self.group {
            // Duplicates need no entry: repeated keys were removed from the rows, stored ones are
            // not fresh.
            outcomes.push(vec![Outcome::Duplicate; submission.events.len()]);
        }
        for row in &appended.fresh {
            let GroupPosition { submission, event } = row.position;
            outcomes[submission][event] = Outcome::Accepted;
        }
        let events = outcomes.iter().map(Vec::len).sum::<usize>();
        if appended.fresh.len() < events {
            self.name_holders(appended, &mut outcomes);
        }
        outcomes
    }

    /// Names the other workspace in each duplicate of its event.
    fn name_holders(&self, appended: &Appended<'_>, outcomes: &mut [Vec<Outcome>]) {
        let mut holders = appended.stored.clone();
        for row in &appended.fresh {
            // An earlier event of this group may be the one stored.
            holders.push(StoredKey { key: row.key(), workspace_id: row.owner.workspace_id });
        }
        holders.sort_unstable_by_key(|holder| holder.key);
        for (submission, of_one) in self.group.iter().zip(outcomes) {
            let Owner { tenant_id, workspace_id } = submission.owner;
            for (event, outcome) in submission.events.iter().zip(of_one) {
                if *outcome == Outcome::Accepted {
                    continue;
                }
                let key = TenantKey { tenant_id, key: event.key() };
                // Without a holder the key was removed since.
                if let Ok(index) = holders.binary_search_by_key(&key, |holder| holder.key) {
                    *outcome = Outcome::duplicate(workspace_id, holders[index].workspace_id);
                }
            }
        }
    }
}

/// Candidates whose keys were claimed.
pub(crate) struct ClaimedCandidates<'a> {
    pub(crate) fresh: Vec<Candidate<'a>>,
    pub(crate) duplicates: Vec<Candidate<'a>>,
}

/// Splits the rows by whether their keys are in `claimed`, which has any order.
pub(crate) fn split_claimed<'a>(
    rows: Vec<Candidate<'a>>,
    mut claimed: Vec<TenantKey>,
) -> ClaimedCandidates<'a> {
    // PostgreSQL returns claimed keys in no promised order.
    claimed.sort_unstable();
    let (fresh, duplicates) =
        rows.into_iter().partition(|row| claimed.binary_search(&row.key()).is_ok());
    ClaimedCandidates { fresh, duplicates }
}

#[cfg(test)]
mod tests {
    use mercurio_domain::testing::{at, submission};

    use super::*;

    fn owner(tenant: i64) -> Owner {
        Owner { tenant_id: TenantId(tenant), workspace_id: WorkspaceId(tenant) }
    }

    #[test]
    fn candidates_are_sorted_by_key_and_keep_the_first_event() {
        let now = at("2026-11-22T10:00:00Z");
        let group =
            // Tenant 2 comes first in the group, but last in the order of keys.
            [submission(owner(2), now, &["b", "a", "b"]), submission(owner(1), now, &["b", "c"])];
        let candidates = Candidates::of(&group);
        assert_eq!(candidates.rows().len(), 4);
        assert!(candidates.rows().is_sorted_by_key(Candidate::key));
        let first = candidates
            .rows()
            .iter()
            .find(|row| row.event.parts().event_id.as_str() == "b")
            .unwrap();
        assert_eq!(first.position, GroupPosition { submission: 1, event: 0 }, "tenants come first");
        let fresh = candidates.rows().to_vec();
        let outcomes = candidates.outcomes(&Appended { fresh, stored: Vec::new() });
        use Outcome::{Accepted, Duplicate};
        assert_eq!(outcomes, [vec![Accepted, Accepted, Duplicate], vec![Accepted, Accepted]]);
    }

    #[test]
    fn unclaimed_candidates_are_duplicates() {
        let group = [submission(owner(1), at("2026-11-22T10:00:00Z"), &["a", "b", "c"])];
        let candidates = Candidates::of(&group);
        // Reversed, as a database may return them.
        let claimed = candidates.rows().iter().rev().filter(|row| row.position.event != 1);
        let claimed = claimed.map(Candidate::key).collect();
        let ClaimedCandidates { fresh, duplicates } =
            split_claimed(candidates.rows().to_vec(), claimed);
        let stored = [StoredKey { key: duplicates[0].key(), workspace_id: WorkspaceId(7) }].into();
        assert_eq!(
            candidates.outcomes(&Appended { fresh, stored }),
            [vec![Outcome::Accepted, Outcome::DuplicateIn(WorkspaceId(7)), Outcome::Accepted]]
        );
    }

    #[test]
    fn candidates_are_split_row_by_row() {
        let group = [submission(owner(1), at("2026-11-22T10:00:00Z"), &["a", "b", "c"])];
        let candidates = Candidates::of(&group);
        let split = candidates.split(&[false, true, false]);
        assert_eq!(split.likely_stored.len(), 1);
        assert_eq!(split.likely_stored[0].key(), candidates.rows()[1].key());
        assert_eq!(split.likely_new.len(), 2);
    }
}
