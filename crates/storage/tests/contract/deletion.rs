//! Deleting a workspace: what goes with it and what stays, its keys, its counts and its totals.

use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey, Scopes};
use mercurio_domain::limits::Month;
use mercurio_domain::store::{
    Backend, CountQuery, CreateError, DeletedRows, Deletion, EventCount, KeyRequest, KeySelection,
    Person, Removal, RemovalCounts, TenantRef,
};
use mercurio_domain::tenant::Name;
use mercurio_domain::testing::{at, submission};
use mercurio_domain::verdict::Outcome::{Accepted, Duplicate};
use mercurio_domain::{ApiKeyId, Owner, Timestamp};

use crate::setup::{Subject, after, at_once, now};

on_every_store! {
    workspace_deletion_removes_its_rows_only,
    keys_of_a_workspace_being_deleted_are_revoked,
    key_created_while_a_deletion_begins_is_revoked,
    large_workspace_is_removed_in_steps_beside_another,
    keys_of_erased_events_go_with_their_workspace,
    deleted_workspace_leaves_usage_but_no_counts,
    workspace_of_another_tenant_is_not_deleted,
    workspace_not_marked_for_deletion_stays,
    tenant_deletion_includes_a_workspace_being_deleted,
    removal_is_counted_exactly_beforehand,
}

/// Creates a key of the workspace.
fn add_key(subject: &Subject, owner: Owner, seed: u8) -> Result<ApiKeyId, CreateError> {
    let new = NewApiKey::generate(&[seed; ENTROPY_BYTES]);
    let name = Name::parse("another").unwrap();
    let request = KeyRequest::new(owner, &new, name, Scopes::all(), now());
    subject.store.create_api_key(&request).map(|key| key.id)
}

fn revoked_at(subject: &Subject, id: &ApiKeyId) -> Option<Timestamp> {
    subject.store.find_api_key(id).unwrap().unwrap().revoked_at
}

/// Removes everything selected, step by step.
pub(crate) fn remove(subject: &Subject, which: &Removal) -> RemovalCounts {
    let mut removed = RemovalCounts::default();
    let mut from = None;
    for _ in 0..10_000 {
        let step = subject.store.remove_events(which, now(), from.as_ref()).unwrap();
        removed.events += step.events;
        removed.keys += step.keys;
        removed.rejections += step.rejections;
        match step.next {
            Some(next) => from = Some(next),
            None => return removed,
        }
    }
    panic!("a cursor that does not advance");
}

fn workspace_deletion_removes_its_rows_only(subject: &Subject) {
    let (kept, stranger) = (subject.owner(), subject.owner());
    let gone = subject.other_workspace(kept);
    let store = &subject.store;
    add_key(subject, gone, 100).unwrap();
    add_key(subject, gone, 101).unwrap();
    subject.append(submission(gone, now(), &["a", "b", "c"]));
    subject.append(submission(gone, after(86_400), &["d"]));
    subject.append(submission(kept, now(), &["e", "f"]));
    subject.append(submission(stranger, now(), &["a", "b"]));

    let deletion = Deletion::Workspace(gone);
    assert_eq!(store.begin_deletion(deletion, now()).unwrap(), Some(now()));
    // The first call's time is kept.
    assert_eq!(store.begin_deletion(deletion, after(5)).unwrap(), Some(now()));
    let shown = store.workspaces(gone.tenant_id).unwrap();
    assert_eq!(shown.iter().map(|shown| shown.is_deleting).collect::<Vec<_>>(), [false, true]);
    assert_eq!(
        remove(subject, &Removal::All(deletion)),
        RemovalCounts { events: 4, keys: 4, rejections: 0 }
    );
    let rows = DeletedRows { events: 4, event_keys: 4, rejections: 0, workspaces: 1, api_keys: 2 };
    assert_eq!(store.finish_deletion(deletion).unwrap(), Some(rows));
    assert_eq!(store.finish_deletion(deletion).unwrap(), None);
    assert_eq!(store.begin_deletion(deletion, now()).unwrap(), None);

    let left = store.workspaces(gone.tenant_id).unwrap();
    assert_eq!(left.iter().map(|left| left.id).collect::<Vec<_>>(), [kept.workspace_id]);
    assert_eq!(store.api_keys(&KeySelection::Tenant(gone.tenant_id)).unwrap().len(), 1);
    assert_eq!((subject.count(gone), store.count_events(gone).unwrap()), (0, 0));
    assert_eq!((subject.count(kept), subject.count(stranger)), (2, 2));
    // The ids of its events are forgotten, and only those.
    assert_eq!(subject.append(submission(kept, now(), &["a", "e"])), [Accepted, Duplicate]);
    assert_eq!(subject.append(submission(stranger, now(), &["a"])), [Duplicate]);
    // Its name is free, and its id is not used again.
    assert_ne!(subject.other_workspace(kept).workspace_id, gone.workspace_id);
}

fn keys_of_a_workspace_being_deleted_are_revoked(subject: &Subject) {
    let kept = subject.owner();
    let gone = subject.other_workspace(kept);
    let kept_key = add_key(subject, kept, 100).unwrap();
    let (key, ended) = (add_key(subject, gone, 101).unwrap(), add_key(subject, gone, 102).unwrap());
    subject.store.revoke_api_key(&ended, after(-60)).unwrap();
    subject.store.begin_deletion(Deletion::Workspace(gone), now()).unwrap();
    assert_eq!(revoked_at(subject, &key), Some(now()));
    assert_eq!(revoked_at(subject, &ended), Some(after(-60)), "the earlier time is evidence");
    assert_eq!(revoked_at(subject, &kept_key), None);
    let listed = subject.store.api_keys(&KeySelection::Key(key)).unwrap();
    assert_eq!(listed[0].key.revoked_at, Some(now()));
    assert!(matches!(add_key(subject, gone, 103), Err(CreateError::NoOwner)));
}

fn key_created_while_a_deletion_begins_is_revoked(subject: &Subject) {
    for round in 0..10_u8 {
        let owner = subject.owner();
        let made = at_once(2, |thread| {
            if thread == 0 {
                return Some(add_key(subject, owner, 100 + round));
            }
            subject.store.begin_deletion(Deletion::Workspace(owner), now()).unwrap();
            None
        });
        match made.into_iter().next().flatten().unwrap() {
            Ok(id) => assert_eq!(revoked_at(subject, &id), Some(now())),
            Err(error) => assert!(matches!(error, CreateError::NoOwner), "{error:?}"),
        }
    }
}

fn large_workspace_is_removed_in_steps_beside_another(subject: &Subject) {
    // More than a step: 5,000 rows of a database, two of the store in memory.
    let part = if subject.store.backend() == Backend::Memory { 10 } else { 1_000 };
    let events = 6 * part;
    let kept = subject.owner();
    let gone = subject.other_workspace(kept);
    for (round, day) in [0, 1, 0, 1, 0, 0].into_iter().enumerate() {
        for owner in [kept, gone] {
            let workspace_id = owner.workspace_id;
            let ids: Vec<String> =
                (0..part).map(|number| format!("{workspace_id} {round} {number}")).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            // Two days, so that PostgreSQL has two partitions.
            subject.append(submission(owner, after(day * 86_400), &ids));
        }
    }
    let deletion = Deletion::Workspace(gone);
    let which = Removal::All(deletion);
    // Interrupted after its first step, and begun again.
    subject.store.begin_deletion(deletion, now()).unwrap();
    let first = subject.store.remove_events(&which, now(), None).unwrap();
    assert!(first.next.is_some() && (1..events).contains(&first.events), "{first:?}");
    let removed = remove(subject, &which);
    assert_eq!((removed.events + first.events, removed.keys + first.keys), (events, events));
    let rows = subject.store.finish_deletion(deletion).unwrap().unwrap();
    assert_eq!((rows.events, rows.event_keys), (events, events), "of both runs");
    assert_eq!(subject.store.count_events(kept).unwrap(), events);
    let all = Removal::All(Deletion::Tenant(kept.tenant_id));
    assert_eq!(remove(subject, &all), RemovalCounts { events, keys: events, rejections: 0 });
}

fn keys_of_erased_events_go_with_their_workspace(subject: &Subject) {
    let kept = subject.owner();
    let gone = subject.other_workspace(kept);
    subject.append(submission(gone, now(), &["a", "b"]));
    subject.append(submission(kept, now(), &["c"]));
    let person = Person::User("u".to_owned());
    assert_eq!(
        remove(subject, &Removal::Person { tenant_id: kept.tenant_id, person }),
        RemovalCounts { events: 3, keys: 0, rejections: 0 }
    );
    let which = Removal::All(Deletion::Workspace(gone));
    assert_eq!(remove(subject, &which), RemovalCounts { events: 0, keys: 2, rejections: 0 });
    assert_eq!(
        subject.append(submission(kept, now(), &["a", "b", "c"])),
        [Accepted, Accepted, Duplicate]
    );
}

fn counts_of(subject: &Subject, owner: Owner) -> Vec<EventCount> {
    let (from, to) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    let query = CountQuery { owner, event_name: None, from, to };
    subject.store.event_counts(&query).unwrap()
}

fn deleted_workspace_leaves_usage_but_no_counts(subject: &Subject) {
    let kept = subject.owner();
    let gone = subject.other_workspace(kept);
    for owner in [kept, gone] {
        subject.append(submission(owner, now(), &[&format!("a {}", owner.workspace_id)]));
        subject.store.sum_counts().unwrap();
        // In the log, if there is one.
        subject.append(submission(owner, after(3_600), &[&format!("b {}", owner.workspace_id)]));
    }
    let usage = || subject.store.usage(&[kept.tenant_id], Month::of(now())).unwrap();
    let counts = |owner| counts_of(subject, owner);
    let before = counts(kept);
    assert_eq!((usage(), before.len(), counts(gone).len()), (vec![4], 2, 2));
    let deletion = Deletion::Workspace(gone);
    subject.store.begin_deletion(deletion, now()).unwrap();
    remove(subject, &Removal::All(deletion));
    subject.store.finish_deletion(deletion).unwrap().unwrap();
    for _ in 0..2 {
        // A quota counts what was stored: deleting a workspace makes no room in it.
        assert_eq!((usage(), counts(kept)), (vec![4], before.clone()));
        subject.store.sum_counts().unwrap();
    }
    assert_eq!(counts(gone), []);
}

fn workspace_of_another_tenant_is_not_deleted(subject: &Subject) {
    let (owner, stranger) = (subject.owner(), subject.owner());
    subject.append(submission(stranger, now(), &["a"]));
    let deletion = Deletion::Workspace(Owner { workspace_id: stranger.workspace_id, ..owner });
    assert_eq!(subject.store.begin_deletion(deletion, now()).unwrap(), None);
    assert_eq!(remove(subject, &Removal::All(deletion)), RemovalCounts::default());
    assert_eq!(subject.store.finish_deletion(deletion).unwrap(), None);
    assert_eq!(subject.count(stranger), 1);
    assert!(!subject.store.workspaces(stranger.tenant_id).unwrap()[0].is_deleting);
}

fn workspace_not_marked_for_deletion_stays(subject: &Subject) {
    let owner = subject.owner();
    let deletion = Deletion::Workspace(owner);
    assert_eq!(subject.store.finish_deletion(deletion).unwrap(), None);
    assert_eq!(subject.store.workspaces(owner.tenant_id).unwrap().len(), 1);
    // Marking the tenant is no consent to delete a workspace alone.
    subject.store.begin_deletion(Deletion::Tenant(owner.tenant_id), now()).unwrap();
    assert_eq!(subject.store.finish_deletion(deletion).unwrap(), None);
}

fn tenant_deletion_includes_a_workspace_being_deleted(subject: &Subject) {
    let owner = subject.owner();
    let other = subject.other_workspace(owner);
    subject.append(submission(owner, now(), &["a"]));
    subject.append(submission(other, now(), &["b", "c"]));
    subject.store.begin_deletion(Deletion::Workspace(other), now()).unwrap();
    subject.store.remove_events(&Removal::All(Deletion::Workspace(other)), now(), None).unwrap();
    let deletion = Deletion::Tenant(owner.tenant_id);
    subject.store.begin_deletion(deletion, now()).unwrap();
    remove(subject, &Removal::All(deletion));
    let rows = subject.store.finish_deletion(deletion).unwrap().unwrap();
    assert_eq!(rows.workspaces, 2);
    assert_eq!(subject.store.tenant(&TenantRef::Id(owner.tenant_id)).unwrap(), None);
    assert_eq!(subject.store.finish_deletion(Deletion::Workspace(other)).unwrap(), None);
}

/// Appends events of two workspaces and a stranger, some of them old.
fn fill(subject: &Subject) -> [Owner; 3] {
    let owner = subject.owner();
    let owners = [owner, subject.other_workspace(owner), subject.owner()];
    for owner in owners {
        let workspace_id = owner.workspace_id;
        for (days, count) in [(0, 3), (-1, 2), (-5, 4), (-40, 5)] {
            let ids: Vec<String> =
                (0..count).map(|number| format!("{workspace_id} {days} {number}")).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            subject.append(submission(owner, after(days * 86_400), &ids));
        }
    }
    owners
}

fn removal_is_counted_exactly_beforehand(subject: &Subject) {
    let midnight = at("2026-11-22T00:00:00Z");
    let cases: [fn([Owner; 3], Timestamp) -> Removal; 7] = [
        |owners, _| Removal::All(Deletion::Tenant(owners[0].tenant_id)),
        |owners, _| Removal::All(Deletion::Workspace(owners[1])),
        |owners, _| {
            let person = Person::User("u".to_owned());
            Removal::Person { tenant_id: owners[0].tenant_id, person }
        },
        |owners, _| {
            let person = Person::Anonymous("nobody".to_owned());
            Removal::Person { tenant_id: owners[0].tenant_id, person }
        },
        // Between two events of a day, for one tenant.
        |owners, _| Removal::Received { tenant_id: Some(owners[0].tenant_id), before: now() },
        |_, midnight| Removal::Received { tenant_id: None, before: midnight },
        |_, midnight| {
            let before = midnight.checked_add_micros(-3 * 86_400_000_000).unwrap();
            Removal::Received { tenant_id: None, before }
        },
    ];
    let expected = [(28, 28), (14, 14), (28, 0), (0, 0), (22, 10), (33, 15), (27, 15)];
    for (number, (case, (events, keys))) in cases.into_iter().zip(expected).enumerate() {
        let owners = fill(subject);
        let which = case(owners, midnight);
        let counts = RemovalCounts { events, keys, rejections: 0 };
        assert_eq!(subject.store.count_removal(&which).unwrap(), counts, "{number}");
        assert_eq!(subject.store.count_removal(&which).unwrap(), counts, "{number}: unchanged");
        assert_eq!(remove(subject, &which), counts, "{number}");
        assert_eq!(subject.store.count_removal(&which).unwrap().events, 0, "{number}");
        // The next case counts only its own events.
        for owner in owners {
            remove(subject, &Removal::All(Deletion::Tenant(owner.tenant_id)));
        }
    }
}
