//! The numbers of the contract, each with its reason.

mod overrides;
mod quota;

use serde::{Deserialize, Serialize};

pub use overrides::{LimitError, LimitName, LimitOverrides};
pub use quota::{Month, QuotaExceeded};

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
/// Events of a tenant in a second: more than a server can store, so that nobody meets it who was not given a lower one.
pub const EVENTS_PER_SECOND: u32 = 1_000_000;
/// Requests of a tenant in a second that write: more than a server can answer.
pub const REQUESTS_PER_SECOND: u32 = 100_000;

/// What a server, or one of its tenants, allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    /// Events that a tenant may send in a second, in the long run; 0: no limit.
    pub events_per_second: u32,
    /// Events that a tenant may send at once after a pause; 0: those of ten seconds. See [`Limits::events_bucket`].
    pub events_burst: u32,
    /// Requests that write, of a tenant in a second, in the long run; 0: no limit.
    pub requests_per_second: u32,
    /// Requests at once after a pause; 0: those of ten seconds. See [`Limits::requests_bucket`].
    pub requests_burst: u32,
    /// Events that a tenant may store in a calendar month (UTC), counted by when they were received; 0: no quota.
    pub monthly_events: u64,
    /// Days for which events are kept, by the time of receipt; 0: for ever.
    pub retention_days: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: MAX_BODY_BYTES,
            max_batch_events: MAX_BATCH_EVENTS,
            max_event_bytes: MAX_EVENT_BYTES,
            max_event_age_days: MAX_EVENT_AGE_DAYS,
            max_event_future_seconds: MAX_EVENT_FUTURE_SECONDS,
            events_per_second: EVENTS_PER_SECOND,
            events_burst: 0,
            requests_per_second: REQUESTS_PER_SECOND,
            requests_burst: 0,
            monthly_events: 0,
            retention_days: 0,
        }
    }
}

/// A token bucket: it holds `burst` tokens, and `per_second` flow in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// Tokens that flow in, in a second. At least 1.
    pub per_second: u32,
    /// Tokens that it holds. At least 1.
    pub burst: u32,
}

/// Seconds whose tokens a bucket holds where nobody said how large it is.
const BURST_SECONDS: u32 = 10;

impl Bucket {
    /// `None`: no limit. `least`: what must fit at once, or it would never pass.
    fn new(per_second: u32, burst: u32, least: u32) -> Option<Self> {
        let burst = if burst == 0 { per_second.saturating_mul(BURST_SECONDS) } else { burst };
        (per_second > 0).then(|| Self { per_second, burst: burst.max(least) })
    }
}

impl Limits {
    /// The bucket of a tenant's events, if they are limited. It always holds a whole batch.
    #[must_use]
    pub fn events_bucket(&self) -> Option<Bucket> {
        let batch = u32::try_from(self.max_batch_events).unwrap_or(u32::MAX);
        Bucket::new(self.events_per_second, self.events_burst, batch)
    }

    /// The bucket of a tenant's requests that write, if they are limited.
    #[must_use]
    pub fn requests_bucket(&self) -> Option<Bucket> {
        Bucket::new(self.requests_per_second, self.requests_burst, 1)
    }
}
