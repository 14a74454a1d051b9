//! The limits of the HTTP contract, each with the reason for its number.

mod overrides;
mod quota;

use serde::{Deserialize, Serialize};

pub use overrides::{LimitChange, LimitError, LimitName, LimitOverrides};
pub use quota::{Month, QuotaExceeded};

/// Maximum bytes of a decompressed body: 50 events of 5 KiB each; 256 concurrent requests take 64
/// MiB.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// Maximum events of a batch: enough to share the cost of a request, few enough to repeat it
/// cheaply.
pub const MAX_BATCH_EVENTS: usize = 50;
/// Maximum bytes of one event as sent: anything larger is a document for an object store.
pub const MAX_EVENT_BYTES: usize = 32 * 1024;
/// Maximum levels of objects and arrays in `properties`, `traits` or `context`, itself included: no
/// analysis reaches deeper, and recursive readers stay safe.
pub const MAX_NESTING: usize = 32;
/// Maximum age of an event in days: accepts offline devices and imports of a year, but not 1970.
pub const MAX_EVENT_AGE_DAYS: u32 = 365;
/// Maximum seconds of an event's time in the future: tolerance for the client's clock.
pub const MAX_EVENT_FUTURE_SECONDS: u32 = 5 * 60;
/// Maximum characters of an `event_id`: two URNs of 45 characters and a prefix fit.
pub const MAX_EVENT_ID_CHARS: usize = 100;
/// Maximum characters of an `event_name`: a name for lists, not a sentence.
pub const MAX_EVENT_NAME_CHARS: usize = 100;
/// Maximum characters of an `anonymous_id`, `user_id` or `session_id`: an e-mail address (254)
/// fits.
pub const MAX_PERSON_ID_CHARS: usize = 255;
/// Maximum characters of an `Idempotency-Key`.
pub const MAX_IDEMPOTENCY_KEY_CHARS: usize = 255;
/// Maximum characters of a semantic version, a column of every event.
pub const MAX_SCHEMA_VERSION_CHARS: usize = 64;
/// Maximum characters of the name of a tenant, workspace or key.
pub const MAX_NAME_CHARS: usize = 255;
/// Maximum events of a page.
pub const MAX_PAGE_EVENTS: usize = 1000;
/// Maximum bytes of the events of a page, unless a single event is larger: 1000 usual events fit,
/// and a server can hold many pages at once.
pub const MAX_PAGE_BYTES: usize = 1024 * 1024;
/// Events of a page by default.
pub const DEFAULT_PAGE_EVENTS: usize = 100;
/// Events per second of a tenant by default: more than a server can store, so only a lower limit is
/// noticed.
pub const EVENTS_PER_SECOND: u32 = 1_000_000;
/// Write requests per second of a tenant by default: more than a server can answer.
pub const REQUESTS_PER_SECOND: u32 = 100_000;
/// Reads per second of a tenant by default: pages through a gigabyte in a minute.
pub const READS_PER_SECOND: u32 = 20;
/// Reads of a tenant at one time by default: half of a server's connections for reads.
pub const MAX_CONCURRENT_READS: u32 = 4;

/// The limits of a server or of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Limits {
    /// Maximum bytes of a decompressed request body.
    pub max_body_bytes: usize,
    /// Maximum events of a batch.
    pub max_batch_events: usize,
    /// Maximum bytes of one event as sent, without the white space around it.
    pub max_event_bytes: usize,
    /// Maximum age of an event in days; 0: no limit.
    pub max_event_age_days: u32,
    /// Maximum seconds of an event's time in the future.
    pub max_event_future_seconds: u32,
    /// Average events per second of a tenant; 0: no limit.
    pub events_per_second: u32,
    /// Events at once after a pause; 0: those of ten seconds. See [`Limits::events_bucket`].
    pub events_burst: u32,
    /// Average write requests per second of a tenant; 0: no limit.
    pub requests_per_second: u32,
    /// Write requests at once after a pause; 0: those of ten seconds. See
    /// [`Limits::requests_bucket`].
    pub requests_burst: u32,
    /// Average reads of events per second of a tenant, by each server; 0: no limit.
    pub reads_per_second: u32,
    /// Reads at once after a pause; 0: those of ten seconds. See [`Limits::reads_bucket`].
    pub reads_burst: u32,
    /// Maximum reads of a tenant in progress at one time, on each server. A read ends when its
    /// response is sent.
    pub max_concurrent_reads: u32,
    /// The monthly quota: events stored per calendar month (UTC), by time of receipt; 0: no quota.
    pub monthly_events: u64,
    /// Days events are kept, by time of receipt; 0: forever.
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
            // 0 derives the burst from the rate, so that one setting suffices.
            events_burst: 0,
            requests_per_second: REQUESTS_PER_SECOND,
            requests_burst: 0,
            reads_per_second: READS_PER_SECOND,
            reads_burst: 0,
            max_concurrent_reads: MAX_CONCURRENT_READS,
            monthly_events: 0,
            retention_days: 0,
        }
    }
}

/// A token bucket: it holds up to `burst` tokens and gains `per_second`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// Tokens gained per second, at least 1.
    pub per_second: u32,
    /// Tokens of a full bucket, at least 1.
    pub burst: u32,
}

/// Seconds of tokens in a bucket without a configured size.
const BURST_SECONDS: u32 = 10;

impl Bucket {
    /// Returns `None` for no limit. A request of `min_burst` tokens must fit, or it would never
    /// pass.
    fn new(per_second: u32, burst: u32, min_burst: u32) -> Option<Self> {
        // A bucket without refill would block a tenant forever, so 0 is free for "no limit".
        if per_second == 0 {
            return None;
        }
        // Saturates far beyond any rate that a server reaches.
        let burst = if burst == 0 { per_second.saturating_mul(BURST_SECONDS) } else { burst };
        Some(Self { per_second, burst: burst.max(min_burst) })
    }
}

impl Limits {
    /// The bucket for a tenant's events; `None` without a limit. A whole batch always fits.
    #[must_use]
    pub fn events_bucket(&self) -> Option<Bucket> {
        // A valid limit has at most 10,000 events, so the conversion never saturates.
        let batch = u32::try_from(self.max_batch_events).unwrap_or(u32::MAX);
        Bucket::new(self.events_per_second, self.events_burst, batch)
    }

    /// The bucket for a tenant's write requests; `None` without a limit.
    #[must_use]
    pub fn requests_bucket(&self) -> Option<Bucket> {
        Bucket::new(self.requests_per_second, self.requests_burst, 1)
    }

    /// The bucket for a tenant's reads of events; `None` without a limit.
    #[must_use]
    pub fn reads_bucket(&self) -> Option<Bucket> {
        Bucket::new(self.reads_per_second, self.reads_burst, 1)
    }
}
