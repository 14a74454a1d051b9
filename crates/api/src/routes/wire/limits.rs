//! The response of `GET /v1/limits`.

use mercurio_domain::Timestamp;
use mercurio_domain::limits::Limits;
use mercurio_rate_limit as rate_limit;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub(crate) struct LimitsResponse {
    /// The tenant's own limits, or the server's.
    pub(crate) limits: Limits,
    /// The remainder of each.
    pub(crate) remaining: Remaining,
}

/// The remainders; `null` without a limit.
#[derive(Serialize, ToSchema)]
pub(crate) struct Remaining {
    /// Write requests.
    #[schema(required)]
    pub(crate) requests: Option<BucketLevel>,
    /// Events.
    #[schema(required)]
    pub(crate) events: Option<BucketLevel>,
    /// Reads of events, on this server.
    #[schema(required)]
    pub(crate) reads: Option<BucketLevel>,
    /// Events this month.
    #[schema(required)]
    pub(crate) monthly_events: Option<Quota>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Quota {
    /// Events the tenant may still store this month.
    pub(crate) remaining: u64,
    /// Events stored this month.
    pub(crate) used: u64,
    /// Maximum events per month.
    pub(crate) limit: u64,
    /// Start of the next month.
    pub(crate) renews_at: Timestamp,
    /// Seconds until `renews_at`.
    pub(crate) reset_seconds: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct BucketLevel {
    /// Tokens in the bucket.
    remaining: u32,
    /// Size of the bucket.
    burst: u32,
    /// Seconds until the bucket is full.
    reset_seconds: u32,
}

impl From<rate_limit::BucketLevel> for BucketLevel {
    fn from(level: rate_limit::BucketLevel) -> Self {
        Self {
            remaining: level.remaining,
            burst: level.bucket.burst,
            reset_seconds: level.reset_seconds(),
        }
    }
}
