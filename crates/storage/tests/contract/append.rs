//! Appending: each event is stored once, and byte for byte.

use mercurio_domain::event::{EnrichedEvent, EventDraft, Origin, StoredEvent};
use mercurio_domain::payload::{JsonObject, RawJson};
use mercurio_domain::store::Submission;
use mercurio_domain::testing::{at, submission};
use mercurio_domain::verdict::Outcome::{self, Accepted, Duplicate, DuplicateIn};
use mercurio_domain::{EventId, EventKey, Text, Timestamp};

use crate::setup::{Subject, after, at_once, draft, event, now};

on_every_store! {
    new_event_is_accepted_and_read_back,
    first_event_of_an_id_in_a_batch_is_kept,
    first_event_of_an_id_in_a_group_is_kept,
    event_of_an_earlier_group_is_a_duplicate_and_unchanged,
    event_id_is_unique_across_workspaces_of_a_tenant,
    duplicate_names_the_other_workspace_that_holds_the_id,
    tenants_may_use_the_same_event_id,
    ids_differing_in_case_blanks_or_form_are_distinct,
    outcomes_are_in_the_order_of_the_group,
    empty_group_stores_nothing,
    group_of_thousands_is_stored_whole,
    ids_sent_concurrently_are_accepted_exactly_once,
    payloads_are_kept_byte_for_byte,
    texts_are_kept_character_for_character,
    times_are_kept_to_the_microsecond,
    event_without_optional_members_has_none,
    events_of_different_days_are_stored_in_one_group,
    event_is_found_only_by_its_owner,
}

fn stored(subject: &Subject, owner: mercurio_domain::Owner, event_id: &str) -> StoredEvent {
    subject
        .store
        .event(owner, &EventId::lookup(event_id))
        .unwrap()
        .unwrap_or_else(|| panic!("{event_id} is missing"))
}

fn new_event_is_accepted_and_read_back(subject: &Subject) {
    let owner = subject.owner();
    let draft = EventDraft {
        event_id: Some("quake-1".into()),
        kind: Some("screen".into()),
        event_name: Some("Quake seen".into()),
        timestamp: Some("2026-11-22T09:59:58.000001Z".into()),
        anonymous_id: Some("anonymous".into()),
        user_id: Some("user".into()),
        session_id: Some("session".into()),
        schema_version: Some("2.1.0-beta+5".into()),
        // A space and a trailing zero: `jsonb` would lose both.
        properties: Some(raw(r#"{"magnitude": 5.20}"#)),
        traits: Some(raw(r#"{"plan":"free"}"#)),
        context: Some(raw(r#"{"page":{"path":"/"}}"#)),
    };
    let event = event(draft, now());
    let outcomes =
        subject.append(Submission { owner, received_at: now(), events: vec![event.clone()] });
    assert_eq!(outcomes, [Accepted]);
    let stored = stored(subject, owner, "quake-1");
    assert_eq!(&stored.parts, event.parts());
    assert_eq!((stored.owner, stored.received_at), (owner, now()));
    assert_eq!(stored.enrichment.as_str(), event.enrichment().as_str());
}

fn raw(text: &str) -> RawJson<'_> {
    RawJson::parse(text).unwrap()
}

/// An event with the id `a`.
fn named(event_name: &str, received_at: Timestamp) -> EnrichedEvent {
    event(EventDraft { event_name: Some(event_name.into()), ..draft("a") }, received_at)
}

fn first_event_of_an_id_in_a_batch_is_kept(subject: &Subject) {
    let owner = subject.owner();
    let events = ["first", "second", "third"].map(|name| named(name, now())).into();
    assert_eq!(
        subject.append(Submission { owner, received_at: now(), events }),
        [Accepted, Duplicate, Duplicate]
    );
    assert_eq!(&*stored(subject, owner, "a").parts.event_name, "first");
    assert_eq!(subject.count(owner), 1);
}

fn first_event_of_an_id_in_a_group_is_kept(subject: &Subject) {
    let owner = subject.owner();
    let late = Submission { owner, received_at: after(5), events: vec![named("first", after(5))] };
    let early = Submission { owner, received_at: now(), events: vec![named("second", now())] };
    // The order of the group decides, not the times.
    let outcomes = subject.store.append(&[late, early]).unwrap();
    assert_eq!(outcomes, [[Accepted], [Duplicate]]);
    assert_eq!(&*stored(subject, owner, "a").parts.event_name, "first");
    assert_eq!(subject.count(owner), 1);
}

fn event_of_an_earlier_group_is_a_duplicate_and_unchanged(subject: &Subject) {
    let owner = subject.owner();
    assert_eq!(subject.append(submission(owner, now(), &["a", "b"])), [Accepted, Accepted]);
    let again = event(EventDraft { event_name: Some("another".into()), ..draft("a") }, after(9));
    let events = vec![again, event(draft("c"), after(9))];
    let later = Submission { owner, received_at: after(9), events };
    assert_eq!(subject.append(later.clone()), [Duplicate, Accepted]);
    assert_eq!(subject.append(later), [Duplicate, Duplicate]);
    let stored = stored(subject, owner, "a");
    assert_eq!((&*stored.parts.event_name, stored.received_at), ("e", now()));
    assert_eq!(subject.count(owner), 3);
}

fn event_id_is_unique_across_workspaces_of_a_tenant(subject: &Subject) {
    let owner = subject.owner();
    let neighbour = subject.other_workspace(owner);
    assert_eq!(subject.append(submission(owner, now(), &["a"])), [Accepted]);
    let elsewhere = DuplicateIn(owner.workspace_id);
    assert_eq!(subject.append(submission(neighbour, now(), &["a", "b"])), [elsewhere, Accepted]);
    assert_eq!((subject.count(owner), subject.count(neighbour)), (1, 1));
}

fn duplicate_names_the_other_workspace_that_holds_the_id(subject: &Subject) {
    let owner = subject.owner();
    let neighbour = subject.other_workspace(owner);
    let stranger = subject.owner();
    subject.append(submission(owner, now(), &["a"]));
    // Stored before, by this group, and by another tenant; in a group and sent again.
    let group = [
        submission(stranger, now(), &["a", "b"]),
        submission(neighbour, now(), &["a", "b", "c"]),
        submission(owner, now(), &["a", "b", "c", "d"]),
    ];
    let (here, there) = (DuplicateIn(owner.workspace_id), DuplicateIn(neighbour.workspace_id));
    assert_eq!(
        subject.store.append(&group).unwrap(),
        [
            vec![Accepted, Accepted],
            vec![here, Accepted, Accepted],
            vec![Duplicate, there, there, Accepted]
        ]
    );
    assert_eq!(
        subject.store.append(&group).unwrap(),
        [
            vec![Duplicate, Duplicate],
            vec![here, Duplicate, Duplicate],
            vec![Duplicate, there, there, Duplicate]
        ]
    );
}

fn tenants_may_use_the_same_event_id(subject: &Subject) {
    let (one, other) = (subject.owner(), subject.owner());
    let group = [submission(one, now(), &["a", "b"]), submission(other, now(), &["b", "a"])];
    assert_eq!(subject.store.append(&group).unwrap(), [[Accepted, Accepted], [Accepted, Accepted]]);
    assert_eq!((subject.count(one), subject.count(other)), (2, 2));
}

fn ids_differing_in_case_blanks_or_form_are_distinct(subject: &Subject) {
    let owner = subject.owner();
    let uuid = "0193a5a0-7c5c-7e3b-9f6d-0123456789ab";
    let forms = [
        uuid.to_owned(),
        uuid.to_uppercase(),
        uuid.replace('-', ""),
        format!("{{{uuid}}}"),
        format!("urn:uuid:{uuid}"),
        format!(" {uuid}"),
        format!("{uuid} "),
    ];
    let mut ids: Vec<&str> = forms.iter().map(String::as_str).collect();
    // Case, blanks, composed and decomposed accents, and a ligature.
    ids.extend(["a", "A", "a ", " a", "á", "a\u{301}", "ﬀ", "ff"]);
    // SQL and the NULL of text COPY.
    ids.extend(["'; DROP TABLE events; --", "\\N"]);
    assert_eq!(subject.append(submission(owner, now(), &ids)), [Accepted; 17]);
    assert_eq!(subject.append(submission(owner, now(), &ids)), [Duplicate; 17]);
    for id in ids {
        assert_eq!(stored(subject, owner, id).parts.event_id.as_str(), id);
    }
    assert_eq!(subject.store.event(owner, &EventId::lookup("b")).unwrap(), None);
}

fn outcomes_are_in_the_order_of_the_group(subject: &Subject) {
    let (one, other) = (subject.owner(), subject.owner());
    subject.append(submission(other, now(), &["z", "b"]));
    let group = [
        submission(other, now(), &["z", "y", "a", "b"]),
        submission(one, now(), &[]),
        submission(one, now(), &["z", "z", "a"]),
        submission(other, now(), &["a", "c"]),
    ];
    let expected = [
        vec![Duplicate, Accepted, Accepted, Duplicate],
        vec![],
        vec![Accepted, Duplicate, Accepted],
        vec![Duplicate, Accepted],
    ];
    assert_eq!(subject.store.append(&group).unwrap(), expected);
}

fn empty_group_stores_nothing(subject: &Subject) {
    let owner = subject.owner();
    assert_eq!(subject.store.append(&[]).unwrap(), Vec::<Vec<_>>::new());
    let group = [submission(owner, now(), &[]), submission(owner, now(), &[])];
    assert_eq!(subject.store.append(&group).unwrap(), [vec![], vec![]]);
    assert_eq!(subject.count(owner), 0);
}

fn accepted(outcomes: &[Vec<Outcome>]) -> usize {
    outcomes.iter().flatten().filter(|outcome| **outcome == Accepted).count()
}

fn group_of_thousands_is_stored_whole(subject: &Subject) {
    let owner = subject.owner();
    // More than a default group of 4,000 events.
    let ids: Vec<String> = (0..5_000).map(|number| format!("id-{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let group: Vec<_> = ids.chunks(50).map(|ids| submission(owner, now(), ids)).collect();
    assert_eq!(accepted(&subject.store.append(&group).unwrap()), 5_000);
    assert_eq!(accepted(&subject.store.append(&group).unwrap()), 0);
    assert_eq!(subject.count(owner), 5_000);
}

fn ids_sent_concurrently_are_accepted_exactly_once(subject: &Subject) {
    // More threads than write connections, so some wait for the pool too.
    const THREADS: usize = 64;
    let owner = subject.owner();
    let ids: Vec<String> = (0..40).map(|number| format!("id-{number}")).collect();
    let outcomes = at_once(THREADS, |thread| {
        // Each in another order, so that writers without sorting would deadlock.
        let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        ids.rotate_left(thread % 40);
        if thread % 2 == 0 {
            ids.reverse();
        }
        let outcomes = subject.append(submission(owner, now(), &ids));
        ids.into_iter()
            .zip(outcomes)
            .filter(|(_, one)| *one == Accepted)
            .map(|(id, _)| id.to_owned())
            .collect::<Vec<_>>()
    });
    let mut accepted: Vec<String> = outcomes.into_iter().flatten().collect();
    accepted.sort();
    let mut expected = ids.clone();
    expected.sort();
    assert_eq!(accepted, expected);
    assert_eq!(subject.count(owner), ids.len());
}

fn payloads_are_kept_byte_for_byte(subject: &Subject) {
    let owner = subject.owner();
    let long = format!(
        r#"{{"long":"{}"}}"#,
        "x'\\\"€".replace('\\', "\\\\").replace('"', "\\\"").repeat(4000)
    );
    let payloads = [
        "{}",
        // Control characters reach a store only in payloads.
        "{ \"b\" : 1 ,\r\n\t\"a\":-0, \"a\":2, \"z\":null, \"e\":{} , \"l\":[ ] }",
        r#"{"n":1234567890123456789012345678901234567890,"f":1.10,"x":1E+2,"s":0.1e-7}"#,
        r#"{"u":"\ud83d\ude00 \u00e9 \/ \\u0000 😀 e\u0301","":{"":null}}"#,
        r#"{"copy":"\\. \\N \t","sql":"'; DROP TABLE events; --"}"#,
        "{\"u\":\"\u{7f}\u{80}\u{85}\u{9f}\u{202E}\u{FFFF}\u{10FFFF}\u{2028}\u{FEFF}\"}",
        &long,
    ];
    let mut events = Vec::new();
    for (index, text) in payloads.iter().enumerate() {
        let id = index.to_string();
        let draft = EventDraft {
            properties: Some(raw(text)),
            traits: Some(raw(payloads[(index + 1) % payloads.len()])),
            context: Some(raw(payloads[(index + 2) % payloads.len()])),
            ..draft(&id)
        };
        events.push(event(draft, now()));
    }
    subject.append(Submission { owner, received_at: now(), events });
    for (number, text) in payloads.iter().enumerate() {
        let parts = stored(subject, owner, &number.to_string()).parts;
        assert_eq!(parts.properties.as_ref().map(JsonObject::as_str), Some(*text));
        assert_eq!(
            parts.traits.as_ref().map(JsonObject::as_str),
            Some(payloads[(number + 1) % payloads.len()])
        );
        assert_eq!(
            parts.context.as_ref().map(JsonObject::as_str),
            Some(payloads[(number + 2) % payloads.len()])
        );
    }
}

fn texts_are_kept_character_for_character(subject: &Subject) {
    let owner = subject.owner();
    // Quotes, escapes of COPY, noncharacters, emoji with joiners, right-to-left text, odd white
    // space.
    let texts = [
        "a'b\"c\\d",
        "\\t\\n\\r",
        "\\N",
        "\\.",
        "\u{FFFF}\u{FFFE}\u{10FFFF}",
        "😀👨‍👩‍👧 שלום",
        " blanks ",
        "NULL",
        "\u{2028}\u{2029}\u{a0}\u{FEFF}x",
    ];
    for (number, text) in texts.into_iter().enumerate() {
        let id = number.to_string();
        let draft = EventDraft {
            anonymous_id: Some(text.into()),
            user_id: Some(text.into()),
            session_id: Some(text.into()),
            ..draft(&id)
        };
        subject.append(Submission { owner, received_at: now(), events: vec![event(draft, now())] });
        let parts = stored(subject, owner, &id).parts;
        assert_eq!(
            [parts.anonymous_id, parts.user_id, parts.session_id].map(Option::unwrap),
            [text; 3].map(Text::from)
        );
    }
}

fn times_are_kept_to_the_microsecond(subject: &Subject) {
    let owner = subject.owner();
    let times = [
        "1970-01-01T00:00:00.000000Z",
        // Negative microseconds, and the last instant before PostgreSQL's epoch below.
        "1969-12-31T23:59:59.999999Z",
        "1900-02-28T23:59:59.000001Z",
        "0000-01-01T00:00:00.000000Z",
        "1999-12-31T23:59:59.999999Z",
        "2000-02-29T00:00:00.000001Z",
        "2038-01-19T03:14:08.000000Z",
        "2100-02-28T23:59:59.999999Z",
        "2026-11-22T10:00:00.123457Z",
    ];
    for time in times {
        let draft = EventDraft { timestamp: Some(time.into()), ..draft(time) };
        let mut corrected = event(draft.clone(), now());
        assert_eq!(corrected.parts().sent_timestamp, None);
        subject.append(Submission { owner, received_at: now(), events: vec![corrected.clone()] });
        assert_eq!(stored(subject, owner, time).parts.occurred_at, at(time));
        // The same with a corrected time.
        let mut parts = Vec::new();
        let mut reception = mercurio_domain::event::Reception::at(now());
        let origin = Origin { sent_at: Some(after(0)), ..Origin::from("") };
        reception.limits.max_event_age_days = 0;
        reception.limits.max_event_future_seconds = u32::MAX;
        let id = format!("{time}+");
        let draft = EventDraft { event_id: Some(id.as_str().into()), ..draft };
        let valid = draft.check(origin, &reception, || EventId::lookup(""), &mut parts).unwrap();
        corrected =
            mercurio_domain::event::EnrichedEvent::new(valid, corrected.enrichment().clone());
        subject.append(Submission { owner, received_at: now(), events: vec![corrected] });
        assert_eq!(stored(subject, owner, &id).parts.sent_timestamp, Some(at(time)));
    }
    assert_eq!(subject.count(owner), 2 * times.len());
}

fn event_without_optional_members_has_none(subject: &Subject) {
    let owner = subject.owner();
    subject.append(submission(owner, now(), &["a"]));
    let parts = stored(subject, owner, "a").parts;
    assert_eq!((parts.anonymous_id, parts.session_id, parts.sent_timestamp), (None, None, None));
    assert_eq!((parts.properties, parts.traits, parts.context), (None, None, None));
    assert_eq!(parts.schema_version.to_string(), "1.0.0");
}

fn events_of_different_days_are_stored_in_one_group(subject: &Subject) {
    let owner = subject.owner();
    // Either side of midnight, a leap day, the epoch, and the far future: each needs a partition.
    let days = [
        "2026-11-22T23:59:59.999999Z",
        "2026-11-23T00:00:00.000000Z",
        "2024-02-29T12:00:00Z",
        "1970-01-01T00:00:00Z",
        "2100-01-01T00:00:00Z",
    ];
    let group: Vec<_> = days.iter().map(|day| submission(owner, at(day), &[*day])).collect();
    assert!(
        subject.store.append(&group).unwrap().into_iter().all(|outcomes| outcomes == [Accepted])
    );
    for day in days {
        assert_eq!(stored(subject, owner, day).received_at, at(day));
    }
    assert_eq!(subject.count(owner), days.len());
}

fn event_is_found_only_by_its_owner(subject: &Subject) {
    let (owner, stranger) = (subject.owner(), subject.owner());
    subject.append(submission(owner, now(), &["a"]));
    let id = EventId::lookup("a");
    assert!(subject.store.event(owner, &id).unwrap().is_some());
    assert_eq!(subject.store.event(stranger, &id).unwrap(), None);
    assert_eq!(subject.store.event(subject.other_workspace(owner), &id).unwrap(), None);
    // The text of the event's key is the id of another event.
    let imitation = EventId::lookup(EventKey::of(&id).0.to_string());
    assert_eq!(subject.store.event(owner, &imitation).unwrap(), None);
}
