//! Rejected events: recorded, read back in pages, counted and expired.

use mercurio_domain::limits::MAX_PAGE_BYTES;
use mercurio_domain::store::{
    MAX_GROUP_TEXT_BYTES, Position, RejectedEvent, RejectionBatch, RejectionCount,
    RejectionCountQuery, RejectionGroup, RejectionKind, RejectionQuery, RejectionTotal, StoreError,
};
use mercurio_domain::testing::rejection;
use mercurio_domain::verdict::{FieldError, FieldErrorCode, MAX_ERRORS_PER_EVENT};
use mercurio_domain::{EventKey, Owner, Timestamp};
use uuid::Uuid;

use crate::setup::{Subject, after, at_once, now};

on_every_store! {
    recorded_rejection_reads_back_as_sent,
    nul_is_replaced,
    batch_sent_twice_is_refused_whole,
    rejections_come_newest_first_across_pages_and_equal_times,
    page_ends_at_its_bytes,
    filters_apply_alone_and_combined,
    other_workspaces_see_nothing,
    counts_add_up_over_batches_and_hours,
    totals_are_limited_by_kind,
    first_example_stays_until_it_is_gone,
    example_of_another_workspace_is_not_shown,
    long_texts_of_groups_are_cut_and_added_up,
    concurrent_recorders_do_not_deadlock,
}

/// Records events without counts.
pub(crate) fn record(subject: &Subject, events: Vec<RejectedEvent>) {
    let batch = RejectionBatch { events, counts: Vec::new() };
    subject.store.record_rejections(&batch).unwrap();
}

/// All kept rejections of a workspace, newest first.
pub(crate) fn all(subject: &Subject, owner: Owner) -> Vec<RejectedEvent> {
    pages(subject, owner, &RejectionQuery { limit: 1000, ..RejectionQuery::default() }).concat()
}

fn pages(subject: &Subject, owner: Owner, query: &RejectionQuery) -> Vec<Vec<RejectedEvent>> {
    let (mut pages, mut query) = (Vec::new(), query.clone());
    loop {
        let page = subject.store.rejections(owner, &query).unwrap();
        assert!(page.events.len() <= query.limit);
        pages.push(page.events);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return pages,
        }
    }
}

pub(crate) fn group(owner: Owner, hour: Timestamp, code: &str, pointer: &str) -> RejectionGroup {
    let kind = if code.is_empty() { RejectionKind::Event } else { RejectionKind::Error };
    RejectionGroup {
        owner,
        hour: hour.start_of_hour(),
        kind,
        code: code.to_owned(),
        pointer: pointer.to_owned(),
        event_name: "e".to_owned(),
    }
}

pub(crate) fn count(subject: &Subject, group: RejectionGroup, count: u64, example: Option<Uuid>) {
    let counts = vec![(group, RejectionCount { rejected: count, example })];
    let batch = RejectionBatch { events: Vec::new(), counts };
    subject.store.record_rejections(&batch).unwrap();
}

/// Adds a count of rejected events in the hour of `at`.
pub(crate) fn count_events(subject: &Subject, owner: Owner, at: Timestamp) {
    count(subject, group(owner, at, "", ""), 1, None);
}

/// The totals of all hours.
pub(crate) fn totals(subject: &Subject, owner: Owner, limit: usize) -> Vec<RejectionTotal> {
    let (from, to) = (after(-1_000_000), after(1_000_000));
    let query = RejectionCountQuery { from, to, limit };
    subject.store.rejection_totals(owner, &query).unwrap()
}

fn recorded_rejection_reads_back_as_sent(subject: &Subject) {
    let owner = subject.owner();
    let control = "\u{1}\u{8}\t\n\u{1f}\u{7f}\u{202e}é😀\\\"'%_";
    let mut errors = vec![FieldError::new(control, FieldErrorCode::ControlCharacter, control)];
    for number in 1..MAX_ERRORS_PER_EVENT {
        let pointer = format!("/properties/{number}");
        errors.push(FieldError::new(pointer, FieldErrorCode::TooLong, "too long"));
    }
    let full = RejectedEvent {
        event_id: Some(control.to_owned()),
        event_name: Some(control.to_owned()),
        user_id: Some(control.to_owned()),
        anonymous_id: Some(control.to_owned()),
        errors,
        event: format!("{{\"a\":\"{}", "é\\u0000".repeat(4_000)),
        is_cut: true,
        request_id: control.to_owned(),
        protocol: "segment".to_owned(),
        sdk: Some("analytics.js 1.2".to_owned()),
        user_agent: Some(control.to_owned()),
        ..rejection(owner, now(), &[FieldErrorCode::Required])
    };
    let empty = RejectedEvent {
        event_name: None,
        user_id: None,
        event: String::new(),
        ..rejection(owner, after(-1), &[FieldErrorCode::WrongType])
    };
    record(subject, vec![empty.clone(), full.clone()]);
    assert_eq!(all(subject, owner), [full, empty]);
    record(subject, Vec::new());
}

fn nul_is_replaced(subject: &Subject) {
    let owner = subject.owner();
    let nul = || Some("a\0b".to_owned());
    let sent = RejectedEvent {
        event_id: nul(),
        event_name: nul(),
        user_id: nul(),
        anonymous_id: nul(),
        errors: vec![FieldError::new("/a\0b", FieldErrorCode::NulCharacter, "a\0b")],
        event: "{\"a\0b\"".to_owned(),
        request_id: "a\0b".to_owned(),
        protocol: "a\0b".to_owned(),
        sdk: nul(),
        user_agent: nul(),
        ..rejection(owner, now(), &[])
    };
    record(subject, vec![sent]);
    count(subject, group(owner, now(), "a\0b", "/a\0b"), 1, None);
    let stored = all(subject, owner).remove(0);
    let replaced = Some("a\u{fffd}b".to_owned());
    assert_eq!((stored.event_name, stored.user_id), (replaced.clone(), replaced));
    assert_eq!(stored.event, "{\"a\u{fffd}b\"");
    assert_eq!(stored.errors[0].pointer, "/a\u{fffd}b");
    assert_eq!(totals(subject, owner, 10)[0].pointer, "/a\u{fffd}b");
}

fn batch_sent_twice_is_refused_whole(subject: &Subject) {
    let owner = subject.owner();
    let events = vec![rejection(owner, now(), &[FieldErrorCode::Required])];
    let counts = vec![(group(owner, now(), "", ""), RejectionCount { rejected: 1, example: None })];
    let batch = RejectionBatch { events, counts };
    subject.store.record_rejections(&batch).unwrap();
    let again = subject.store.record_rejections(&batch);
    assert!(matches!(again, Err(StoreError::Refused(_))), "{again:?}");
    assert_eq!(all(subject, owner).len(), 1);
    assert_eq!(totals(subject, owner, 10)[0].rejected, 1);
}

fn rejections_come_newest_first_across_pages_and_equal_times(subject: &Subject) {
    let owner = subject.owner();
    let mut events = Vec::new();
    // Over three days, so that pages cross partitions; four of each time.
    for number in 0..12_u128 {
        let at = after(-86_400 * i64::try_from(number % 3).unwrap());
        let id = Uuid::from_u128(number * (u128::MAX / 12) + u128::from(events.len() as u64));
        events.push(RejectedEvent { id, ..rejection(owner, at, &[FieldErrorCode::Required]) });
    }
    record(subject, events.clone());
    events.sort_by_key(|event| std::cmp::Reverse((event.received_at, event.id)));
    for limit in 1..=13 {
        let query = RejectionQuery { limit, ..RejectionQuery::default() };
        let pages = pages(subject, owner, &query);
        assert_eq!(pages.concat(), events, "{limit}");
        assert_eq!(pages.len(), events.len().div_ceil(limit), "{limit}");
    }
}

fn page_ends_at_its_bytes(subject: &Subject) {
    let owner = subject.owner();
    let event = "x".repeat(32 * 1024);
    let mut events = Vec::new();
    for second in 0..70 {
        let small = rejection(owner, after(second), &[FieldErrorCode::EventTooLarge]);
        events.push(RejectedEvent { event: event.clone(), ..small });
    }
    let per_page = MAX_PAGE_BYTES / events[0].size_bytes();
    record(subject, events);
    let query = RejectionQuery { limit: 1000, ..RejectionQuery::default() };
    let lengths: Vec<_> = pages(subject, owner, &query).iter().map(Vec::len).collect();
    assert_eq!(lengths, [per_page, per_page, 70 - 2 * per_page]);
}

/// A rejection whose request id is its time.
fn named(
    owner: Owner,
    seconds: i64,
    name: Option<&str>,
    codes: &[FieldErrorCode],
) -> RejectedEvent {
    RejectedEvent {
        event_name: name.map(str::to_owned),
        request_id: seconds.to_string(),
        ..rejection(owner, after(seconds), codes)
    }
}

fn with_name(name: &str) -> RejectionQuery {
    RejectionQuery { event_name: Some(name.to_owned()), ..RejectionQuery::default() }
}

/// Checks the request ids of the matching rejections.
#[track_caller]
fn check(subject: &Subject, owner: Owner, query: &RejectionQuery, expected: &[&str]) {
    let found = pages(subject, owner, query).concat();
    let found: Vec<_> = found.iter().map(|event| event.request_id.as_str()).collect();
    assert_eq!(found, expected, "{query:?}");
}

fn filters_apply_alone_and_combined(subject: &Subject) {
    use FieldErrorCode::{Required, TooLong, TooShort, WrongType};
    let owner = subject.owner();
    record(
        subject,
        vec![
            named(owner, 1, Some("a"), &[Required]),
            named(owner, 2, Some("b"), &[TooLong, Required]),
            RejectedEvent {
                event_id: Some("an id".to_owned()),
                ..named(owner, 3, None, &[TooLong, TooLong])
            },
            named(owner, 4, Some("a%_'\\é"), &[WrongType]),
        ],
    );
    let check = |query, expected: &[&str]| check(subject, owner, &query, expected);
    let any = RejectionQuery::default();
    let code = |code| RejectionQuery { code: Some(code), ..RejectionQuery::default() };
    let name = with_name;
    check(any.clone(), &["4", "3", "2", "1"]);
    check(code(Required), &["2", "1"]);
    check(code(TooLong), &["3", "2"]);
    check(code(TooShort), &[]);
    check(name("a"), &["1"]);
    check(name("A"), &[]);
    check(name("a%_'\\é"), &["4"]);
    check(RejectionQuery { event_id: Some("an id".to_owned()), ..any.clone() }, &["3"]);
    check(RejectionQuery { event_id: Some("An id".to_owned()), ..any.clone() }, &[]);
    check(RejectionQuery { from: Some(after(2)), to: Some(after(4)), ..any.clone() }, &["3", "2"]);
    check(RejectionQuery { from: Some(after(2)), limit: 1, ..code(Required) }, &["2"]);
    check(RejectionQuery { code: Some(Required), ..name("b") }, &["2"]);
    let below = Position { occurred_at: after(2), key: EventKey(Uuid::nil()) };
    check(RejectionQuery { after: Some(below), ..any }, &["1"]);
}

fn other_workspaces_see_nothing(subject: &Subject) {
    let owner = subject.owner();
    let others = [subject.other_workspace(owner), subject.owner()];
    record(subject, vec![rejection(owner, now(), &[FieldErrorCode::Required])]);
    count_events(subject, owner, now());
    for other in others {
        assert_eq!(all(subject, other), []);
        assert_eq!(totals(subject, other, 10), []);
    }
    assert_eq!((all(subject, owner).len(), totals(subject, owner, 10).len()), (1, 1));
}

fn counts_add_up_over_batches_and_hours(subject: &Subject) {
    let owner = subject.owner();
    for (hours, rejected) in [(0, 2), (0, 3), (-1, 4), (-30, 5)] {
        count(subject, group(owner, after(hours * 3600), "", ""), rejected, None);
    }
    // A group given twice in one batch, and one of nothing.
    let groups = [(10, "/a"), (11, "/a"), (0, "/b")];
    let counts = groups.map(|(rejected, pointer)| {
        let count = RejectionCount { rejected, example: None };
        (group(owner, now(), "required", pointer), count)
    });
    let batch = RejectionBatch { events: Vec::new(), counts: counts.to_vec() };
    subject.store.record_rejections(&batch).unwrap();
    let mut request = group(owner, now(), "malformed_json", "");
    (request.kind, request.event_name) = (RejectionKind::Request, String::new());
    count(subject, request, 7, None);
    let found: Vec<_> = totals(subject, owner, 10)
        .into_iter()
        .map(|total| (total.kind, total.code, total.rejected, total.last_hour))
        .collect();
    let hour = now().start_of_hour();
    let expected = [
        (RejectionKind::Event, String::new(), 14, hour),
        (RejectionKind::Error, "required".to_owned(), 21, hour),
        (RejectionKind::Request, "malformed_json".to_owned(), 7, hour),
    ];
    assert_eq!(found, expected);
    // The bounds of hours: from is included, to is not.
    let one_hour = RejectionCountQuery { from: after(-3600).start_of_hour(), to: hour, limit: 10 };
    let found = subject.store.rejection_totals(owner, &one_hour).unwrap();
    assert_eq!(found.iter().map(|total| total.rejected).collect::<Vec<_>>(), [4]);
}

/// Codes and pointers of the totals.
fn pointers(subject: &Subject, owner: Owner, limit: usize) -> Vec<(String, String)> {
    let totals = totals(subject, owner, limit);
    totals.into_iter().map(|total| (total.code, total.pointer)).collect()
}

fn totals_are_limited_by_kind(subject: &Subject) {
    let owner = subject.owner();
    for number in 1..=5 {
        let pointer = format!("/properties/{number}");
        count(subject, group(owner, now(), "required", &pointer), number, None);
        count(subject, group(owner, now(), "too_long", &pointer), 1, None);
    }
    count_events(subject, owner, now());
    let pointers = |limit| pointers(subject, owner, limit);
    let text = |code: &str, pointer: &str| (code.to_owned(), pointer.to_owned());
    let (five, four) = (text("required", "/properties/5"), text("required", "/properties/4"));
    assert_eq!(pointers(2), [text("", ""), five, four]);
    let all = pointers(100);
    assert_eq!(all.len(), 11);
    // Equal counts are in the order of code and pointer.
    assert_eq!(all[5..7], [text("required", "/properties/1"), text("too_long", "/properties/1")]);
}

/// Counts an event as its example.
fn count_with(subject: &Subject, event: &RejectedEvent) {
    count(subject, group(event.owner, event.received_at, "", ""), 1, Some(event.id));
}

fn first_example_stays_until_it_is_gone(subject: &Subject) {
    let owner = subject.owner();
    let [old, first, second, third] = [-7200, 0, 1, 2]
        .map(|seconds| rejection(owner, after(seconds), &[FieldErrorCode::Required]));
    record(subject, vec![old.clone(), first.clone(), second.clone(), third.clone()]);
    let add = |event: &RejectedEvent| count_with(subject, event);
    let example = || totals(subject, owner, 10).remove(0).example.map(|event| event.id);
    add(&old);
    assert_eq!(example(), Some(old.id));
    // The newest hour comes first.
    add(&first);
    add(&second);
    assert_eq!(example(), Some(first.id));
    count_events(subject, owner, now());
    assert_eq!(example(), Some(first.id));
    // The hour of `before` loses its counts, and so its example.
    let expired = subject.store.expire_rejections(Some(owner), after(1)).unwrap();
    assert_eq!((expired.events, expired.counts), (2, 2));
    count(subject, group(owner, now(), "", ""), 1, Some(first.id));
    assert_eq!(example(), None);
    add(&third);
    assert_eq!(example(), Some(third.id));
    add(&second);
    assert_eq!(example(), Some(third.id));
}

fn example_of_another_workspace_is_not_shown(subject: &Subject) {
    let (owner, other) = (subject.owner(), subject.owner());
    let foreign = rejection(other, now(), &[FieldErrorCode::Required]);
    let id = foreign.id;
    record(subject, vec![foreign]);
    count(subject, group(owner, now(), "", ""), 1, Some(id));
    assert_eq!(totals(subject, owner, 10)[0].example, None);
}

fn long_texts_of_groups_are_cut_and_added_up(subject: &Subject) {
    let owner = subject.owner();
    for end in ["one", "other"] {
        let long = format!("/{}{end}", "é".repeat(20_000));
        let mut group = group(owner, now(), "unknown_field", &long);
        group.event_name = long;
        count(subject, group, 1, None);
    }
    let totals = totals(subject, owner, 10);
    assert_eq!(totals.iter().map(|total| total.rejected).collect::<Vec<_>>(), [2]);
    // 512 bytes end within a character.
    assert_eq!(totals[0].pointer.len(), MAX_GROUP_TEXT_BYTES - 1);
    assert_eq!(totals[0].event_name, totals[0].pointer);
}

fn concurrent_recorders_do_not_deadlock(subject: &Subject) {
    let owners = [subject.owner(), subject.owner()];
    at_once(4, |number| {
        for round in 0..20_u64 {
            let mut counts = Vec::new();
            for owner in owners {
                for code in ["required", "too_long", "wrong_type"] {
                    let count = RejectionCount { rejected: 1, example: None };
                    counts.push((group(owner, now(), code, ""), count));
                }
            }
            // Each recorder has an order of its own.
            if (number as u64 + round).is_multiple_of(2) {
                counts.reverse();
            }
            let event = rejection(owners[number % 2], now(), &[FieldErrorCode::Required]);
            let batch = RejectionBatch { events: vec![event], counts };
            subject.store.record_rejections(&batch).unwrap();
        }
    });
    for owner in owners {
        assert_eq!(all(subject, owner).len(), 40);
        let sums: Vec<_> = totals(subject, owner, 10).iter().map(|total| total.rejected).collect();
        assert_eq!(sums, [80, 80, 80]);
    }
    // Conflicts would have been retried unseen.
    assert_eq!(subject.store.append_counts().retries, 0);
}
