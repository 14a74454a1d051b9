//! A rejected event as stores keep it.

use uuid::Uuid;

use super::Position;
use crate::clock::Timestamp;
use crate::ids::{ApiKeyId, EventKey, Owner};
use crate::verdict::FieldError;

/// A rejected event as it was sent, and the reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedEvent {
    /// The id of the rejection, a UUIDv7 by the server.
    pub id: Uuid,
    /// The workspace it was sent to.
    pub owner: Owner,
    /// Time of receipt of the request.
    pub received_at: Timestamp,
    /// The client's id, if it is valid.
    pub event_id: Option<String>,
    /// The name, if it could be read.
    pub event_name: Option<String>,
    /// The person, if one could be read, so that an erasure finds the event.
    pub user_id: Option<String>,
    /// Like `user_id`.
    pub anonymous_id: Option<String>,
    /// All errors of the event. Never empty.
    pub errors: Vec<FieldError>,
    /// The event as sent: JSON text, up to the limit of an event. May be cut.
    pub event: String,
    /// Whether `event` lacks its end.
    pub is_cut: bool,
    /// `X-Request-Id` of the response.
    pub request_id: String,
    /// The key it was sent with.
    pub api_key_id: ApiKeyId,
    /// The protocol it was sent in, such as `segment`; `mercurio` for this server's own.
    pub protocol: String,
    /// Name and version of the client's library, if it reports them.
    pub sdk: Option<String>,
    /// `User-Agent` of the request.
    pub user_agent: Option<String>,
}

impl RejectedEvent {
    /// Position in the order of pages: time of receipt and id.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { occurred_at: self.received_at, key: EventKey(self.id) }
    }

    /// Approximate size in memory and in JSON, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let texts = [
            &self.event_id,
            &self.event_name,
            &self.user_id,
            &self.anonymous_id,
            &self.sdk,
            &self.user_agent,
        ];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let errors: usize =
            self.errors.iter().map(|error| error.pointer.len() + error.message.len()).sum();
        self.event.len() + texts + errors + self.request_id.len() + self.protocol.len()
    }

    /// The event without U+0000, which PostgreSQL cannot store.
    pub(super) fn normalized(&self) -> Self {
        let mut errors = Vec::with_capacity(self.errors.len());
        for FieldError { pointer, code, message } in &self.errors {
            errors.push(FieldError::new(without_nul(pointer), *code, without_nul(message)));
        }
        Self {
            event_id: optional_without_nul(&self.event_id),
            event_name: optional_without_nul(&self.event_name),
            user_id: optional_without_nul(&self.user_id),
            anonymous_id: optional_without_nul(&self.anonymous_id),
            errors,
            event: without_nul(&self.event),
            request_id: without_nul(&self.request_id),
            api_key_id: self.api_key_id.clone(),
            protocol: without_nul(&self.protocol),
            sdk: optional_without_nul(&self.sdk),
            user_agent: optional_without_nul(&self.user_agent),
            ..*self
        }
    }
}

/// Replaces U+0000 by U+FFFD.
pub(super) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn optional_without_nul(text: &Option<String>) -> Option<String> {
    text.as_deref().map(without_nul)
}
