//! How much a tenant may send: a bucket of requests and a bucket of events each, in this process.
//!
//! A bucket is asked before the work that it stands for: one token for a request before its body is read, one for each event
//! before any is validated. What is left is told in the headers of every answer to a write
//! (draft-ietf-httpapi-ratelimit-headers). Not here: the numbers, which are the tenant's [`Limits`].

mod buckets;

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::{Arc, PoisonError, RwLock};

use governor::clock::{Clock, DefaultClock};
use mercurio_domain::TenantId;
use mercurio_domain::limits::{Bucket, Limits};

use buckets::Buckets;

/// Tenants above which those are looked for that have not sent for so long that their buckets are full again.
const SWEEP_ABOVE: usize = 1_000;

/// The buckets of all tenants. Shared by all workers.
pub struct RateLimits<C: Clock + Clone = DefaultClock> {
    clock: C,
    tenants: RwLock<Tenants<C>>,
}

struct Tenants<C: Clock + Clone> {
    buckets: HashMap<TenantId, Arc<Buckets<C>>>,
    /// At how many tenants the next sweep is due.
    sweep_at: usize,
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
    /// Buckets that are full.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(DefaultClock::default())
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clock + Clone> RateLimits<C> {
    /// Buckets that fill by another clock.
    pub fn with_clock(clock: C) -> Self {
        Self { clock, tenants: RwLock::new(Tenants { buckets: HashMap::new(), sweep_at: SWEEP_ABOVE }) }
    }

    /// Takes one token from the bucket of requests.
    ///
    /// # Errors
    /// [`Exceeded`]: there is none, and none was taken.
    pub fn take_request(&self, tenant_id: TenantId, limits: &Limits) -> (RateLimitState, Result<(), Exceeded>) {
        let Some(buckets) = self.buckets(tenant_id, limits) else {
            return (RateLimitState::default(), Ok(()));
        };
        let taken = buckets.requests.take(1, &self.clock);
        (buckets.state(), taken)
    }

    /// Takes as many tokens from the bucket of events.
    ///
    /// # Errors
    /// [`Exceeded`]: there are fewer, and none was taken.
    pub fn take_events(
        &self,
        tenant_id: TenantId,
        limits: &Limits,
        events: usize,
    ) -> (RateLimitState, Result<(), Exceeded>) {
        let Some(buckets) = self.buckets(tenant_id, limits) else {
            return (RateLimitState::default(), Ok(()));
        };
        let taken = buckets.events.take(u32::try_from(events).unwrap_or(u32::MAX), &self.clock);
        (buckets.state(), taken)
    }

    /// What is left, without taking anything.
    pub fn state(&self, tenant_id: TenantId, limits: &Limits) -> RateLimitState {
        self.buckets(tenant_id, limits).map(|buckets| buckets.state()).unwrap_or_default()
    }

    /// The tenant's buckets; new and full ones where its limits have changed. `None` where it has no limits.
    fn buckets(&self, tenant_id: TenantId, limits: &Limits) -> Option<Arc<Buckets<C>>> {
        let sizes = (limits.requests_bucket(), limits.events_bucket());
        if sizes == (None, None) {
            return None;
        }
        let known = self.tenants.read().unwrap_or_else(PoisonError::into_inner).buckets.get(&tenant_id).cloned();
        if let Some(known) = known.filter(|known| known.sizes() == sizes) {
            return Some(known);
        }
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        // Another request may have been faster.
        if let Some(known) = tenants.buckets.get(&tenant_id).filter(|known| known.sizes() == sizes) {
            return Some(Arc::clone(known));
        }
        if tenants.buckets.len() >= tenants.sweep_at {
            tenants.buckets.retain(|_, buckets| !buckets.are_full());
            tenants.sweep_at = SWEEP_ABOVE.max(2 * tenants.buckets.len());
        }
        let buckets = Arc::new(Buckets::new(sizes, &self.clock));
        tenants.buckets.insert(tenant_id, Arc::clone(&buckets));
        Some(buckets)
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
        list(self.levels(), |f, level| write!(f, ";q={};w={}", level.bucket.burst, level.window_seconds()))
    }

    /// The value of `RateLimit`.
    #[must_use]
    pub fn level(&self) -> Option<String> {
        list(self.levels(), |f, level| write!(f, ";r={};t={}", level.remaining, level.reset_seconds()))
    }
}

/// A list of strings with parameters. (RFC 9651, sections 3.1 and 3.1.2)
fn list(
    levels: impl Iterator<Item = (&'static str, Level)>,
    parameters: impl Fn(&mut String, Level) -> fmt::Result,
) -> Option<String> {
    let mut text = String::new();
    for (name, level) in levels {
        let separator = if text.is_empty() { "" } else { ", " };
        // Writing into a string has no way to fail.
        write!(text, "{separator}\"{name}\"").and_then(|()| parameters(&mut text, level)).ok();
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
