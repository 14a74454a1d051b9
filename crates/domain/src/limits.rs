//! The numbers of the contract, each with its reason.

use serde::{Deserialize, Serialize};

/// Bytes of a request body after decompression: 50 events of 5 KiB each, and small enough that 256 requests at once take
/// 64 MiB.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// Events of a batch: large enough that the cost of a request is shared by many, small enough to send again at no great cost.
pub const MAX_BATCH_EVENTS: usize = 50;
/// Bytes of one event as sent: above that it is a document, which belongs into a store of objects.
pub const MAX_EVENT_BYTES: usize = 32 * 1024;
/// Levels of objects and arrays in `properties`, `traits` or `context`, each of which is the first: beyond 32 no analysis
/// reaches, and readers that recurse stay safe.
pub const MAX_NESTING: usize = 32;
/// Days that an event's time may lie in the past: offline devices and imports of a year pass, 1970 does not.
pub const MAX_EVENT_AGE_DAYS: u32 = 365;
/// Seconds that an event's time may lie in the future: what a client's clock may be wrong by.
pub const MAX_EVENT_FUTURE_SECONDS: u32 = 5 * 60;
/// Characters of an `event_id`: a UUID has 36, a URN 45; two of them and a prefix fit.
pub const MAX_EVENT_ID_CHARS: usize = 100;
/// Characters of an `event_name`: it is a name, shown in lists, and not a sentence.
pub const MAX_EVENT_NAME_CHARS: usize = 100;
/// Characters of an `anonymous_id`, a `user_id` or a `session_id`: an address of e-mail (254) fits.
pub const MAX_PERSON_ID_CHARS: usize = 255;
/// Characters of an `Idempotency-Key`.
pub const MAX_IDEMPOTENCY_KEY_CHARS: usize = 255;
/// Characters of a semantic version: it is a column of every event.
pub const MAX_SCHEMA_VERSION_CHARS: usize = 64;
/// Characters of the name of a tenant, a workspace or a key.
pub const MAX_NAME_CHARS: usize = 255;
/// Events of a page that is read.
pub const MAX_PAGE_EVENTS: usize = 1000;
/// Events of a page where the reader does not say.
pub const DEFAULT_PAGE_EVENTS: usize = 100;

/// What a server, or one of its tenants, allows a request and an event to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of a request body after decompression.
    pub max_body_bytes: usize,
    /// Events of a batch.
    pub max_batch_events: usize,
    /// Bytes of one event as sent, without the white space around it.
    pub max_event_bytes: usize,
    /// Days that an event's time may lie in the past; 0: no limit.
    pub max_event_age_days: u32,
    /// Seconds that an event's time may lie in the future.
    pub max_event_future_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: MAX_BODY_BYTES,
            max_batch_events: MAX_BATCH_EVENTS,
            max_event_bytes: MAX_EVENT_BYTES,
            max_event_age_days: MAX_EVENT_AGE_DAYS,
            max_event_future_seconds: MAX_EVENT_FUTURE_SECONDS,
        }
    }
}
