//! Any bytes as a request body, batch or single event. Nothing panics, an accepted body is JSON of the right shape for
//! `serde_json` too, and every event gets a verdict at its index.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mercurio_domain::event::Reception;
use mercurio_domain::limits::Limits;
use mercurio_domain::testing::{CountingIds, at};
use mercurio_domain::verdict::{Outcome, Verdict};
use mercurio_domain::request::Item;
use mercurio_pipeline::{IdSource, parse, validate};
use serde_json::value::RawValue;

#[derive(serde::Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

fuzz_target!(|body: &[u8]| {
    let limits = Limits::default();
    let Ok(source) = parse::source(body) else { return };
    if let Ok(items) = parse::batch(&source, &limits) {
        let wire: Batch<'_> = serde_json::from_str(&source).expect("serde_json accepts the batch");
        assert!(items.len() <= limits.max_batch_events);
        let events: Vec<&str> = wire.events.iter().map(|event| event.get()).collect();
        let texts: Vec<&str> = items.iter().map(|item| item.text).collect();
        assert_eq!(texts, events, "each event as it was sent, in its place");
        judge(items);
    }
    if let Ok(items) = parse::single(&source) {
        serde_json::from_str::<&RawValue>(&source).expect("serde_json accepts the event");
        assert_eq!(items.len(), 1);
        judge(items);
    }
});

fn judge(items: Vec<Item<'_>>) {
    let count = items.len();
    let reception = Reception::at(at("2026-11-22T10:00:00Z"));
    let mut validated = validate(items, &reception, IdSource::Generated(&CountingIds::default()));
    let events = validated.take_events();
    // The limit of ids in characters.
    for event in &events {
        assert!((1..=100).contains(&event.event_id().as_str().chars().count()));
    }
    let verdicts = validated.verdicts(&vec![Outcome::Accepted; events.len()]);
    assert_eq!(verdicts.len(), count);
    for verdict in verdicts {
        if let Verdict::Rejected(rejection) = verdict {
            assert!(
                // `MAX_ERRORS_PER_EVENT` of the domain.
                (1..=20).contains(&rejection.errors.len()),
                "a rejection has reasons, but a limited number"
            );
        }
    }
}
