//! The facts about a request that its events need: the client's clock and library, by the head.

use mercurio_domain::Timestamp;

use crate::Head;

/// The facts about a request.
#[derive(Default)]
pub(super) struct Facts<'a> {
    /// The client's clock at sending.
    pub(super) sent_at: Option<Timestamp>,
    /// Name and version of the library.
    pub(super) sdk: Option<&'a str>,
}

impl<'a> Facts<'a> {
    /// Reads the query string of a request of the first API.
    pub(super) fn of_query(head: &Head<'a>) -> Self {
        // The names of newer browser clients and of older ones.
        let sent_at = query_value(head, "sent_at").or_else(|| query_value(head, "_"));
        let sent_at = sent_at.and_then(micros_of_millis).and_then(Timestamp::from_micros);
        Self { sent_at, sdk: None }
    }

    /// Reads the headers of a request of the second API.
    pub(super) fn of_headers(head: &Head<'a>) -> Self {
        let sent_at = head.header("posthog-request-timestamp");
        let sdk = head.header("posthog-sdk-info");
        Self {
            sent_at: sent_at.and_then(|time| Timestamp::parse(time).ok()),
            // Each event keeps it.
            sdk: sdk.filter(|sdk| (1..=100).contains(&sdk.len())),
        }
    }
}

/// Returns the value of a parameter as sent; those of this protocol have no characters to decode.
pub(super) fn query_value<'a>(head: &Head<'a>, name: &str) -> Option<&'a str> {
    let parts = head.query.split('&');
    parts.filter_map(|part| part.split_once('=')).find(|part| part.0 == name).map(|part| part.1)
}

pub(super) fn micros_of_millis(number: &str) -> Option<i64> {
    number.parse::<i64>().ok()?.checked_mul(1_000)
}
