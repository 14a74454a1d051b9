//! Snowplow's tracker protocol: events as short members whose values are all texts, in a body or in
//! a query string.

mod event;
mod names;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use mercurio_domain::request::ParseError;
use mercurio_domain::verdict::Verdict;

use crate::endpoint::{Endpoint, get, post};
use crate::envelope::{self, Array};
use crate::{Failure, FailureReply, ForeignRequest, Head, OTHER_LIBRARY, Reply};

/// The form of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnowplowForm {
    /// Events under `data`.
    Payload,
    /// One event in the query string, answered by an image.
    Pixel,
}

use SnowplowForm::{Payload, Pixel};

pub(crate) const ENDPOINTS: &[Endpoint<SnowplowForm>] =
    &[post("/com.snowplowanalytics.snowplow/tp2", Payload), get("/i", Pixel)];

const PAYLOAD: Array = Array { name: "data", pointer: "/data", object: "the event", others: &[] };

/// A transparent image of one pixel, in GIF.
const IMAGE: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\0\0\0!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

pub(crate) fn example(form: SnowplowForm) -> &'static str {
    match form {
        Payload => {
            r#"{"schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4", "data": [{"e": "pv", "url": "https://shop.example/", "duid": "a-42"}]}"#
        }
        Pixel => r#"{"e": "pv", "url": "https://shop.example/", "duid": "a-42"}"#,
    }
}

/// Returns the text of a request: for a query string, a JSON object of its parameters.
pub(crate) fn payload<'a>(form: SnowplowForm, head: &Head<'a>, body: &'a [u8]) -> Cow<'a, [u8]> {
    if form == Payload {
        return body.into();
    }
    let mut text = vec![b'{'];
    for (name, value) in form_urlencoded::parse(head.query.as_bytes()) {
        if text.len() > 1 {
            text.push(b',');
        }
        push_text(&mut text, &name);
        text.push(b':');
        push_text(&mut text, &value);
    }
    text.push(b'}');
    text.into()
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    let written = serde_json::to_writer(out, text);
    debug_assert!(written.is_ok(), "a vector takes every text");
}

/// Reads the events of a text.
///
/// # Errors
/// [`ParseError`]. Errors in single events are not among them.
pub(crate) fn read(
    form: SnowplowForm,
    text: &str,
    max_events: usize,
) -> Result<ForeignRequest<'_>, ParseError> {
    if form == Pixel {
        let mut event = envelope::read_single(text, "the event")?;
        let (key, library) = (std::mem::take(&mut event.key), event::library(&event));
        return Ok(ForeignRequest { items: vec![event::finish(event)], key, library });
    }
    // That of the first event.
    let mut library = OTHER_LIBRARY;
    let read = envelope::read(text, &PAYLOAD, max_events, |event| {
        if event.index == 0 {
            library = event::library(&event);
        }
        event::finish(event)
    })?;
    Ok(ForeignRequest { items: read.items, key: read.key, library })
}

/// Returns an image for a stored event in a query string.
pub(crate) fn reply(form: SnowplowForm, verdicts: &[Verdict]) -> Option<Reply> {
    let is_stored = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Stored(..)));
    let image = Reply { status: 200, content_type: "image/gif", body: Cow::Borrowed(IMAGE) };
    (form == Pixel && is_stored).then_some(image)
}

/// Returns the status of a failed request.
pub(crate) fn failure(failure: &Failure<'_>) -> FailureReply {
    FailureReply::Problem(match failure.status {
        status @ (400 | 401 | 403 | 408 | 422 | 429 | 500..) => status,
        // Trackers send an event without end unless they get one of the first three.
        _ => 400,
    })
}
