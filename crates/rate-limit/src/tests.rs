//! The buckets of one process, by a clock that the test moves.

use std::time::Duration;

use governor::clock::FakeRelativeClock;

use super::local::SWEEP_ABOVE;
use super::*;

const TENANT: TenantId = TenantId(1);

struct Fixture {
    buckets: LocalBuckets<FakeRelativeClock>,
    clock: FakeRelativeClock,
}

impl Fixture {
    fn new() -> Self {
        let clock = FakeRelativeClock::default();
        Self { buckets: LocalBuckets::with_clock(clock.clone()), clock }
    }

    fn take(&self, limits: &Limits, events: u32) -> RateLimitDecision {
        self.take_for(TENANT, limits, events)
    }

    fn take_for(&self, tenant_id: TenantId, limits: &Limits, events: u32) -> RateLimitDecision {
        self.buckets.take(tenant_id, limits, BucketName::Events, events)
    }

    fn accepts(&self, limits: &Limits, events: u32) -> bool {
        self.take(limits, events).result.is_ok()
    }
}

fn limits(events_per_second: u32, events_burst: u32) -> Limits {
    Limits { events_per_second, events_burst, max_batch_events: 10, ..Limits::default() }
}

fn remaining(state: RateLimitState) -> Option<u32> {
    state.events.map(|level| level.remaining)
}

fn refused(retry_after_seconds: u64) -> Result<(), RateLimitExceeded> {
    Err(RateLimitExceeded { bucket: BucketName::Events, retry_after_seconds })
}

#[test]
fn bucket_gives_its_burst_and_then_its_rate() {
    let fixture = Fixture::new();
    let limits = limits(10, 30);
    for left in [20, 10, 0] {
        let decision = fixture.take(&limits, 10);
        assert_eq!((remaining(decision.state), decision.result), (Some(left), Ok(())));
    }
    assert_eq!(fixture.take(&limits, 10).result, refused(1));
    // 10 tokens need a second at 10 per second.
    fixture.clock.advance(Duration::from_millis(990));
    assert!(!fixture.accepts(&limits, 10));
    fixture.clock.advance(Duration::from_millis(10));
    assert!(fixture.accepts(&limits, 10));
    fixture.clock.advance(Duration::from_secs(100));
    let decision = fixture.take(&limits, 1);
    assert_eq!((remaining(decision.state), decision.result), (Some(29), Ok(())), "burst + 1");
}

#[test]
fn refused_tokens_are_not_taken() {
    let fixture = Fixture::new();
    let limits = limits(1, 10);
    assert!(fixture.accepts(&limits, 6));
    for _ in 0..5 {
        let decision = fixture.take(&limits, 10);
        assert_eq!((remaining(decision.state), decision.result), (Some(4), refused(6)));
    }
    assert!(fixture.accepts(&limits, 4));
}

#[test]
fn tokens_beyond_the_bucket_are_paid_back() {
    let fixture = Fixture::new();
    let limits = limits(10, 30);
    assert!(fixture.accepts(&limits, 1));
    // Only a full bucket takes them.
    assert_eq!(fixture.take(&limits, 100).result, refused(1));
    fixture.clock.advance(Duration::from_millis(100));
    let decision = fixture.take(&limits, 100);
    assert_eq!((remaining(decision.state), decision.result), (Some(0), Ok(())));
    // 70 are owed, and one more is asked for.
    assert_eq!(fixture.take(&limits, 1).result, refused(8));
    fixture.clock.advance(Duration::from_secs(7));
    assert!(!fixture.accepts(&limits, 1));
    fixture.clock.advance(Duration::from_millis(100));
    assert!(fixture.accepts(&limits, 1));
    // The debt is given back too.
    fixture.clock.advance(Duration::from_secs(100));
    assert!(fixture.accepts(&limits, 100));
    fixture.buckets.give_back(TENANT, &limits, BucketName::Events, 100);
    assert!(fixture.accepts(&limits, 30));
}

#[test]
fn buckets_of_requests_events_and_tenants_are_separate() {
    let fixture = Fixture::new();
    let limits = Limits { requests_per_second: 1, requests_burst: 2, ..limits(1, 10) };
    assert!(fixture.accepts(&limits, 10));
    assert!(!fixture.accepts(&limits, 1));
    for (tenant_id, expected) in [(1, true), (1, true), (1, false), (2, true)] {
        let bucket = BucketName::Requests;
        let decision = fixture.buckets.take(TenantId(tenant_id), &limits, bucket, 1);
        let refusal = Err(RateLimitExceeded { bucket, retry_after_seconds: 1 });
        assert_eq!(decision.result, if expected { Ok(()) } else { refusal }, "{tenant_id}");
    }
    assert!(fixture.take_for(TenantId(2), &limits, 10).result.is_ok());
}

#[test]
fn unlimited_tenant_is_never_refused_and_has_no_headers() {
    let fixture = Fixture::new();
    let limits = Limits { requests_per_second: 0, reads_per_second: 0, ..limits(0, 0) };
    for _ in 0..1_000 {
        let decision = fixture.take(&limits, 1_000);
        assert_eq!((decision.state, decision.result), (RateLimitState::default(), Ok(())));
    }
    assert_eq!(RateLimitState::default().policy(), None);
}

#[test]
fn new_limit_starts_with_a_full_bucket() {
    let fixture = Fixture::new();
    assert!(fixture.accepts(&limits(1, 10), 10));
    assert!(!fixture.accepts(&limits(1, 10), 1));
    assert!(fixture.accepts(&limits(2, 10), 1));
}

#[test]
fn reads_have_a_bucket_outside_the_headers() {
    let fixture = Fixture::new();
    let limits = Limits { reads_per_second: 1, reads_burst: 3, ..limits(100, 1_000) };
    let read = || fixture.buckets.take(TENANT, &limits, BucketName::Reads, 1);
    for remaining in [2, 1, 0] {
        let decision = read();
        assert_eq!(decision.result, Ok(()));
        assert_eq!(decision.state.reads.map(|level| level.remaining), Some(remaining));
    }
    let bucket = BucketName::Reads;
    assert_eq!(read().result, Err(RateLimitExceeded { bucket, retry_after_seconds: 1 }));
    let state = fixture.take(&limits, 10).state;
    assert!(
        !state.policy().unwrap().contains("reads") && !state.level().unwrap().contains("reads")
    );
}

#[test]
fn headers_are_lists_of_structured_fields() {
    let fixture = Fixture::new();
    let limits = Limits { requests_per_second: 5, requests_burst: 12, ..limits(100, 1_000) };
    fixture.buckets.take(TENANT, &limits, BucketName::Requests, 1).result.unwrap();
    let state = fixture.take(&limits, 10).state;
    // The windows are 12 / 5 and 1,000 / 100 seconds, rounded up.
    assert_eq!(state.policy().as_deref(), Some("\"requests\";q=12;w=3, \"events\";q=1000;w=10"));
    assert_eq!(state.level().as_deref(), Some("\"requests\";r=11;t=1, \"events\";r=990;t=1"));
}

#[test]
fn sweep_drops_tenants_with_full_buckets_only() {
    let fixture = Fixture::new();
    let limits = limits(1, 10);
    assert!(fixture.take_for(TenantId(0), &limits, 10).result.is_ok());
    // Tenant 0 still lacks one token after 9 seconds.
    fixture.clock.advance(Duration::from_secs(9));
    for id in 1..=i64::try_from(SWEEP_ABOVE).unwrap() {
        // Taking 0 leaves a bucket full; tenant 7 empties its own.
        let events = if id == 7 { 10 } else { 0 };
        assert!(fixture.take_for(TenantId(id), &limits, events).result.is_ok());
    }
    assert!(fixture.buckets.tenants() < 10, "{}", fixture.buckets.tenants());
    // After a wrong sweep, a new bucket of 10 tokens would accept them.
    assert!(fixture.take_for(TenantId(0), &limits, 10).result.is_err());
    assert!(fixture.take_for(TenantId(7), &limits, 1).result.is_err());
}

#[test]
fn shares_of_all_servers_add_up_and_hold_a_batch() {
    let limits = limits(100, 1_000);
    // Shares are rounded up, and the last burst is a whole batch.
    for (servers, per_second, burst) in
        [(1, 100, 1_000), (2, 50, 500), (3, 34, 334), (1_000, 1, 10)]
    {
        let bucket = share(&limits, servers).events_bucket();
        assert_eq!(bucket, Some(Bucket { per_second, burst }), "{servers}");
    }
    let unlimited = Limits { events_per_second: 0, requests_per_second: 0, ..limits };
    assert!(!limited(&share(&unlimited, 3)));
}
