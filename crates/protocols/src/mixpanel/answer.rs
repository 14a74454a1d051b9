//! Answers in Mixpanel's form: `1`, or JSON with `status`, by the flags of the request.

use std::borrow::Cow;

use mercurio_domain::verdict::Verdict;
use serde::Serialize;
use serde_json::value::RawValue;

use super::MixpanelForm;
use super::data::{has_flag, is_json};
use crate::{Failure, FailureReply, Head, Received, Reply};

/// An image of one transparent pixel, for events of a mail or a page without scripts.
const PIXEL: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\
    \x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// The answer to an import, if at least one event is stored.
#[derive(Debug, Serialize)]
struct Imported<'a> {
    code: u16,
    status: &'static str,
    num_records_imported: usize,
    failed_records: Vec<FailedRecord<'a>>,
}

/// A rejected event.
#[derive(Debug, Serialize)]
struct FailedRecord<'a> {
    index: usize,
    insert_id: &'a str,
    /// The pointer without its slash at the beginning.
    field: &'a str,
    message: &'a str,
}

/// An error. Its clients raise `error`.
#[derive(Debug, Serialize)]
struct Error<'a> {
    code: u16,
    status: u8,
    error: Cow<'a, str>,
    num_records_imported: usize,
    failed_records: Vec<FailedRecord<'a>>,
    /// The errors of the body itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a RawValue>,
}

impl Error<'_> {
    fn reply(&self) -> Reply {
        Reply::json(self.code, json(self))
    }
}

fn json(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value);
    debug_assert!(json.is_ok(), "texts and numbers serialise");
    json.unwrap_or_default()
}

/// Returns the answer to a request whose valid events are stored. `None`: the common one, whose
/// `status` is 1.
pub(crate) fn reply(
    form: MixpanelForm,
    head: &Head<'_>,
    received: &Received<'_>,
    verdicts: &[Verdict],
) -> Option<Reply> {
    let failed_records = failed(verdicts);
    if failed_records.len() == verdicts.len() {
        let first = failed_records.first().map_or("", |record| record.message);
        let more = match failed_records.len() {
            0 | 1 => String::new(),
            2 => "; another one is invalid too".to_owned(),
            count => format!("; {} others are invalid too", count - 1),
        };
        let error = format!("{first}{more}").into();
        let (code, status) = (400, 0);
        let error =
            Error { code, status, error, num_records_imported: 0, failed_records, errors: None };
        return Some(error.reply());
    }
    if has_flag(head, received.body, "img") {
        return Some(Reply { status: 200, content_type: "image/gif", body: PIXEL.into() });
    }
    if form == MixpanelForm::Import && is_json(received.body) {
        let num_records_imported = verdicts.len() - failed_records.len();
        let imported = Imported { code: 200, status: "OK", num_records_imported, failed_records };
        return Some(Reply::json(200, json(&imported)));
    }
    if has_flag(head, received.body, "verbose") {
        return None;
    }
    Some(Reply { status: 200, content_type: "text/plain", body: b"1".into() })
}

fn failed(verdicts: &[Verdict]) -> Vec<FailedRecord<'_>> {
    let mut failed = Vec::new();
    for (index, verdict) in verdicts.iter().enumerate() {
        if let Verdict::Rejected(rejection) = verdict
            && let Some(error) = rejection.errors.first()
        {
            failed.push(FailedRecord {
                index,
                insert_id: rejection.event_id.as_ref().map_or("", |id| id.as_str()),
                field: error.pointer.strip_prefix('/').unwrap_or_default(),
                message: &error.message,
            });
        }
    }
    failed
}

/// Returns the answer to a failed request.
pub(crate) fn failure(_: MixpanelForm, failure: &Failure<'_>) -> FailureReply {
    let error = Error {
        // Its own server answers a wrong body so.
        code: if failure.status == 422 { 400 } else { failure.status },
        status: 0,
        error: failure.detail.into(),
        num_records_imported: 0,
        failed_records: Vec::new(),
        errors: failure.errors,
    };
    FailureReply::Own(error.reply())
}
