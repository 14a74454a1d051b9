//! Properties of any groups in any order.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use mercurio_domain::store::{EventQuery, Submission};
use mercurio_domain::verdict::Outcome;
use mercurio_domain::{EventId, Owner, TenantId};
use proptest::prelude::*;

use crate::setup::{Subject, after, check_law, draft, event};

on_every_store! {
    stored_events_are_those_accepted,
    pages_show_every_event_once_under_concurrent_writes,
}

/// A generated event.
#[derive(Debug, Clone)]
struct EventSketch {
    id: u8,
    /// Seconds between the event and its receipt.
    age: u8,
}

/// A generated submission.
#[derive(Debug, Clone)]
struct SubmissionSketch {
    /// Index of one of three workspaces.
    owner: usize,
    events: Vec<EventSketch>,
}

fn groups() -> impl Strategy<Value = Vec<Vec<SubmissionSketch>>> {
    // Few ids and ages, so that duplicates and equal times are frequent.
    let event = (0_u8..25, 0_u8..4).prop_map(|(id, age)| EventSketch { id, age });
    let submission = (0_usize..3, prop::collection::vec(event, 0..6))
        .prop_map(|(owner, events)| SubmissionSketch { owner, events });
    prop::collection::vec(prop::collection::vec(submission, 0..5), 1..5)
}

fn submission(sketch: &SubmissionSketch, owners: &[Owner; 3], round: i64) -> Submission {
    let received_at = after(10 * round);
    let mut events = Vec::new();
    for (index, EventSketch { id, age }) in sketch.events.iter().enumerate() {
        let occurred_at = after(10 * round - i64::from(*age)).to_string();
        // The session distinguishes events with the same id.
        let (id, session_id) = (format!("id-{id}"), format!("{round}-{index}"));
        let mut draft = draft(&id);
        draft.timestamp = Some(occurred_at.as_str().into());
        draft.session_id = Some(session_id.as_str().into());
        events.push(event(draft, received_at));
    }
    Submission { owner: owners[sketch.owner], received_at, events }
}

fn stored_events_are_those_accepted(subject: &Subject) {
    check_law(groups(), |groups| {
        let owner = subject.owner();
        // Two workspaces of one tenant share ids; the third is a stranger.
        let owners = [owner, subject.other_workspace(owner), subject.owner()];
        let mut model = BTreeMap::new();
        for (round, group) in (0..).zip(&groups) {
            let group: Vec<_> =
                group.iter().map(|sketch| submission(sketch, &owners, round)).collect();
            let expected: Vec<Vec<Outcome>> =
                group.iter().map(|submission| expect(&mut model, submission)).collect();
            prop_assert_eq!(subject.store.append(&group).unwrap(), expected);
        }
        for owner in owners {
            let of_owner = model.iter().filter(|(_, event)| event.owner == owner);
            let expected: BTreeSet<_> =
                of_owner.map(|((_, id), event)| (id.clone(), event.session_id.clone())).collect();
            let ids = subject.event_ids(owner, &EventQuery { limit: 7, ..EventQuery::default() });
            prop_assert_eq!(ids.len(), expected.len());
            let mut stored = BTreeSet::new();
            for id in ids {
                let event = subject.store.event(owner, &EventId::lookup(&*id)).unwrap().unwrap();
                stored.insert((id, event.parts.session_id.unwrap().to_string()));
            }
            prop_assert_eq!(stored, expected);
        }
        crate::counts::check(subject, &owners[..2]);
        crate::counts::check(subject, &owners[2..]);
        subject.store.sum_counts().unwrap();
        crate::counts::check(subject, &owners[..2]);
        Ok(())
    });
}

/// The expected events by tenant and id.
type Model = BTreeMap<(TenantId, String), ModelEvent>;

struct ModelEvent {
    owner: Owner,
    session_id: String,
}

fn expect(model: &mut Model, submission: &Submission) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for event in &submission.events {
        let parts = event.parts();
        let key = (submission.owner.tenant_id, parts.event_id.to_string());
        outcomes.push(match model.entry(key) {
            Entry::Occupied(entry) => {
                let holder = entry.get().owner.workspace_id;
                Outcome::duplicate(submission.owner.workspace_id, holder)
            }
            Entry::Vacant(entry) => {
                let session_id = parts.session_id.as_deref().unwrap().to_owned();
                entry.insert(ModelEvent { owner: submission.owner, session_id });
                Outcome::Accepted
            }
        });
    }
    outcomes
}

fn append_groups(subject: &Subject, groups: &[Vec<SubmissionSketch>], owners: &[Owner; 3]) {
    for group in groups {
        let group: Vec<_> = group.iter().map(|sketch| submission(sketch, owners, 0)).collect();
        subject.store.append(&group).unwrap();
    }
}

fn pages_show_every_event_once_under_concurrent_writes(subject: &Subject) {
    check_law((groups(), groups(), 1_usize..9), |(first, later, limit)| {
        let owner = subject.owner();
        let owners = [owner; 3];
        append_groups(subject, &first, &owners);
        let stored_before =
            subject.event_ids(owner, &EventQuery { limit: 1000, ..EventQuery::default() });
        let mut arriving = later.iter();
        let mut query = EventQuery { limit, ..EventQuery::default() };
        let mut seen = Vec::new();
        loop {
            let page = subject.store.events(owner, &query).unwrap();
            seen.extend(page.events.iter().map(|event| event.parts.event_id.to_string()));
            // Some of these sort before the cursor, some after it, some have its time.
            if let Some(group) = arriving.next() {
                append_groups(subject, std::slice::from_ref(group), &owners);
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        let distinct: BTreeSet<_> = seen.iter().collect();
        prop_assert_eq!(distinct.len(), seen.len(), "an event was shown twice");
        prop_assert!(stored_before.iter().all(|id| distinct.contains(id)), "an event was left out");
        // Events stored before the first page keep their order.
        let of_those: Vec<_> = seen.iter().filter(|id| stored_before.contains(id)).collect();
        prop_assert_eq!(of_those, stored_before.iter().collect::<Vec<_>>());
        Ok(())
    });
}
