//! Rate limits: three token buckets per tenant, of write requests, of their events, and of reads.
//!
//! Tokens are taken before the work: one for a request before its body is read, one per event
//! before validation. The buckets of this process come first, because they cost nothing. With
//! Redis, servers share a second pair of buckets, and both pairs must agree. Without an answer from
//! Redis, each server falls back to its share, `limit / servers`. One extra burst may pass at each
//! change between the two: nothing is carried over (ADR 15). Reads are limited by each server on
//! its own: their limit protects the server. The limits themselves are the tenant's [`Limits`].

mod buckets;
mod decision;
mod local;
mod redis_url;
mod shared;
#[cfg(feature = "testing")]
pub mod testing;

use std::sync::Arc;

use governor::clock::{Clock, DefaultClock};
use mercurio_domain::TenantId;
use mercurio_domain::limits::{Bucket, Limits};

pub use decision::{BucketLevel, BucketName, RateLimitDecision, RateLimitExceeded, RateLimitState};
use local::LocalBuckets;
pub use redis_url::RedisUrl;
pub use shared::SharedBuckets;
use shared::Tokens;

/// The buckets of all tenants, shared by all HTTP threads.
pub struct RateLimits<C: Clock + Clone = DefaultClock> {
    /// Buckets with the whole limit: no single server admits more, with or without Redis.
    whole: LocalBuckets<C>,
    /// Buckets with this server's share, for the time without Redis.
    share: LocalBuckets<C>,
    shared: Option<Arc<SharedBuckets>>,
}

impl RateLimits {
    /// Returns full buckets. With `shared`, Redis decides while it answers.
    #[must_use]
    pub fn new(shared: Option<Arc<SharedBuckets>>) -> Self {
        Self::with_clock(DefaultClock::default(), shared)
    }
}

impl<C: Clock + Clone> RateLimits<C> {
    fn with_clock(clock: C, shared: Option<Arc<SharedBuckets>>) -> Self {
        let whole = LocalBuckets::with_clock(clock.clone());
        Self { whole, share: LocalBuckets::with_clock(clock), shared }
    }

    /// Returns the buckets in Redis, if servers share their limits.
    #[must_use]
    pub fn shared(&self) -> Option<&SharedBuckets> {
        self.shared.as_deref()
    }

    /// Takes one token from this server's bucket of requests. Redis is asked later, together with
    /// the events, so that a request costs one round trip.
    pub fn take_request(&self, tenant_id: TenantId, limits: &Limits) -> RateLimitDecision {
        self.whole.take(tenant_id, limits, BucketName::Requests, 1)
    }

    /// Takes one token from this server's bucket of reads.
    pub fn take_read(&self, tenant_id: TenantId, limits: &Limits) -> RateLimitDecision {
        self.whole.take(tenant_id, limits, BucketName::Reads, 1)
    }

    /// Takes one token per event: all of them or none.
    pub async fn take_events(
        &self,
        tenant_id: TenantId,
        limits: &Limits,
        events: usize,
    ) -> RateLimitDecision {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        let local = self.whole.take(tenant_id, limits, BucketName::Events, events);
        // A refusal by this server alone needs no round trip.
        let Some(shared) = self.shared.as_ref().filter(|_| local.result.is_ok() && limited(limits))
        else {
            return local;
        };
        // The request's token is taken now, with the events, in one round trip.
        let tokens = Tokens { requests: 1, events };
        if let Some(decision) = shared.take(tenant_id, limits, tokens).await {
            if decision.result.is_err() {
                // Refused events must not use up the burst of this server.
                self.whole.give_back(tenant_id, limits, BucketName::Events, events);
            }
            return decision;
        }
        // Without Redis, the server's share decides at once (ADR 15).
        let share = share(limits, shared.servers());
        let request = self.share.take(tenant_id, &share, BucketName::Requests, tokens.requests);
        if request.result.is_err() {
            return request;
        }
        self.share.take(tenant_id, &share, BucketName::Events, tokens.events)
    }

    /// Returns the levels of the tenant's buckets and takes nothing.
    pub async fn state(&self, tenant_id: TenantId, limits: &Limits) -> RateLimitState {
        let Some(shared) = self.shared.as_ref().filter(|_| limited(limits)) else {
            return self.whole.state(tenant_id, limits);
        };
        // Taking no tokens returns the levels.
        let writes = match shared.take(tenant_id, limits, Tokens::default()).await {
            Some(decision) => decision.state,
            None => self.share.state(tenant_id, &share(limits, shared.servers())),
        };
        RateLimitState { reads: self.whole.state(tenant_id, limits).reads, ..writes }
    }
}

fn limited(limits: &Limits) -> bool {
    limits.requests_per_second > 0 || limits.events_per_second > 0
}

/// Returns one server's share of the limits. Shares are rounded up, because 0 would mean no limit.
fn share(limits: &Limits, servers: u32) -> Limits {
    // The burst in force is shared, because a burst of 0 in the settings means the default.
    let burst = |bucket: Option<Bucket>| bucket.map_or(0, |bucket| bucket.burst.div_ceil(servers));
    Limits {
        events_per_second: limits.events_per_second.div_ceil(servers),
        events_burst: burst(limits.events_bucket()),
        requests_per_second: limits.requests_per_second.div_ceil(servers),
        requests_burst: burst(limits.requests_bucket()),
        ..*limits
    }
}

#[cfg(test)]
mod tests;
