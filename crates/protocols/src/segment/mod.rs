//! Segment's protocol, as its own clients and RudderStack's and Jitsu's speak it: one message, or a
//! batch of them.

mod message;
mod names;
#[cfg(test)]
mod tests;

use mercurio_domain::event::EventType;
use mercurio_domain::request::ParseError;

use crate::endpoint::{Endpoint, post};
use crate::envelope::{self, Array};
use crate::{ForeignRequest, OTHER_LIBRARY, time};

/// The form of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentForm {
    /// Messages under `batch`.
    Batch,
    /// One message, of this type unless it names another.
    Message(EventType),
}

use SegmentForm::{Batch, Message};

/// The paths of Segment's clients and RudderStack's.
pub(crate) const ENDPOINTS: &[Endpoint<SegmentForm>] = &[
    post("/v1/batch", Batch),
    post("/v1/b", Batch),
    post("/v1/track", Message(EventType::Track)),
    post("/v1/t", Message(EventType::Track)),
    post("/v1/identify", Message(EventType::Identify)),
    post("/v1/i", Message(EventType::Identify)),
    post("/v1/page", Message(EventType::Page)),
    post("/v1/p", Message(EventType::Page)),
    post("/v1/screen", Message(EventType::Screen)),
    post("/v1/s", Message(EventType::Screen)),
    post("/v1/group", Message(EventType::Group)),
    post("/v1/g", Message(EventType::Group)),
    post("/v1/alias", Message(EventType::Alias)),
    post("/v1/a", Message(EventType::Alias)),
];

/// The paths of Jitsu's clients, with bodies as Segment's.
pub(crate) const JITSU_ENDPOINTS: &[Endpoint<EventType>] = &[
    post("/api/s/track", EventType::Track),
    post("/api/s/identify", EventType::Identify),
    post("/api/s/page", EventType::Page),
    post("/api/s/screen", EventType::Screen),
    post("/api/s/group", EventType::Group),
    post("/api/s/alias", EventType::Alias),
    post("/api/s/s2s/track", EventType::Track),
    post("/api/s/s2s/identify", EventType::Identify),
    post("/api/s/s2s/page", EventType::Page),
    post("/api/s/s2s/screen", EventType::Screen),
    post("/api/s/s2s/group", EventType::Group),
    post("/api/s/s2s/alias", EventType::Alias),
];

const BATCH: Array =
    Array { name: "batch", pointer: "/batch", object: "the message", others: &["sentAt"] };

/// The smallest body of each form.
pub(crate) fn example(form: SegmentForm) -> &'static str {
    match form {
        Batch => r#"{"batch": [{"type": "track", "event": "Signed Up", "userId": "u-42"}]}"#,
        Message(_) => r#"{"type": "track", "event": "Signed Up", "userId": "u-42"}"#,
    }
}

/// Reads a body of this form: `{"batch": [ … ], "sentAt": "…"?, "writeKey": "…"?}`, or a message.
/// Other members of a batch have no effect.
///
/// # Errors
/// [`ParseError`]. Errors in single messages are not among them.
pub(crate) fn read(
    text: &str,
    form: SegmentForm,
    max_events: usize,
) -> Result<ForeignRequest<'_>, ParseError> {
    match form {
        Batch => read_batch(text, max_events),
        Message(kind) => {
            let mut message = envelope::read_single(text, "the message")?;
            let key = std::mem::take(&mut message.key);
            let library = message::library(&message);
            Ok(ForeignRequest { items: vec![message::finish(message, Some(kind))], key, library })
        }
    }
}

fn read_batch(text: &str, max_events: usize) -> Result<ForeignRequest<'_>, ParseError> {
    // That of the first message.
    let mut library = OTHER_LIBRARY;
    let batch = envelope::read(text, &BATCH, max_events, |message| {
        if message.index == 0 {
            library = message::library(&message);
        }
        message::finish(message, None)
    })?;
    let sent_at = batch.other(0).and_then(|value| time::of_text(value.text()));
    let mut items = batch.items;
    // A message's own time of sending goes before the batch's.
    for item in &mut items {
        item.origin.sent_at = item.origin.sent_at.or(sent_at);
    }
    Ok(ForeignRequest { items, key: batch.key, library })
}
