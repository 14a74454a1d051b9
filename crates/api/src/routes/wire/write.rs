//! The requests and responses of the write endpoints.

use mercurio_domain::event::EventDraft;
use mercurio_domain::verdict::{FieldError, Outcome, Verdict};
use mercurio_domain::{EventId, Timestamp, WorkspaceId};
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Ref, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::writes::counts_of;

/// Describes a request body. Further media types are text, because generators refuse `text/plain`.
pub(crate) const BODY: &str = "JSON in UTF-8; the server also takes it as `text/plain` or without a `Content-Type`, as a \
                               browser's `sendBeacon` sends it, and as any `application/*+json`. May be compressed: see \
                               `Content-Encoding`.";

/// The schema of a single event as a whole body: an event with an additional `sent_at`.
pub(crate) struct SingleEvent;

impl PartialSchema for SingleEvent {
    fn schema() -> RefOr<Schema> {
        let mut schema = EventDraft::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let mut time = Ref::from_schema_name(Timestamp::name());
            time.description =
                "The client's clock at sending: the stored time is `received_at - (sent_at - timestamp)`.".to_owned();
            let null = ObjectBuilder::new().schema_type(Type::Null);
            let sent_at = OneOfBuilder::new().item(time).item(null);
            object.properties.insert("sent_at".to_owned(), sent_at.into());
        }
        schema
    }
}

impl ToSchema for SingleEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        EventDraft::schemas(schemas);
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct TrackResponse<'a> {
    /// The client's id, or a new UUIDv7.
    pub(crate) event_id: &'a str,
    /// The verdict.
    pub(crate) status: StoredStatus,
    /// For a duplicate: the other workspace of the tenant that holds the event, if it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) duplicate_in: Option<WorkspaceId>,
    /// Time of receipt, by the server's clock.
    pub(crate) received_at: Timestamp,
    /// Id of the request; the server's log contains it.
    pub(crate) request_id: &'a str,
}

/// The verdict on a valid event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StoredStatus {
    /// Stored by this request.
    Accepted,
    /// Stored before.
    Duplicate,
}

impl<'a> TrackResponse<'a> {
    pub(crate) fn new(
        event_id: &'a EventId,
        outcome: Outcome,
        received_at: Timestamp,
        request_id: &'a str,
    ) -> Self {
        let status = match outcome {
            Outcome::Accepted => StoredStatus::Accepted,
            Outcome::Duplicate | Outcome::DuplicateIn(_) => StoredStatus::Duplicate,
        };
        let duplicate_in = other_workspace(outcome);
        Self { event_id: event_id.as_str(), status, duplicate_in, received_at, request_id }
    }
}

fn other_workspace(outcome: Outcome) -> Option<WorkspaceId> {
    match outcome {
        Outcome::DuplicateIn(workspace_id) => Some(workspace_id),
        Outcome::Accepted | Outcome::Duplicate => None,
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct BatchResponse<'a> {
    /// Events stored by this request.
    pub(crate) accepted: u64,
    /// Events stored before.
    pub(crate) duplicates: u64,
    /// Invalid events.
    pub(crate) rejected: u64,
    /// All events of the batch.
    pub(crate) total: u64,
    /// The result of each event, in the order of the request.
    pub(crate) results: Vec<EventResult<'a>>,
    /// Time of receipt, by the server's clock.
    pub(crate) received_at: Timestamp,
    /// Id of the request; the server's log contains it.
    pub(crate) request_id: &'a str,
}

/// The result of one event of a batch.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventResult<'a> {
    /// Index in the batch, from 0.
    index: usize,
    /// The client's id, or a new UUIDv7; `null` for a rejected event without a valid id.
    #[schema(required)]
    event_id: Option<&'a str>,
    /// The verdict.
    status: EventStatus,
    /// For a duplicate: the other workspace of the tenant that holds the event, if it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    duplicate_in: Option<WorkspaceId>,
    /// All errors of a rejected event.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

/// The verdict on an event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum EventStatus {
    /// Stored by this request.
    Accepted,
    /// Stored before.
    Duplicate,
    /// Invalid, and not stored.
    Rejected,
}

impl<'a> BatchResponse<'a> {
    pub(crate) fn new(
        verdicts: &'a [Verdict],
        received_at: Timestamp,
        request_id: &'a str,
    ) -> Self {
        let counts = counts_of(verdicts);
        let results =
            verdicts.iter().enumerate().map(|(index, verdict)| EventResult::new(index, verdict));
        Self {
            accepted: counts.accepted,
            duplicates: counts.duplicates,
            rejected: counts.rejected,
            total: counts.total(),
            results: results.collect(),
            received_at,
            request_id,
        }
    }
}

impl<'a> EventResult<'a> {
    fn new(index: usize, verdict: &'a Verdict) -> Self {
        match verdict {
            Verdict::Stored(event_id, outcome) => {
                let status = match outcome {
                    Outcome::Accepted => EventStatus::Accepted,
                    Outcome::Duplicate | Outcome::DuplicateIn(_) => EventStatus::Duplicate,
                };
                let duplicate_in = other_workspace(*outcome);
                Self { index, event_id: Some(event_id.as_str()), status, duplicate_in, errors: &[] }
            }
            Verdict::Rejected(rejection) => Self {
                index,
                event_id: rejection.event_id.as_ref().map(EventId::as_str),
                status: EventStatus::Rejected,
                duplicate_in: None,
                errors: &rejection.errors,
            },
        }
    }
}
