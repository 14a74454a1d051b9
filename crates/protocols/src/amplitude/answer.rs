//! Answers in Amplitude's form. Its clients look at `code` in the body and not at the status.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mercurio_domain::verdict::{FieldErrorCode, Verdict};
use serde::Serialize;
use serde_json::value::RawValue;

use super::AmplitudeForm;
use crate::{Failure, FailureReply, Received, Reply};

/// Members of a success that some clients insist on.
#[derive(Debug, Serialize)]
pub(crate) struct Stored {
    events_ingested: usize,
    payload_size_bytes: usize,
    /// In milliseconds.
    server_upload_time: i64,
}

/// Returns the members of the common answer that Amplitude's clients read.
pub(crate) fn stored(received: &Received<'_>, verdicts: &[Verdict]) -> Stored {
    let is_stored = |verdict: &&Verdict| !matches!(verdict, Verdict::Rejected(_));
    Stored {
        events_ingested: verdicts.iter().filter(is_stored).count(),
        payload_size_bytes: received.body.len(),
        server_upload_time: received.at.as_micros() / 1_000,
    }
}

/// An error. Clients in languages with types fail without one of the members, and then they send
/// the events again.
#[derive(Debug, Default, Serialize)]
struct Error<'a> {
    code: u16,
    error: Cow<'a, str>,
    missing_field: &'static str,
    /// Indexes of events by field. Clients drop these events and send the others again.
    events_with_invalid_fields: BTreeMap<&'a str, Vec<usize>>,
    /// As above.
    events_with_missing_fields: BTreeMap<&'a str, Vec<usize>>,
    /// Events a second; 0 for unknown.
    eps_threshold: u64,
    throttled_devices: Empty,
    throttled_users: Empty,
    exceeded_daily_quota_devices: Empty,
    exceeded_daily_quota_users: Empty,
    throttled_events: [usize; 0],
    /// The errors of the body itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a RawValue>,
}

/// An empty object.
#[derive(Debug, Default, Serialize)]
struct Empty {}

impl Error<'_> {
    fn reply(&self) -> Reply {
        let json = serde_json::to_string(self);
        debug_assert!(json.is_ok(), "texts and numbers serialise");
        Reply::json(self.code, json.unwrap_or_default())
    }
}

/// Returns the answer to a batch whose every event was rejected; `None` if one is stored.
///
/// A status 400 without the index of each event would make clients send all of them again.
pub(crate) fn reply(_: AmplitudeForm, verdicts: &[Verdict]) -> Option<Reply> {
    let mut answer = Error { code: 400, ..Error::default() };
    for (index, verdict) in verdicts.iter().enumerate() {
        let Verdict::Rejected(rejection) = verdict else { return None };
        let error = rejection.errors.first()?;
        if index == 0 {
            let message = &error.message;
            let more = match verdicts.len() - 1 {
                0 => String::new(),
                1 => "; another event is invalid too".to_owned(),
                count => format!("; {count} other events are invalid too"),
            };
            answer.error = format!("Invalid event: {message}{more}").into();
        }
        let fields = match error.code {
            FieldErrorCode::Required => &mut answer.events_with_missing_fields,
            _ => &mut answer.events_with_invalid_fields,
        };
        fields.entry(field_of(&error.pointer)).or_default().push(index);
    }
    Some(answer.reply())
}

/// Returns the member of an event in a pointer: `/events/3/user_id`. An error of the whole event is
/// about the ids of its person, or its type.
fn field_of(pointer: &str) -> &str {
    pointer.split('/').nth(3).unwrap_or("user_id")
}

/// Returns the answer to a failed request.
pub(crate) fn failure(_: AmplitudeForm, failure: &Failure<'_>) -> FailureReply {
    let detail = failure.detail;
    let mut error = Error {
        code: failure.status,
        error: detail.into(),
        errors: failure.errors,
        ..Error::default()
    };
    match failure.status {
        // The beginning that makes clients give up.
        401 | 403 => {
            error.code = 400;
            error.error = format!("Invalid API key: {detail}").into();
        }
        // Clients make smaller batches after it.
        400 if failure.code == "batch_too_large" => error.code = 413,
        // No event can be at fault. A field is, or clients would send the events again.
        400 | 415 | 422 => {
            error.code = 400;
            error.missing_field = "events";
        }
        _ => {}
    }
    FailureReply::Own(error.reply())
}
