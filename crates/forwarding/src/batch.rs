//! The bodies of requests: events as JSON, or as CloudEvents.

use data_encoding::HEXLOWER;
use mercurio_domain::event::StoredEvent;
use mercurio_domain::{EventId, Owner, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Bytes of the digest in the id of a batch.
const ID_BYTES: usize = 16;

/// Form of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchFormat {
    /// `{"events": […]}`: the objects of the HTTP API, with a `message_id` each.
    Json,
    /// An array of CloudEvents 1.0 in JSON: section 4 of its JSON event format.
    CloudEvents,
}

impl BatchFormat {
    /// Value of `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::CloudEvents => "application/cloudevents-batch+json",
        }
    }
}

/// Returns the id by which receivers find events sent twice: the tenant's id and the event's. An
/// event id is unique within its tenant.
#[must_use]
pub fn message_id(event: &StoredEvent) -> String {
    format!("{}:{}", event.owner.tenant_id, event.parts.event_id)
}

/// Events in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// `webhook-id`: `msg_` and a digest of the body. The same body always has the same id, also
    /// after a restart.
    pub id: String,
    /// Value of `Content-Type`.
    pub content_type: &'static str,
    /// The body, as it is signed and sent.
    pub body: Vec<u8>,
    /// The events, in their order.
    pub message_ids: Vec<String>,
}

impl Batch {
    /// Serializes events.
    ///
    /// # Errors
    /// If a stored payload is not JSON.
    pub fn of(events: &[StoredEvent], format: BatchFormat) -> Result<Self, serde_json::Error> {
        let body = match format {
            BatchFormat::Json => {
                let events = events.iter().map(JsonEvent::of).collect();
                serde_json::to_vec(&JsonBatch { events })?
            }
            BatchFormat::CloudEvents => {
                serde_json::to_vec(&events.iter().map(CloudEvent::of).collect::<Vec<_>>())?
            }
        };
        let digest = Sha256::digest(&body);
        Ok(Self {
            id: format!("msg_{}", HEXLOWER.encode(&digest[..ID_BYTES])),
            content_type: format.content_type(),
            body,
            message_ids: events.iter().map(message_id).collect(),
        })
    }
}

#[derive(Serialize)]
struct JsonBatch<'a> {
    events: Vec<JsonEvent<'a>>,
}

#[derive(Serialize)]
struct JsonEvent<'a> {
    message_id: String,
    #[serde(flatten)]
    event: &'a StoredEvent,
}

impl<'a> JsonEvent<'a> {
    fn of(event: &'a StoredEvent) -> Self {
        Self { message_id: message_id(event), event }
    }
}

/// The reverse of the server's `POST /v1/cloudevents`, with the whole event as `data`.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a EventId,
    /// A URI reference. `source` and `id` together are unique, as CloudEvents demands.
    source: String,
    #[serde(rename = "type")]
    kind: &'a str,
    /// Null is not allowed to mean anything: absent without a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    time: Timestamp,
    datacontenttype: &'static str,
    data: &'a StoredEvent,
}

impl<'a> CloudEvent<'a> {
    fn of(event: &'a StoredEvent) -> Self {
        let Owner { tenant_id, workspace_id } = event.owner;
        let parts = &event.parts;
        Self {
            specversion: "1.0",
            id: &parts.event_id,
            source: format!("/tenants/{tenant_id}/workspaces/{workspace_id}"),
            kind: &parts.event_name,
            subject: parts.user_id.as_deref(),
            time: parts.occurred_at,
            datacontenttype: "application/json",
            data: event,
        }
    }
}

#[cfg(test)]
mod tests;
