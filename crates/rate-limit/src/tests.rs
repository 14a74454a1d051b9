//! Buckets by a clock that the test moves.

use std::time::Duration;

use governor::clock::FakeRelativeClock;

use super::local::SWEEP_ABOVE;
use super::shares::{Debt, Shares, Told};
use super::*;

const TENANT: TenantId = TenantId(1);

fn limits(events_per_second: u32, events_burst: u32) -> Limits {
    Limits { events_per_second, events_burst, max_batch_events: 10, ..Limits::default() }
}

fn buckets() -> (LocalBuckets<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (LocalBuckets::with_clock(clock.clone()), clock)
}

fn remaining(state: RateLimitState) -> Option<u32> {
    state.events.map(|level| level.remaining)
}

#[test]
fn a_bucket_gives_what_it_holds_and_then_what_flows_in() {
    let (buckets, clock) = buckets();
    let limits = limits(10, 30);
    for left in [20, 10, 0] {
        let (state, taken) = buckets.take_events(TENANT, &limits, 10);
        assert_eq!((remaining(state), taken), (Some(left), Ok(())));
    }
    let (_, taken) = buckets.take_events(TENANT, &limits, 10);
    assert_eq!(taken, Err(Exceeded { retry_after_seconds: 1 }));
    clock.advance(Duration::from_millis(990));
    assert!(buckets.take_events(TENANT, &limits, 10).1.is_err());
    clock.advance(Duration::from_millis(10));
    assert!(buckets.take_events(TENANT, &limits, 10).1.is_ok());
    clock.advance(Duration::from_secs(100));
    let (state, taken) = buckets.take_events(TENANT, &limits, 1);
    assert_eq!((remaining(state), taken), (Some(29), Ok(())), "it never holds more than its burst");
}

#[test]
fn what_was_refused_was_not_taken() {
    let (buckets, _) = buckets();
    let limits = limits(1, 10);
    buckets.take_events(TENANT, &limits, 6).1.unwrap();
    for _ in 0..5 {
        let (state, taken) = buckets.take_events(TENANT, &limits, 10);
        assert_eq!((remaining(state), taken), (Some(4), Err(Exceeded { retry_after_seconds: 6 })));
    }
    assert!(buckets.take_events(TENANT, &limits, 4).1.is_ok());
}

#[test]
fn requests_and_events_and_tenants_each_have_their_own() {
    let (buckets, _) = buckets();
    let limits = Limits { requests_per_second: 1, requests_burst: 2, ..limits(1, 10) };
    buckets.take_events(TENANT, &limits, 10).1.unwrap();
    assert!(buckets.take_events(TENANT, &limits, 1).1.is_err());
    assert!(buckets.take_request(TENANT, &limits).1.is_ok());
    assert!(buckets.take_request(TENANT, &limits).1.is_ok());
    assert!(buckets.take_request(TENANT, &limits).1.is_err());
    assert!(buckets.take_request(TenantId(2), &limits).1.is_ok());
    assert!(buckets.take_events(TenantId(2), &limits, 10).1.is_ok());
}

#[test]
fn without_a_limit_nothing_is_refused_and_nothing_is_told() {
    let (buckets, _) = buckets();
    let limits = Limits { requests_per_second: 0, ..limits(0, 0) };
    for _ in 0..1_000 {
        let (state, taken) = buckets.take_events(TENANT, &limits, 1_000);
        assert_eq!((state, taken), (RateLimitState::default(), Ok(())));
    }
    assert_eq!(RateLimitState::default().policy(), None);
}

#[test]
fn a_new_limit_begins_with_a_full_bucket() {
    let (buckets, _) = buckets();
    buckets.take_events(TENANT, &limits(1, 10), 10).1.unwrap();
    assert!(buckets.take_events(TENANT, &limits(1, 10), 1).1.is_err());
    assert!(buckets.take_events(TENANT, &limits(2, 10), 1).1.is_ok());
}

#[test]
fn the_headers_are_lists_of_structured_fields() {
    let (buckets, _) = buckets();
    let limits = Limits { requests_per_second: 5, requests_burst: 12, ..limits(100, 1_000) };
    buckets.take_request(TENANT, &limits).1.unwrap();
    let (state, _) = buckets.take_events(TENANT, &limits, 10);
    assert_eq!(state.policy().as_deref(), Some("\"requests\";q=12;w=3, \"events\";q=1000;w=10"));
    assert_eq!(state.level().as_deref(), Some("\"requests\";r=11;t=1, \"events\";r=990;t=1"));
}

#[test]
fn tenants_whose_buckets_are_full_again_are_forgotten_and_others_are_not() {
    let (buckets, clock) = buckets();
    let limits = limits(1, 10);
    buckets.take_events(TenantId(0), &limits, 10).1.unwrap();
    clock.advance(Duration::from_secs(9));
    for id in 1..=i64::try_from(SWEEP_ABOVE).unwrap() {
        buckets.take_events(TenantId(id), &limits, if id == 7 { 10 } else { 0 }).1.unwrap();
    }
    let known = buckets.tenants.read().unwrap().buckets.len();
    assert!(known < 10, "{known}");
    assert!(buckets.take_events(TenantId(0), &limits, 10).1.is_err());
    assert!(buckets.take_events(TenantId(7), &limits, 1).1.is_err());
}

const NOTHING: [Debt; 2] = [Debt { full_at: 0, taken: 0, passed: 0, lacking: 0 }; 2];

/// What Redis says of a bucket of events.
fn told(limits: &Limits, remaining: u32, full_at: u64) -> [Option<Told>; 2] {
    [
        None,
        limits.events_bucket().map(|bucket| Told {
            level: Level { bucket, remaining },
            full_at,
            taken: 50,
        }),
    ]
}

/// Takes as many tens of events as there are.
fn take_all(shares: &Shares<FakeRelativeClock>, limits: &Limits) -> usize {
    (0..).take_while(|_| shares.take(TENANT, limits, 2, [1, 10]).1.is_ok()).count()
}

#[test]
fn a_share_begins_with_its_part_of_what_was_left_and_what_flowed_in_since() {
    let clock = FakeRelativeClock::default();
    let shares = Shares::with_clock(clock.clone());
    let limits = limits(10, 400);
    shares.note(TENANT, told(&limits, 100, 7));
    clock.advance(Duration::from_secs(6));
    assert_eq!(take_all(&shares, &limits), 8, "half of 160");
    clock.advance(Duration::from_secs(2));
    assert_eq!(
        take_all(&shares, &limits),
        1,
        "half of what flows in, and not of what was left once more"
    );
    // Redis was back in between, and then away again.
    shares.note(TENANT, told(&limits, 400, 9));
    assert_eq!(take_all(&shares, &limits), 0, "what the share gave since is gone");
    shares.note(TENANT, told(&limits, 0, 9));
    clock.advance(Duration::from_secs(100));
    assert_eq!(take_all(&shares, &limits), 20, "it has filled up");
}

#[test]
fn a_share_stays_that_of_as_many_servers_until_redis_is_heard_of() {
    let shares = Shares::with_clock(FakeRelativeClock::default());
    let limits = limits(10, 600);
    shares.note(TENANT, told(&limits, 600, 7));
    assert_eq!(take_all(&shares, &limits), 30);
    let of_three = |shares: &Shares<_>| shares.take(TENANT, &limits, 3, [1, 10]).1.is_ok();
    assert!(
        !of_three(&shares),
        "Redis was back for a moment, knows of three, and has not said anything of this tenant"
    );
    assert_eq!(remaining(shares.state(TENANT, &limits, 3)), Some(0));
    assert_eq!(shares.pay(TENANT, &limits)[1].lacking, 300);
    shares.note(TENANT, told(&limits, 300, 8));
    assert!((0..10).all(|_| of_three(&shares)) && !of_three(&shares), "a third of 300");
}

#[test]
fn what_passed_without_redis_is_paid_once_and_owed_again_where_it_was_not_heard() {
    let clock = FakeRelativeClock::default();
    let shares = Shares::with_clock(clock.clone());
    let limits = limits(10, 400);
    assert_eq!(shares.pay(TENANT, &limits), NOTHING);
    shares.note(TENANT, told(&limits, 400, 7));
    assert_eq!(take_all(&shares, &limits), 20);
    let debts = shares.pay(TENANT, &limits);
    assert_eq!(debts[1], Debt { full_at: 7, taken: 50, passed: 200, lacking: 200 });
    assert_eq!(
        shares.pay(TENANT, &limits)[1],
        Debt { full_at: 7, taken: 50, passed: 0, lacking: 0 }
    );
    shares.owe(TENANT, debts);
    clock.advance(Duration::from_secs(20));
    let debts = shares.pay(TENANT, &limits);
    assert_eq!(debts[1].passed, 200);
    assert!(
        (99..=101).contains(&debts[1].lacking),
        "the rest has flowed into the share meanwhile: {debts:?}"
    );
    let other = Limits { events_burst: 500, ..limits };
    assert_eq!(shares.pay(TENANT, &other), NOTHING, "of a bucket of another size nothing is known");
}

#[test]
fn ledgers_of_tenants_whose_buckets_are_full_again_are_forgotten_and_others_are_not() {
    let clock = FakeRelativeClock::default();
    let shares = Shares::with_clock(clock.clone());
    let limits = limits(10, 100);
    let told_at = |id: i64, full_at: u64| shares.note(TenantId(id), told(&limits, 0, full_at));
    told_at(-1, 5);
    clock.advance(Duration::from_secs(21));
    told_at(-2, 6);
    for id in 0..i64::try_from(SWEEP_ABOVE).unwrap() {
        told_at(id, 8);
    }
    let of = |id: i64| shares.pay(TenantId(id), &limits)[1].full_at;
    assert_eq!((of(-1), of(-2), of(0)), (0, 6, 8));
}

#[test]
fn the_shares_of_all_servers_are_the_limit_and_hold_a_batch() {
    let limits = limits(100, 1_000);
    for (servers, per_second, burst) in
        [(1, 100, 1_000), (2, 50, 500), (3, 34, 334), (1_000, 1, 10)]
    {
        let bucket = share(&limits, servers).events_bucket();
        assert_eq!(bucket, Some(Bucket { per_second, burst }), "{servers}");
    }
    let unlimited = Limits { events_per_second: 0, requests_per_second: 0, ..limits };
    assert!(!is_limited(&share(&unlimited, 3)));
}
