//! The token buckets of a tenant, as `governor` fills them (GCRA).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use mercurio_domain::limits::{Bucket, Limits};

use crate::decision::{BucketLevel, BucketName, RateLimitState};

/// Size and rate of a tenant's buckets. `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BucketSizes {
    pub(crate) requests: Option<Bucket>,
    pub(crate) events: Option<Bucket>,
    pub(crate) reads: Option<Bucket>,
}

impl BucketSizes {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self {
            requests: limits.requests_bucket(),
            events: limits.events_bucket(),
            reads: limits.reads_bucket(),
        }
    }

    pub(crate) fn is_unlimited(&self) -> bool {
        self.requests.is_none() && self.events.is_none() && self.reads.is_none()
    }
}

/// The buckets of a tenant.
pub(crate) struct TenantBuckets<C: Clock + Clone> {
    pub(crate) sizes: BucketSizes,
    requests: Option<TokenBucket<C>>,
    events: Option<TokenBucket<C>>,
    reads: Option<TokenBucket<C>>,
}

impl<C: Clock + Clone> TenantBuckets<C> {
    pub(crate) fn full(sizes: BucketSizes, clock: &C) -> Self {
        let full = |bucket| TokenBucket::full(bucket, clock);
        Self {
            sizes,
            requests: sizes.requests.map(full),
            events: sizes.events.map(full),
            reads: sizes.reads.map(full),
        }
    }

    /// Takes `tokens` from one bucket, or none.
    ///
    /// # Errors
    /// Whole seconds until the bucket has enough tokens, at least 1.
    pub(crate) fn take(&self, name: BucketName, tokens: u32, clock: &C) -> Result<(), u64> {
        self.bucket(name).map_or(Ok(()), |bucket| bucket.take(tokens, clock))
    }

    /// Returns tokens that were taken for nothing.
    pub(crate) fn give_back(&self, name: BucketName, tokens: u32) {
        if let Some(bucket) = self.bucket(name) {
            bucket.give_back(tokens);
        }
    }

    fn bucket(&self, name: BucketName) -> Option<&TokenBucket<C>> {
        let bucket = match name {
            BucketName::Requests => &self.requests,
            BucketName::Events => &self.events,
            BucketName::Reads => &self.reads,
        };
        bucket.as_ref()
    }

    pub(crate) fn state(&self) -> RateLimitState {
        RateLimitState {
            requests: self.requests.as_ref().map(TokenBucket::level),
            events: self.events.as_ref().map(TokenBucket::level),
            reads: self.reads.as_ref().map(TokenBucket::level),
        }
    }

    /// Whether all buckets are full, so that new ones behave the same.
    pub(crate) fn are_full(&self) -> bool {
        [&self.requests, &self.events, &self.reads].into_iter().flatten().all(TokenBucket::is_full)
    }
}

/// The state of a limiter, shared so that tokens can be given back: `governor` cannot.
#[derive(Clone, Default)]
struct SharedState(Arc<InMemoryState>);

impl StateStore for SharedState {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, key: &NotKeyed, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, measure)
    }
}

struct TokenBucket<C: Clock + Clone> {
    bucket: Bucket,
    limiter: RateLimiter<NotKeyed, SharedState, C, StateInformationMiddleware>,
    /// The state of `limiter`.
    state: SharedState,
    /// Level after the last decision: `governor` reports it only when tokens are taken.
    remaining: AtomicU32,
}

impl<C: Clock + Clone> TokenBucket<C> {
    fn full(bucket: Bucket, clock: &C) -> Self {
        debug_assert!(bucket.per_second > 0 && bucket.burst > 0, "{bucket:?}");
        // A valid bucket has at least 1 of both; the fallback avoids a panic in release builds.
        let rate = NonZeroU32::new(bucket.per_second).unwrap_or(NonZeroU32::MIN);
        let burst = NonZeroU32::new(bucket.burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(rate).allow_burst(burst);
        let state = SharedState::default();
        let limiter = RateLimiter::new(quota, state.clone(), clock.clone());
        Self { bucket, limiter, state, remaining: AtomicU32::new(bucket.burst) }
    }

    fn level(&self) -> BucketLevel {
        BucketLevel { bucket: self.bucket, remaining: self.remaining.load(Ordering::Relaxed) }
    }

    /// Takes tokens. More than the bucket holds need a full one, and are paid back before the next
    /// ones: such a request passes, and the average stays.
    fn take(&self, tokens: u32, clock: &C) -> Result<(), u64> {
        let debt = tokens.saturating_sub(self.bucket.burst);
        // `governor` cannot take 0 tokens, and the level stays.
        let Some(tokens) = NonZeroU32::new(tokens - debt) else {
            return Ok(());
        };
        match self.limiter.check_n(tokens) {
            Ok(Ok(left)) => {
                if debt > 0 {
                    self.move_full_time(|full_at| full_at + self.time_of(debt));
                }
                // Relaxed: headers show the level, and no decision uses it.
                self.remaining.store(left.remaining_burst_capacity(), Ordering::Relaxed);
                Ok(())
            }
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(clock.now());
                // `governor` reports the wait, not the level: the missing tokens are those that
                // flow in during the wait.
                let missing =
                    (wait.as_nanos() * u128::from(self.bucket.per_second)).div_ceil(1_000_000_000);
                let missing = u32::try_from(missing).unwrap_or(u32::MAX);
                self.remaining.store(tokens.get().saturating_sub(missing), Ordering::Relaxed);
                // Rounded up, so a client that obeys `Retry-After` is not too early.
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Err(seconds.max(1))
            }
            // Impossible: no more than the bucket holds.
            Err(_) => Err(1),
        }
    }

    fn give_back(&self, tokens: u32) {
        self.move_full_time(|full_at| full_at.saturating_sub(self.time_of(tokens)));
        let remaining = self.remaining.load(Ordering::Relaxed).saturating_add(tokens);
        self.remaining.store(remaining.min(self.bucket.burst), Ordering::Relaxed);
    }

    /// Returns the time in which tokens flow in.
    fn time_of(&self, tokens: u32) -> Nanos {
        // As `governor` divides a second.
        let interval = 1_000_000_000 / u64::from(self.bucket.per_second.max(1));
        Nanos::from(interval * u64::from(tokens))
    }

    /// Changes the time at which the bucket will be full.
    fn move_full_time(&self, change: impl Fn(Nanos) -> Nanos) {
        let changed = |full_at: Nanos| ((), change(full_at));
        // An error: nothing was ever taken.
        self.state
            .measure_and_replace(&NotKeyed::NonKey, |full_at| full_at.map(changed).ok_or(()))
            .ok();
    }

    /// Whether the bucket is full. `governor` reports a level only for a taken token, so this takes
    /// one.
    fn is_full(&self) -> bool {
        let left = self.limiter.check();
        // The token just taken belongs to a full bucket.
        left.is_ok_and(|left| left.remaining_burst_capacity() + 1 >= self.bucket.burst)
    }
}
