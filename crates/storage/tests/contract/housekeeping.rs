//! Removing many events: what goes, what stays, and that it can be cut off and begun again.

use mercurio_domain::Owner;
use mercurio_domain::event::EventDraft;
use mercurio_domain::store::{EventQuery, Person, Removal, Removed, Submission, TenantRef};
use mercurio_domain::tenant::TenantStatus;
use mercurio_domain::testing::{at, submission};
use mercurio_domain::verdict::Outcome;

use crate::setup::{Subject, after, draft, event, now, other_workspace};

on_every_store! {
    a_tenant_goes_with_everything_of_its_own_and_nothing_of_others,
    a_removal_takes_as_many_steps_as_it_needs,
    a_removal_that_was_cut_off_is_begun_again,
    events_of_the_first_time_there_is_go_like_all_others,
    a_person_goes_and_the_keys_stay,
    old_events_go_and_their_keys_outlive_them_by_thirty_days,
    a_tenant_that_nobody_began_to_delete_stays,
    a_tenant_that_is_being_deleted_is_served_no_more,
}

/// Removes to the end; the sum of all steps, and how many there were.
fn remove(subject: &Subject, which: &Removal) -> (u64, u64, usize) {
    let (mut events, mut keys, mut steps) = (0, 0, 0);
    let mut from = None;
    loop {
        let Removed { events: more_events, keys: more_keys, next } =
            subject.store.remove_events(which, now(), from.as_ref()).unwrap();
        (events, keys, steps) = (events + more_events, keys + more_keys, steps + 1);
        assert!(steps < 10_000);
        match next {
            Some(next) => from = Some(next),
            None => return (events, keys, steps),
        }
    }
}

fn append_many(subject: &Subject, owner: Owner, count: usize) {
    let ids: Vec<String> = (0..count).map(|number| format!("event {number}")).collect();
    for (day, ids) in ids.chunks(1_000).enumerate() {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let day = i64::try_from(day % 2).unwrap();
        subject.append(submission(owner, after(day * 86_400), &ids));
    }
}

fn a_tenant_goes_with_everything_of_its_own_and_nothing_of_others(subject: &Subject) {
    let (gone, stays) = (subject.owner(), subject.owner());
    for owner in [gone, stays, other_workspace(gone)] {
        subject.append(submission(owner, now(), &["a", "b", "c"]));
        subject.append(submission(owner, after(86_400), &["d"]));
    }
    let store = &subject.store;
    let since = store.begin_deletion(gone.tenant_id, now()).unwrap();
    assert_eq!(since, Some(now()));
    assert_eq!(
        store.begin_deletion(gone.tenant_id, after(5)).unwrap(),
        since,
        "the first time counts"
    );
    // The other workspace sent what the first had sent already.
    let (events, keys, _) = remove(subject, &Removal::Tenant(gone.tenant_id));
    assert_eq!((events, keys), (4, 4));
    let rows = store.finish_deletion(gone.tenant_id).unwrap().unwrap();
    assert_eq!((rows.events, rows.event_keys, rows.workspaces, rows.api_keys), (4, 4, 1, 1));
    assert_eq!(store.tenant(&TenantRef::Id(gone.tenant_id)).unwrap(), None);
    assert!(store.api_keys(gone.tenant_id).unwrap().is_empty());
    assert!(store.workspaces(gone.tenant_id).unwrap().is_empty());
    assert_eq!(store.finish_deletion(gone.tenant_id).unwrap(), None);
    assert_eq!(subject.count(gone), 0);
    assert_eq!((subject.count(stays), store.count_events(stays).unwrap()), (4, 4));
    assert_eq!(subject.append(submission(stays, now(), &["a"])), [Outcome::Duplicate]);
    assert_eq!(
        subject.append(submission(gone, now(), &["a"])),
        [Outcome::Accepted],
        "its keys are gone"
    );
}

fn a_removal_takes_as_many_steps_as_it_needs(subject: &Subject) {
    let owner = subject.owner();
    append_many(subject, owner, 11_000);
    assert_eq!(subject.store.count_events(owner).unwrap(), 11_000);
    let (events, keys, steps) = remove(subject, &Removal::Tenant(owner.tenant_id));
    assert_eq!((events, keys), (11_000, 11_000));
    assert!(steps >= 3, "{steps}");
    assert_eq!(subject.store.count_events(owner).unwrap(), 0);
}

fn a_removal_that_was_cut_off_is_begun_again(subject: &Subject) {
    let owner = subject.owner();
    append_many(subject, owner, 6_000);
    let which = Removal::Tenant(owner.tenant_id);
    let first = subject.store.remove_events(&which, now(), None).unwrap();
    assert!(first.next.is_some());
    let (events, keys, _) = remove(subject, &which);
    assert_eq!((events + first.events, keys + first.keys), (6_000, 6_000));
    assert_eq!(
        remove(subject, &which),
        (0, 0, remove(subject, &which).2),
        "and there is nothing left"
    );
    subject.store.begin_deletion(owner.tenant_id, now()).unwrap();
    let rows = subject.store.finish_deletion(owner.tenant_id).unwrap().unwrap();
    assert_eq!((rows.events, rows.event_keys), (6_000, 6_000), "those before the cut are counted");
}

fn events_of_the_first_time_there_is_go_like_all_others(subject: &Subject) {
    for which in [Removal::Tenant, |tenant_id| Removal::Person {
        tenant_id,
        person: Person::User("u".to_owned()),
    }] {
        let owner = subject.owner();
        for thousand in 0..6 {
            let ids: Vec<String> =
                (0..1_000).map(|number| format!("{thousand} {number}")).collect();
            let of_year_0 = |id: &String| {
                let timestamp = Some("0000-01-01T00:00:00Z".into());
                event(EventDraft { timestamp, ..draft(id) }, now())
            };
            let events = ids.iter().map(of_year_0).collect();
            subject.append(Submission { owner, received_at: now(), events });
        }
        assert_eq!(remove(subject, &which(owner.tenant_id)).0, 6_000);
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

fn a_person_goes_and_the_keys_stay(subject: &Subject) {
    let (owner, other) = (subject.owner(), subject.owner());
    let send = |owner: Owner| {
        let drafts = [
            of_person("of u", Some("u"), None),
            of_person("of u too", Some("u"), Some("device")),
            of_person("of the device", None, Some("device")),
            of_person("of another", Some("U"), None),
        ];
        let events = drafts.map(|draft| event(draft, now())).into();
        subject.append(Submission { owner, received_at: now(), events })
    };
    send(owner);
    send(other);
    let user = Person::User("u".to_owned());
    let (events, keys, _) =
        remove(subject, &Removal::Person { tenant_id: owner.tenant_id, person: user });
    assert_eq!((events, keys), (2, 0));
    let mut left = subject.walk(owner, &EventQuery::default());
    left.sort();
    assert_eq!(left, ["of another", "of the device"]);
    assert_eq!(subject.count(other), 4);
    let lookup =
        |id: &str| subject.store.event(owner, &mercurio_domain::EventId::lookup(id)).unwrap();
    assert_eq!((lookup("of u"), lookup("of another").is_some()), (None, true));
    assert_eq!(send(owner), [Outcome::Duplicate; 4], "what was erased does not come back");
    let device = Person::Anonymous("device".to_owned());
    let which = Removal::Person { tenant_id: owner.tenant_id, person: device };
    assert_eq!(remove(subject, &which).0, 1);
    assert_eq!(remove(subject, &which).0, 0);
    assert_eq!(subject.store.count_events(owner).unwrap(), 1);
    // What is left of the erased ones goes with the tenant.
    let (events, keys, _) = remove(subject, &Removal::Tenant(owner.tenant_id));
    assert_eq!((events, keys), (1, 4));
}

fn a_tenant_that_nobody_began_to_delete_stays(subject: &Subject) {
    let owner = subject.owner();
    assert_eq!(subject.store.finish_deletion(owner.tenant_id).unwrap(), None);
    assert!(subject.store.tenant(&TenantRef::Id(owner.tenant_id)).unwrap().is_some());
    let nobody = mercurio_domain::TenantId(4_711);
    assert_eq!(subject.store.begin_deletion(nobody, now()).unwrap(), None);
    assert_eq!(remove(subject, &Removal::Tenant(nobody)).0, 0);
}

fn a_tenant_that_is_being_deleted_is_served_no_more(subject: &Subject) {
    let owner = subject.owner();
    subject.store.begin_deletion(owner.tenant_id, now()).unwrap();
    let resumed = subject.store.suspend_tenant(owner.tenant_id, false).unwrap().unwrap();
    assert_eq!(resumed.status, TenantStatus::Deleting);
    let keys = subject.store.api_keys(owner.tenant_id).unwrap();
    assert!(keys.iter().all(|key| key.tenant_status == TenantStatus::Deleting));
    assert!(!keys.is_empty());
}

fn old_events_go_and_their_keys_outlive_them_by_thirty_days(subject: &Subject) {
    const DAY: i64 = 86_400;
    let midnight = at("2026-12-01T00:00:00Z");
    let days_before = |days: i64| midnight.checked_add_micros(-days * DAY * 1_000_000).unwrap();
    let (owner, other) = (subject.owner(), subject.owner());
    let ids = ["of 40 days", "of 31 days", "of a day", "of midnight"];
    let send = |owner: Owner, id: &'static str, days: i64| {
        let received_at = days_before(days);
        let events = vec![event(draft(id), received_at)];
        subject.append(Submission { owner, received_at, events })[0]
    };
    for owner in [owner, other] {
        for (id, days) in ids.into_iter().zip([40, 31, 1, 0]) {
            assert_eq!(send(owner, id, days), Outcome::Accepted);
        }
    }
    // One tenant's alone, and of those only what is older.
    let of_one = Removal::Received { tenant_id: Some(owner.tenant_id), before: days_before(5) };
    let (events, keys, _) = remove(subject, &of_one);
    assert_eq!((events, keys), (2, 1));
    assert_eq!((subject.count(owner), subject.count(other)), (2, 4));
    // Everybody's, by whole days.
    let of_all = Removal::Received { tenant_id: None, before: midnight };
    let (events, keys, _) = remove(subject, &of_all);
    assert_eq!((events, keys), (4, 3));
    for owner in [owner, other] {
        assert_eq!(subject.walk(owner, &EventQuery::default()), ["of midnight"]);
        assert_eq!(send(owner, "of a day", 0), Outcome::Duplicate, "a key of a day before");
        assert_eq!(send(owner, "of midnight", 0), Outcome::Duplicate);
        assert_eq!(send(owner, "of 40 days", 0), Outcome::Accepted, "its key has gone too");
    }
    assert_eq!(remove(subject, &of_all).0, 0);
}
