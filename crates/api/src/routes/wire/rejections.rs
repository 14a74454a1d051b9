//! The responses of `GET /v1/rejections` and its summary.

use mercurio_domain::Timestamp;
use mercurio_domain::store::{self, RejectionCountQuery, RejectionKind, RejectionTotal};
use mercurio_domain::verdict::FieldError;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub(crate) struct RejectionPageResponse {
    /// The events, newest first. Up to `limit`, and up to 1 MiB.
    pub(crate) rejections: Vec<RejectedEvent>,
    /// The `cursor` of the next page, to be sent unchanged; `null` on the last page.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
}

/// A rejected event, and why it was rejected.
#[derive(Serialize, ToSchema)]
pub(crate) struct RejectedEvent {
    /// The id of the rejection.
    id: String,
    /// Time of receipt, by the server's clock.
    received_at: Timestamp,
    /// The client's id; `null` if it sent none or an invalid one.
    #[schema(required)]
    event_id: Option<String>,
    /// The name, also an invalid one; `null` if it could not be read.
    #[schema(required)]
    event_name: Option<String>,
    /// Always `rejected`.
    verdict: RejectedVerdict,
    /// All errors, as in the response. Their pointers lead into the body as sent.
    errors: Vec<FieldError>,
    /// The event as sent: its JSON text. The secrets of API keys in it are masked.
    event: String,
    /// Whether `event` lacks its end: it has 64 KiB at most.
    is_cut: bool,
    /// `X-Request-Id` of the response.
    request_id: String,
    /// The public id of the API key.
    api_key_id: String,
    /// The protocol: `mercurio`, or the one of another service such as `segment`.
    protocol: String,
    /// Name and version of the client's library; `null` if it does not report them.
    #[schema(required)]
    sdk: Option<String>,
    /// `User-Agent` of the request.
    #[schema(required)]
    user_agent: Option<String>,
}

/// The verdict on a rejected event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RejectedVerdict {
    /// Invalid, and not stored.
    Rejected,
}

impl From<store::RejectedEvent> for RejectedEvent {
    fn from(event: store::RejectedEvent) -> Self {
        Self {
            id: event.id.to_string(),
            received_at: event.received_at,
            event_id: event.event_id,
            event_name: event.event_name,
            verdict: RejectedVerdict::Rejected,
            errors: event.errors,
            event: event.event,
            is_cut: event.is_cut,
            request_id: event.request_id,
            api_key_id: event.api_key_id.to_string(),
            protocol: event.protocol,
            sdk: event.sdk,
            user_agent: event.user_agent,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RejectionSummary {
    /// Start of the first hour.
    from: Timestamp,
    /// End of the last hour.
    to: Timestamp,
    /// Number of rejected events.
    rejected: u64,
    /// Requests refused before their events were read, the largest counts first.
    requests: Vec<RefusedRequests>,
    /// Errors of rejected events, the largest counts first. An event with two errors counts in two groups.
    groups: Vec<RejectionGroup>,
}

/// Refused requests with the same problem.
#[derive(Serialize, ToSchema)]
struct RefusedRequests {
    /// The code of the problem, such as `malformed_json`.
    code: String,
    /// Number of requests.
    count: u64,
    /// Start of the last hour with such a request.
    last_hour: Timestamp,
}

/// Errors with the same code, pointer and event name.
#[derive(Serialize, ToSchema)]
struct RejectionGroup {
    /// The code of the error, such as `required`.
    code: String,
    /// JSON pointer of the error within the event; empty for the event itself. Of a tenant with more than a thousand groups an
    /// hour, also empty for further ones.
    pointer: String,
    /// The name of the event; empty if it could not be read, and like `pointer` for further groups.
    event_name: String,
    /// Number of events.
    count: u64,
    /// Start of the last hour with such an event.
    last_hour: Timestamp,
    /// One of the events; `null` if none was kept, or the response has many examples already.
    #[schema(required)]
    example: Option<RejectedEvent>,
}

impl RejectionSummary {
    pub(crate) fn new(query: &RejectionCountQuery, totals: Vec<RejectionTotal>) -> Self {
        let RejectionCountQuery { from, to, .. } = *query;
        let (mut rejected, mut requests, mut groups) = (0, Vec::new(), Vec::new());
        for total in totals {
            let RejectionTotal { code, pointer, event_name, last_hour, .. } = total;
            let (count, example) = (total.rejected, total.example.map(RejectedEvent::from));
            match total.kind {
                RejectionKind::Event => rejected += count,
                RejectionKind::Error => {
                    let group =
                        RejectionGroup { code, pointer, event_name, count, last_hour, example };
                    groups.push(group);
                }
                RejectionKind::Request => requests.push(RefusedRequests { code, count, last_hour }),
            }
        }
        Self { from, to, rejected, requests, groups }
    }
}
