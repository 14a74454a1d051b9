//! Removal of rejected events: expired, of a person, and with their tenant or workspace.

use mercurio_domain::store::{
    Deletion, ExpiredRejections, Person, RejectedEvent, RejectionBatch, RejectionCount, Removal,
    RemovalCounts,
};
use mercurio_domain::testing::{rejection, submission};
use mercurio_domain::verdict::FieldErrorCode;
use mercurio_domain::{Owner, Timestamp};
use uuid::Uuid;

use crate::deletion::remove;
use crate::rejections::{all, count, count_events, group, record, totals};
use crate::setup::{Subject, after, now};

on_every_store! {
    expiry_removes_only_what_is_older,
    expiry_of_many_ends,
    expiry_of_another_workspace_removes_nothing,
    person_is_erased_by_column,
    person_is_erased_by_any_spelling_in_the_event,
    person_in_a_cut_event_is_erased,
    erasure_searches_all_workspaces_of_the_tenant_only,
    erasure_of_many_ends_and_counts_them,
    erasure_goes_through_workspaces_days_and_equal_times,
    erased_example_is_replaced,
    purge_of_old_events_keeps_rejections,
    deletion_removes_rejections_and_counts,
    late_rejections_go_with_the_last_step,
    rejections_of_a_deleted_workspace_are_left_out,
}

fn expire(subject: &Subject, owner: Option<Owner>, before: Timestamp) -> ExpiredRejections {
    let counted = subject.store.count_rejections(owner, before).unwrap();
    let mut sum = ExpiredRejections::default();
    loop {
        let step = subject.store.expire_rejections(owner, before).unwrap();
        sum.events += step.events;
        sum.counts += step.counts;
        if !step.has_more {
            assert_eq!(sum.events, counted);
            return sum;
        }
    }
}

/// Events and counted events of a workspace.
fn left(subject: &Subject, owner: Owner) -> (usize, u64) {
    let counted = totals(subject, owner, 10).iter().map(|total| total.rejected).sum();
    (all(subject, owner).len(), counted)
}

fn expiry_removes_only_what_is_older(subject: &Subject) {
    let (owner, other) = (subject.owner(), subject.owner());
    let day = 86_400;
    for of in [owner, other] {
        for seconds in [-3 * day, -2 * day, -day, 0] {
            record(subject, vec![rejection(of, after(seconds), &[FieldErrorCode::Required])]);
            count_events(subject, of, after(seconds));
        }
    }
    let left = |owner| left(subject, owner);
    let removed = |events, counts| ExpiredRejections { events, counts, has_more: false };
    // Within a day, of one workspace.
    assert_eq!(expire(subject, Some(owner), after(-3 * day + 1)), removed(1, 1));
    assert_eq!((left(owner), left(other)), ((3, 3), (4, 4)));
    // Whole days, of all.
    let midnight = after(-day).to_datetime().date_naive().and_hms_opt(0, 0, 0).unwrap();
    let midnight = Timestamp::from_micros(midnight.and_utc().timestamp_micros()).unwrap();
    assert_eq!(expire(subject, None, midnight), removed(3, 3));
    assert_eq!((left(owner), left(other)), ((2, 2), (2, 2)));
    assert_eq!(expire(subject, None, midnight), removed(0, 0));
    // Days that were dropped take rejections again.
    record(subject, vec![rejection(owner, after(-2 * day), &[FieldErrorCode::Required])]);
    assert_eq!(left(owner), (3, 2));
    // A part of a day, of all.
    assert_eq!(expire(subject, None, after(1)), removed(5, 4));
    assert_eq!((left(owner), left(other)), ((0, 0), (0, 0)));
}

fn expiry_of_many_ends(subject: &Subject) {
    let owner = subject.owner();
    let event =
        |seconds| rejection(owner, after(i64::from(seconds % 50)), &[FieldErrorCode::Required]);
    record(subject, (0..4_500).map(event).collect());
    let mut counts = Vec::new();
    for number in 0..4_500 {
        let group = group(owner, now(), "required", &format!("/properties/{number}"));
        counts.push((group, RejectionCount { rejected: 1, example: None }));
    }
    subject.store.record_rejections(&RejectionBatch { events: Vec::new(), counts }).unwrap();
    let expired = expire(subject, Some(owner), after(100));
    assert_eq!((expired.events, expired.counts), (4_500, 4_500));
    assert_eq!((all(subject, owner).len(), totals(subject, owner, 10).len()), (0, 0));
}

fn expiry_of_another_workspace_removes_nothing(subject: &Subject) {
    let owner = subject.owner();
    record(subject, vec![rejection(owner, now(), &[FieldErrorCode::Required])]);
    count_events(subject, owner, now());
    for other in [subject.other_workspace(owner), subject.owner()] {
        assert_eq!(expire(subject, Some(other), after(1)), ExpiredRejections::default());
    }
    assert_eq!((all(subject, owner).len(), totals(subject, owner, 10).len()), (1, 1));
}

/// A rejection without a readable person.
fn sent(owner: Owner, event: &str) -> RejectedEvent {
    RejectedEvent {
        user_id: None,
        event: event.to_owned(),
        ..rejection(owner, now(), &[FieldErrorCode::WrongType])
    }
}

/// Erases a user, checks that as many rejections were counted before, and returns their number.
fn erase(subject: &Subject, owner: Owner, id: &str) -> u64 {
    let person = Person::User(id.to_owned());
    let which = Removal::Person { tenant_id: owner.tenant_id, person };
    let counted = subject.store.count_removal(&which).unwrap();
    let removed = remove(subject, &which);
    assert_eq!(counted, removed, "{id}");
    assert_eq!(subject.store.count_removal(&which).unwrap(), RemovalCounts::default(), "{id}");
    removed.rejections
}

fn person_is_erased_by_column(subject: &Subject) {
    let owner = subject.owner();
    let anonymous = RejectedEvent { anonymous_id: Some("a".to_owned()), ..sent(owner, "{}") };
    let user = RejectedEvent { user_id: Some("u".to_owned()), ..sent(owner, "{}") };
    record(subject, vec![anonymous, user, sent(owner, "{}")]);
    assert_eq!(erase(subject, owner, "u"), 1);
    assert_eq!(erase(subject, owner, "U"), 0);
    let person = Person::Anonymous("a".to_owned());
    let which = Removal::Person { tenant_id: owner.tenant_id, person };
    assert_eq!(remove(subject, &which).rejections, 1);
    assert_eq!(all(subject, owner).len(), 1);
}

fn person_is_erased_by_any_spelling_in_the_event(subject: &Subject) {
    let cases = [
        (r#"{"user_id":["u1"]}"#, "u1"),
        (r#"{"traits":{"id":" u1 "}}"#, "u1"),
        (r#"{"user_id":"\u0075\u0031"}"#, "u1"),
        (r#"{"user_id":4711}"#, "4711"),
        (r#"{"user_id":"a\"b\\c"}"#, r#"a"b\c"#),
        (r#"{"user_id":"a\/b"}"#, "a/b"),
        (r#"{"user_id":"é😀%_"}"#, "é😀%_"),
        (r#"{"user_id":"\u00e9\uD83D\ude00%_"}"#, "é😀%_"),
        (r#"{"user_id":"a\u0000b"}"#, "a\u{0}b"),
        (r#""{\"user_id\":\"u1\"}""#, "u1"),
        (r#"{"properties":"{\"user_id\":\"p\u00e9rson\"}"}"#, "pérson"),
    ];
    for (event, id) in cases {
        let owner = subject.owner();
        record(subject, vec![sent(owner, event), sent(owner, r#"{"user_id":"other é\\\""}"#)]);
        // Parts of an id, and ids that match as patterns, are others.
        for other in ["u", "471", "a", "é", "%", "é😀__"] {
            assert_eq!(erase(subject, owner, other), 0, "{event} {other}");
        }
        // PostgreSQL takes no U+0000, and no event has such an id.
        if !id.contains('\0') {
            assert_eq!(erase(subject, owner, id), 1, "{event}");
            assert_eq!(all(subject, owner).len(), 1, "{event}");
        }
    }
}

fn person_in_a_cut_event_is_erased(subject: &Subject) {
    let owner = subject.owner();
    let cut = |event: &str| RejectedEvent { is_cut: true, ..sent(owner, event) };
    record(subject, vec![cut(r#"{"user_id":"u123"#), cut(r#"{"user_id":"#), cut(r#"{"a":"v"#)]);
    assert_eq!(erase(subject, owner, "u12345"), 1);
    assert_eq!(all(subject, owner).len(), 2);
}

fn erasure_searches_all_workspaces_of_the_tenant_only(subject: &Subject) {
    let owner = subject.owner();
    let [other, stranger] = [subject.other_workspace(owner), subject.owner()];
    for of in [owner, other, stranger] {
        subject.append(submission(of, now(), &[&of.workspace_id.to_string()]));
        record(subject, vec![rejection(of, now(), &[FieldErrorCode::Required])]);
    }
    assert_eq!(erase(subject, owner, "u"), 2);
    assert_eq!([owner, other, stranger].map(|of| all(subject, of).len()), [0, 0, 1]);
    assert_eq!([owner, other, stranger].map(|of| subject.count(of)), [0, 0, 1]);
}

fn erasure_of_many_ends_and_counts_them(subject: &Subject) {
    let owner = subject.owner();
    let mut events = Vec::new();
    for number in 0..2_500 {
        // Every other one, over two days and with equal times.
        let id = if number % 2 == 0 { "u" } else { "v" };
        let event = format!(r#"{{"user_id":["{id}"]}}"#);
        let received_at = after(-i64::from(number % 10) * 10_000);
        events.push(RejectedEvent { received_at, ..sent(owner, &event) });
    }
    record(subject, events);
    assert_eq!(erase(subject, owner, "u"), 1_250);
    assert_eq!(erase(subject, owner, "u"), 0);
    assert_eq!(all(subject, owner).len(), 1_250);
}

fn erasure_goes_through_workspaces_days_and_equal_times(subject: &Subject) {
    let owner = subject.owner();
    let [other, stranger] = [subject.other_workspace(owner), subject.owner()];
    // More rows than a step searches, in one of the workspaces with one time.
    for (of, count, times) in [(owner, 2_300, 9), (other, 1_700, 1), (stranger, 10, 1)] {
        let mut events = Vec::new();
        for number in 0..count {
            let id = if number % 3 == 0 { "u" } else { "v" };
            let received_at = after(-(number % times) * 20_000);
            events.push(RejectedEvent { received_at, ..sent(of, &format!("[\"{id}\"]")) });
        }
        record(subject, events);
    }
    assert_eq!(erase(subject, owner, "u"), 767 + 567);
    let left = [owner, other, stranger].map(|of| all(subject, of));
    assert_eq!(left.each_ref().map(Vec::len), [1_533, 1_133, 10]);
    let is_kept = |event: &RejectedEvent| event.event == r#"["v"]"#;
    assert!(left[..2].iter().flatten().all(is_kept));
}

fn erased_example_is_replaced(subject: &Subject) {
    let owner = subject.owner();
    let [first, second] = ["u", "v"].map(|id| sent(owner, &format!("[\"{id}\"]")));
    let example = || totals(subject, owner, 10).remove(0).example.map(|event| event.id);
    let add = |id: Uuid| count(subject, group(owner, now(), "", ""), 1, Some(id));
    record(subject, vec![first.clone(), second.clone()]);
    add(first.id);
    assert_eq!(erase(subject, owner, "u"), 1);
    assert_eq!((example(), totals(subject, owner, 10)[0].rejected), (None, 1));
    add(second.id);
    assert_eq!((example(), totals(subject, owner, 10)[0].rejected), (Some(second.id), 2));
}

fn purge_of_old_events_keeps_rejections(subject: &Subject) {
    let owner = subject.owner();
    subject.append(submission(owner, now(), &["a"]));
    record(subject, vec![rejection(owner, now(), &[FieldErrorCode::Required])]);
    let which = Removal::Received { tenant_id: Some(owner.tenant_id), before: after(1) };
    assert_eq!(subject.store.count_removal(&which).unwrap().rejections, 0);
    assert_eq!(remove(subject, &which), RemovalCounts { events: 1, keys: 0, rejections: 0 });
    assert_eq!(all(subject, owner).len(), 1);
}

fn deletion_removes_rejections_and_counts(subject: &Subject) {
    let kept = subject.owner();
    let [gone, stranger] = [subject.other_workspace(kept), subject.owner()];
    for of in [kept, gone, stranger] {
        let event = |_| rejection(of, now(), &[FieldErrorCode::Required]);
        record(subject, (0..2_100).map(event).collect());
        count_events(subject, of, now());
    }
    let workspace = Deletion::Workspace(gone);
    let tenant = Deletion::Tenant(kept.tenant_id);
    for (deletion, of) in [(workspace, gone), (tenant, kept)] {
        let which = Removal::All(deletion);
        assert_eq!(subject.store.count_removal(&which).unwrap().rejections, 2_100);
        subject.store.begin_deletion(deletion, now()).unwrap();
        // Interrupted after its first steps, and begun again.
        let first = subject.store.remove_events(&which, now(), None).unwrap();
        let second = first.next.as_ref().map_or_else(Default::default, |next| {
            subject.store.remove_events(&which, now(), Some(next)).unwrap()
        });
        let rest = remove(subject, &which);
        assert_eq!(first.rejections + second.rejections + rest.rejections, 2_100);
        assert_eq!((all(subject, of).len(), totals(subject, of, 10).len()), (0, 0));
        let rows = subject.store.finish_deletion(deletion).unwrap().unwrap();
        assert_eq!((rows.events, rows.rejections), (0, 2_100), "{deletion:?}");
    }
    assert_eq!((all(subject, stranger).len(), totals(subject, stranger, 10).len()), (2_100, 1));
}

fn late_rejections_go_with_the_last_step(subject: &Subject) {
    let kept = subject.owner();
    let gone = subject.other_workspace(kept);
    for deletion in [Deletion::Workspace(gone), Deletion::Tenant(kept.tenant_id)] {
        let of = if deletion.workspace_id().is_some() { gone } else { kept };
        record(subject, vec![rejection(of, now(), &[FieldErrorCode::Required])]);
        count_events(subject, of, now());
        // The steps in between are left out, as if servers had recorded after them.
        subject.store.begin_deletion(deletion, now()).unwrap();
        let rows = subject.store.finish_deletion(deletion).unwrap().unwrap();
        assert_eq!(rows.rejections, 1);
        assert_eq!((all(subject, of).len(), totals(subject, of, 10).len()), (0, 0));
    }
}

fn rejections_of_a_deleted_workspace_are_left_out(subject: &Subject) {
    let kept = subject.owner();
    let gone = subject.other_workspace(kept);
    let deletion = Deletion::Workspace(gone);
    subject.store.begin_deletion(deletion, now()).unwrap();
    for _ in 0..2 {
        let events = [kept, gone].map(|of| rejection(of, now(), &[FieldErrorCode::Required]));
        let count = RejectionCount { rejected: 1, example: None };
        let counts = [kept, gone].map(|of| (group(of, now(), "", ""), count));
        let batch = RejectionBatch { events: events.to_vec(), counts: counts.to_vec() };
        subject.store.record_rejections(&batch).unwrap();
        assert_eq!((all(subject, gone).len(), totals(subject, gone, 10).len()), (0, 0));
        subject.store.finish_deletion(deletion).unwrap();
    }
    assert_eq!((all(subject, kept).len(), totals(subject, kept, 10)[0].rejected), (2, 2));
}
