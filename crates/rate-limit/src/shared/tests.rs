//! A real Redis, and clocks that the test moves: no result depends on the speed of the machine.
//! Redis expires a key by its own clock when the bucket is full, so each bucket here needs a minute
//! or more to fill up.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use governor::clock::FakeRelativeClock;
use mercurio_domain::Timestamp;
use mercurio_domain::testing::FixedClock;
use tokio::task::JoinHandle;

use super::*;
use crate::RateLimits;
use crate::testing::TestRedis;

const TENANT: TenantId = TenantId(1);
/// Long enough for any machine: if Redis answers, it decides.
const PATIENT: Duration = Duration::from_secs(60);

fn limits(events_per_second: u32, events_burst: u32) -> Limits {
    let unlimited = Limits { requests_per_second: 0, max_batch_events: 10, ..Limits::default() };
    Limits { events_per_second, events_burst, ..unlimited }
}

/// Servers with one Redis, and the time of them all.
struct Cluster {
    redis: TestRedis,
    redis_clock: Arc<FixedClock>,
    server_clock: FakeRelativeClock,
    servers: Vec<TestServer>,
}

struct TestServer {
    limits: RateLimits<FakeRelativeClock>,
    shared: Arc<SharedBuckets>,
    task: JoinHandle<()>,
}

impl Cluster {
    async fn start(servers: usize, timeout: Duration) -> Self {
        let (redis, server_clock) = (TestRedis::start(), FakeRelativeClock::default());
        let redis_clock = Arc::new(FixedClock::at("2026-11-22T10:00:00Z"));
        let mut cluster = Self { redis, redis_clock, server_clock, servers: Vec::new() };
        for number in 0..servers {
            let shared = Arc::new(cluster.buckets(&number.to_string(), timeout));
            let task = tokio::spawn(Arc::clone(&shared).run(cluster.redis.url()));
            let clock = cluster.server_clock.clone();
            let limits = RateLimits::with_clock(clock, Some(Arc::clone(&shared)));
            cluster.servers.push(TestServer { limits, shared, task });
        }
        cluster.available().await;
        for server in &cluster.servers {
            // Without this, the number is known only after the next heartbeat.
            let mut connection = server.shared.connection.borrow().clone().unwrap();
            server.shared.register(&mut connection).await.unwrap();
        }
        cluster
    }

    /// Buckets by the cluster's clock, without a connection.
    fn buckets(&self, server_id: &str, timeout: Duration) -> SharedBuckets {
        let log = Logger::root(slog::Discard, slog::o!());
        let mut buckets = SharedBuckets::new(server_id.to_owned(), timeout, log);
        buckets.clock = Some(Arc::clone(&self.redis_clock) as Arc<dyn Clock>);
        buckets
    }

    async fn available(&self) {
        for server in &self.servers {
            let mut state = server.shared.connection.subscribe();
            state.wait_for(Option::is_some).await.unwrap();
        }
    }

    fn advance(&self, time: Duration) {
        let micros = i64::try_from(time.as_micros()).unwrap();
        self.redis_clock.set(self.redis_clock.now().checked_add_micros(micros).unwrap());
        self.server_clock.advance(time);
    }

    async fn take(&self, server: usize, limits: &Limits, events: usize) -> RateLimitDecision {
        self.servers[server].limits.take_events(TENANT, limits, events).await
    }

    /// Sends batches of 10 to all servers until each of them refuses. Returns the accepted events.
    async fn drain(&self, limits: &Limits) -> u64 {
        let mut accepted = 0;
        for server in 0..self.servers.len() {
            while self.take(server, limits, 10).await.result.is_ok() {
                accepted += 10;
            }
        }
        accepted
    }

    /// Drains the buckets now, and 20 times in the next 500 seconds. Returns the accepted events.
    async fn flood(&self, limits: &Limits) -> u64 {
        let mut accepted = self.drain(limits).await;
        for _ in 0..20 {
            self.advance(Duration::from_secs(25));
            accepted += self.drain(limits).await;
        }
        accepted
    }
}

#[tokio::test]
async fn flood_on_two_servers_gets_burst_and_rate_once() {
    let cluster = Cluster::start(2, PATIENT).await;
    let limits = limits(2, 1_000);
    // The burst, and 500 seconds at 2 per second.
    assert_eq!(cluster.flood(&limits).await, 1_000 + 1_000);
    // The second flood finds empty buckets.
    assert_eq!(cluster.flood(&limits).await, 1_000);
    assert_eq!(cluster.servers[0].shared.fallbacks(), 0);
}

#[tokio::test]
async fn flood_through_loss_and_return_gets_one_burst_per_change() {
    let mut cluster = Cluster::start(2, PATIENT).await;
    let limits = limits(2, 1_000);
    assert_eq!(cluster.flood(&limits).await, 1_000 + 1_000);
    cluster.redis.stop();
    // Each share is half the limit, and starts full.
    let without_redis = cluster.flood(&limits).await + cluster.flood(&limits).await;
    // Two floods of 500 seconds at 2 per second, and at most one extra burst.
    assert!((2_000..=1_000 + 2_000).contains(&without_redis), "{without_redis}");
    assert!(cluster.servers.iter().all(|server| server.shared.fallbacks() > 0));
    cluster.redis.restart();
    cluster.available().await;
    // Redis starts empty, so its buckets are full.
    let returned = cluster.flood(&limits).await + cluster.flood(&limits).await;
    assert!((2_000..=1_000 + 2_000).contains(&returned), "{returned}");
}

#[tokio::test]
async fn flapping_redis_lets_no_server_pass_the_whole_limit() {
    let mut cluster = Cluster::start(2, PATIENT).await;
    let limits = limits(1, 200);
    let mut accepted = cluster.drain(&limits).await;
    for _ in 0..3 {
        cluster.redis.stop();
        accepted += cluster.drain(&limits).await;
        cluster.redis.restart();
        cluster.available().await;
        accepted += cluster.drain(&limits).await;
    }
    // The clocks do not move, so each server's local bucket gives its 200 once.
    assert!(accepted <= 2 * 200, "{accepted}");
}

#[tokio::test]
async fn redis_takes_all_tokens_or_none() {
    let cluster = Cluster::start(2, PATIENT).await;
    let limits = limits(1, 60);
    assert!(cluster.take(0, &limits, 40).await.result.is_ok());
    let refused = cluster.take(1, &limits, 30).await;
    let bucket = BucketName::Events;
    // 10 tokens are missing at 1 per second.
    assert_eq!(refused.result, Err(RateLimitExceeded { bucket, retry_after_seconds: 10 }));
    assert_eq!(refused.state.events.unwrap().remaining, 20);
    let state = cluster.servers[1].limits.state(TENANT, &limits).await;
    assert_eq!(state.events, refused.state.events, "asking takes nothing");
    // Reads are not shared.
    assert_eq!(state.reads.map(|level| level.remaining), Some(200));
    assert!(cluster.take(1, &limits, 20).await.result.is_ok());
}

#[tokio::test]
async fn request_larger_than_the_bucket_takes_a_full_one() {
    let cluster = Cluster::start(2, PATIENT).await;
    let limits = limits(1, 60);
    assert!(cluster.take(0, &limits, 100).await.result.is_ok());
    assert!(cluster.take(1, &limits, 1).await.result.is_err(), "the shared bucket is empty");
    cluster.advance(Duration::from_secs(60));
    // The first server keeps a debt of 40.
    assert!(cluster.take(0, &limits, 30).await.result.is_err());
    assert!(cluster.take(1, &limits, 60).await.result.is_ok());
}

#[tokio::test]
async fn events_refused_by_redis_use_no_local_tokens() {
    let cluster = Cluster::start(2, PATIENT).await;
    let limits = limits(1, 60);
    assert!(cluster.take(0, &limits, 40).await.result.is_ok());
    for _ in 0..10 {
        assert!(cluster.take(1, &limits, 30).await.result.is_err());
    }
    assert!(cluster.take(1, &limits, 20).await.result.is_ok());
    // Of its own 60 tokens, the second server has used 20.
    let local = &cluster.servers[1].limits.whole;
    assert_eq!(local.state(TENANT, &limits).events.unwrap().remaining, 40);
    let take = |events| local.take(TENANT, &limits, BucketName::Events, events).result;
    assert!(take(41).is_err() && take(40).is_ok());
}

#[tokio::test]
async fn redis_refuses_a_request_without_a_token_for_it() {
    let cluster = Cluster::start(2, PATIENT).await;
    let limits = Limits { requests_per_second: 1, requests_burst: 60, ..limits(1, 1_000) };
    for request in 0..60 {
        assert!(cluster.take(request % 2, &limits, 1).await.result.is_ok());
    }
    let refused = cluster.take(1, &limits, 1).await;
    let bucket = BucketName::Requests;
    assert_eq!(refused.result, Err(RateLimitExceeded { bucket, retry_after_seconds: 1 }));
    // 60 requests took one event each, and the refused one took none.
    assert_eq!(refused.state.events.unwrap().remaining, 940);
}

#[tokio::test]
async fn clock_that_goes_back_empties_the_bucket_and_no_more() {
    let cluster = Cluster::start(2, PATIENT).await;
    let limits = limits(1, 100);
    assert!(cluster.take(0, &limits, 100).await.result.is_ok());
    // One hour back.
    let back = cluster.redis_clock.now().checked_add_micros(-3_600_000_000).unwrap();
    cluster.redis_clock.set(back);
    let refused = cluster.take(1, &limits, 80).await.result.unwrap_err();
    // The future time is cut, so the bucket is empty and fills at its rate.
    assert_eq!(refused.retry_after_seconds, 80);
    cluster.advance(Duration::from_secs(80));
    assert!(cluster.take(1, &limits, 80).await.result.is_ok());
}

#[tokio::test]
async fn level_never_exceeds_the_burst_at_the_highest_rate() {
    let cluster = Cluster::start(1, PATIENT).await;
    // A token takes 0.1 µs, so rounding could exceed the burst.
    let limits = limits(10_000_000, 100);
    let state = cluster.servers[0].limits.state(TENANT, &limits).await;
    assert_eq!(state.events.unwrap().remaining, 100);
}

#[tokio::test]
async fn servers_count_while_they_send_heartbeats() {
    let cluster = Cluster::start(0, PATIENT).await;
    let mut connection =
        cluster.redis.url().client().get_multiplexed_async_connection().await.unwrap();
    let (first, second) = (cluster.buckets("a", PATIENT), cluster.buckets("b", PATIENT));
    for (buckets, seconds, expected) in [
        (&first, 0, 1),
        (&second, 5, 2),
        (&first, 5, 2),
        (&second, 10, 2),
        // The first one is silent for 20 seconds.
        (&second, 10, 1),
        // The clock goes back an hour: the heartbeat in the future does not count.
        (&first, -3_600, 1),
    ] {
        let now: Timestamp = cluster.redis_clock.now();
        cluster.redis_clock.set(now.checked_add_micros(seconds * 1_000_000).unwrap());
        buckets.register(&mut connection).await.unwrap();
        assert_eq!(buckets.servers(), expected, "{seconds}");
    }
}

#[tokio::test]
async fn server_that_leaves_no_longer_counts() {
    let cluster = Cluster::start(2, PATIENT).await;
    let [first, second] = &cluster.servers[..] else { panic!("two servers") };
    assert_eq!((first.shared.servers(), second.shared.servers()), (2, 2));
    first.task.abort();
    first.shared.leave().await;
    let mut connection = second.shared.connection.borrow().clone().unwrap();
    second.shared.register(&mut connection).await.unwrap();
    assert_eq!(second.shared.servers(), 1);
}

#[tokio::test]
async fn hanging_redis_is_waited_for_once() {
    let cluster = Cluster::start(1, Duration::from_secs(1)).await;
    let limits = limits(1, 100);
    cluster.redis.hang();
    assert!(cluster.take(0, &limits, 10).await.result.is_ok());
    assert!(!cluster.servers[0].shared.is_available());
    for _ in 0..9 {
        // Ready at the first poll: nothing is waited for.
        let decision = pin!(cluster.take(0, &limits, 10));
        let polled = decision.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(RateLimitDecision { result: Ok(()), .. })));
    }
    assert_eq!(cluster.servers[0].shared.fallbacks(), 10);
    cluster.redis.resume();
    cluster.available().await;
}
