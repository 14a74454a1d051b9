//! The feed: every event once, in the order of storing, and the cursors of consumers.

use std::sync::atomic::{AtomicUsize, Ordering};

use mercurio_domain::Owner;
use mercurio_domain::event::StoredEvent;
use mercurio_domain::limits::MAX_PAGE_BYTES;
use mercurio_domain::store::{
    Deletion, FeedCursor, FeedCursorError, FeedError, FeedPage, FeedQuery, FeedStart, Person,
    Removal,
};
use mercurio_domain::testing::submission;

use crate::pages::append_sizes;
use crate::setup::{Subject, after, at_once, now};

on_every_store! {
    feed_has_each_event_once_in_the_order_of_storing,
    feed_of_an_empty_workspace_has_a_cursor,
    feed_from_now_has_only_later_events,
    feed_shows_one_workspace_only,
    feed_page_ends_at_its_bytes,
    feed_passes_removed_events,
    feed_has_each_event_once_while_others_write,
    cursor_of_another_workspace_is_refused,
    cursor_from_the_future_is_refused,
    consumer_advances_from_its_last_cursor_only,
}

fn page(subject: &Subject, owner: Owner, start: FeedStart, limit: usize) -> FeedPage {
    subject.store.feed(owner, &FeedQuery { start, limit }).unwrap()
}

fn ids_of(page: &FeedPage) -> Vec<String> {
    page.events.iter().map(|event| event.parts.event_id.to_string()).collect()
}

/// The ids after a cursor, from all pages, and the cursor after them.
fn read_on(
    subject: &Subject,
    owner: Owner,
    mut start: FeedStart,
    limit: usize,
) -> (Vec<String>, FeedCursor) {
    let mut ids = Vec::new();
    loop {
        let page = page(subject, owner, start, limit);
        assert!(page.events.len() <= limit);
        assert!(page.is_newest || !page.events.is_empty(), "a page gets on");
        ids.extend(ids_of(&page));
        // As a client keeps it.
        let next = FeedCursor::from_text(&page.next.to_text()).unwrap();
        if page.is_newest {
            return (ids, next);
        }
        start = FeedStart::After(next);
    }
}

fn feed_has_each_event_once_in_the_order_of_storing(subject: &Subject) {
    let owner = subject.owner();
    // Neither the time of the event nor that of receipt orders the feed.
    for (seconds, ids) in
        [(5, ["5a", "5b", "5c"]), (1, ["1a", "1b", "1c"]), (9, ["9a", "9b", "9c"])]
    {
        subject.append(submission(owner, after(seconds), &ids));
        subject.append(submission(owner, after(seconds), &ids));
    }
    for limit in 1..=10 {
        let (ids, next) = read_on(subject, owner, FeedStart::Oldest, limit);
        let times: Vec<&str> = ids.iter().map(|id| &id[..1]).collect();
        assert_eq!(times, ["5", "5", "5", "1", "1", "1", "9", "9", "9"], "{limit}");
        let mut unique = ids.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), 9, "{limit}");
        // The end is a place to go on from.
        let (none, again) = read_on(subject, owner, FeedStart::After(next.clone()), limit);
        assert!(none.is_empty() && again.last == next.last, "{limit}");
    }
    let all = page(subject, owner, FeedStart::Oldest, 100);
    for (index, cursor) in all.cursors.iter().enumerate() {
        let (rest, _) = read_on(subject, owner, FeedStart::After(cursor.clone()), 100);
        assert_eq!(rest, ids_of(&all)[index + 1..], "{index}");
    }
    let (_, next) = read_on(subject, owner, FeedStart::Oldest, 100);
    subject.append(submission(owner, after(0), &["0a"]));
    assert_eq!(read_on(subject, owner, FeedStart::After(next), 100).0, ["0a"]);
}

fn feed_of_an_empty_workspace_has_a_cursor(subject: &Subject) {
    let owner = subject.owner();
    for start in [FeedStart::Oldest, FeedStart::Now] {
        let page = page(subject, owner, start, 10);
        assert!(page.events.is_empty() && page.is_newest);
        // The first event of the workspace, and possibly of the database.
        subject.append(submission(owner, now(), &["a"]));
        assert_eq!(read_on(subject, owner, FeedStart::After(page.next), 10).0, ["a"]);
        remove(subject, &Removal::All(Deletion::Workspace(owner)));
    }
}

fn feed_from_now_has_only_later_events(subject: &Subject) {
    let owner = subject.owner();
    subject.append(submission(owner, now(), &["a", "b"]));
    let FeedPage { events, next, is_newest, .. } = page(subject, owner, FeedStart::Now, 10);
    assert!(events.is_empty() && is_newest);
    assert!(read_on(subject, owner, FeedStart::After(next.clone()), 10).0.is_empty());
    subject.append(submission(owner, now(), &["b", "c"]));
    assert_eq!(read_on(subject, owner, FeedStart::After(next), 10).0, ["c"]);
}

fn feed_shows_one_workspace_only(subject: &Subject) {
    let owner = subject.owner();
    let (other, stranger) = (subject.other_workspace(owner), subject.owner());
    for (of, id) in [(owner, "a"), (other, "b"), (stranger, "c"), (owner, "d"), (other, "d")] {
        subject.append(submission(of, now(), &[id]));
    }
    for (of, expected) in [(owner, &["a", "d"][..]), (other, &["b"]), (stranger, &["c"])] {
        assert_eq!(read_on(subject, of, FeedStart::Oldest, 1).0, expected);
    }
    // A workspace named with another tenant has no events.
    let mixed = Owner { tenant_id: stranger.tenant_id, ..owner };
    assert!(read_on(subject, mixed, FeedStart::Oldest, 10).0.is_empty());
}

fn feed_page_ends_at_its_bytes(subject: &Subject) {
    let owner = subject.owner();
    append_sizes(subject, owner, &[&[100; 120][..], &[300_000; 7], &[2_000_000; 2]].concat());
    let (mut events, mut large, mut start) = (0, 0, FeedStart::Oldest);
    loop {
        let page = page(subject, owner, start, 1000);
        let bytes: usize = page.events.iter().map(StoredEvent::size_bytes).sum();
        // An event larger than a page is a page.
        large += usize::from(page.events.len() == 1 && bytes > MAX_PAGE_BYTES);
        assert!(bytes <= MAX_PAGE_BYTES || page.events.len() == 1, "{bytes}");
        events += page.events.len();
        if page.is_newest {
            break;
        }
        start = FeedStart::After(page.next);
    }
    assert_eq!((events, large), (129, 2));
}

/// Removes events in all steps.
fn remove(subject: &Subject, which: &Removal) {
    let mut from = None;
    loop {
        from = subject.store.remove_events(which, now(), from.as_ref()).unwrap().next;
        if from.is_none() {
            return;
        }
    }
}

fn feed_passes_removed_events(subject: &Subject) {
    let owner = subject.owner();
    subject.append(submission(owner, now(), &["a", "b", "c"]));
    let first = page(subject, owner, FeedStart::Oldest, 1);
    let person = Removal::Person { tenant_id: owner.tenant_id, person: Person::User("u".into()) };
    remove(subject, &person);
    subject.append(submission(owner, now(), &["a", "d"]));
    for limit in 1..4 {
        let start = FeedStart::After(first.next.clone());
        let (ids, _) = read_on(subject, owner, start, limit);
        assert_eq!(ids, subject.event_ids(owner, &Default::default()), "{limit}");
        assert_eq!(ids, ["d"], "{limit}");
    }
}

fn feed_has_each_event_once_while_others_write(subject: &Subject) {
    const WRITERS: usize = 4;
    const GROUPS: usize = 30;
    let (owner, other) = (subject.owner(), subject.owner());
    let done = AtomicUsize::new(0);
    let read = at_once(WRITERS + 1, |index| {
        if index == WRITERS {
            return follow(subject, owner, &done, WRITERS);
        }
        for group in 0..GROUPS {
            let ids: Vec<String> = (0..7).map(|event| format!("{index} {group} {event}")).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let both = [submission(owner, now(), &ids), submission(other, now(), &ids)];
            subject.store.append(&both).unwrap();
        }
        done.fetch_add(1, Ordering::SeqCst);
        Vec::new()
    });
    let mut ids = read.concat();
    ids.sort();
    let mut expected: Vec<String> = (0..WRITERS * GROUPS * 7)
        .map(|n| format!("{} {} {}", n / (GROUPS * 7), n / 7 % GROUPS, n % 7))
        .collect();
    expected.sort();
    let missing: Vec<_> = expected.iter().filter(|id| !ids.contains(id)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(ids.len(), expected.len(), "each once");
}

/// Reads pages of changing size until the writers are done and nothing follows. Leaves every other
/// page after half of its events.
fn follow(subject: &Subject, owner: Owner, done: &AtomicUsize, writers: usize) -> Vec<String> {
    let (mut ids, mut start) = (Vec::new(), FeedStart::Oldest);
    for limit in (1..10).cycle() {
        let was_done = done.load(Ordering::SeqCst) == writers;
        let mut page = page(subject, owner, start, limit);
        assert_eq!(page.cursors.len(), page.events.len());
        if limit % 2 == 0
            && let Some(cursor) = page.cursors.get(page.events.len() / 2)
        {
            // As a client keeps it.
            page.next = FeedCursor::from_text(&cursor.to_text()).unwrap();
            page.events.truncate(page.events.len() / 2 + 1);
            page.is_newest = false;
        }
        ids.extend(ids_of(&page));
        if was_done && page.is_newest {
            break;
        }
        start = FeedStart::After(page.next);
    }
    ids
}

fn refusal(subject: &Subject, owner: Owner, cursor: FeedCursor) -> FeedCursorError {
    let query = FeedQuery { start: FeedStart::After(cursor), limit: 10 };
    match subject.store.feed(owner, &query).unwrap_err() {
        FeedError::Cursor(error) => error,
        FeedError::Store(error) => panic!("{error:?}"),
    }
}

fn cursor_of_another_workspace_is_refused(subject: &Subject) {
    let owner = subject.owner();
    let other = subject.other_workspace(owner);
    subject.append(submission(owner, now(), &["a"]));
    let next = page(subject, owner, FeedStart::Oldest, 10).next;
    assert_eq!(refusal(subject, other, next), FeedCursorError::OtherWorkspace);
}

fn cursor_from_the_future_is_refused(subject: &Subject) {
    let owner = subject.owner();
    subject.append(submission(owner, now(), &["a"]));
    let next = page(subject, owner, FeedStart::Oldest, 10).next;
    // A position not given yet, the next era, and the last one of all.
    for last in [next.last + 1_000_000, next.last + (1 << 48), i64::MAX] {
        let cursor = FeedCursor { last, ..next.clone() };
        assert_eq!(refusal(subject, owner, cursor), FeedCursorError::Replaced, "{last}");
    }
}

fn consumer_advances_from_its_last_cursor_only(subject: &Subject) {
    let owner = subject.owner();
    let (store, other) = (&subject.store, subject.other_workspace(owner));
    let cursor = |last| FeedCursor { last, ..FeedCursor::oldest(owner.workspace_id) };
    let (one, two) = (cursor(1), cursor(2));
    assert_eq!(store.consumer_cursor(owner, "billing").unwrap(), None);
    assert!(!store.advance_consumer(owner, "billing", Some(&one), &two, now()).unwrap());
    assert!(store.advance_consumer(owner, "billing", None, &one, now()).unwrap());
    assert!(!store.advance_consumer(owner, "billing", None, &two, now()).unwrap());
    assert!(store.advance_consumer(owner, "billing", Some(&one), &two, now()).unwrap());
    assert!(!store.advance_consumer(owner, "billing", Some(&one), &two, now()).unwrap());
    assert_eq!(store.consumer_cursor(owner, "billing").unwrap(), Some(two));
    for (of, name) in [(owner, "Billing"), (owner, "search"), (other, "billing")] {
        assert_eq!(store.consumer_cursor(of, name).unwrap(), None, "{name}");
    }
}
