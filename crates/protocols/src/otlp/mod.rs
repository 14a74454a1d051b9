//! Logs of OpenTelemetry (OTLP/HTTP), in protobuf and in JSON. A log record with an event name is an
//! event; any other is refused alone.
//!
//! Both kinds of body become the same [text](text::RequestText) first. An event has no id of its own
//! and gets one of its content, so a repeated export stores nothing twice.

mod answer;
mod json;
mod json_values;
mod protobuf;
mod record;
#[cfg(test)]
mod tests;
mod text;
mod wire;

use std::borrow::Cow;
use std::collections::HashMap;

use mercurio_domain::request::{Item, ParseError};

use crate::endpoint::{Endpoint, post};
use crate::envelope::{self, Array};
use crate::{BodyKey, ForeignRequest, Head, OTHER_LIBRARY};

pub(crate) use answer::{failure, reply};
use text::RequestText;

/// The form of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpForm {
    /// `ExportLogsServiceRequest`.
    Logs,
}

pub(crate) const ENDPOINTS: &[Endpoint<OtlpForm>] = &[post("/v1/logs", OtlpForm::Logs)];

const TEXT: Array =
    Array { name: "logRecords", pointer: "/logRecords", object: "the log record", others: &[] };

/// The smallest body with an event.
pub(crate) const EXAMPLE: &str = r#"{"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}, "scopeLogs": [{"logRecords": [{"eventName": "signed_up"}]}]}]}"#;

/// Returns the text of the records in a body.
///
/// # Errors
/// [`ParseError`] for a body that is not a request. Errors in single records are not among them.
pub(crate) fn payload<'a>(head: &Head<'_>, body: &[u8]) -> Result<Cow<'a, [u8]>, ParseError> {
    let mut text = RequestText::new(body.len());
    match Encoding::of(head, body) {
        Encoding::Protobuf => protobuf::read(body, &mut text)?,
        Encoding::Json => json::read(body, &mut text)?,
    }
    Ok(text.finish().into())
}

/// Reads the records of a text.
///
/// # Errors
/// [`ParseError`] for too many of them.
pub(crate) fn read(text: &str, max_events: usize) -> Result<ForeignRequest<'_>, ParseError> {
    // That of the first event.
    let mut library = OTHER_LIBRARY;
    let read = envelope::read(text, &TEXT, max_events, |record| {
        if record.index == 0 {
            library = record::library(&record);
        }
        record::finish(record)
    });
    let mut items = match read {
        Ok(envelope) => envelope.items,
        // OTLP has requests without a record.
        Err(ParseError::BatchEmpty) => Vec::new(),
        Err(error) => return Err(error),
    };
    number_repeats(&mut items);
    Ok(ForeignRequest { items, key: BodyKey::Missing, library })
}

/// Gives each of several records alike an id of its own, by their order. The clock of some clients,
/// such as the one for Node, has milliseconds alone.
fn number_repeats(items: &mut [Item<'_>]) {
    let mut counts = HashMap::new();
    for item in items {
        let Some(id) = &mut item.draft.event_id else { continue };
        let count = counts.entry(item.text).or_insert(0_u64);
        if *count > 0 {
            *id = record::id(item.text, Some(*count));
        }
        *count += 1;
    }
}

/// The encoding of a request, and of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    /// Returns the encoding of a body. Without one of OTLP's media types, the first byte decides: no
    /// message begins with a bracket.
    fn of(head: &Head<'_>, body: &[u8]) -> Self {
        let is_json = || matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
        match Self::of_type(head) {
            Some(encoding) => encoding,
            None if is_json() => Self::Json,
            None => Self::Protobuf,
        }
    }

    fn of_type(head: &Head<'_>) -> Option<Self> {
        match &*head.media_type() {
            "application/x-protobuf" | "application/protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    /// Returns the encoding of the answer: people try it out without a media type.
    fn of_answer(head: &Head<'_>) -> Self {
        Self::of_type(head).unwrap_or(Self::Json)
    }
}
