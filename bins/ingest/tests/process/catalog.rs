//! What an admin changes, on two servers at once: each hears of it within a second, with and without a notice.

use std::process::Command;
use std::time::{Duration, Instant};

use mercurio_domain::api_key::PresentedKey;
use mercurio_domain::limits::LimitName;
use mercurio_domain::store::{Removal, Store, TenantRef};
use mercurio_domain::tenant::Name;
use mercurio_domain::testing::at;

use crate::client::{Answer, Client, send_until_gone};
use crate::server::{House, Server, command};

/// Within which every server must have heard.
const SECOND: Duration = Duration::from_secs(1);

struct Pair {
    house: House,
    servers: [Server; 2],
    clients: [Client; 2],
    sent: usize,
}

impl Pair {
    /// Two servers on one database, which have seen the key.
    fn on(house: House, settings: &[(&str, &str)]) -> Self {
        let start = || {
            let mut command = command(&house.database.url_text());
            Server::with(command.envs(settings.iter().copied()))
        };
        let servers = [start(), start()];
        let clients = [0, 1].map(|server| Client::connect(servers[server].addr).unwrap());
        let mut pair = Self { house, servers, clients, sent: 0 };
        assert_eq!(pair.send(), [200, 200]);
        pair
    }

    fn batch(&mut self, server: usize) -> Answer {
        self.sent += 1;
        let ids = [format!("event {}", self.sent)];
        self.clients[server].batch(&ids, &self.house.key).unwrap()
    }

    /// The statuses of an event sent to each.
    fn send(&mut self) -> [u16; 2] {
        [0, 1].map(|server| self.batch(server).status)
    }

    /// Sends until both servers answer `expected`; how long that took.
    #[track_caller]
    fn until(&mut self, expected: u16) -> Duration {
        let start = Instant::now();
        while self.send() != [expected; 2] {
            assert!(start.elapsed() < Duration::from_secs(30), "no {expected}");
        }
        start.elapsed()
    }

    fn store(&self) -> std::sync::Arc<dyn Store> {
        self.house.database.store()
    }

    fn tenant_id(&self) -> mercurio_domain::TenantId {
        let which = TenantRef::Name(Name::parse("acme").unwrap());
        self.store().tenant(&which).unwrap().unwrap().tenant.id
    }

    fn revoke(&self) {
        let id = PresentedKey::parse(&self.house.key).unwrap().id().clone();
        self.store().revoke_api_key(&id, at("2026-11-22T11:00:00Z")).unwrap();
    }
}

/// A cache that keeps what it has for an hour: only a notice can make it forget.
const LONG: (&str, &str) = ("MERCURIO_KEY_CACHE_SECONDS", "3600");

#[test]
fn a_revocation_reaches_two_servers_within_a_second() {
    let mut pair = Pair::on(House::postgres(), &[LONG]);
    pair.revoke();
    let took = pair.until(401);
    assert!(took < SECOND, "{took:?}");
}

#[test]
fn a_revocation_reaches_two_servers_on_one_file_too() {
    let mut pair = Pair::on(House::sqlite(), &[LONG]);
    pair.revoke();
    let took = pair.until(401);
    assert!(took < SECOND, "{took:?}");
}

#[test]
fn a_revocation_that_nobody_tells_of_is_bounded_by_the_caches_lifetime() {
    let house = House::postgres();
    let mut pair = Pair::on(house, &[("MERCURIO_KEY_CACHE_SECONDS", "2")]);
    let silence = ["-qc", "ALTER TABLE api_keys DISABLE TRIGGER api_keys_notify_change"];
    let psql = Command::new("psql").args(silence).arg(pair.house.database.url_text()).status();
    assert!(psql.expect("psql is there").success());
    pair.revoke();
    let took = pair.until(401);
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn a_refused_key_is_logged_by_its_id_and_its_clients_network_and_never_by_its_secret() {
    let house = House::sqlite();
    let server = crate::server::Server::with(
        crate::server::command(&house.database.url_text())
            .env("MERCURIO_TRUSTED_PROXIES", "127.0.0.1"),
    );
    let mut client = crate::client::Client::connect(server.addr).unwrap();
    assert_eq!(client.get("/v1/limits", "mk_abc_hunter2").unwrap().status, 401);
    let line = server.line("an API key was refused");
    assert_eq!((&line["reason"], &line["client_ip"]), (&"malformed".into(), &"127.0.0.0".into()));
    assert!(line.get("key_id").is_none() && !line.to_string().contains("hunter2"), "{line}");
}

#[test]
fn a_tenant_is_suspended_and_resumed_within_a_second_and_nothing_of_it_is_lost() {
    let mut pair = Pair::on(House::postgres(), &[LONG]);
    let id = pair.tenant_id();
    for (suspended, expected) in [(true, 403), (false, 200)] {
        pair.store().suspend_tenant(id, suspended).unwrap();
        let took = pair.until(expected);
        assert!(took < SECOND, "{expected}: {took:?}");
    }
    let key = pair.house.key.clone();
    let read = pair.clients[0].get("/v1/events/event%201", &key).unwrap();
    assert_eq!(read.status, 200, "{:?}", read.json);
}

#[test]
fn a_limit_reaches_two_servers_within_a_second() {
    let mut pair = Pair::on(House::postgres(), &[LONG]);
    let id = pair.tenant_id();
    pair.store().set_limits(id, &[(LimitName::MaxBodyBytes, Some(1024))]).unwrap();
    let start = Instant::now();
    let ids: Vec<_> = (0..40).map(|number| format!("a long batch {number}")).collect();
    loop {
        let key = pair.house.key.clone();
        let answers = [0, 1].map(|server| pair.clients[server].batch(&ids, &key).unwrap());
        if answers.iter().all(|answer| answer.status == 413) {
            assert_eq!(answers[0].json["limit"], 1024);
            break;
        }
        assert!(start.elapsed() < SECOND, "{answers:?}");
    }
    let key = pair.house.key.clone();
    let told = pair.clients[1].get("/v1/limits", &key).unwrap().json;
    assert_eq!(told["limits"]["max_body_bytes"], 1024, "{told}");
    assert_eq!(told["limits"]["max_batch_events"], 50, "{told}");
}

#[test]
fn the_last_use_of_a_key_is_written_and_survives_the_server() {
    let pair = Pair::on(House::postgres(), &[]);
    let store = pair.store();
    let id = PresentedKey::parse(&pair.house.key).unwrap().id().clone();
    for server in &pair.servers {
        server.signal("TERM");
    }
    let Pair { servers, house, .. } = pair;
    for server in servers {
        assert!(server.wait().0.success());
    }
    assert!(store.find_api_key(&id).unwrap().unwrap().last_used_at.is_some());
    drop(house);
}

#[test]
fn a_tenant_that_is_deleted_while_it_sends_at_full_speed_leaves_nothing_behind() {
    let pair = Pair::on(House::postgres(), &[]);
    let id = pair.tenant_id();
    let (store, key) = (pair.store(), pair.house.key.clone());
    let (progress, sent) = std::sync::mpsc::channel();
    let acknowledged: usize = std::thread::scope(|scope| {
        let sending = [0, 1, 0, 1].into_iter().enumerate().map(|(number, server)| {
            let (addr, key, progress) = (pair.servers[server].addr, key.clone(), progress.clone());
            scope.spawn(move || {
                send_until_gone(addr, &key, &format!("client {number}"), &progress)
                    .acknowledged
                    .len()
            })
        });
        let sending: Vec<_> = sending.collect();
        (0..40).for_each(|_| sent.recv().unwrap());
        let deletion = Removal::Tenant(id);
        store.begin_deletion(id, at("2026-11-24T10:00:00Z")).unwrap();
        sweep(&*store, &deletion);
        // They end by themselves: each is refused within a second.
        let start = Instant::now();
        let acknowledged = sending.into_iter().map(|sending| sending.join().unwrap()).sum();
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        sweep(&*store, &deletion);
        acknowledged
    });
    assert!(acknowledged >= 40 * 50, "{acknowledged}");
    let rows = store.finish_deletion(id).unwrap().unwrap();
    assert_eq!((rows.workspaces, rows.api_keys), (1, 1));
    assert!(
        rows.events >= acknowledged as u64 && rows.events == rows.event_keys,
        "{rows:?} of {acknowledged}"
    );
    let left = "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM event_keys) + (SELECT count(*) FROM tenants)";
    let psql =
        Command::new("psql").args(["-Atqc", left]).arg(pair.house.database.url_text()).output();
    assert_eq!(String::from_utf8_lossy(&psql.expect("psql is there").stdout).trim(), "0");
}

/// Removes to the end.
fn sweep(store: &dyn Store, which: &Removal) {
    let mut from = None;
    while let Some(next) =
        store.remove_events(which, at("2026-11-24T10:00:00Z"), from.as_ref()).unwrap().next
    {
        from = Some(next);
    }
}
