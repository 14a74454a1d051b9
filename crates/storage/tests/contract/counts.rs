//! Counts of stored events. They equal the rows at every moment, before and after the log is
//! summed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use mercurio_domain::limits::Month;
use mercurio_domain::store::{
    CountQuery, Deletion, EventCount, EventQuery, LeaseKind, Person, Provisioning, Removal,
};
use mercurio_domain::testing::{at, enriched, provisioning, submission};
use mercurio_domain::verdict::Outcome::{Accepted, Duplicate};
use mercurio_domain::{Owner, TenantId, Timestamp};

use crate::setup::{Subject, after, at_once, now};

on_every_store!(
    counts_equal_stored_events_before_and_after_summing,
    counts_are_selected_by_workspace_name_and_hours,
    duplicates_are_not_counted,
    usage_covers_all_workspaces_by_month_of_receipt,
    usage_is_returned_in_the_order_of_tenants,
    samples_of_a_new_tenant_are_counted,
    erased_and_expired_events_stay_counted,
    deleted_tenant_leaves_no_counts,
    counts_of_a_large_group_are_exact,
    many_writers_and_a_summing_server_count_exactly,
    leases_of_two_kinds_are_independent,
);

/// Selects all counts of a workspace.
fn always(owner: Owner) -> CountQuery {
    let (from, to) = (at("0000-01-01T00:00:00Z"), at("9999-12-31T23:00:00Z"));
    CountQuery { owner, event_name: None, from, to }
}

fn usage(subject: &Subject, owner: Owner, time: Timestamp) -> u64 {
    subject.store.usage(&[owner.tenant_id], Month::of(time)).unwrap()[0]
}

/// The counts computed from the stored events of a workspace.
fn counted_by_hand(subject: &Subject, owner: Owner) -> Vec<EventCount> {
    let mut counts = BTreeMap::new();
    let mut query = EventQuery { limit: 1_000, ..EventQuery::default() };
    loop {
        let page = subject.store.events(owner, &query).unwrap();
        for event in page.events {
            let key = (event.parts.event_name.to_string(), event.received_at.start_of_hour());
            *counts.entry(key).or_default() += 1;
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    let count = |((event_name, hour), accepted)| EventCount { event_name, hour, accepted };
    counts.into_iter().map(count).collect()
}

/// Checks the counts of the workspaces of a tenant without erased events.
#[track_caller]
pub(crate) fn check(subject: &Subject, owners: &[Owner]) {
    let mut by_month: BTreeMap<Month, u64> = BTreeMap::new();
    for owner in owners {
        let counts = subject.store.event_counts(&always(*owner)).unwrap();
        assert_eq!(counts, counted_by_hand(subject, *owner), "{owner:?}");
        for count in counts {
            *by_month.entry(Month::of(count.hour)).or_default() += count.accepted;
        }
    }
    for (month, accepted) in by_month {
        let used = subject.store.usage(&[owners[0].tenant_id], month).unwrap();
        assert_eq!(used, [accepted], "{month:?}");
    }
}

fn counts_equal_stored_events_before_and_after_summing(subject: &Subject) {
    let owner = subject.owner();
    let owners = [owner, subject.other_workspace(owner)];
    for (round, hours) in [0, 1, 1, 30 * 24].into_iter().enumerate() {
        let name = ["signed_up", "Größe", "a,b\"c}", "e"][round];
        let received_at = after(hours * 3_600);
        let mut group = Vec::new();
        for (index, owner) in owners.into_iter().enumerate() {
            let ids = [format!("{round} {index} a"), format!("{round} {index} b")];
            let ids = [&*ids[0], &*ids[1]];
            let mut submission = submission(owner, received_at, &ids);
            submission.events.push(enriched(&format!("{round} {index}"), name, received_at));
            group.push(submission);
        }
        subject.store.append(&group).unwrap();
        check(subject, &owners);
        if round % 2 == 1 {
            subject.store.sum_counts().unwrap();
            check(subject, &owners);
        }
    }
    subject.store.sum_counts().unwrap();
    check(subject, &owners);
    assert_eq!(subject.store.sum_counts().unwrap(), 0, "nothing is left to sum");
    assert_eq!(usage(subject, owner, now()), 18);
    assert_eq!(usage(subject, owner, at("2027-01-01T00:00:00Z")), 0);
}

/// The names and hours of the counts between two times, in seconds after [`now`].
fn select(
    subject: &Subject,
    owner: Owner,
    event_name: Option<&str>,
    from: i64,
    to: i64,
) -> Vec<(String, Timestamp)> {
    let event_name = event_name.map(str::to_owned);
    let query = CountQuery { owner, event_name, from: after(from), to: after(to) };
    let counts = subject.store.event_counts(&query).unwrap();
    counts.into_iter().map(|count| (count.event_name, count.hour)).collect()
}

fn counts_are_selected_by_workspace_name_and_hours(subject: &Subject) {
    let owner = subject.owner();
    for (number, hours) in [0, 1, 2].into_iter().enumerate() {
        let received_at = after(hours * 3_600);
        let mut submission = submission(owner, received_at, &[&format!("{number}")]);
        submission.events.push(enriched(&format!("{number} x"), "x", received_at));
        subject.append(submission);
        if number == 1 {
            subject.store.sum_counts().unwrap();
        }
    }
    let hour = |hours: i64| after(hours * 3_600).start_of_hour();
    let x = "x".to_owned();
    assert_eq!(
        select(subject, owner, Some("x"), -3_600, 9_000),
        [0, 1, 2].map(|hours| (x.clone(), hour(hours)))
    );
    assert_eq!(
        select(subject, owner, Some("x"), 0, 3_600),
        [(x.clone(), hour(1))],
        "by the start of the hour"
    );
    assert_eq!(
        select(subject, owner, None, 3_601, 7_201),
        [("e".to_owned(), hour(2)), (x, hour(2))]
    );
    assert_eq!(select(subject, owner, Some("y"), -3_600, 9_000), []);
    assert_eq!(subject.store.event_counts(&always(subject.other_workspace(owner))).unwrap(), []);
}

fn duplicates_are_not_counted(subject: &Subject) {
    let owner = subject.owner();
    let group = [submission(owner, now(), &["a", "b", "a"]), submission(owner, now(), &["b", "c"])];
    let first = [vec![Accepted, Accepted, Duplicate], vec![Duplicate, Accepted]];
    assert_eq!(subject.store.append(&group).unwrap(), first);
    assert_eq!(subject.store.append(&group).unwrap(), [vec![Duplicate; 3], vec![Duplicate; 2]]);
    check(subject, &[owner]);
    assert_eq!(usage(subject, owner, now()), 3);
    subject.append(submission(owner, after(3_600), &["a", "d"]));
    check(subject, &[owner]);
    subject.store.sum_counts().unwrap();
    check(subject, &[owner]);
    assert_eq!(usage(subject, owner, now()), 4);
}

fn usage_covers_all_workspaces_by_month_of_receipt(subject: &Subject) {
    let (owner, stranger) = (subject.owner(), subject.owner());
    let (last, first) = (at("2026-11-30T23:59:59.999999Z"), at("2026-12-01T00:00:00Z"));
    let group = [
        submission(owner, last, &["a", "b"]),
        submission(subject.other_workspace(owner), first, &["b", "c"]),
        submission(stranger, last, &["a"]),
    ];
    subject.store.append(&group).unwrap();
    for _ in 0..2 {
        assert_eq!((usage(subject, owner, last), usage(subject, owner, first)), (2, 1));
        assert_eq!((usage(subject, stranger, last), usage(subject, stranger, first)), (1, 0));
        subject.store.sum_counts().unwrap();
    }
}

fn usage_is_returned_in_the_order_of_tenants(subject: &Subject) {
    let owners = [subject.owner(), subject.owner(), subject.owner()];
    for (owner, ids) in owners.into_iter().zip([&["a"][..], &["a", "b"], &["a", "b", "c"]]) {
        subject.append(submission(owner, now(), ids));
    }
    let [one, two, three] = owners.map(|owner| owner.tenant_id);
    for _ in 0..2 {
        let of = |tenants: &[TenantId]| subject.store.usage(tenants, Month::of(now())).unwrap();
        assert_eq!(of(&[three, TenantId(4_711), one, two]), [3, 0, 1, 2]);
        assert_eq!(of(&[two, two]), [2, 2]);
        assert_eq!(of(&[]), [0; 0]);
        subject.store.sum_counts().unwrap();
    }
}

fn samples_of_a_new_tenant_are_counted(subject: &Subject) {
    let samples = vec![enriched("a", "sample", now()), enriched("b", "sample", now())];
    let request = Provisioning { samples, ..provisioning("With samples", 200, now()).0 };
    let owner = subject.store.provision(&request).unwrap().api_key.owner;
    check(subject, &[owner]);
    assert_eq!(usage(subject, owner, now()), 2);
}

fn remove(subject: &Subject, removal: &Removal) {
    let mut from = None;
    loop {
        from = subject.store.remove_events(removal, now(), from.as_ref()).unwrap().next;
        if from.is_none() {
            break;
        }
    }
}

fn erased_and_expired_events_stay_counted(subject: &Subject) {
    let owner = subject.owner();
    let (old, tenant_id) = (at("2026-11-01T10:00:00Z"), owner.tenant_id);
    subject.append(submission(owner, now(), &["a", "b", "c"]));
    subject.append(submission(owner, old, &["d"]));
    subject.store.sum_counts().unwrap();
    let before = at("2026-11-02T00:00:00Z");
    remove(subject, &Removal::Received { tenant_id: None, before });
    remove(subject, &Removal::Person { tenant_id, person: Person::User("u".into()) });
    assert_eq!((subject.count(owner), usage(subject, owner, now())), (0, 4));
    let counts = subject.store.event_counts(&always(owner)).unwrap();
    assert_eq!(counts.iter().map(|count| count.accepted).collect::<Vec<_>>(), [1, 3]);
}

fn deleted_tenant_leaves_no_counts(subject: &Subject) {
    let (owner, stays) = (subject.owner(), subject.owner());
    for owner in [owner, stays] {
        subject.append(submission(owner, now(), &["a"]));
        subject.store.sum_counts().unwrap();
        // In the log, where there is one.
        subject.append(submission(owner, after(3_600), &["b"]));
    }
    subject.store.begin_deletion(Deletion::Tenant(owner.tenant_id), now()).unwrap();
    remove(subject, &Removal::All(Deletion::Tenant(owner.tenant_id)));
    subject.store.finish_deletion(Deletion::Tenant(owner.tenant_id)).unwrap().unwrap();
    subject.store.sum_counts().unwrap();
    assert_eq!((usage(subject, owner, now()), usage(subject, stays, now())), (0, 2));
    assert_eq!(subject.store.event_counts(&always(owner)).unwrap(), []);
    check(subject, &[stays]);
}

fn counts_of_a_large_group_are_exact(subject: &Subject) {
    let owner = subject.owner();
    let mut group = Vec::new();
    for part in 0..40 {
        let received_at = after(part % 7 * 3_600);
        let mut submission = submission(owner, received_at, &[]);
        for number in 0..50 {
            let name = format!("name {}", number % 23);
            submission.events.push(enriched(&format!("{part} {number}"), &name, received_at));
        }
        group.push(submission);
    }
    subject.store.append(&group).unwrap();
    check(subject, &[owner]);
    subject.store.sum_counts().unwrap();
    check(subject, &[owner]);
    assert_eq!(usage(subject, owner, now()), 2_000);
}

fn sum_until(subject: &Subject, is_over: &AtomicBool) {
    while !is_over.load(Ordering::SeqCst) {
        subject.store.sum_counts().unwrap();
    }
}

/// Checks that usage never falls. A reader must not miss a group while it moves into the tables.
fn check_growing(subject: &Subject, tenants: [TenantId; 2], month: Month, is_over: &AtomicBool) {
    let mut last = vec![0, 0];
    while !is_over.load(Ordering::SeqCst) {
        let usage = subject.store.usage(&tenants, month).unwrap();
        assert!(usage[0] >= last[0] && usage[1] >= last[1], "{usage:?} after {last:?}");
        last = usage;
    }
}

/// Appends batches of both tenants, and returns the events accepted of the first.
fn write_batches(subject: &Subject, owners: [Owner; 2], thread: usize) -> u64 {
    let mut accepted = 0;
    for round in 0..40 {
        // Every third batch has ids that all threads send.
        let number = if round % 3 == 0 { 0 } else { thread };
        let ids: Vec<String> =
            (0..1 + round % 5).map(|event| format!("{number}-{round}-{event}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let group = owners.map(|owner| submission(owner, now(), &ids));
        let outcomes = subject.store.append(&group).unwrap();
        accepted += outcomes[0].iter().filter(|outcome| **outcome == Accepted).count() as u64;
    }
    accepted
}

/// Writers send batches of several sizes, some of them twice, while one thread sums without a pause
/// and another reads.
fn many_writers_and_a_summing_server_count_exactly(subject: &Subject) {
    const WRITERS: usize = 5;
    let (owner, other) = (subject.owner(), subject.owner());
    let (is_over, month) = (AtomicBool::new(false), Month::of(now()));
    let accepted: u64 = std::thread::scope(|scope| {
        scope.spawn(|| sum_until(subject, &is_over));
        scope.spawn(|| check_growing(subject, [owner.tenant_id, other.tenant_id], month, &is_over));
        let writers = at_once(WRITERS, |thread| write_batches(subject, [owner, other], thread));
        is_over.store(true, Ordering::SeqCst);
        writers.iter().sum()
    });
    assert_eq!(usage(subject, owner, now()), accepted);
    check(subject, &[owner]);
    check(subject, &[other]);
    subject.store.sum_counts().unwrap();
    check(subject, &[owner]);
    check(subject, &[other]);
}

fn leases_of_two_kinds_are_independent(subject: &Subject) {
    let retention = subject.store.lease(LeaseKind::Retention).unwrap();
    let counts = subject.store.lease(LeaseKind::Counts).unwrap();
    for mut lease in [retention, counts].map(Option::unwrap) {
        lease.hold().unwrap();
    }
}
