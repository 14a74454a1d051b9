//! The requests and responses of the write endpoints.

use mercurio_domain::event::EventDraft;
use mercurio_domain::verdict::{FieldError, Outcome, Verdict};
use mercurio_domain::{EventId, Timestamp};
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Ref, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

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
    pub(crate) status: Outcome,
    /// Time of receipt, by the server's clock.
    pub(crate) received_at: Timestamp,
    /// Id of the request; the server's log contains it.
    pub(crate) request_id: &'a str,
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

impl<'a> EventResult<'a> {
    pub(crate) fn new(index: usize, verdict: &'a Verdict) -> Self {
        match verdict {
            Verdict::Stored(event_id, outcome) => {
                let status = match outcome {
                    Outcome::Accepted => EventStatus::Accepted,
                    Outcome::Duplicate => EventStatus::Duplicate,
                };
                Self { index, event_id: Some(event_id.as_str()), status, errors: &[] }
            }
            Verdict::Rejected(rejection) => Self {
                index,
                event_id: rejection.event_id.as_ref().map(EventId::as_str),
                status: EventStatus::Rejected,
                errors: &rejection.errors,
            },
        }
    }
}
