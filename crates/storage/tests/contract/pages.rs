//! Pages of events: order, filters and cursors.

use mercurio_domain::event::{EventDraft, EventType};
use mercurio_domain::payload::RawJson;
use mercurio_domain::store::{EventPage, EventQuery, EventSort, Position, Submission};
use mercurio_domain::testing::submission;
use mercurio_domain::{EventId, EventKey, Owner, Timestamp};
use uuid::Uuid;

use crate::setup::{Subject, after, draft, event, now};

on_every_store! {
    events_come_newest_first,
    equal_times_are_ordered_by_key_across_pages,
    keys_are_ordered_like_uuids,
    page_has_a_cursor_if_more_follow,
    page_ends_at_its_bytes_and_the_next_goes_on,
    page_has_one_event_larger_than_its_bytes,
    filters_apply_alone_and_combined,
    time_bounds_include_from_and_exclude_to,
    page_shows_one_workspace_only,
}

fn events_come_newest_first(subject: &Subject) {
    let owner = subject.owner();
    for (id, seconds) in [("b", 2), ("d", 4), ("a", 1), ("c", 3)] {
        subject.append(submission(owner, after(seconds), &[id]));
    }
    assert_eq!(subject.event_ids(owner, &EventQuery::default()), ["d", "c", "b", "a"]);
}

/// UUIDs spread over the whole range. As event ids they are their own keys.
fn uuids(count: u128) -> Vec<Uuid> {
    (0..count)
        .map(|number| {
            uuid::Builder::from_random_bytes((number * (u128::MAX / count)).to_be_bytes())
                .into_uuid()
        })
        .collect()
}

fn equal_times_are_ordered_by_key_across_pages(subject: &Subject) {
    let owner = subject.owner();
    let mut uuids = uuids(12);
    let ids: Vec<String> = uuids.iter().map(Uuid::to_string).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    // Six at one time and six at another, in no particular order.
    subject.append(submission(owner, after(1), &[ids[3], ids[0], ids[11], ids[7], ids[5], ids[2]]));
    subject.append(submission(owner, after(0), &[ids[10], ids[1], ids[9], ids[4], ids[8], ids[6]]));
    uuids.sort();
    uuids.reverse();
    let late_ids = [3, 0, 11, 7, 5, 2].map(|index| ids[index]);
    let late = |uuid: &&Uuid| late_ids.contains(&uuid.to_string().as_str());
    let (late, early): (Vec<_>, Vec<_>) = uuids.iter().partition(late);
    let expected: Vec<String> = late.into_iter().chain(early).map(Uuid::to_string).collect();
    // Page sizes from one event to more than all.
    for limit in 1..=13 {
        assert_eq!(
            subject.event_ids(owner, &EventQuery { limit, ..EventQuery::default() }),
            expected,
            "{limit}"
        );
    }
}

fn keys_are_ordered_like_uuids(subject: &Subject) {
    let owner = subject.owner();
    let mut uuids: Vec<Uuid> = uuids(40);
    for byte in 0..16 {
        // UUIDs that differ in one byte, around its sign bit.
        for value in [0x00, 0x7f, 0x80, 0xff] {
            let mut bytes = [0x55; 16];
            bytes[byte] = value;
            uuids.push(uuid::Builder::from_random_bytes(bytes).into_uuid());
        }
    }
    uuids.sort();
    uuids.dedup();
    let ids: Vec<String> = uuids.iter().map(Uuid::to_string).collect();
    subject.append(submission(owner, now(), &ids.iter().map(String::as_str).collect::<Vec<_>>()));
    let page = EventQuery { limit: 1000, ..EventQuery::default() };
    assert_eq!(subject.event_ids(owner, &page), ids.iter().rev().cloned().collect::<Vec<_>>());
    for uuid in uuids {
        let position = Position { occurred_at: now(), key: EventKey(uuid) };
        let below = subject.event_ids(owner, &EventQuery { after: Some(position), ..page.clone() });
        assert_eq!(below.len(), ids.iter().filter(|id| **id < uuid.to_string()).count());
    }
}

fn page(subject: &Subject, owner: Owner, limit: usize) -> EventPage {
    subject.store.events(owner, &EventQuery { limit, ..EventQuery::default() }).unwrap()
}

fn page_has_a_cursor_if_more_follow(subject: &Subject) {
    let owner = subject.owner();
    assert_eq!((page(subject, owner, 3).events.len(), page(subject, owner, 3).next), (0, None));
    for seconds in 0..3 {
        subject.append(submission(owner, after(seconds), &[&seconds.to_string()]));
    }
    let last = Position { occurred_at: after(1), key: EventKey::of(&EventId::lookup("1")) };
    assert_eq!(
        (page(subject, owner, 2).events.len(), page(subject, owner, 2).next),
        (2, Some(last))
    );
    assert_eq!((page(subject, owner, 3).events.len(), page(subject, owner, 3).next), (3, None));
    assert_eq!(
        (page(subject, owner, 1000).events.len(), page(subject, owner, 1000).next),
        (3, None)
    );
}

/// Appends events with payloads of these sizes in bytes, named after their order from the newest.
pub(crate) fn append_sizes(subject: &Subject, owner: Owner, sizes: &[usize]) {
    for (part, sizes) in sizes.chunks(100).enumerate() {
        let mut events = Vec::new();
        for (index, size) in sizes.iter().enumerate() {
            let number = part * 100 + index;
            let payload = format!(r#"{{"a":"{}"}}"#, "x".repeat(*size));
            let id = format!("{number:04}");
            let draft =
                EventDraft { properties: Some(RawJson::parse(payload).unwrap()), ..draft(&id) };
            events.push(event(draft, after(-i64::try_from(number).unwrap())));
        }
        // `received_at` is that of the submission, so pages of PostgreSQL read one partition.
        subject.append(Submission { owner, received_at: now(), events });
    }
}

/// The number of events of each page, of `limit` at most.
fn page_lengths(subject: &Subject, owner: Owner, limit: usize) -> Vec<usize> {
    let mut query = EventQuery { limit, ..EventQuery::default() };
    let (mut lengths, mut ids) = (Vec::new(), Vec::new());
    loop {
        let page = subject.store.events(owner, &query).unwrap();
        lengths.push(page.events.len());
        ids.extend(page.events.iter().map(|event| event.parts.event_id.to_string()));
        query.after = page.next;
        if page.next.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (0..ids.len()).map(|number| format!("{number:04}")).collect();
    assert_eq!(ids, expected, "each once, newest first");
    lengths
}

fn page_ends_at_its_bytes_and_the_next_goes_on(subject: &Subject) {
    // 1 MiB has 34 events of 30 kB, 3 of 300 kB, and more of 100 bytes than any page.
    let [large, huge, small] = [(); 3].map(|()| subject.owner());
    append_sizes(subject, large, &[30_000; 80]);
    assert_eq!(page_lengths(subject, large, 1000), [34, 34, 12]);
    assert_eq!(page_lengths(subject, large, 34), [34, 34, 12]);
    assert_eq!(page_lengths(subject, large, 30), [30, 30, 20]);
    // Small events first: a page of several queries still ends at its bytes.
    append_sizes(subject, huge, &[&[100; 120][..], &[300_000; 7]].concat());
    assert_eq!(page_lengths(subject, huge, 1000), [123, 3, 1]);
    append_sizes(subject, small, &[100; 350]);
    assert_eq!(page_lengths(subject, small, 1000), [350]);
    assert_eq!(page_lengths(subject, small, 349), [349, 1]);
}

fn page_has_one_event_larger_than_its_bytes(subject: &Subject) {
    let owner = subject.owner();
    append_sizes(subject, owner, &[2_000_000, 10, 2_000_000, 2_000_000]);
    assert_eq!(page_lengths(subject, owner, 1000), [1, 1, 1, 1]);
}

#[track_caller]
fn check(subject: &Subject, owner: Owner, query: EventQuery, expected: &[&str]) {
    assert_eq!(subject.event_ids(owner, &query), expected, "{query:?}")
}

fn filters_apply_alone_and_combined(subject: &Subject) {
    let owner = subject.owner();
    let drafts = [
        EventDraft { anonymous_id: Some("x".into()), session_id: Some("s".into()), ..draft("1") },
        EventDraft { kind: Some("page".into()), event_name: Some("E".into()), ..draft("2") },
        // Differs from the first by a blank.
        EventDraft { user_id: None, anonymous_id: Some("x ".into()), ..draft("3") },
        EventDraft {
            user_id: Some("U".into()),
            session_id: Some("S".into()),
            kind: Some("page".into()),
            ..draft("4")
        },
        EventDraft {
            event_name: Some("é'\\%_".into()),
            session_id: Some("s".into()),
            ..draft("5")
        },
    ];
    for (seconds, draft) in (0..).zip(drafts) {
        let events = vec![event(draft, after(seconds))];
        subject.append(Submission { owner, received_at: after(seconds), events });
    }
    let query = EventQuery { limit: 2, ..EventQuery::default() };
    let text = |text: &str| Some(text.to_owned());
    check(subject, owner, query.clone(), &["5", "4", "3", "2", "1"]);
    check(subject, owner, EventQuery { event_name: text("e"), ..query.clone() }, &["4", "3", "1"]);
    check(subject, owner, EventQuery { event_name: text("E"), ..query.clone() }, &["2"]);
    check(subject, owner, EventQuery { event_name: text("é'\\%_"), ..query.clone() }, &["5"]);
    // No pattern: `LIKE` would match everything.
    check(subject, owner, EventQuery { event_name: text("%"), ..query.clone() }, &[]);
    check(subject, owner, EventQuery { kind: Some(EventType::Page), ..query.clone() }, &["4", "2"]);
    check(subject, owner, EventQuery { kind: Some(EventType::Alias), ..query.clone() }, &[]);
    check(subject, owner, EventQuery { anonymous_id: text("x"), ..query.clone() }, &["1"]);
    check(subject, owner, EventQuery { anonymous_id: text("x "), ..query.clone() }, &["3"]);
    check(subject, owner, EventQuery { user_id: text("u"), ..query.clone() }, &["5", "2", "1"]);
    check(subject, owner, EventQuery { user_id: text("U"), ..query.clone() }, &["4"]);
    check(subject, owner, EventQuery { session_id: text("s"), ..query.clone() }, &["5", "1"]);
    check(
        subject,
        owner,
        EventQuery { user_id: text("u"), session_id: text("s"), ..query },
        &["5", "1"],
    );
    let all = EventQuery {
        event_name: text("e"),
        kind: Some(EventType::Track),
        anonymous_id: text("x"),
        user_id: text("u"),
        session_id: text("s"),
        from: Some(after(0)),
        to: Some(after(1)),
        received_from: Some(after(0)),
        received_to: Some(after(1)),
        sort: EventSort::default(),
        after: Some(Position { occurred_at: after(1), key: EventKey(Uuid::nil()) }),
        limit: 1,
    };
    check(subject, owner, all.clone(), &["1"]);
    check(subject, owner, EventQuery { user_id: text("nobody"), ..all }, &[]);
}

fn time_bounds_include_from_and_exclude_to(subject: &Subject) {
    let owner = subject.owner();
    for seconds in 0..4 {
        subject.append(submission(owner, after(seconds), &[&seconds.to_string()]));
    }
    let cases: [(Option<Timestamp>, Option<Timestamp>, &[&str]); 5] = [
        (Some(after(1)), None, &["3", "2", "1"]),
        (None, Some(after(2)), &["1", "0"]),
        (Some(after(1)), Some(after(3)), &["2", "1"]),
        (Some(after(2)), Some(after(2)), &[]),
        // One microsecond later.
        (after(1).checked_add_micros(1), after(3).checked_add_micros(1), &["3", "2"]),
    ];
    for (from, to, expected) in cases {
        check(subject, owner, EventQuery { from, to, limit: 1, ..EventQuery::default() }, expected);
    }
}

fn page_shows_one_workspace_only(subject: &Subject) {
    let (owner, stranger) = (subject.owner(), subject.owner());
    let neighbour = subject.other_workspace(owner);
    // A workspace of another tenant has no events.
    let crossed = Owner { tenant_id: owner.tenant_id, workspace_id: stranger.workspace_id };
    subject.append(submission(owner, now(), &["mine"]));
    subject.append(submission(neighbour, now(), &["other"]));
    subject.append(submission(stranger, now(), &["foreign"]));
    for (owner, expected) in
        [(owner, &["mine"][..]), (neighbour, &["other"]), (stranger, &["foreign"]), (crossed, &[])]
    {
        assert_eq!(subject.event_ids(owner, &EventQuery::default()), expected);
    }
}
