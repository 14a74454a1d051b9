//! CloudEvents: its HTTP binding, with an event as the body or in the headers, and OpenMeter's
//! protocol, the same events on another path.
//!
//! An event has the same id by either protocol and in any mode.

mod binary;
mod event;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use mercurio_domain::request::ParseError;
use mercurio_domain::verdict::Verdict;

use crate::endpoint::{Endpoint, post};
use crate::list::{self, Layout};
use crate::{BodyKey, ForeignRequest, Head, OTHER_LIBRARY, Reply, library};
pub(crate) use binary::is_binary;
use event::Rules;

/// The form of a request: all modes of the binding have one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloudEventsForm;

/// The form of a request of OpenMeter's clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenMeterForm;

/// The path of this server: the binding names none.
pub(crate) const ENDPOINTS: &[Endpoint<CloudEventsForm>] =
    &[post("/v1/cloudevents", CloudEventsForm)];

pub(crate) const OPENMETER_ENDPOINTS: &[Endpoint<OpenMeterForm>] =
    &[post("/api/v1/events", OpenMeterForm)];

/// A small event of either protocol.
pub(crate) const EXAMPLE: &str = r#"{"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.completed", "subject": "u-42", "data": {"price": 9.5}}"#;

/// Returns the text of a body: in binary mode, its event in structured mode.
///
/// # Errors
/// [`ParseError`] in binary mode, for a bad header or a body of broken JSON.
pub(crate) fn payload<'a>(head: &Head<'_>, body: &'a [u8]) -> Result<Cow<'a, [u8]>, ParseError> {
    if is_binary(head) {
        return Ok(binary::structured(head, body)?.into_bytes().into());
    }
    Ok(body.into())
}

/// Reads one event or an array of them, whatever the media type says.
///
/// # Errors
/// [`ParseError`]. Errors in single events are not among them.
pub(crate) fn read<'a>(
    head: &Head<'a>,
    text: &'a str,
    max_events: usize,
) -> Result<ForeignRequest<'a>, ParseError> {
    let rules = if is_binary(head) { Rules::Binary } else { Rules::Structured };
    read_events(text, max_events, rules)
}

/// Reads one event or an array of them by OpenMeter's rules.
///
/// # Errors
/// As [`read`].
pub(crate) fn openmeter_read<'a>(
    head: &Head<'a>,
    text: &'a str,
    max_events: usize,
) -> Result<ForeignRequest<'a>, ParseError> {
    let request = read_events(text, max_events, Rules::OpenMeter)?;
    Ok(ForeignRequest { library: library::of_user_agent(head), ..request })
}

fn read_events(
    text: &str,
    max_events: usize,
    rules: Rules,
) -> Result<ForeignRequest<'_>, ParseError> {
    let items = list::read(text, Layout::Array, "the event", max_events, |event| {
        event::finish(event, rules)
    })?;
    Ok(ForeignRequest { items, key: BodyKey::Missing, library: OTHER_LIBRARY })
}

/// Returns the only answer that OpenMeter's clients take for a success; `None` if every event was
/// rejected.
pub(crate) fn openmeter_reply(verdicts: &[Verdict]) -> Option<Reply> {
    let is_stored = verdicts.iter().any(|verdict| !matches!(verdict, Verdict::Rejected(_)));
    is_stored.then(|| Reply::empty(204))
}
