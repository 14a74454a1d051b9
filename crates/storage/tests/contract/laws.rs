//! Laws that hold for any groups in any order.

use std::collections::{BTreeMap, BTreeSet};

use mercurio_domain::store::{EventQuery, Submission};
use mercurio_domain::verdict::Outcome;
use mercurio_domain::{EventId, Owner};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::setup::{Subject, after, draft, event, other_workspace};

on_every_store! {
    what_is_stored_is_what_was_accepted,
    pages_show_every_event_once_whatever_arrives_between_them,
}

/// An event of a group: which id, and how many seconds before its receipt it happened.
type Sketch = (u8, u8);
/// A submission: which of three workspaces, and its events.
type SubmissionSketch = (usize, Vec<Sketch>);

fn groups() -> impl Strategy<Value = Vec<Vec<SubmissionSketch>>> {
    let event = (0_u8..25, 0_u8..4);
    let submission = (0_usize..3, prop::collection::vec(event, 0..6));
    prop::collection::vec(prop::collection::vec(submission, 0..5), 1..5)
}

fn submission((owner, events): &SubmissionSketch, owners: &[Owner; 3], round: i64) -> Submission {
    let received_at = after(10 * round);
    let draw = |(number, (id, ago)): (usize, &Sketch)| {
        let happened_at = after(10 * round - i64::from(*ago)).to_string();
        // The session tells one event from another that has the same id.
        let (id, session_id) = (format!("id-{id}"), format!("{round}-{number}"));
        let mut draft = draft(&id);
        draft.timestamp = Some(happened_at.as_str().into());
        draft.session_id = Some(session_id.as_str().into());
        event(draft, received_at)
    };
    Submission {
        owner: owners[*owner],
        received_at,
        events: events.iter().enumerate().map(draw).collect(),
    }
}

fn check<S: Strategy>(strategy: S, law: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    // Each case has tenants of its own in one database.
    let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&strategy, law).unwrap_or_else(|failure| panic!("{failure}"));
}

fn what_is_stored_is_what_was_accepted(subject: &Subject) {
    check(groups(), |groups| {
        let owner = subject.owner();
        let owners = [owner, other_workspace(owner), subject.owner()];
        // By tenant and id: whose the event is, and its session.
        let mut model = BTreeMap::new();
        for (round, group) in (0..).zip(&groups) {
            let group: Vec<_> =
                group.iter().map(|sketch| submission(sketch, &owners, round)).collect();
            let expected: Vec<Vec<Outcome>> =
                group.iter().map(|submission| expect(&mut model, submission)).collect();
            prop_assert_eq!(subject.store.append(&group).unwrap(), expected);
        }
        for owner in owners {
            let of_owner = model.iter().filter(|(_, (of, _))| *of == owner);
            let expected: BTreeSet<_> =
                of_owner.map(|((_, id), (_, session))| (id.clone(), session.clone())).collect();
            let ids = subject.walk(owner, &EventQuery { limit: 7, ..EventQuery::default() });
            let session = |id: &str| {
                let event = subject.store.event(owner, &EventId::lookup(id)).unwrap().unwrap();
                event.parts.session_id.unwrap().to_string()
            };
            prop_assert_eq!(ids.len(), expected.len());
            let stored: BTreeSet<_> =
                ids.into_iter().map(|id| (id.clone(), session(&id))).collect();
            prop_assert_eq!(stored, expected);
        }
        crate::counts::check(subject, &owners[..2]);
        crate::counts::check(subject, &owners[2..]);
        subject.store.sum_counts().unwrap();
        crate::counts::check(subject, &owners[..2]);
        Ok(())
    });
}

type Model = BTreeMap<(mercurio_domain::TenantId, String), (Owner, String)>;

fn expect(model: &mut Model, submission: &Submission) -> Vec<Outcome> {
    let outcome = |event: &mercurio_domain::event::EnrichedEvent| {
        let parts = event.parts();
        let key = (submission.owner.tenant_id, parts.event_id.to_string());
        match model.entry(key) {
            std::collections::btree_map::Entry::Occupied(_) => Outcome::Duplicate,
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert((submission.owner, parts.session_id.as_deref().unwrap().to_owned()));
                Outcome::Accepted
            }
        }
    };
    submission.events.iter().map(outcome).collect()
}

fn pages_show_every_event_once_whatever_arrives_between_them(subject: &Subject) {
    check((groups(), groups(), 1_usize..9), |(first, later, limit)| {
        let owner = subject.owner();
        let owners = [owner; 3];
        let append = |groups: &[Vec<SubmissionSketch>], round| {
            for group in groups {
                let group: Vec<_> =
                    group.iter().map(|sketch| submission(sketch, &owners, round)).collect();
                subject.store.append(&group).unwrap();
            }
        };
        append(&first, 0);
        let there = subject.walk(owner, &EventQuery { limit: 1000, ..EventQuery::default() });
        let mut arriving = later.iter();
        let mut query = EventQuery { limit, ..EventQuery::default() };
        let mut seen = Vec::new();
        loop {
            let page = subject.store.events(owner, &query).unwrap();
            seen.extend(page.events.iter().map(|event| event.parts.event_id.to_string()));
            // Some of these are newer than the place, some older, some have its very time.
            arriving.next().into_iter().for_each(|group| append(std::slice::from_ref(group), 0));
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        let distinct: BTreeSet<_> = seen.iter().collect();
        prop_assert_eq!(distinct.len(), seen.len(), "an event was shown twice");
        prop_assert!(there.iter().all(|id| distinct.contains(id)), "an event was left out");
        let of_those: Vec<_> = seen.iter().filter(|id| there.contains(id)).collect();
        prop_assert_eq!(of_those, there.iter().collect::<Vec<_>>());
        Ok(())
    });
}
