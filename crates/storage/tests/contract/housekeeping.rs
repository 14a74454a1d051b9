//! Bulk removal: the rows removed and kept, and restarting after an interruption.

use mercurio_domain::event::EventDraft;
use mercurio_domain::store::{
    Deletion, EventQuery, KeySelection, Person, Removal, Submission, TenantRef,
};
use mercurio_domain::tenant::TenantStatus;
use mercurio_domain::testing::{at, submission};
use mercurio_domain::verdict::Outcome;
use mercurio_domain::{EventId, Owner, TenantId, Timestamp};

use crate::setup::{Subject, after, draft, event, now};

on_every_store! {
    tenant_deletion_removes_its_rows_only,
    removal_takes_several_steps,
    interrupted_removal_is_restarted,
    events_of_year_zero_are_removed,
    removal_of_a_person_keeps_the_keys,
    keys_of_old_events_are_kept_for_thirty_days,
    tenant_not_marked_for_deletion_stays,
    tenant_being_deleted_cannot_be_resumed,
}

/// The totals of a removal.
struct RemovalTotals {
    events: u64,
    keys: u64,
    steps: usize,
}

/// Removes all matching events, step by step.
fn remove(subject: &Subject, which: &Removal) -> RemovalTotals {
    let mut totals = RemovalTotals { events: 0, keys: 0, steps: 0 };
    let mut from = None;
    loop {
        let removed = subject.store.remove_events(which, now(), from.as_ref()).unwrap();
        totals.events += removed.events;
        totals.keys += removed.keys;
        totals.steps += 1;
        // A cursor that does not advance would loop forever.
        assert!(totals.steps < 10_000);
        match removed.next {
            Some(next) => from = Some(next),
            None => return totals,
        }
    }
}

fn append_many(subject: &Subject, owner: Owner, count: usize) {
    let ids: Vec<String> = (0..count).map(|number| format!("event {number}")).collect();
    for (day, ids) in ids.chunks(1_000).enumerate() {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        // Two days, so that PostgreSQL has two partitions.
        let day = i64::try_from(day % 2).unwrap();
        subject.append(submission(owner, after(day * 86_400), &ids));
    }
}

fn tenant_deletion_removes_its_rows_only(subject: &Subject) {
    let (gone, stays) = (subject.owner(), subject.owner());
    for owner in [gone, stays, subject.other_workspace(gone)] {
        subject.append(submission(owner, now(), &["a", "b", "c"]));
        subject.append(submission(owner, after(86_400), &["d"]));
    }
    let store = &subject.store;
    let since = store.begin_deletion(Deletion::Tenant(gone.tenant_id), now()).unwrap();
    assert_eq!(since, Some(now()));
    assert_eq!(
        store.begin_deletion(Deletion::Tenant(gone.tenant_id), after(5)).unwrap(),
        since,
        "the first call's time is kept"
    );
    // The other workspace sent the same ids, which are duplicates.
    let RemovalTotals { events, keys, .. } =
        remove(subject, &Removal::All(Deletion::Tenant(gone.tenant_id)));
    assert_eq!((events, keys), (4, 4));
    let rows = store.finish_deletion(Deletion::Tenant(gone.tenant_id)).unwrap().unwrap();
    assert_eq!((rows.events, rows.event_keys, rows.workspaces, rows.api_keys), (4, 4, 2, 1));
    assert_eq!(store.tenant(&TenantRef::Id(gone.tenant_id)).unwrap(), None);
    assert!(store.api_keys(&KeySelection::Tenant(gone.tenant_id)).unwrap().is_empty());
    assert!(store.workspaces(gone.tenant_id).unwrap().is_empty());
    assert_eq!(store.finish_deletion(Deletion::Tenant(gone.tenant_id)).unwrap(), None);
    assert_eq!(subject.count(gone), 0);
    assert_eq!((subject.count(stays), store.count_events(stays).unwrap()), (4, 4));
    assert_eq!(subject.append(submission(stays, now(), &["a"])), [Outcome::Duplicate]);
    assert_eq!(
        subject.append(submission(gone, now(), &["a"])),
        [Outcome::Accepted],
        "its keys are gone"
    );
}

fn removal_takes_several_steps(subject: &Subject) {
    let owner = subject.owner();
    // More than two steps of 5,000 rows.
    append_many(subject, owner, 11_000);
    assert_eq!(subject.store.count_events(owner).unwrap(), 11_000);
    let RemovalTotals { events, keys, steps } =
        remove(subject, &Removal::All(Deletion::Tenant(owner.tenant_id)));
    assert_eq!((events, keys), (11_000, 11_000));
    assert!(steps >= 3, "{steps}");
    assert_eq!(subject.store.count_events(owner).unwrap(), 0);
}

fn interrupted_removal_is_restarted(subject: &Subject) {
    let owner = subject.owner();
    append_many(subject, owner, 6_000);
    let which = Removal::All(Deletion::Tenant(owner.tenant_id));
    let first = subject.store.remove_events(&which, now(), None).unwrap();
    assert!(first.next.is_some());
    let RemovalTotals { events, keys, .. } = remove(subject, &which);
    assert_eq!((events + first.events, keys + first.keys), (6_000, 6_000));
    let again = remove(subject, &which);
    assert_eq!((again.events, again.keys), (0, 0), "nothing is left");
    subject.store.begin_deletion(Deletion::Tenant(owner.tenant_id), now()).unwrap();
    let rows = subject.store.finish_deletion(Deletion::Tenant(owner.tenant_id)).unwrap().unwrap();
    assert_eq!(
        (rows.events, rows.event_keys),
        (6_000, 6_000),
        "steps before the interruption are counted"
    );
}

fn events_of_year_zero_are_removed(subject: &Subject) {
    for which in [
        |tenant_id| Removal::All(Deletion::Tenant(tenant_id)),
        |tenant_id| Removal::Person { tenant_id, person: Person::User("u".to_owned()) },
    ] {
        let owner = subject.owner();
        for thousand in 0..6 {
            let ids: Vec<String> =
                (0..1_000).map(|number| format!("{thousand} {number}")).collect();
            let mut events = Vec::new();
            for id in &ids {
                // The earliest time a cursor must hold, before PostgreSQL's and Unix's epochs.
                let timestamp = Some("0000-01-01T00:00:00Z".into());
                events.push(event(EventDraft { timestamp, ..draft(id) }, now()));
            }
            subject.append(Submission { owner, received_at: now(), events });
        }
        assert_eq!(remove(subject, &which(owner.tenant_id)).events, 6_000);
        assert_eq!(subject.store.count_events(owner).unwrap(), 0);
    }
}

fn of_person<'a>(
    event_id: &'a str,
    user_id: Option<&'a str>,
    anonymous_id: Option<&'a str>,
) -> EventDraft<'a> {
    EventDraft {
        user_id: user_id.map(Into::into),
        anonymous_id: anonymous_id.map(Into::into),
        ..draft(event_id)
    }
}

/// Appends events of two persons and a device.
fn append_persons(subject: &Subject, owner: Owner) -> Vec<Outcome> {
    let drafts = [
        of_person("of u", Some("u"), None),
        of_person("of u too", Some("u"), Some("device")),
        of_person("of the device", None, Some("device")),
        // Differs in case only.
        of_person("of another", Some("U"), None),
    ];
    let events = drafts.map(|draft| event(draft, now())).into();
    subject.append(Submission { owner, received_at: now(), events })
}

fn removal_of_a_person_keeps_the_keys(subject: &Subject) {
    let (owner, other) = (subject.owner(), subject.owner());
    append_persons(subject, owner);
    append_persons(subject, other);
    let user = Person::User("u".to_owned());
    let RemovalTotals { events, keys, .. } =
        remove(subject, &Removal::Person { tenant_id: owner.tenant_id, person: user });
    assert_eq!((events, keys), (2, 0));
    let mut left = subject.event_ids(owner, &EventQuery::default());
    left.sort();
    assert_eq!(left, ["of another", "of the device"]);
    assert_eq!(subject.count(other), 4);
    assert_eq!(subject.store.event(owner, &EventId::lookup("of u")).unwrap(), None);
    assert!(subject.store.event(owner, &EventId::lookup("of another")).unwrap().is_some());
    assert_eq!(
        append_persons(subject, owner),
        [Outcome::Duplicate; 4],
        "erased events are not accepted again"
    );
    let device = Person::Anonymous("device".to_owned());
    let which = Removal::Person { tenant_id: owner.tenant_id, person: device };
    assert_eq!(remove(subject, &which).events, 1);
    assert_eq!(remove(subject, &which).events, 0);
    assert_eq!(subject.store.count_events(owner).unwrap(), 1);
    // The keys of the erased events are removed with the tenant.
    let RemovalTotals { events, keys, .. } =
        remove(subject, &Removal::All(Deletion::Tenant(owner.tenant_id)));
    assert_eq!((events, keys), (1, 4));
}

fn tenant_not_marked_for_deletion_stays(subject: &Subject) {
    let owner = subject.owner();
    assert_eq!(subject.store.finish_deletion(Deletion::Tenant(owner.tenant_id)).unwrap(), None);
    assert!(subject.store.tenant(&TenantRef::Id(owner.tenant_id)).unwrap().is_some());
    let unknown = TenantId(4_711);
    assert_eq!(subject.store.begin_deletion(Deletion::Tenant(unknown), now()).unwrap(), None);
    assert_eq!(remove(subject, &Removal::All(Deletion::Tenant(unknown))).events, 0);
}

fn tenant_being_deleted_cannot_be_resumed(subject: &Subject) {
    let owner = subject.owner();
    subject.store.begin_deletion(Deletion::Tenant(owner.tenant_id), now()).unwrap();
    let resumed = subject.store.suspend_tenant(owner.tenant_id, false).unwrap().unwrap();
    assert_eq!(resumed.status, TenantStatus::Deleting);
    let keys = subject.store.api_keys(&KeySelection::Tenant(owner.tenant_id)).unwrap();
    assert!(keys.iter().all(|found| found.key.tenant_status == TenantStatus::Deleting));
    assert!(!keys.is_empty());
}

fn days_before(time: Timestamp, days: i64) -> Timestamp {
    time.checked_add_micros(-days * 86_400_000_000).unwrap()
}

fn append_at(subject: &Subject, owner: Owner, id: &str, received_at: Timestamp) -> Outcome {
    let events = vec![event(draft(id), received_at)];
    subject.append(Submission { owner, received_at, events })[0]
}

fn keys_of_old_events_are_kept_for_thirty_days(subject: &Subject) {
    let midnight = at("2026-12-01T00:00:00Z");
    let (owner, other) = (subject.owner(), subject.owner());
    let ids = ["of 40 days", "of 31 days", "of a day", "of midnight"];
    for owner in [owner, other] {
        // Keys stay 30 days longer than events: 40 and 31 days lie beyond, 1 and 0 within.
        for (id, days) in ids.into_iter().zip([40, 31, 1, 0]) {
            assert_eq!(
                append_at(subject, owner, id, days_before(midnight, days)),
                Outcome::Accepted
            );
        }
    }
    // Only one tenant's events older than 5 days.
    let of_one =
        Removal::Received { tenant_id: Some(owner.tenant_id), before: days_before(midnight, 5) };
    let RemovalTotals { events, keys, .. } = remove(subject, &of_one);
    assert_eq!((events, keys), (2, 1));
    assert_eq!((subject.count(owner), subject.count(other)), (2, 4));
    // The events of all tenants, by whole days.
    let of_all = Removal::Received { tenant_id: None, before: midnight };
    let RemovalTotals { events, keys, .. } = remove(subject, &of_all);
    assert_eq!((events, keys), (4, 3));
    for owner in [owner, other] {
        assert_eq!(subject.event_ids(owner, &EventQuery::default()), ["of midnight"]);
        assert_eq!(
            append_at(subject, owner, "of a day", midnight),
            Outcome::Duplicate,
            "its key is a day old"
        );
        assert_eq!(append_at(subject, owner, "of midnight", midnight), Outcome::Duplicate);
        assert_eq!(
            append_at(subject, owner, "of 40 days", midnight),
            Outcome::Accepted,
            "its key has gone too"
        );
    }
    assert_eq!(remove(subject, &of_all).events, 0);
}
