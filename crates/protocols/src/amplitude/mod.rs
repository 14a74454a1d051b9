//! Amplitude's HTTP API, as its server and browser clients speak it: a batch under `events`.

mod answer;
mod event;
mod names;
#[cfg(test)]
mod tests;

use mercurio_domain::request::ParseError;

use crate::endpoint::{Endpoint, post};
use crate::envelope::{self, Array};
use crate::time::{self, Unit};
use crate::{ForeignRequest, Head, OTHER_LIBRARY};

pub(crate) use answer::{Stored, failure, reply, stored};

/// The form of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmplitudeForm {
    /// Events under `events`.
    Batch,
}

use AmplitudeForm::Batch;

/// The paths of Amplitude's clients.
pub(crate) const ENDPOINTS: &[Endpoint<AmplitudeForm>] =
    &[post("/2/httpapi", Batch), post("/batch", Batch)];

const BATCH: Array = Array {
    name: "events",
    pointer: "/events",
    object: "the event",
    others: &["client_upload_time"],
};

/// The smallest body.
pub(crate) fn example(form: AmplitudeForm) -> &'static str {
    match form {
        Batch => {
            r#"{"api_key": "mk_…", "events": [{"event_type": "Signed Up", "user_id": "u-42"}]}"#
        }
    }
}

/// Reads `{"api_key": "…", "events": [ … ], "client_upload_time": "…"?}`. Other members have no
/// effect.
///
/// # Errors
/// [`ParseError`]. Errors in single events are not among them.
pub(crate) fn read<'a>(
    form: AmplitudeForm,
    _: &Head<'a>,
    text: &'a str,
    max_events: usize,
) -> Result<ForeignRequest<'a>, ParseError> {
    match form {
        Batch => {}
    }
    // That of the first event.
    let mut library = OTHER_LIBRARY;
    let batch = envelope::read(text, &BATCH, max_events, |event| {
        if event.index == 0 {
            library = event::library(&event);
        }
        event::finish(event)
    })?;
    let sent_at = batch.other(0).and_then(|value| {
        let json = value.text();
        time::of_text(json).or_else(|| time::of_unix(json, Unit::Millis).ok())
    });
    let mut items = batch.items;
    for item in &mut items {
        item.origin.sent_at = sent_at;
    }
    Ok(ForeignRequest { items, key: batch.key, library })
}
