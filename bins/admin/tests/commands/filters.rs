//! Filters of events: those of `GET /v1/events`, with dates and ages.

use mercurio_domain::Owner;
use mercurio_domain::enrichment::Enrichment;
use mercurio_domain::event::{EnrichedEvent, EnrichmentJson, EventDraft, Reception};
use mercurio_domain::store::{EventWriter, Submission};
use mercurio_domain::testing::at;
use serde_json::Value;

use crate::test_machine::{TestMachine, owner_of};

/// Event id, day of November 2026, type, user and name.
const EVENTS: [&str; 6] = [
    "a 01 track ann Signed Up",
    "b 05 page ann Pricing",
    "c 10 track bob Order Completed",
    "d 20 screen bob Home",
    "e 21 track ann Order Completed",
    "f 22 track eve Signed Up",
];

/// A store with the events in two workspaces, by turns.
fn machine() -> TestMachine {
    let machine = TestMachine::default();
    let owner = owner_of(&machine.perform("provision --tenant Acme").expect("success"));
    let other = machine.perform("workspace create Other --tenant Acme").expect("success");
    let other = Owner {
        workspace_id: other["id"].as_str().expect("a text").parse().expect("a number"),
        ..owner
    };
    for (index, event) in EVENTS.into_iter().enumerate() {
        let words: Vec<&str> = event.splitn(5, ' ').collect();
        let [id, day, kind, user, name] = words[..] else { panic!("{event}") };
        let time = format!("2026-11-{day}T08:00:00Z");
        let draft = EventDraft {
            event_id: Some(id.into()),
            kind: Some(kind.into()),
            event_name: Some(name.into()),
            user_id: Some(user.into()),
            anonymous_id: Some(format!("device of {user}").into()),
            session_id: Some(format!("session {day}").into()),
            timestamp: Some(time.as_str().into()),
            ..EventDraft::default()
        };
        let received_at = at("2026-11-22T09:00:00Z");
        let mut errors = Vec::new();
        let valid = draft.check("", &Reception::at(received_at), || unreachable!(), &mut errors);
        let enrichment = EnrichmentJson::of(&Enrichment::default());
        let events = vec![EnrichedEvent::new(valid.expect("valid"), enrichment)];
        let owner = if index % 2 == 0 { owner } else { other };
        machine.store.append(&[Submission { owner, received_at, events }]).expect("stored");
    }
    machine
}

fn listed(machine: &TestMachine, options: &[&str]) -> String {
    let line = [&["events", "list", "--tenant", "Acme"], options].concat();
    let listed = machine.perform_args(&line).expect("success");
    let events = listed["events"].as_array().expect("success");
    events.iter().map(|event| event["event_id"].as_str().expect("a text")).collect()
}

#[test]
fn events_are_listed_by_every_filter_newest_first() {
    let machine = machine();
    for (options, expected) in [
        // Over both workspaces together.
        (&[][..], "fedcba"),
        (&["--limit", "2"], "fe"),
        (&["--workspace", "other"], "fdb"),
        (&["--workspace", "other", "--limit", "1"], "f"),
        (&["--event-name", "Order Completed"], "ec"),
        (&["--type", "track"], "feca"),
        (&["--type", "screen"], "d"),
        (&["--user-id", "ann"], "eba"),
        (&["--anonymous-id", "device of bob"], "dc"),
        (&["--session-id", "session 05"], "b"),
        (&["--user-id", "ann", "--type", "track"], "ea"),
        (&["--event-name", "order completed"], ""),
        // The clock is at 10 o'clock on 22 November.
        (&["--from", "2026-11-20"], "fed"),
        (&["--to", "2026-11-10"], "ba"),
        (&["--from", "2026-11-10", "--to", "2026-11-21"], "dc"),
        (&["--from", "2026-11-21T08:00:00Z"], "fe"),
        (&["--from", "2026-11-21T09:30:00+01:00"], "f"),
        (&["--from", "2h"], ""),
        (&["--from", "3h"], "f"),
        (&["--from", "30d", "--to", "12d"], "cba"),
        (&["--from", "1y", "--user-id", "eve"], "f"),
    ] {
        assert_eq!(listed(&machine, options), expected, "{options:?}");
    }
}

#[test]
fn wrong_filter_is_named_with_its_choices() {
    let machine = machine();
    for (options, part) in [
        (&["--type", "click"][..], "--type: \"click\" is not one of track, page, screen"),
        (&["--from", "yesterday"], "--from: \"yesterday\" is not a time: use a date such as"),
        (&["--from", "1d", "--to", "2d"], "is not before --to"),
        (&["--from", "2026-11-01", "--to", "2026-11-01"], "no event can be in between"),
        (&["--to", "2026-02-30"], "--to: \"2026-02-30\" does not exist"),
    ] {
        for command in ["list", "export"] {
            let line = [&["events", command, "--tenant", "Acme"], options].concat();
            let error = machine.perform_args(&line).unwrap_err();
            assert_eq!(error.exit().code(), 64, "{options:?}");
            assert!(error.to_string().contains(part), "{options:?}: {error}");
        }
    }
}

#[test]
fn event_is_shown_from_any_workspace_of_its_tenant() {
    let machine = machine();
    machine.perform("provision --tenant Other").unwrap();
    for (id, name) in [("a", "Signed Up"), ("d", "Home")] {
        let shown = machine.perform(&format!("events get {id} --tenant acme")).unwrap();
        assert_eq!((&shown["event_id"], &shown["event_name"]), (&id.into(), &Value::from(name)));
    }
    for line in ["events get x --tenant acme", "events get a --tenant other"] {
        let error = machine.perform(line).unwrap_err();
        assert_eq!(error.exit().code(), 4, "{line}");
        assert!(error.to_string().contains("there is no event"), "{error}");
    }
}
