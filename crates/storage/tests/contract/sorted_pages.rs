//! Pages in every order and direction, with bounds on receipt.

use mercurio_domain::store::{Direction, EventOrder, EventQuery, EventSort, Submission};
use mercurio_domain::{EventId, EventKey, Owner, Timestamp};
use proptest::prelude::*;

use crate::setup::{Subject, after, check_law, draft, event};

on_every_store! {
    pages_together_are_all_matching_events_sorted,
    days_of_receipt_are_joined_without_a_gap,
    ascending_pages_show_events_that_arrive_behind_the_cursor,
    erased_event_is_in_no_order,
}

const SORTS: [EventSort; 4] = [
    sort(EventOrder::Occurred, Direction::Descending),
    sort(EventOrder::Occurred, Direction::Ascending),
    sort(EventOrder::Received, Direction::Descending),
    sort(EventOrder::Received, Direction::Ascending),
];

const fn sort(order: EventOrder, direction: Direction) -> EventSort {
    EventSort { order, direction }
}

/// Seconds in a third of a day, so that a few steps cross days.
const STEP: i64 = 28_800;

/// A generated event.
#[derive(Debug, Clone, Copy)]
struct EventSketch {
    /// In steps.
    received: i64,
    occurred: i64,
    is_wanted: bool,
}

fn sketches() -> impl Strategy<Value = Vec<EventSketch>> {
    // Few times, so that most are shared.
    let sketch = (0_i64..12, -3_i64..6, any::<bool>());
    let sketch = sketch.prop_map(|(received, occurred, is_wanted)| EventSketch {
        received,
        occurred,
        is_wanted,
    });
    prop::collection::vec(sketch, 0..40)
}

fn append(subject: &Subject, owner: Owner, sketches: &[EventSketch]) {
    let mut group = Vec::new();
    for (number, sketch) in sketches.iter().enumerate() {
        let time = after(sketch.occurred * STEP).to_string();
        let id = number.to_string();
        let mut draft = draft(&id);
        draft.timestamp = Some(time.as_str().into());
        draft.session_id = sketch.is_wanted.then_some("s".into());
        let received_at = after(sketch.received * STEP);
        group.push(Submission { owner, received_at, events: vec![event(draft, received_at)] });
    }
    subject.store.append(&group).unwrap();
}

/// A generated query.
#[derive(Debug, Clone)]
struct QuerySketch {
    limit: usize,
    is_filtered: bool,
    received: Option<(i64, i64)>,
}

fn queries() -> impl Strategy<Value = QuerySketch> {
    let received = prop::option::of((-1_i64..13, 0_i64..13));
    (1_usize..12, any::<bool>(), received).prop_map(|(limit, is_filtered, received)| QuerySketch {
        limit,
        is_filtered,
        received: received.map(|(from, length)| (from, from + length)),
    })
}

/// The ids of the matching events in their order, by the definition of it.
fn expected(sketches: &[EventSketch], query: &EventQuery) -> Vec<String> {
    let mut found = Vec::new();
    for (number, sketch) in sketches.iter().enumerate() {
        let (received, occurred) = (after(sketch.received * STEP), after(sketch.occurred * STEP));
        let is_in_bounds = query.received_from.is_none_or(|from| from <= received)
            && query.received_to.is_none_or(|to| received < to);
        if is_in_bounds && (query.session_id.is_none() || sketch.is_wanted) {
            let time = match query.sort.order {
                EventOrder::Occurred => occurred,
                EventOrder::Received => received,
            };
            let id = number.to_string();
            found.push((time, EventKey::of(&EventId::lookup(&*id)), id));
        }
    }
    found.sort();
    if query.sort.direction == Direction::Descending {
        found.reverse();
    }
    found.into_iter().map(|(_, _, id)| id).collect()
}

fn pages_together_are_all_matching_events_sorted(subject: &Subject) {
    check_law((sketches(), queries()), |(sketches, sketch)| {
        let owner = subject.owner();
        append(subject, owner, &sketches);
        for sort in SORTS {
            let query = EventQuery {
                limit: sketch.limit,
                session_id: sketch.is_filtered.then(|| "s".to_owned()),
                received_from: sketch.received.map(|(from, _)| after(from * STEP)),
                received_to: sketch.received.map(|(_, to)| after(to * STEP)),
                sort,
                ..EventQuery::default()
            };
            let ids = subject.event_ids(owner, &query);
            prop_assert_eq!(ids, expected(&sketches, &query), "{:?}", query);
        }
        Ok(())
    });
}

/// The ids of the events received at [`edges`].
const EDGES: [&str; 4] = ["midnight", "before", "old", "new"];

/// The first or last microsecond of the day after [`crate::setup::now`], and one far away.
fn edges() -> [Timestamp; 4] {
    [
        "2026-11-23T00:00:00Z",
        "2026-11-22T23:59:59.999999Z",
        "2026-09-01T12:00:00Z",
        "2026-12-30T00:00:00Z",
    ]
    .map(mercurio_domain::testing::at)
}

fn days_of_receipt_are_joined_without_a_gap(subject: &Subject) {
    let owner = subject.owner();
    for (id, received_at) in EDGES.into_iter().zip(edges()) {
        let events = vec![event(draft(id), received_at)];
        subject.append(Submission { owner, received_at, events });
    }
    let [midnight, before, old, new] = EDGES;
    for limit in 1..=5 {
        let query = EventQuery { limit, sort: SORTS[3], ..EventQuery::default() };
        assert_eq!(subject.event_ids(owner, &query), [old, before, midnight, new]);
        let query = EventQuery { sort: SORTS[2], ..query };
        assert_eq!(subject.event_ids(owner, &query), [new, midnight, before, old]);
    }
    // The last page has no cursor, also if its days end before it is full.
    let query = EventQuery { limit: 4, sort: SORTS[3], ..EventQuery::default() };
    assert_eq!(subject.store.events(owner, &query).unwrap().next, None);
    let page = subject.store.events(owner, &EventQuery { limit: 3, ..query }).unwrap();
    assert!(page.next.is_some());
}

fn ascending_pages_show_events_that_arrive_behind_the_cursor(subject: &Subject) {
    let owner = subject.owner();
    append(subject, owner, &[EventSketch { received: 0, occurred: 0, is_wanted: true }; 3]);
    let mut query = EventQuery { limit: 2, sort: SORTS[3], ..EventQuery::default() };
    let page = subject.store.events(owner, &query).unwrap();
    assert_eq!(page.events.len(), 2);
    let late = event(draft("late"), after(1));
    subject.append(Submission { owner, received_at: after(1), events: vec![late] });
    query.after = page.next;
    let ids = subject.event_ids(owner, &query);
    assert_eq!((ids.len(), ids.last().unwrap().as_str()), (2, "late"));
}

fn erased_event_is_in_no_order(subject: &Subject) {
    use mercurio_domain::store::{Person, Removal};
    let owner = subject.owner();
    let mut of_other = draft("kept");
    of_other.user_id = Some("v".into());
    let events = vec![event(draft("erased"), after(0)), event(of_other, after(0))];
    subject.append(Submission { owner, received_at: after(0), events });
    let removal =
        Removal::Person { tenant_id: owner.tenant_id, person: Person::User("u".to_owned()) };
    let mut from = None;
    loop {
        let removed = subject.store.remove_events(&removal, after(1), from.as_ref()).unwrap();
        from = removed.next;
        if from.is_none() {
            break;
        }
    }
    for sort in SORTS {
        let query = EventQuery { sort, ..EventQuery::default() };
        assert_eq!(subject.event_ids(owner, &query), ["kept"], "{sort}");
    }
}
