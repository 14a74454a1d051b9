//! How much a tenant may send: a bucket of requests and a bucket of events each.
//!
//! A bucket is asked before the work that it stands for: one token for a request before its body is read, one for each event
//! before any is validated. What is left is told in the headers of every answer to a write
//! (draft-ietf-httpapi-ratelimit-headers). The buckets of this process come first, since they cost nothing; where servers
//! share the limits through Redis, those there decide. Not here: the numbers, which are the tenant's [`Limits`].

mod buckets;
mod local;
mod redis_url;
mod shared;
mod shares;

use std::sync::Arc;

use governor::clock::{Clock, DefaultClock};
use mercurio_domain::TenantId;
use mercurio_domain::limits::{Bucket, Limits};

use local::LocalBuckets;
pub use redis_url::RedisUrl;
pub use shared::SharedBuckets;
use shares::Shares;

/// What is left, and whether there was enough.
pub type Answer = (RateLimitState, Result<(), Exceeded>);

/// The buckets of all tenants. Shared by all workers.
pub struct RateLimits<C: Clock + Clone = DefaultClock> {
    /// With the whole limit: more than that passes on no server.
    whole: LocalBuckets<C>,
    /// With this server's share of it, for while Redis is away.
    shares: Shares<C>,
    shared: Option<Arc<SharedBuckets>>,
}

/// What is left of a tenant's buckets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimitState {
    /// Of the bucket of requests.
    pub requests: Option<Level>,
    /// Of the bucket of events.
    pub events: Option<Level>,
}

/// How full a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// The bucket.
    pub bucket: Bucket,
    /// Tokens in it.
    pub remaining: u32,
}

impl Level {
    /// Seconds in which an empty bucket fills up.
    #[must_use]
    pub fn window_seconds(&self) -> u32 {
        self.bucket.burst.div_ceil(self.bucket.per_second)
    }

    /// Seconds in which it will be full again.
    #[must_use]
    pub fn reset_seconds(&self) -> u32 {
        self.bucket.burst.saturating_sub(self.remaining).div_ceil(self.bucket.per_second)
    }
}

/// A bucket has not enough tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Whole seconds after which it has. At least 1.
    pub retry_after_seconds: u64,
}

impl RateLimits {
    /// Buckets that are full; `shared` ones where several servers share the limits.
    #[must_use]
    pub fn new(shared: Option<Arc<SharedBuckets>>) -> Self {
        let clock = DefaultClock::default();
        Self {
            whole: LocalBuckets::with_clock(clock.clone()),
            shares: Shares::with_clock(clock),
            shared,
        }
    }
}

impl<C: Clock + Clone> RateLimits<C> {
    /// The buckets that several servers share, if they do.
    #[must_use]
    pub fn shared(&self) -> Option<&SharedBuckets> {
        self.shared.as_deref()
    }

    /// Takes one token from this server's bucket of requests. Whether those that are shared have one is asked together
    /// with the events'.
    ///
    /// # Errors
    /// [`Exceeded`]: there is none, and none was taken.
    pub fn take_request(&self, tenant_id: TenantId, limits: &Limits) -> Answer {
        self.whole.take_request(tenant_id, limits)
    }

    /// Takes as many tokens from the bucket of events.
    ///
    /// # Errors
    /// [`Exceeded`]: there are fewer, and none was taken.
    pub async fn take_events(&self, tenant_id: TenantId, limits: &Limits, events: usize) -> Answer {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        let answer = self.whole.take_events(tenant_id, limits, events);
        let Some(shared) = self.shared.as_ref().filter(|_| answer.1.is_ok() && is_limited(limits))
        else {
            return answer;
        };
        match self.ask(shared, tenant_id, limits, [1, events]).await {
            Some(answer) => answer,
            None => self.shares.take(tenant_id, limits, shared.servers(), [1, events]),
        }
    }

    /// Takes tokens of requests and of events in Redis. `None`: it does not tell.
    async fn ask(
        &self,
        shared: &SharedBuckets,
        tenant_id: TenantId,
        limits: &Limits,
        tokens: [u32; 2],
    ) -> Option<Answer> {
        let is_paying = shared.is_available();
        let debts = if is_paying { self.shares.pay(tenant_id, limits) } else { Default::default() };
        match shared.take(tenant_id, limits, tokens, debts).await {
            Some((answer, told)) => {
                self.shares.note(tenant_id, told);
                Some(answer)
            }
            None => {
                if is_paying {
                    self.shares.owe(tenant_id, debts);
                }
                None
            }
        }
    }

    /// Which bucket had too little, when events were refused: `events`, or `requests` where Redis, which is asked for both at
    /// once, had no token of those.
    pub fn short_of(&self, (left, _): &Answer) -> &'static str {
        // Redis takes all tokens or none, so that a bucket which had enough still has them.
        let no_request_left = left.requests.is_some_and(|level| level.remaining == 0);
        if self.shared.is_some() && no_request_left { "requests" } else { "events" }
    }

    /// What is left, without taking anything.
    pub async fn state(&self, tenant_id: TenantId, limits: &Limits) -> RateLimitState {
        let Some(shared) = self.shared.as_ref().filter(|_| is_limited(limits)) else {
            return self.whole.state(tenant_id, limits);
        };
        match self.ask(shared, tenant_id, limits, [0, 0]).await {
            Some((state, _)) => state,
            None => self.shares.state(tenant_id, limits, shared.servers()),
        }
    }
}

fn is_limited(limits: &Limits) -> bool {
    limits.requests_per_second > 0 || limits.events_per_second > 0
}

/// What one of so many servers may let pass.
fn share(limits: &Limits, servers: u32) -> Limits {
    let part = |number: u32| number.div_ceil(servers);
    let burst = |bucket: Option<Bucket>| bucket.map_or(0, |bucket| part(bucket.burst));
    Limits {
        events_per_second: part(limits.events_per_second),
        events_burst: burst(limits.events_bucket()),
        requests_per_second: part(limits.requests_per_second),
        requests_burst: burst(limits.requests_bucket()),
        ..*limits
    }
}

impl RateLimitState {
    fn levels(&self) -> impl Iterator<Item = (&'static str, Level)> {
        [("requests", self.requests), ("events", self.events)]
            .into_iter()
            .filter_map(|(name, level)| Some((name, level?)))
    }

    /// The value of `RateLimit-Policy`; `None` where nothing is limited.
    #[must_use]
    pub fn policy(&self) -> Option<String> {
        list(self.levels(), |level| [(";q=", level.bucket.burst), (";w=", level.window_seconds())])
    }

    /// The value of `RateLimit`.
    #[must_use]
    pub fn level(&self) -> Option<String> {
        list(self.levels(), |level| [(";r=", level.remaining), (";t=", level.reset_seconds())])
    }
}

/// A list of strings with parameters. (RFC 9651, sections 3.1 and 3.1.2)
///
/// Every answer has two of them, so they are put together without the machinery of `format!`.
fn list(
    levels: impl Iterator<Item = (&'static str, Level)>,
    parameters: impl Fn(Level) -> [(&'static str, u32); 2],
) -> Option<String> {
    let (mut text, mut number) = (String::with_capacity(64), itoa::Buffer::new());
    for (name, level) in levels {
        text.push_str(if text.is_empty() { "\"" } else { ", \"" });
        text.push_str(name);
        text.push('"');
        for (parameter, value) in parameters(level) {
            text.push_str(parameter);
            text.push_str(number.format(value));
        }
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
