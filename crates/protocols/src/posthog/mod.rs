//! PostHog's protocol: its first capture API (`/batch`, `/e`), the second one, which has a result for
//! each event, and answers to all that its clients ask besides.

mod answers;
mod event;
mod facts;
mod names;
mod properties;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use mercurio_domain::Timestamp;
use mercurio_domain::request::{Item, ParseError};
use mercurio_domain::verdict::Verdict;

use crate::encoded::{base64, form_value};
use crate::endpoint::{Endpoint, get, post};
use crate::envelope::{self, has_member};
use crate::list::{self, Layout};
use crate::time;
use crate::{BodyKey, Failure, FailureReply, ForeignRequest, Head, OTHER_LIBRARY, Received, Reply};
use event::{BATCH, Event, Finished};
use facts::{Facts, query_value};

/// The form of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PosthogForm {
    /// Events of servers.
    Batch,
    /// Events, or one, of any client.
    Capture,
    /// As [`Self::Capture`], on the paths of browsers.
    Browser,
    /// Events of the second capture API.
    V1,
    /// The configuration of a browser, as JSON.
    Config,
    /// The same as JavaScript.
    ConfigScript,
    /// Feature flags.
    Flags,
    /// Recordings of sessions.
    Recordings,
}

use PosthogForm::{Batch, Browser, Capture, Config, ConfigScript, Flags, Recordings, V1};

/// The paths of PostHog's clients.
pub(crate) const ENDPOINTS: &[Endpoint<PosthogForm>] = &[
    post("/batch", Batch),
    post("/i/v0/ai/batch", Batch),
    post("/capture", Capture),
    post("/track", Capture),
    post("/e", Browser),
    post("/i/v0/e", Browser),
    post("/i/v1/analytics/events", V1),
    get("/array/{key}/config", Config),
    get("/array/{key}/config.js", ConfigScript),
    post("/flags", Flags),
    post("/decide", Flags),
    post("/s", Recordings),
];

/// Returns a small valid body.
pub(crate) fn example(form: PosthogForm) -> &'static str {
    match form {
        Batch => r#"{"api_key": "mk_…", "batch": [{"event": "signed_up", "distinct_id": "u-42"}]}"#,
        V1 => r#"{"batch": [{"event": "signed_up", "distinct_id": "u-42"}]}"#,
        Capture | Browser => r#"{"api_key": "mk_…", "event": "signed_up", "distinct_id": "u-42"}"#,
        Config | ConfigScript | Flags | Recordings => "{}",
    }
}

/// Returns the answer to a request that sends no events.
pub(crate) fn fixed_reply(form: PosthogForm) -> Option<Reply> {
    match form {
        Config => Some(answers::config()),
        ConfigScript => Some(answers::config_script()),
        Flags => Some(answers::flags()),
        Recordings => Some(answers::recordings()),
        Batch | Capture | Browser | V1 => None,
    }
}

/// Returns the JSON in a body: as it is, in the member `data` of a web form, or as Base64.
///
/// # Errors
/// [`ParseError`] for a form with two `data`, and for broken Base64.
pub(crate) fn payload<'a>(head: &Head<'a>, body: &'a [u8]) -> Result<Cow<'a, [u8]>, ParseError> {
    if is_json(body) {
        return Ok(body.into());
    }
    let in_form = form_value(body, "data")?;
    if in_form.is_none() && query_value(head, "compression") != Some("base64") {
        return Ok(body.into());
    }
    let text = in_form.unwrap_or(body.into());
    if is_json(&text) { Ok(text) } else { base64(&text).map(Cow::Owned) }
}

/// Returns whether a body begins as one with events does.
fn is_json(body: &[u8]) -> bool {
    // A byte order mark may come first.
    let body = body.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(body);
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// Reads a body: `{"api_key": "…", "batch": [ … ], "sent_at": "…"?}`, one event, or an array of them.
///
/// # Errors
/// [`ParseError`]. Errors in single events are not among them.
pub(crate) fn read<'a>(
    form: PosthogForm,
    head: &Head<'a>,
    text: &'a str,
    max_events: usize,
) -> Result<ForeignRequest<'a>, ParseError> {
    let facts = if form == V1 { Facts::of_headers(head) } else { Facts::of_query(head) };
    let mut reader = Reader::new(facts);
    let (events, sent_at) = if is_batch(form, text) {
        let batch = envelope::read(text, &BATCH, max_events, |event| reader.finish(event))?;
        let sent_at = batch.other(0).and_then(|value| time::of_text(value.text()));
        reader.key.add_key(batch.key);
        (batch.items, sent_at)
    } else {
        (
            list::read(text, Layout::Array, BATCH.object, max_events, |event| {
                reader.finish(event)
            })?,
            None,
        )
    };
    let sent_at = sent_at.or(reader.facts.sent_at);
    let items = events.into_iter().map(|event| corrected(event, sent_at)).collect();
    let key = match reader.key {
        BodyKey::Missing => reader.property_key,
        key => key,
    };
    Ok(ForeignRequest { items, key, library: reader.library })
}

/// Returns an event with its time of sending: its own, or that of the request.
fn corrected<'a>(event: Finished<'a>, sent_at: Option<Timestamp>) -> Item<'a> {
    let mut item = event.item;
    item.origin.sent_at = item.origin.sent_at.or(sent_at).filter(|_| event.has_wrong_clock);
    item
}

/// Reads the events of a body, and what they say about it.
struct Reader<'a> {
    facts: Facts<'a>,
    /// The key next to the properties of all events.
    key: BodyKey<'a>,
    /// The key in the properties. It counts without another only: visitors choose the values of
    /// properties, and one of them must not cost a batch its key.
    property_key: BodyKey<'a>,
    /// By the head, otherwise by the first event.
    library: &'static str,
}

impl<'a> Reader<'a> {
    fn new(facts: Facts<'a>) -> Self {
        let library = facts.sdk.map_or(OTHER_LIBRARY, event::library_of_sdk);
        Self { facts, key: BodyKey::Missing, property_key: BodyKey::Missing, library }
    }

    fn finish(&mut self, mut event: Event<'a>) -> Finished<'a> {
        self.key.add_key(std::mem::take(&mut event.key));
        let mut finished = event::finish(event, &self.facts);
        self.property_key.add_key(std::mem::take(&mut finished.key));
        if finished.item.index == 0 && self.facts.sdk.is_none() {
            self.library = finished.library;
        }
        finished
    }
}

/// Returns whether the events of a body are in an object around them. Otherwise it is one event, or
/// an array of them, as older browser clients send it.
fn is_batch(form: PosthogForm, text: &str) -> bool {
    let body = text.as_bytes();
    match form {
        V1 => true,
        // Without either, the error is about the form of the path.
        Batch if text.trim_ascii_start().starts_with('{') => {
            has_member(body, "batch") || !has_member(body, "event")
        }
        _ => has_member(body, "batch"),
    }
}

/// Returns whether a body on a path of two protocols is PostHog's.
pub(crate) fn has_shape(body: &[u8]) -> bool {
    has_member(body, "batch")
        || (has_member(body, "event")
            && ["api_key", "token"].iter().any(|key| has_member(body, key)))
}

/// Returns the answer to stored events: the second API has a result for each.
pub(crate) fn reply(
    form: PosthogForm,
    received: &Received<'_>,
    verdicts: &[Verdict],
) -> Option<Reply> {
    (form == V1).then(|| answers::results(received.body, verdicts))
}

/// Returns the answer to a failed request.
pub(crate) fn failure(form: PosthogForm, failure: &Failure<'_>) -> FailureReply {
    FailureReply::Problem(match failure.status {
        // A browser drops its events at 429, but repeats 503.
        429 if form == Browser => 503,
        // Clients of Node make smaller batches after it, and drop any other 4xx.
        400 if failure.code == "batch_too_large" => 413,
        status => status,
    })
}
