//! Monthly quotas: what is counted, what is refused, and that the sum is exact.

use mercurio_domain::Owner;
use mercurio_domain::Timestamp;
use mercurio_domain::limits::{LimitName, Month, QuotaExceeded};
use mercurio_domain::store::{Appended, Person, Removal, Submission};
use mercurio_domain::testing::{at, submission};
use mercurio_domain::verdict::Outcome::{Accepted, Duplicate};

use crate::setup::{Subject, at_once, now, other_workspace};

on_every_store!(
    events_up_to_the_quota_are_stored_and_what_does_not_fit_is_refused_whole,
    a_duplicate_costs_nothing_and_passes_when_nothing_is_left,
    a_refused_submission_leaves_the_others_of_its_group_alone,
    what_a_refused_submission_would_have_made_a_duplicate_is_stored,
    all_workspaces_of_a_tenant_share_a_quota_and_no_other_tenant_does,
    a_month_ends_by_the_time_of_receipt_and_the_clock_may_go_back,
    a_quota_may_be_lowered_below_what_is_used_and_raised_again,
    a_quota_that_comes_in_the_middle_of_a_month_counts_what_is_stored,
    what_is_erased_stays_used_and_a_deleted_tenant_leaves_no_count,
    many_writers_store_exactly_the_quota,
);

fn with(monthly_events: u64, owner: Owner, received_at: Timestamp, ids: &[&str]) -> Submission {
    Submission { monthly_events, ..submission(owner, received_at, ids) }
}

fn append(subject: &Subject, group: &[Submission]) -> Vec<Appended> {
    subject.store.append(group).unwrap()
}

fn exceeded(limit: u64, used: u64) -> Appended {
    Err(QuotaExceeded { limit, used, month: Month::of(now()) })
}

fn usage(subject: &Subject, owner: Owner) -> u64 {
    subject.store.monthly_usage(owner.tenant_id, Month::of(now())).unwrap()
}

fn events_up_to_the_quota_are_stored_and_what_does_not_fit_is_refused_whole(subject: &Subject) {
    let owner = subject.owner();
    assert_eq!(usage(subject, owner), 0);
    let send = |ids: &[&str]| append(subject, &[with(5, owner, now(), ids)]).remove(0);
    assert_eq!(send(&["a", "b", "c"]), Ok(vec![Accepted; 3]));
    assert_eq!(send(&["d", "e", "f"]), exceeded(5, 3));
    assert_eq!(send(&["f"]), Ok(vec![Accepted]));
    assert_eq!(send(&["d", "e"]), exceeded(5, 4));
    assert_eq!(send(&["d"]), Ok(vec![Accepted]));
    assert_eq!(send(&["e"]), exceeded(5, 5));
    assert_eq!(send(&[]), Ok(vec![]));
    assert_eq!((usage(subject, owner), subject.count(owner)), (5, 5));
}

fn a_duplicate_costs_nothing_and_passes_when_nothing_is_left(subject: &Subject) {
    let owner = subject.owner();
    let send = |ids: &[&str]| append(subject, &[with(3, owner, now(), ids)]).remove(0);
    assert_eq!(send(&["a", "b", "a"]), Ok(vec![Accepted, Accepted, Duplicate]));
    assert_eq!(send(&["b", "c", "a", "c"]), Ok(vec![Duplicate, Accepted, Duplicate, Duplicate]));
    assert_eq!(send(&["c", "b"]), Ok(vec![Duplicate; 2]));
    assert_eq!(send(&["c", "d"]), exceeded(3, 3));
    assert_eq!(send(&["a"]), Ok(vec![Duplicate]));
    assert_eq!((usage(subject, owner), subject.count(owner)), (3, 3));
}

fn a_refused_submission_leaves_the_others_of_its_group_alone(subject: &Subject) {
    let [limited, other, free] = [subject.owner(), subject.owner(), subject.owner()];
    for round in ["1", "2", "3"] {
        let ids =
            |names: &str| names.chars().map(|name| format!("{round}{name}")).collect::<Vec<_>>();
        let with = |quota, owner, names: &str| {
            let ids = ids(names);
            with(quota, owner, now(), &ids.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let group = [
            with(4, limited, "abc"),
            with(9, other, "ab"),
            with(4, limited, "de"),
            with(0, free, "abcde"),
        ];
        let answers = append(subject, &group);
        let first = if round == "1" { Ok(vec![Accepted; 3]) } else { exceeded(4, 3) };
        assert_eq!(
            answers,
            [first, Ok(vec![Accepted; 2]), exceeded(4, 3), Ok(vec![Accepted; 5])],
            "{round}"
        );
    }
    assert_eq!([limited, other, free].map(|owner| subject.count(owner)), [3, 6, 15]);
    assert_eq!([limited, other].map(|owner| usage(subject, owner)), [3, 6]);
}

fn what_a_refused_submission_would_have_made_a_duplicate_is_stored(subject: &Subject) {
    let owner = subject.owner();
    let group = ["abc", "ab", "c"].map(|names| {
        let ids: Vec<String> = names.chars().map(String::from).collect();
        with(2, owner, now(), &ids.iter().map(String::as_str).collect::<Vec<_>>())
    });
    assert_eq!(append(subject, &group), [exceeded(2, 0), Ok(vec![Accepted; 2]), exceeded(2, 2)]);
    assert_eq!(subject.event_ids(owner, &Default::default()).len(), 2);
}

fn all_workspaces_of_a_tenant_share_a_quota_and_no_other_tenant_does(subject: &Subject) {
    let (owner, stranger) = (subject.owner(), subject.owner());
    let send = |owner, id| append(subject, &[with(2, owner, now(), &[id])]).remove(0);
    assert_eq!(send(owner, "a"), Ok(vec![Accepted]));
    assert_eq!(send(other_workspace(owner), "b"), Ok(vec![Accepted]));
    assert_eq!(send(other_workspace(owner), "c"), exceeded(2, 2));
    assert_eq!(send(stranger, "c"), Ok(vec![Accepted]));
    assert_eq!([owner, stranger].map(|owner| usage(subject, owner)), [2, 1]);
}

fn a_month_ends_by_the_time_of_receipt_and_the_clock_may_go_back(subject: &Subject) {
    let owner = subject.owner();
    let (last, first) = (at("2026-11-30T23:59:59.999999Z"), at("2026-12-01T00:00:00Z"));
    let send = |time, id| append(subject, &[with(1, owner, time, &[id])]).remove(0);
    assert_eq!(send(last, "a"), Ok(vec![Accepted]));
    assert_eq!(send(last, "b"), exceeded(1, 1));
    // One group on both sides of the end.
    let group = [
        with(1, owner, last, &["b"]),
        with(1, owner, first, &["b"]),
        with(1, owner, first, &["c"]),
    ];
    let full = Err(QuotaExceeded { limit: 1, used: 1, month: Month::of(first) });
    assert_eq!(append(subject, &group), [exceeded(1, 1), Ok(vec![Accepted]), full]);
    // The clock of a server goes back over the end of the month.
    assert_eq!(send(last, "d"), exceeded(1, 1));
    assert_eq!(send(last, "a"), Ok(vec![Duplicate]));
    assert_eq!(usage(subject, owner), 1);
    assert_eq!(subject.store.monthly_usage(owner.tenant_id, Month::of(first)).unwrap(), 1);
}

fn a_quota_may_be_lowered_below_what_is_used_and_raised_again(subject: &Subject) {
    let owner = subject.owner();
    let send = |quota, ids: &[&str]| append(subject, &[with(quota, owner, now(), ids)]).remove(0);
    assert_eq!(send(10, &["a", "b", "c"]), Ok(vec![Accepted; 3]));
    assert_eq!(send(2, &["d"]), exceeded(2, 3));
    assert_eq!(send(2, &["a"]), Ok(vec![Duplicate]));
    assert_eq!(send(4, &["d"]), Ok(vec![Accepted]));
    assert_eq!(send(4, &["e"]), exceeded(4, 4));
    assert_eq!(send(1_000_000_000_000, &["e", "f"]), Ok(vec![Accepted; 2]));
    assert_eq!(send(6, &["g"]), exceeded(6, 6));
    assert_eq!(usage(subject, owner), 6);
}

fn a_quota_that_comes_in_the_middle_of_a_month_counts_what_is_stored(subject: &Subject) {
    let owner = subject.owner();
    let send = |quota, ids: &[&str]| append(subject, &[with(quota, owner, now(), ids)]).remove(0);
    append(subject, &[with(0, owner, at("2026-10-31T23:59:59Z"), &["z"])]);
    assert_eq!(send(0, &["a", "b", "c"]), Ok(vec![Accepted; 3]));
    assert_eq!(usage(subject, owner), 3);
    assert_eq!(send(4, &["d", "e"]), exceeded(4, 3));
    assert_eq!(send(4, &["d"]), Ok(vec![Accepted]));
    // Without a quota nothing is counted; the next one begins with what is stored then.
    let set = |value| {
        subject.store.set_limits(owner.tenant_id, &[(LimitName::MonthlyEvents, value)]).unwrap()
    };
    set(None);
    assert_eq!(send(0, &["e", "f"]), Ok(vec![Accepted; 2]));
    set(Some(7));
    assert_eq!(send(7, &["g", "h"]), exceeded(7, 6));
    assert_eq!(send(7, &["g"]), Ok(vec![Accepted]));
    assert_eq!((usage(subject, owner), subject.count(owner)), (7, 8));
}

fn what_is_erased_stays_used_and_a_deleted_tenant_leaves_no_count(subject: &Subject) {
    let owner = subject.owner();
    let send = |ids: &[&str]| append(subject, &[with(3, owner, now(), ids)]).remove(0);
    let sweep = |removal: &Removal| {
        let mut place = None;
        loop {
            place = subject.store.remove_events(removal, now(), place.as_ref()).unwrap().next;
            if place.is_none() {
                break;
            }
        }
    };
    assert_eq!(send(&["a", "b", "c"]), Ok(vec![Accepted; 3]));
    sweep(&Removal::Person { tenant_id: owner.tenant_id, person: Person::User("u".into()) });
    assert_eq!((usage(subject, owner), subject.count(owner)), (3, 0));
    assert_eq!(send(&["d"]), exceeded(3, 3));
    assert_eq!(send(&["a"]), Ok(vec![Duplicate]));
    subject.store.begin_deletion(owner.tenant_id, now()).unwrap();
    sweep(&Removal::Tenant(owner.tenant_id));
    subject.store.finish_deletion(owner.tenant_id).unwrap();
    assert_eq!(usage(subject, owner), 0);
}

/// Batches of several sizes, some of them sent twice and some shared by two writers, from many threads at once.
fn many_writers_store_exactly_the_quota(subject: &Subject) {
    const THREADS: usize = 6;
    const QUOTA: u64 = 301;
    let (owner, free) = (subject.owner(), subject.owner());
    let answers = at_once(THREADS, |thread| {
        let mut accepted = 0;
        for round in 0..40 {
            // Every third batch is another thread's too.
            let number = if round % 3 == 0 { 0 } else { thread };
            let ids: Vec<String> =
                (0..1 + round % 5).map(|event| format!("{number}-{round}-{event}")).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let group = [with(QUOTA, owner, now(), &ids), with(0, free, now(), &ids)];
            let answers = append(subject, &group);
            assert!(answers[1].is_ok());
            if let Ok(outcomes) = &answers[0] {
                accepted += outcomes.iter().filter(|outcome| **outcome == Accepted).count() as u64;
            }
        }
        accepted
    });
    // One by one, what is left is used up to the last event, and not one more.
    let mut accepted: u64 = answers.iter().sum();
    for number in 0..10 {
        let id = format!("last-{number}");
        accepted += u64::from(append(subject, &[with(QUOTA, owner, now(), &[&id])])[0].is_ok());
    }
    assert_eq!(
        (accepted, usage(subject, owner), subject.count(owner) as u64),
        (QUOTA, QUOTA, QUOTA)
    );
}
