//! From a group of submissions to the rows to write, and from the keys that were new to the outcomes.

use mercurio_domain::event::EnrichedEvent;
use mercurio_domain::store::Submission;
use mercurio_domain::verdict::Outcome;
use mercurio_domain::{EventKey, Owner, TenantId, Timestamp};
use uuid::Uuid;

/// One event to store, if its key is free.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) owner: Owner,
    pub(crate) received_at: Timestamp,
    pub(crate) event: &'a EnrichedEvent,
    /// The event's, here because rows are sorted by it.
    key: EventKey,
    /// The submission, and the event in it.
    place: (usize, usize),
}

impl Candidate<'_> {
    /// What is unique, and the order in which rows are written.
    pub(crate) fn key(&self) -> (TenantId, EventKey) {
        (self.owner.tenant_id, self.key)
    }
}

/// The events of a group, each key once: the first in the order given. Sorted by tenant and key, since two writers that
/// claim the same keys in the same order wait for each other and never in a circle.
#[derive(Debug)]
pub(crate) struct Candidates<'a> {
    group: &'a [Submission],
    rows: Vec<Candidate<'a>>,
}

impl<'a> Candidates<'a> {
    pub(crate) fn of(group: &'a [Submission]) -> Self {
        let mut rows =
            Vec::with_capacity(group.iter().map(|submission| submission.events.len()).sum());
        for (index, submission) in group.iter().enumerate() {
            let Submission { owner, received_at, .. } = *submission;
            let candidate = |(place, event)| Candidate {
                owner,
                received_at,
                event,
                key: event.key(),
                place: (index, place),
            };
            rows.extend(submission.events.iter().enumerate().map(candidate));
        }
        // The place makes the order total, and the first of several events with one key the first of them here.
        rows.sort_unstable_by_key(|row| (row.key(), row.place));
        rows.dedup_by_key(|row| row.key());
        Self { group, rows }
    }

    pub(crate) fn rows(&self) -> &[Candidate<'a>] {
        &self.rows
    }

    /// The rows for which `chosen`, one answer for each row, says yes, and the others; both in the order of keys.
    pub(crate) fn split(&self, chosen: &[bool]) -> (Vec<Candidate<'a>>, Vec<Candidate<'a>>) {
        let (mut yes, mut no) = (Vec::new(), Vec::with_capacity(self.rows.len()));
        for (row, chosen) in self.rows.iter().zip(chosen) {
            if *chosen { yes.push(*row) } else { no.push(*row) }
        }
        (yes, no)
    }

    /// What became of the whole group, in its own order, where `fresh` were stored and nothing else was.
    pub(crate) fn answers(&self, fresh: &[Candidate<'_>]) -> Vec<Vec<Outcome>> {
        let submissions = self.group.iter();
        let mut answers: Vec<_> = submissions
            .map(|submission| vec![Outcome::Duplicate; submission.events.len()])
            .collect();
        for row in fresh {
            answers[row.place.0][row.place.1] = Outcome::Accepted;
        }
        answers
    }
}

/// Those of `rows` whose keys are in `claimed`, which may come in any order.
pub(crate) fn fresh<'a>(
    mut rows: Vec<Candidate<'a>>,
    mut claimed: Vec<(i64, Uuid)>,
) -> Vec<Candidate<'a>> {
    if claimed.len() < rows.len() {
        claimed.sort_unstable();
        rows.retain(|row| {
            let (tenant_id, key) = row.key();
            claimed.binary_search(&(tenant_id.0, key.0)).is_ok()
        });
    }
    rows
}

#[cfg(test)]
mod tests {
    use mercurio_domain::WorkspaceId;
    use mercurio_domain::testing::{at, submission};

    use super::*;

    fn owner(tenant: i64) -> Owner {
        Owner { tenant_id: TenantId(tenant), workspace_id: WorkspaceId(tenant) }
    }

    #[test]
    fn each_key_stands_once_in_the_order_of_keys_and_the_first_event_has_it() {
        let now = at("2026-11-22T10:00:00Z");
        let group =
            [submission(owner(2), now, &["b", "a", "b"]), submission(owner(1), now, &["b", "c"])];
        let candidates = Candidates::of(&group);
        assert_eq!(candidates.rows().len(), 4);
        assert!(candidates.rows().is_sorted_by_key(Candidate::key));
        let first = candidates
            .rows()
            .iter()
            .find(|row| row.event.parts().event_id.as_str() == "b")
            .unwrap();
        assert_eq!(first.place, (1, 0), "tenants come first");
        let outcomes = candidates.answers(candidates.rows());
        use Outcome::{Accepted, Duplicate};
        assert_eq!(outcomes, [vec![Accepted, Accepted, Duplicate], vec![Accepted, Accepted]]);
    }

    #[test]
    fn what_was_not_claimed_is_a_duplicate() {
        let group = [submission(owner(1), at("2026-11-22T10:00:00Z"), &["a", "b", "c"])];
        let candidates = Candidates::of(&group);
        let claimed = candidates.rows().iter().rev().filter(|row| row.place.1 != 1);
        let claimed = claimed.map(|row| (row.key().0.0, row.key().1.0)).collect();
        let fresh = fresh(candidates.rows().to_vec(), claimed);
        assert_eq!(
            candidates.answers(&fresh),
            [vec![Outcome::Accepted, Outcome::Duplicate, Outcome::Accepted]]
        );
    }

    #[test]
    fn a_group_is_split_row_by_row() {
        let group = [submission(owner(1), at("2026-11-22T10:00:00Z"), &["a", "b", "c"])];
        let candidates = Candidates::of(&group);
        let (yes, no) = candidates.split(&[false, true, false]);
        assert_eq!(
            yes.iter().map(Candidate::key).collect::<Vec<_>>(),
            [candidates.rows()[1].key()]
        );
        assert_eq!(no.len(), 2);
    }
}
