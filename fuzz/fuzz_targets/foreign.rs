//! Any head and body as a request of a foreign client, in every form. Nothing panics, every event keeps its place, the
//! context of a valid event is JSON, and every request has an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mercurio_domain::event::Reception;
use mercurio_domain::request::Item;
use mercurio_domain::testing::{CountingIds, at};
use mercurio_domain::verdict::{Outcome, Verdict};
use mercurio_pipeline::{IdSource, parse, validate};
use mercurio_protocols::{
    Failure, ForeignRequest, Form, Head, Header, Protocols, Received, SegmentForm, foreign_paths,
    form_of,
};
use serde_json::value::RawValue;

const MAX_EVENTS: usize = 100;
const NOW: &str = "2026-11-22T10:00:00Z";

#[derive(serde::Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    batch: Vec<&'a RawValue>,
}

fuzz_target!(|input: &[u8]| {
    let Request { query, headers, body } = Request::of(input);
    let head = Head { query, headers: &headers };
    let mut forms: Vec<Form> = Vec::new();
    for path in foreign_paths(Protocols::default()) {
        for shared in [path.get, path.post] {
            assert_eq!(form_of(&shared, &head, body).is_none(), shared.is_empty());
            forms.extend(shared);
        }
    }
    for (index, form) in forms.iter().enumerate() {
        // Many paths have the same form.
        if !forms[..index].contains(form) {
            check(*form, &head, body);
        }
    }
});

/// A request in the form of HTTP/1: lines `name: value` and `?query`, an empty line, and the body. Without the empty line,
/// all is body.
struct Request<'a> {
    query: &'a str,
    headers: Vec<Header<'a>>,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    fn of(input: &'a [u8]) -> Self {
        let mut request = Self { query: "", headers: Vec::new(), body: input };
        let Some(end) = input.windows(2).position(|two| two == b"\n\n") else { return request };
        request.body = &input[end + 2..];
        for line in input[..end].split(|byte| *byte == b'\n') {
            if let Some(query) = line.strip_prefix(b"?") {
                request.query = std::str::from_utf8(query).unwrap_or_default();
                continue;
            }
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let name = std::str::from_utf8(&line[..colon]).unwrap_or_default();
            request.headers.push(Header { name, value: &line[colon + 1..] });
        }
        request
    }
}

fn check(form: Form, head: &Head<'_>, body: &[u8]) {
    let failure = Failure {
        status: 422,
        code: "invalid_event",
        detail: "d",
        retry_after_seconds: None,
        errors: None,
    };
    let _ = form.failure(head, &failure);
    let Ok(payload) = form.payload(head, body) else { return };
    let Ok(source) = parse::source(&payload) else { return };
    let Ok(request) = form.read(head, &source, MAX_EVENTS) else { return };
    if form == Form::Segment(SegmentForm::Batch) {
        let wire: Batch<'_> = serde_json::from_str(&source).expect("serde_json accepts the batch");
        let sent: Vec<&str> = wire.batch.iter().map(|message| message.get()).collect();
        let read: Vec<&str> = request.items.iter().map(|item| item.text).collect();
        assert_eq!(read, sent, "each message as it was sent, in its place");
    }
    let verdicts = judge(request);
    let received = Received { body, at: at(NOW) };
    let _ = form.reply(head, &received, &verdicts);
}

fn judge(request: ForeignRequest<'_>) -> Vec<Verdict> {
    let items: Vec<Item<'_>> = request.items;
    let count = items.len();
    assert!((0..=MAX_EVENTS).contains(&count));
    assert!(items.iter().enumerate().all(|(index, item)| item.index == index));
    let reception = Reception::at(at(NOW));
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
    for verdict in &verdicts {
        if let Verdict::Rejected(rejection) = verdict {
            // `MAX_ERRORS_PER_EVENT` of the domain.
            assert!((1..=20).contains(&rejection.errors.len()));
        }
    }
    verdicts
}
