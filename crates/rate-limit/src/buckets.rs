//! The two buckets of a tenant, as `governor` fills them (GCRA).

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use mercurio_domain::limits::Bucket;

use super::{Exceeded, Level, RateLimitState};

/// The buckets of a tenant.
pub(super) struct Buckets<C: Clock + Clone> {
    pub(super) requests: Slot<C>,
    pub(super) events: Slot<C>,
}

impl<C: Clock + Clone> Buckets<C> {
    pub(super) fn new((requests, events): (Option<Bucket>, Option<Bucket>), clock: &C) -> Self {
        Self { requests: Slot::new(requests, clock), events: Slot::new(events, clock) }
    }

    pub(super) fn sizes(&self) -> (Option<Bucket>, Option<Bucket>) {
        (self.requests.bucket(), self.events.bucket())
    }

    pub(super) fn state(&self) -> RateLimitState {
        RateLimitState { requests: self.requests.level(), events: self.events.level() }
    }

    /// Whether new ones would say the same.
    pub(super) fn are_full(&self) -> bool {
        self.requests.is_full() && self.events.is_full()
    }
}

/// A bucket, or none where nothing is limited.
pub(super) struct Slot<C: Clock + Clone>(Option<Filled<C>>);

struct Filled<C: Clock + Clone> {
    bucket: Bucket,
    limiter: RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>,
    /// What was left when a token was last asked for.
    remaining: AtomicU32,
}

impl<C: Clock + Clone> Slot<C> {
    fn new(bucket: Option<Bucket>, clock: &C) -> Self {
        let filled = |bucket: Bucket| {
            let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
            let quota = Quota::per_second(at_least_one(bucket.per_second))
                .allow_burst(at_least_one(bucket.burst));
            let limiter = RateLimiter::direct_with_clock(quota, clock.clone()).with_middleware();
            Filled { bucket, limiter, remaining: AtomicU32::new(bucket.burst) }
        };
        Self(bucket.map(filled))
    }

    fn bucket(&self) -> Option<Bucket> {
        self.0.as_ref().map(|filled| filled.bucket)
    }

    fn level(&self) -> Option<Level> {
        let filled = self.0.as_ref()?;
        Some(Level { bucket: filled.bucket, remaining: filled.remaining.load(Ordering::Relaxed) })
    }

    /// Takes so many tokens, or none.
    pub(super) fn take(&self, tokens: u32, clock: &C) -> Result<(), Exceeded> {
        let (Some(filled), Some(tokens)) = (&self.0, NonZeroU32::new(tokens)) else {
            return Ok(());
        };
        match filled.limiter.check_n(tokens) {
            Ok(Ok(left)) => {
                filled.remaining.store(left.remaining_burst_capacity(), Ordering::Relaxed);
                Ok(())
            }
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(clock.now());
                // What is there is not told, but how long what is missing takes to flow in.
                let missing = (wait.as_nanos() * u128::from(filled.bucket.per_second))
                    .div_ceil(1_000_000_000);
                let missing = u32::try_from(missing).unwrap_or(u32::MAX);
                filled.remaining.store(tokens.get().saturating_sub(missing), Ordering::Relaxed);
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Err(Exceeded { retry_after_seconds: seconds.max(1) })
            }
            // More than the bucket holds. It is made to hold a batch, so the limits are just changing.
            Err(_) => Err(Exceeded { retry_after_seconds: 1 }),
        }
    }

    /// Whether it would be full now, had nobody asked.
    fn is_full(&self) -> bool {
        self.missing() == 0
    }

    /// Tokens that it lacks. One is taken to find out, and not counted.
    pub(super) fn missing(&self) -> u32 {
        let Some(filled) = &self.0 else {
            return 0;
        };
        match filled.limiter.check() {
            Ok(left) => filled
                .bucket
                .burst
                .saturating_sub(left.remaining_burst_capacity().saturating_add(1)),
            Err(_) => filled.bucket.burst,
        }
    }

    /// Takes so many tokens that it lacks `missing`, unless it does already.
    pub(super) fn drain(&self, missing: u32, clock: &C) {
        let bucket = self.bucket();
        let missing = bucket.map_or(0, |bucket| missing.min(bucket.burst));
        if missing > 0 {
            let lacks = self.missing().saturating_add(1);
            self.take(missing.saturating_sub(lacks), clock).ok();
        }
    }
}
