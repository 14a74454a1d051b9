//! Any bytes as a body of a foreign client. Nothing panics, every message becomes one event at its index, and the context of a
//! valid event is JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mercurio_domain::event::{EventType, Reception};
use mercurio_domain::testing::{CountingIds, at};
use mercurio_domain::verdict::{Outcome, Verdict};
use mercurio_pipeline::{IdSource, parse, validate};
use mercurio_protocols::segment::{self, Form};
use mercurio_protocols::ForeignRequest;
use serde_json::value::RawValue;

const MAX_EVENTS: usize = 100;

#[derive(serde::Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    batch: Vec<&'a RawValue>,
}

fuzz_target!(|body: &[u8]| {
    let Ok(source) = parse::source(body) else { return };
    if let Ok(request) = segment::read(&source, Form::Batch, MAX_EVENTS) {
        let wire: Batch<'_> = serde_json::from_str(&source).expect("serde_json accepts the batch");
        let sent: Vec<&str> = wire.batch.iter().map(|message| message.get()).collect();
        let read: Vec<&str> = request.items.iter().map(|item| item.text).collect();
        assert_eq!(read, sent, "each message as it was sent, in its place");
        judge(request);
    }
    for kind in EventType::ALL {
        if let Ok(request) = segment::read(&source, Form::Message(kind), MAX_EVENTS) {
            serde_json::from_str::<&RawValue>(&source).expect("serde_json accepts the message");
            assert_eq!(request.items.len(), 1);
            judge(request);
        }
    }
});

fn judge(request: ForeignRequest<'_>) {
    let items = request.items;
    let count = items.len();
    let reception = Reception::at(at("2026-11-22T10:00:00Z"));
    let mut validated = validate(items, &reception, IdSource::Generated(&CountingIds::default()));
    let events = validated.take_events();
    for event in &events {
        assert!((1..=100).contains(&event.event_id().as_str().chars().count()));
        if let Some(context) = event.context() {
            serde_json::from_str::<&RawValue>(context.as_str()).expect("a context stays JSON");
        }
    }
    let verdicts = validated.verdicts(&vec![Outcome::Accepted; events.len()]);
    assert_eq!(verdicts.len(), count);
    for verdict in verdicts {
        if let Verdict::Rejected(rejection) = verdict {
            // `MAX_ERRORS_PER_EVENT` of the domain.
            assert!((1..=20).contains(&rejection.errors.len()));
        }
    }
}
