//! Limits that two servers share through a real Redis: their sum, and how they live without it.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mercurio_domain::TenantId;
use mercurio_domain::limits::LimitName;
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;
use serde_json::Value;

use crate::client::{Answer, Client, stored_ids};
use crate::server::{House, Server, command};

/// Within which a server must have found Redis, or found out that it is gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Redis of the test's own. Dropping it kills it.
struct Redis {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Redis {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        Self { child: Self::spawn(port, &dir), port, dir }
    }

    fn spawn(port: u16, dir: &tempfile::TempDir) -> Child {
        let mut redis = Command::new("redis-server");
        redis.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        redis.args(["--requirepass", "not-for-the-log"]).arg("--dir").arg(dir.path());
        let child = redis.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < PATIENCE, "redis does not listen");
            sleep(Duration::from_millis(10));
        }
        child.expect("redis-server is there")
    }

    fn url(&self) -> String {
        format!("redis://:not-for-the-log@127.0.0.1:{}/0", self.port)
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {}", self.child.id()))
            .status()
            .unwrap();
        assert!(sent.success());
    }

    fn restart(&mut self) {
        self.child = Self::spawn(self.port, &self.dir);
    }

    /// What it answers to the words.
    fn cli(&self, words: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &self.port.to_string(), "-a", "not-for-the-log"]).args(words);
        let output = cli.stderr(Stdio::null()).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Closes the connection of one server, and takes no new one for so long.
    fn cut_off_one(&self, length: Duration) {
        let listed = self.cli(&["client", "list"]);
        let mut ids = listed.lines().filter_map(|line| line.strip_prefix("id=")?.split_once(' '));
        let oldest = ids.next().unwrap().0;
        // The other server's, and that of the client which says so.
        let words = format!("config set maxclients 2\nclient kill id {oldest}\n");
        let cli = Command::new("redis-cli")
            .args(["-p", &self.port.to_string(), "-a", "not-for-the-log"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut cli = cli.unwrap();
        let mut stdin = cli.stdin.take().unwrap();
        stdin.write_all(words.as_bytes()).unwrap();
        sleep(length);
        stdin.write_all(b"config set maxclients 1000\n").unwrap();
        drop(stdin);
        assert!(cli.wait().unwrap().success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

struct Pair {
    house: House,
    redis: Redis,
    servers: [Server; 2],
    tenant_id: TenantId,
}

impl Pair {
    /// Two servers, and a tenant of `per_second` events and a burst of `burst`.
    fn with(per_second: u64, burst: u64) -> Self {
        Self::waiting(per_second, burst, "100")
    }

    /// The same, where Redis may take so many milliseconds to answer.
    fn waiting(per_second: u64, burst: u64, timeout_ms: &str) -> Self {
        let (house, redis) = (House::postgres(), Redis::start());
        let store = house.database.store();
        let which = TenantRef::Name(Name::parse("acme").unwrap());
        let tenant_id = store.tenant(&which).unwrap().unwrap().tenant.id;
        let limits =
            [(LimitName::EventsPerSecond, Some(per_second)), (LimitName::EventsBurst, Some(burst))];
        store.set_limits(tenant_id, &limits).unwrap();
        let servers = [(); 2].map(|()| {
            let mut command = command(&house.database.url_text());
            command
                .env("MERCURIO_REDIS_URL", redis.url())
                .env("MERCURIO_REDIS_TIMEOUT_MS", timeout_ms);
            Server::with(&mut command)
        });
        let pair = Self { house, redis, servers, tenant_id };
        pair.until_redis("ok", 2);
        pair
    }

    fn connect(&self, server: usize) -> Client {
        Client::connect(self.servers[server].addr).unwrap()
    }

    fn health(&self, server: usize) -> Value {
        self.connect(server).get("/health", "").unwrap().json
    }

    /// Waits until both servers say so of Redis.
    #[track_caller]
    fn until_redis(&self, status: &str, servers: u64) {
        let start = Instant::now();
        loop {
            let told = [0, 1].map(|server| self.health(server));
            let is_so = |health: &Value| {
                let redis = &health["checks"]["redis"];
                redis["status"] == status && redis["servers"] == servers
            };
            if told.iter().all(is_so) {
                let expected = if status == "ok" { "ok" } else { "degraded" };
                assert!(told.iter().all(|health| health["status"] == expected), "{told:?}");
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{told:?}");
            sleep(Duration::from_millis(20));
        }
    }

    fn send(&self, client: &mut Client, name: &str, events: usize) -> Answer {
        let ids: Vec<_> = (0..events).map(|number| format!("{name} {number}")).collect();
        client.batch(&ids, &self.house.key).unwrap()
    }

    /// Sends batches of ten to both servers at once, from two connections each; the events that were taken, and the seconds.
    fn flood(&self, name: &str, length: Duration) -> (usize, f64) {
        let start = Instant::now();
        let taken = std::thread::scope(|scope| {
            let sending = [0, 1, 0, 1].into_iter().enumerate().map(|(connection, server)| {
                scope.spawn(move || {
                    let (mut client, mut taken) = (self.connect(server), 0);
                    for number in 0.. {
                        if start.elapsed() >= length {
                            break;
                        }
                        let answer =
                            self.send(&mut client, &format!("{name} {connection} {number}"), 10);
                        match answer.status {
                            200 => taken += 10,
                            429 => sleep(Duration::from_millis(2)),
                            status => panic!("{status}: {}", answer.json),
                        }
                    }
                    taken
                })
            });
            let sending: Vec<_> = sending.collect();
            sending.into_iter().map(|sending| sending.join().unwrap()).sum()
        });
        (taken, start.elapsed().as_secs_f64())
    }
}

#[test]
fn two_servers_together_never_pass_the_limit() {
    // On a busy machine an answer takes its time; here Redis alone is to decide.
    let pair = Pair::waiting(1_000, 100, "5000");
    let (taken, seconds) = pair.flood("flood", Duration::from_secs(3));
    let allowed = 100.0 + 1_000.0 * seconds;
    let share = taken as f64 / allowed;
    eprintln!("{taken} of {allowed:.0} events: {share:.4}");
    assert!(share <= 1.01, "{taken} of {allowed}");
    assert!(share > 0.8, "{taken} of {allowed}");
    let stored = stored_ids(pair.servers[0].addr, &pair.house.key).len();
    assert_eq!(stored, taken, "what was refused was not stored");
    assert_eq!(pair.health(0)["checks"]["redis"]["fallbacks"], 0);
}

#[test]
fn a_batch_that_redis_refuses_is_refused_whole_and_told_like_any_other() {
    let pair = Pair::with(1, 60);
    let (mut first, mut second) = (pair.connect(0), pair.connect(1));
    assert_eq!(pair.send(&mut first, "a", 40).status, 200);
    let refused = pair.send(&mut second, "b", 30);
    assert_eq!((refused.status, &refused.json["code"]), (429, &Value::from("rate_limited")));
    assert!(
        refused
            .retry_after
            .is_some_and(|seconds| (5..=10).contains(&seconds.parse::<u32>().unwrap()))
    );
    let told = second.get("/v1/limits", &pair.house.key).unwrap().json;
    let left = told["remaining"]["events"]["remaining"].as_u64().unwrap();
    assert!((20..25).contains(&left), "{told}");
    assert_eq!(pair.send(&mut second, "c", 20).status, 200);
}

#[test]
fn a_clock_that_goes_back_an_hour_empties_the_buckets_and_no_more() {
    let pair = Pair::with(20, 50);
    let mut client = pair.connect(0);
    assert_eq!(pair.send(&mut client, "before", 50).status, 200);
    // As it would stand there had the clock been an hour ahead: full in an hour and a bit, counted from 2026 in microseconds.
    let since_2026 = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() - 1_767_225_600;
    let full_at = format!("{} 50", (since_2026 + 3_602) * 1_000_000);
    let tenant_id = pair.tenant_id.0;
    pair.redis.cli(&[
        "set",
        &format!("mercurio:rate:{{{tenant_id}}}:events"),
        &full_at,
        "ex",
        "3602",
    ]);
    // The other server's own buckets are full: what it refuses, Redis refuses.
    let mut client = pair.connect(1);
    let refused = pair.send(&mut client, "after", 40);
    assert_eq!((refused.status, refused.retry_after.as_deref()), (429, Some("2")));
    sleep(Duration::from_millis(2_050));
    assert_eq!(pair.send(&mut client, "later", 40).status, 200);
}

#[test]
fn without_redis_each_server_goes_on_with_its_share_and_returns_by_itself() {
    let mut pair = Pair::with(400, 100);
    pair.redis.stop();
    // Nobody waits for what is not there, and nobody is let through without a limit.
    let (taken, seconds) = pair.flood("gone", Duration::from_secs(2));
    // Each begins with its share of the burst, and what was let through before Redis was given up.
    let allowed = 100.0 + 400.0 * seconds;
    assert!((taken as f64) <= 1.1 * allowed, "{taken} of {allowed}");
    assert!((taken as f64) > 0.5 * allowed, "{taken} of {allowed}");
    pair.until_redis("unavailable", 2);
    assert!(pair.health(0)["checks"]["redis"]["fallbacks"].as_u64() > Some(0));
    pair.redis.restart();
    pair.until_redis("ok", 2);
    let [first, second] = pair.servers;
    for server in [first, second] {
        server.signal("TERM");
        let (_, lines, _) = server.wait();
        let count = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
        assert_eq!(count("this server's share"), 1, "{lines:#?}");
        assert_eq!(count("redis decides rate limits"), 2);
        assert_eq!(count("not-for-the-log"), 0);
    }
}

#[test]
fn neither_the_loss_of_redis_nor_its_return_gives_anybody_a_second_burst() {
    // Before its loss Redis alone is to decide, however busy the machine is.
    let mut pair = Pair::waiting(1, 200, "5000");
    let mut clients = [pair.connect(0), pair.connect(1)];
    let start = Instant::now();
    // So few that the servers' own buckets, which hold as much, refuse nothing.
    let mut send_all = |pair: &Pair, name: &str, batches: usize| -> usize {
        let mut taken = 0;
        for number in 0..batches {
            for (server, client) in clients.iter_mut().enumerate() {
                let answer = pair.send(client, &format!("{name} {server} {number}"), 10);
                taken += if answer.status == 200 { 10 } else { 0 };
            }
        }
        taken
    };
    let before = send_all(&pair, "before", 10);
    assert!(before >= 200, "{before}");
    pair.redis.stop();
    let after = send_all(&pair, "after", 3);
    let allowed = 200.0 + start.elapsed().as_secs_f64();
    assert!((before + after) as f64 <= allowed + 20.0, "{before} and {after} of {allowed}");
    // It has forgotten everything, and is told.
    pair.redis.restart();
    pair.until_redis("ok", 2);
    let back = send_all(&pair, "back", 7);
    let allowed = 200.0 + start.elapsed().as_secs_f64();
    assert!(
        (before + after + back) as f64 <= allowed + 20.0,
        "{before}, {after} and {back} of {allowed}"
    );
}

#[test]
fn a_flood_over_the_loss_and_the_return_of_redis_is_held_to_the_limit() {
    // A Redis that is gone refuses at once; one that is there is waited for, however busy the machine is.
    let mut pair = Pair::waiting(1_000, 500, "5000");
    let start = Instant::now();
    let (mut taken, _) = pair.flood("with", Duration::from_secs(2));
    pair.redis.stop();
    taken += pair.flood("without", Duration::from_secs(2)).0;
    pair.redis.restart();
    taken += pair.flood("again", Duration::from_secs(4)).0;
    // What flows in between two floods may be taken too.
    let allowed = 500.0 + 1_000.0 * start.elapsed().as_secs_f64();
    pair.until_redis("ok", 2);
    let share = taken as f64 / allowed;
    eprintln!("{taken} of {allowed:.0} events: {share:.4}");
    assert!(share <= 1.01, "{taken} of {allowed}");
    assert!(share > 0.7, "{taken} of {allowed}");
}

#[test]
fn a_flood_over_the_loss_of_redis_by_one_server_is_held_to_the_limit() {
    let pair = Pair::waiting(1_000, 600, "5000");
    let start = Instant::now();
    let mut taken = 0;
    for round in 0..3 {
        taken += pair.flood(&format!("before {round}"), Duration::from_millis(500)).0;
        taken += std::thread::scope(|scope| {
            let flood = scope
                .spawn(|| pair.flood(&format!("while {round}"), Duration::from_millis(2_000)).0);
            // For a second one has its share, and the other the whole limit.
            pair.redis.cut_off_one(Duration::from_millis(800));
            flood.join().unwrap()
        });
    }
    let allowed = 600.0 + 1_000.0 * start.elapsed().as_secs_f64();
    let fallbacks =
        [0, 1].map(|server| pair.health(server)["checks"]["redis"]["fallbacks"].as_u64().unwrap());
    let share = taken as f64 / allowed;
    eprintln!("{taken} of {allowed:.0} events: {share:.4}; {fallbacks:?} without Redis");
    assert!(fallbacks.iter().sum::<u64>() > 0);
    assert!(share <= 1.01, "{taken} of {allowed}");
    assert!(share > 0.7, "{taken} of {allowed}");
}

#[test]
fn a_redis_that_is_slow_or_hangs_delays_no_request_for_long() {
    let mut pair = Pair::with(100_000, 100_000);
    for (number, hang) in [true, false].into_iter().enumerate() {
        if hang {
            pair.redis.signal("STOP");
        } else {
            pair.redis.cli(&["client", "pause", "2000"]);
        }
        let mut client = pair.connect(0);
        let start = Instant::now();
        for request in 0..20 {
            assert_eq!(pair.send(&mut client, &format!("slow {number} {request}"), 1).status, 200);
        }
        // One of them waited for the timeout of 100 ms, the others for nothing.
        assert!(start.elapsed() < Duration::from_millis(1_500), "{:?}", start.elapsed());
        pair.until_redis("unavailable", 2);
        if hang {
            pair.redis.signal("CONT");
        }
        pair.until_redis("ok", 2);
    }
    assert_eq!(stored_ids(pair.servers[0].addr, &pair.house.key).len(), 40);
    pair.redis.stop();
}

#[test]
fn a_server_that_starts_without_redis_finds_it_later() {
    let (house, mut redis) = (House::sqlite(), Redis::start());
    redis.stop();
    let mut command = command(&house.database.url_text());
    let server = Server::with(command.env("MERCURIO_REDIS_URL", redis.url()));
    let mut client = Client::connect(server.addr).unwrap();
    assert_eq!(client.batch(&["alone".to_owned()], &house.key).unwrap().status, 200);
    redis.restart();
    let start = Instant::now();
    while client.get("/health", "").unwrap().json["checks"]["redis"]["status"] != "ok" {
        assert!(start.elapsed() < PATIENCE);
        sleep(Duration::from_millis(20));
    }
    assert_eq!(client.batch(&["together".to_owned()], &house.key).unwrap().status, 200);
}
