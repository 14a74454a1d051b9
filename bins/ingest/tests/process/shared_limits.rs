//! Rate limits that two servers share through a real Redis: one bucket for both, and each server's
//! share without Redis.
//!
//! No assertion here depends on the speed of the machine: upper bounds use the measured time. The
//! exact numbers are tested in mercurio-rate-limit, by clocks of the test.

use std::time::{Duration, Instant};

use mercurio_domain::limits::{LimitChange, LimitName};
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;
use mercurio_rate_limit::testing::{PASSWORD, TestRedis};
use mercurio_storage::testing::wait_for;
use serde_json::Value;

use crate::client::{Client, Response, stored_ids};
use crate::server::{Deployment, Server, command};

/// A Redis timeout that no running Redis exceeds: it decides each request.
const LONG_TIMEOUT_MS: &str = "10000";

struct Pair {
    deployment: Deployment,
    redis: TestRedis,
    servers: [Server; 2],
    per_second: u64,
    burst: u64,
}

impl Pair {
    /// Starts two servers, with a tenant that may send `per_second` events and `burst` at once.
    fn start(per_second: u64, burst: u64, timeout_ms: &str) -> Self {
        let (deployment, redis) = (Deployment::postgres(), TestRedis::start());
        let store = deployment.database.store();
        let acme = TenantRef::Name(Name::parse("acme").unwrap());
        let tenant_id = store.tenant(&acme).unwrap().unwrap().tenant.id;
        let changes = [
            LimitChange { name: LimitName::EventsPerSecond, value: Some(per_second) },
            LimitChange { name: LimitName::EventsBurst, value: Some(burst) },
        ];
        store.set_limits(tenant_id, &changes).unwrap();
        let servers = [(); 2].map(|()| {
            let mut command = command(&deployment.database.url_text());
            command.env("MERCURIO_REDIS_URL", redis.url_text());
            Server::with(command.env("MERCURIO_REDIS_TIMEOUT_MS", timeout_ms))
        });
        let pair = Self { deployment, redis, servers, per_second, burst };
        pair.wait_for_redis("ok");
        pair
    }

    fn connect(&self, server: usize) -> Client {
        Client::connect(self.servers[server].addr).unwrap()
    }

    fn redis_check(&self, server: usize) -> Value {
        let health = self.connect(server).get("/health", "").unwrap().json;
        let expected = if health["checks"]["redis"]["status"] == "ok" { "ok" } else { "degraded" };
        assert_eq!(health["status"], expected, "{health}");
        health["checks"]["redis"].clone()
    }

    /// Waits until both servers report `status` for Redis, and two servers.
    #[track_caller]
    fn wait_for_redis(&self, status: &str) {
        for server in 0..2 {
            wait_for(status, || {
                let check = self.redis_check(server);
                let is_expected = check["status"] == status && check["servers"] == 2;
                if is_expected { Ok(()) } else { Err(check) }
            });
        }
    }

    fn send(&self, client: &mut Client, name: &str, events: usize) -> Response {
        let ids: Vec<_> = (0..events).map(|number| format!("{name} {number}")).collect();
        client.batch(&ids, &self.deployment.key).unwrap()
    }

    /// Sends 100 batches of 10 events to both servers in turn. Returns the number of accepted
    /// events.
    fn send_all(&self, name: &str) -> u64 {
        let mut clients = [self.connect(0), self.connect(1)];
        let mut accepted = 0;
        for number in 0..50 {
            for (server, client) in clients.iter_mut().enumerate() {
                let response = self.send(client, &format!("{name} {server} {number}"), 10);
                match response.status {
                    200 => accepted += 10,
                    429 => assert_eq!(response.json["code"], "rate_limited"),
                    status => panic!("{status}: {}", response.json),
                }
            }
        }
        accepted
    }

    /// Maximum number of events admitted since `start`, with `bursts` full buckets.
    fn allowed(&self, bursts: u64, start: Instant) -> u64 {
        bursts * self.burst + self.per_second * (start.elapsed().as_secs() + 1)
    }
}

#[test]
fn two_servers_share_one_bucket() {
    let pair = Pair::start(10, 200, LONG_TIMEOUT_MS);
    let start = Instant::now();
    let accepted = pair.send_all("event");
    let allowed = pair.allowed(1, start);
    assert!((200..=allowed).contains(&accepted), "{accepted} of {allowed}");
    let stored = stored_ids(pair.servers[0].addr, &pair.deployment.key).len();
    assert_eq!(stored as u64, accepted, "a refused event was stored");
    assert_eq!(pair.redis_check(0)["fallbacks"], 0);
}

#[test]
fn batch_over_the_shared_limit_is_refused_whole() {
    let pair = Pair::start(1, 10_000, LONG_TIMEOUT_MS);
    let (mut first, mut second) = (pair.connect(0), pair.connect(1));
    // 200 batches of 50 use exactly the burst.
    for number in 0..200 {
        assert_eq!(pair.send(&mut first, &format!("first {number}"), 50).status, 200);
    }
    // The second server has a full bucket of its own, so Redis refuses.
    let refused = pair.send(&mut second, "second", 50);
    assert_eq!((refused.status, &refused.json["code"]), (429, &Value::from("rate_limited")));
    let retry_after: u64 = refused.retry_after.unwrap().parse().unwrap();
    // At most 50 tokens are missing, and one comes each second.
    assert!((1..=50).contains(&retry_after), "{retry_after}");
    let limits = second.get("/v1/limits", &pair.deployment.key).unwrap().json;
    let level = &limits["remaining"]["events"];
    assert_eq!(level["burst"], 10_000, "{limits}");
    assert!(level["remaining"].as_u64() < Some(10_000 - 50), "{limits}");
}

#[test]
fn servers_fall_back_to_their_shares_and_return_by_themselves() {
    let mut pair = Pair::start(10, 100, LONG_TIMEOUT_MS);
    let start = Instant::now();
    let before = pair.send_all("before");
    pair.redis.stop();
    let without = pair.send_all("without");
    pair.wait_for_redis("unavailable");
    for server in 0..2 {
        let limits = pair.connect(server).get("/v1/limits", &pair.deployment.key).unwrap().json;
        assert_eq!(limits["remaining"]["events"]["burst"], 50, "half of the limit: {limits}");
        assert!(pair.redis_check(server)["fallbacks"].as_u64() > Some(0));
    }
    pair.redis.restart();
    pair.wait_for_redis("ok");
    let after = pair.send_all("after");
    // One burst at the start, one at the loss and one at the return.
    let allowed = pair.allowed(3, start);
    assert!(before >= 100, "{before}");
    assert!(before + without + after <= allowed, "{before}, {without}, {after}: {allowed}");
    for server in pair.servers {
        server.signal("TERM");
        let (status, lines, _) = server.wait();
        assert!(status.success());
        let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
        assert_eq!(count("\"redis unavailable\""), 1, "{lines:#?}");
        // At the start, and after the restart.
        assert_eq!(count("\"redis available\""), 2, "{lines:#?}");
        assert_eq!(count(PASSWORD), 0);
    }
}

#[test]
fn hanging_redis_delays_one_request_by_its_timeout() {
    // Limits far above the 60 events: only the hanging Redis can slow them down.
    let pair = Pair::start(100_000, 100_000, "1000");
    // Stopped by a signal: connections stay open, and no answer comes.
    pair.redis.hang();
    let mut client = pair.connect(0);
    let start = Instant::now();
    for number in 0..60 {
        assert_eq!(pair.send(&mut client, &format!("event {number}"), 1).status, 200);
    }
    // Without the fallback, each of them would wait a second.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    pair.wait_for_redis("unavailable");
    pair.redis.resume();
    pair.wait_for_redis("ok");
    assert_eq!(stored_ids(pair.servers[0].addr, &pair.deployment.key).len(), 60);
}

#[test]
fn server_started_without_redis_finds_it_later() {
    let (deployment, mut redis) = (Deployment::sqlite(), TestRedis::start());
    redis.stop();
    let mut command = command(&deployment.database.url_text());
    let server = Server::with(command.env("MERCURIO_REDIS_URL", redis.url_text()));
    let mut client = Client::connect(server.addr).unwrap();
    assert_eq!(client.batch(&["alone".to_owned()], &deployment.key).unwrap().status, 200);
    redis.restart();
    server.line("redis available");
    assert_eq!(client.batch(&["together".to_owned()], &deployment.key).unwrap().status, 200);
    let health = client.get("/health", "").unwrap().json;
    assert_eq!(health["checks"]["redis"]["status"], "ok", "{health}");
}
