//! Events from an export: stored again, they are the same byte for byte.

use mercurio_domain::Owner;
use mercurio_domain::event::{EventDraft, EventType, ExportedEvent, StoredEvent};
use mercurio_domain::payload::RawJson;
use mercurio_domain::store::{EventQuery, Submission};
use mercurio_domain::verdict::Outcome;
use proptest::prelude::*;

use crate::setup::{Subject, after, check_law, event, now};

on_every_store! {
    exported_events_are_stored_again_byte_for_byte,
    exported_event_is_a_duplicate_of_its_original,
}

/// A generated event.
#[derive(Debug, Clone)]
struct EventSketch {
    kind: EventType,
    id: String,
    person: String,
    /// Seconds after the start.
    received: i64,
    occurred: i64,
    payload: Option<&'static str>,
}

fn sketches() -> impl Strategy<Value = Vec<EventSketch>> {
    let payloads = vec!["{}", r#"{ "n":1e2,"m":-0.10 }"#, r#"{"u":"\u00e9 é","t":[ 1 ,{}]}"#];
    let payload = prop::option::of(prop::sample::select(payloads));
    let kind = prop::sample::select(EventType::ALL.to_vec());
    let event = (kind, "[a-z\"\\\\é]{1,9}", "[ -~é]{0,9}x", 0_i64..200_000, -9_i64..9, payload);
    let event = event.prop_map(|(kind, id, person, received, occurred, payload)| EventSketch {
        kind,
        id,
        person,
        received,
        occurred,
        payload,
    });
    prop::collection::vec(event, 1..12)
}

fn submissions(owner: Owner, sketches: &[EventSketch]) -> Vec<Submission> {
    let mut submissions = Vec::new();
    for (number, sketch) in sketches.iter().enumerate() {
        let EventSketch { kind, id, person, received, occurred, payload } = sketch;
        let time = after(*occurred).to_string();
        let raw = || payload.map(|payload| RawJson::parse(payload).unwrap());
        let draft = EventDraft {
            event_id: Some(format!("{number}{id}").into()),
            kind: Some(kind.as_str().into()),
            event_name: Some("e".into()),
            timestamp: Some(time.as_str().into()),
            user_id: Some(person.as_str().into()),
            properties: raw(),
            context: raw(),
            ..EventDraft::default()
        };
        let received_at = after(*received);
        submissions.push(Submission {
            owner,
            received_at,
            events: vec![event(draft, received_at)],
        });
    }
    submissions
}

/// All events of a workspace, newest first.
fn stored(subject: &Subject, owner: Owner) -> Vec<StoredEvent> {
    let query = EventQuery { limit: 1000, ..EventQuery::default() };
    subject.store.events(owner, &query).unwrap().events
}

/// The lines of an export, as if it was of `owner`.
fn lines(events: &[StoredEvent], owner: Owner) -> Vec<String> {
    let events = events.iter().map(|event| StoredEvent { owner, ..event.clone() });
    events.map(|event| serde_json::to_string(&event).unwrap()).collect()
}

fn import(subject: &Subject, owner: Owner, lines: &[String]) -> Vec<Outcome> {
    let mut group = Vec::new();
    for line in lines {
        let ExportedEvent { received_at, event, .. } =
            ExportedEvent::parse(line, after(200_000)).unwrap();
        group.push(Submission { owner, received_at, events: vec![event] });
    }
    subject.store.append(&group).unwrap().into_iter().flatten().collect()
}

fn exported_events_are_stored_again_byte_for_byte(subject: &Subject) {
    check_law(sketches(), |sketches| {
        let (from, to) = (subject.owner(), subject.owner());
        subject.store.append(&submissions(from, &sketches)).unwrap();
        let exported = lines(&stored(subject, from), from);
        prop_assert_eq!(exported.len(), sketches.len());
        let outcomes = import(subject, to, &exported);
        prop_assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Accepted));
        prop_assert_eq!(lines(&stored(subject, to), from), exported);
        Ok(())
    });
}

fn exported_event_is_a_duplicate_of_its_original(subject: &Subject) {
    let owner = subject.owner();
    subject.append(mercurio_domain::testing::submission(owner, now(), &["a", "b"]));
    let exported = lines(&stored(subject, owner), owner);
    let other = subject.other_workspace(owner);
    assert_eq!(import(subject, owner, &exported), [Outcome::Duplicate; 2]);
    let in_other = Outcome::DuplicateIn(owner.workspace_id);
    assert_eq!(import(subject, other, &exported), [in_other; 2]);
    assert_eq!(stored(subject, other), []);
}
