//! Changes by an admin, on two servers at once: each applies them within a second, with and without
//! a notification.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey, PresentedKey, Scopes};
use mercurio_domain::limits::{LimitChange, LimitName, Month};
use mercurio_domain::store::{DeletedRows, Deletion, KeyRequest, Removal, Store, TenantRef};
use mercurio_domain::tenant::Name;
use mercurio_domain::testing::at;
use mercurio_domain::{Clock, Owner};
use mercurio_runtime::system::SystemClock;
use mercurio_storage::testing::wait_until;

use crate::client::{Client, Response};
use crate::quota::check_counts;
use crate::server::{Deployment, Server, command};

/// Maximum time until every server has applied a change.
const SECOND: Duration = Duration::from_secs(1);

struct Pair {
    deployment: Deployment,
    servers: [Server; 2],
    clients: [Client; 2],
    sent: usize,
}

impl Pair {
    /// Starts two servers on one database. Both have cached the key.
    fn on(deployment: Deployment, settings: &[(&str, &str)]) -> Self {
        let servers = [(); 2].map(|()| {
            let mut command = command(&deployment.database.url_text());
            Server::with(command.envs(settings.iter().copied()))
        });
        let clients = [0, 1].map(|server| Client::connect(servers[server].addr).unwrap());
        let mut pair = Self { deployment, servers, clients, sent: 0 };
        assert_eq!(pair.send(), [200, 200]);
        pair
    }

    fn batch(&mut self, server: usize) -> Response {
        self.sent += 1;
        let ids = [format!("event {}", self.sent)];
        self.clients[server].batch(&ids, &self.deployment.key).unwrap()
    }

    /// Sends an event to each server, and returns the statuses.
    fn send(&mut self) -> [u16; 2] {
        [0, 1].map(|server| self.batch(server).status)
    }

    /// Sends until both servers respond with `expected`, and returns the time until then.
    #[track_caller]
    fn until(&mut self, expected: u16) -> Duration {
        let start = Instant::now();
        while self.send() != [expected; 2] {
            assert!(start.elapsed() < Duration::from_secs(30), "no {expected}");
        }
        start.elapsed()
    }

    fn store(&self) -> std::sync::Arc<dyn Store> {
        self.deployment.database.store()
    }

    fn tenant_id(&self) -> mercurio_domain::TenantId {
        let which = TenantRef::Name(Name::parse("acme").unwrap());
        self.store().tenant(&which).unwrap().unwrap().tenant.id
    }

    fn revoke(&self) {
        let id = PresentedKey::parse(&self.deployment.key).unwrap().id().clone();
        self.store().revoke_api_key(&id, at("2026-11-22T11:00:00Z")).unwrap();
    }
}

/// A cache lifetime of an hour: only a notification removes a key earlier.
const LONG: (&str, &str) = ("MERCURIO_KEY_CACHE_SECONDS", "3600");

#[test]
fn revocation_reaches_two_servers_within_a_second_on_postgres() {
    let mut pair = Pair::on(Deployment::postgres(), &[LONG]);
    pair.revoke();
    let took = pair.until(401);
    assert!(took < SECOND, "{took:?}");
}

#[test]
fn revocation_reaches_two_servers_within_a_second_on_sqlite() {
    let mut pair = Pair::on(Deployment::sqlite(), &[LONG]);
    pair.revoke();
    let took = pair.until(401);
    assert!(took < SECOND, "{took:?}");
}

#[test]
fn revocation_without_notification_waits_for_the_cache_lifetime() {
    let deployment = Deployment::postgres();
    let mut pair = Pair::on(deployment, &[("MERCURIO_KEY_CACHE_SECONDS", "2")]);
    // Only the lifetime of the cached key is left (ADR 7).
    let silence = ["-qc", "ALTER TABLE api_keys DISABLE TRIGGER api_keys_notify_change"];
    let psql = Command::new("psql").args(silence).arg(pair.deployment.database.url_text()).status();
    assert!(psql.expect("psql is installed").success());
    pair.revoke();
    let took = pair.until(401);
    // Twice the lifetime, for slow machines.
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn refused_key_is_logged_without_its_secret() {
    let deployment = Deployment::sqlite();
    let mut command = command(&deployment.database.url_text());
    let server = Server::with(command.env("MERCURIO_TRUSTED_PROXIES", "127.0.0.1"));
    let mut client = Client::connect(server.addr).unwrap();
    assert_eq!(client.get("/v1/limits", "mk_abc_hunter2").unwrap().status, 401);
    let line = server.line("API key refused");
    assert_eq!((&line["reason"], &line["client_ip"]), (&"malformed".into(), &"127.0.0.0".into()));
    assert!(line.get("key_id").is_none() && !line.to_string().contains("hunter2"), "{line}");
}

#[test]
fn client_address_is_read_from_one_header_alone() {
    let deployment = Deployment::sqlite();
    for (header, expected) in [
        (None, "192.0.2.0"),
        (Some("forwarded"), "198.51.100.0"),
        (Some("x-real-ip"), "203.0.113.0"),
    ] {
        let mut command = command(&deployment.database.url_text());
        command.env("MERCURIO_TRUSTED_PROXIES", "127.0.0.1");
        command.envs(header.map(|header| ("MERCURIO_CLIENT_IP_HEADER", header)));
        let server = Server::with(&mut command);
        let mut stream = TcpStream::connect(server.addr).unwrap();
        let request = "GET /v1/limits HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                       x-api-key: nonsense\r\nx-forwarded-for: 192.0.2.1\r\n\
                       forwarded: for=198.51.100.1\r\nx-real-ip: 203.0.113.1\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let line = server.line("API key refused");
        assert_eq!(line["client_ip"], expected, "{header:?}");
    }
}

#[test]
fn suspended_tenant_is_refused_and_resumed_within_a_second() {
    let mut pair = Pair::on(Deployment::postgres(), &[LONG]);
    let id = pair.tenant_id();
    for (suspended, expected) in [(true, 403), (false, 200)] {
        pair.store().suspend_tenant(id, suspended).unwrap();
        let took = pair.until(expected);
        assert!(took < SECOND, "{expected}: {took:?}");
    }
    let key = pair.deployment.key.clone();
    let read = pair.clients[0].get("/v1/events/event%201", &key).unwrap();
    assert_eq!(read.status, 200, "{:?}", read.json);
}

#[test]
fn limit_reaches_two_servers_within_a_second() {
    let mut pair = Pair::on(Deployment::postgres(), &[LONG]);
    let id = pair.tenant_id();
    let change = LimitChange { name: LimitName::MaxBodyBytes, value: Some(1024) };
    pair.store().set_limits(id, &[change]).unwrap();
    let start = Instant::now();
    // Together over 1,024 bytes.
    let ids: Vec<_> = (0..40).map(|number| format!("a long batch {number}")).collect();
    loop {
        let key = pair.deployment.key.clone();
        let answers = [0, 1].map(|server| pair.clients[server].batch(&ids, &key).unwrap());
        if answers.iter().all(|answer| answer.status == 413) {
            assert_eq!(answers[0].json["limit"], 1024);
            break;
        }
        assert!(start.elapsed() < SECOND, "{answers:?}");
    }
    let key = pair.deployment.key.clone();
    let limits = pair.clients[1].get("/v1/limits", &key).unwrap().json;
    assert_eq!(limits["limits"]["max_body_bytes"], 1024, "{limits}");
    assert_eq!(limits["limits"]["max_batch_events"], 50, "{limits}");
}

#[test]
fn last_use_of_a_key_is_written_before_the_server_stops() {
    let pair = Pair::on(Deployment::postgres(), &[]);
    let store = pair.store();
    let id = PresentedKey::parse(&pair.deployment.key).unwrap().id().clone();
    for server in &pair.servers {
        server.signal("TERM");
    }
    let Pair { servers, deployment, .. } = pair;
    for server in servers {
        assert!(server.wait().0.success());
    }
    assert!(store.find_api_key(&id).unwrap().unwrap().last_used_at.is_some());
    // Until here the servers need its database.
    drop(deployment);
}

/// Deletes a tenant or workspace while clients send to `servers`, and returns the rows removed.
fn delete_under_load(
    deployment: &Deployment,
    servers: &[Server],
    deletion: Deletion,
) -> DeletedRows {
    let store = deployment.database.store();
    let (progress, sent) = std::sync::mpsc::channel();
    let acknowledged: usize = std::thread::scope(|scope| {
        let sending = servers.iter().cycle().take(4).enumerate().map(|(number, server)| {
            let (addr, sender) = (server.addr, deployment.sender());
            let (name, progress) = (format!("client {number}"), progress.clone());
            scope.spawn(move || sender.send_until_gone(addr, &name, &progress).promised().count())
        });
        let sending: Vec<_> = sending.collect();
        // 40 acknowledged batches: the deletion begins under load.
        for _ in 0..40 {
            sent.recv().unwrap();
        }
        store.begin_deletion(deletion, at("2026-11-24T10:00:00Z")).unwrap();
        remove_all(&*store, &Removal::All(deletion));
        // The clients stop when they are refused, which takes at most a second.
        let start = Instant::now();
        let acknowledged = sending.into_iter().map(|sending| sending.join().unwrap()).sum();
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        remove_all(&*store, &Removal::All(deletion));
        acknowledged
    });
    assert!(acknowledged >= 40 * 50, "{acknowledged}");
    let rows = store.finish_deletion(deletion).unwrap().unwrap();
    assert!(
        // Batches without a response may be stored as well.
        rows.events >= acknowledged as u64 && rows.events == rows.event_keys,
        "{rows:?} of {acknowledged}"
    );
    rows
}

#[test]
fn tenant_deleted_under_load_leaves_nothing_behind() {
    let pair = Pair::on(Deployment::postgres(), &[]);
    let deletion = Deletion::Tenant(pair.tenant_id());
    let rows = delete_under_load(&pair.deployment, &pair.servers, deletion);
    assert_eq!((rows.workspaces, rows.api_keys), (1, 1));
    let left = "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM event_keys) + (SELECT count(*) FROM tenants)";
    let psql = Command::new("psql")
        .args(["-Atqc", left])
        .arg(pair.deployment.database.url_text())
        .output();
    assert_eq!(String::from_utf8_lossy(&psql.expect("psql is installed").stdout).trim(), "0");
}

#[test]
fn workspace_deleted_under_load_leaves_its_neighbour() {
    for deployment in [Deployment::sqlite(), Deployment::postgres()] {
        let server = deployment.start();
        let store = deployment.database.store();
        let id = PresentedKey::parse(&deployment.key).unwrap().id().clone();
        let owner = store.find_api_key(&id).unwrap().unwrap().owner;
        let neighbour = store
            .create_workspace(
                owner.tenant_id,
                &Name::parse("Other").unwrap(),
                at("2026-11-24T10:00:00Z"),
            )
            .unwrap();
        let neighbour = Owner { workspace_id: neighbour.id, ..owner };
        let new = NewApiKey::generate(&[9; ENTROPY_BYTES]);
        let name = Name::parse("another").unwrap();
        let request =
            KeyRequest::new(neighbour, &new, name, Scopes::all(), at("2026-11-24T10:00:00Z"));
        store.create_api_key(&request).unwrap();
        let mut client = Client::connect(server.addr).unwrap();
        let kept = ["kept".to_owned()];
        assert_eq!(client.batch(&kept, new.key.expose()).unwrap().status, 200);

        let servers = [server];
        let rows = delete_under_load(&deployment, &servers, Deletion::Workspace(owner));
        assert_eq!((rows.workspaces, rows.api_keys), (1, 1));
        let refused = client.batch(&["late".to_owned()], &deployment.key).unwrap();
        assert_eq!(refused.status, 401, "{:?}", refused.json);
        // The other workspace of the tenant goes on.
        let again = ["kept".to_owned(), "new".to_owned()];
        let answer = client.batch(&again, new.key.expose()).unwrap();
        assert_eq!((answer.status, &answer.json["duplicates"]), (200, &1.into()));
        assert_eq!(store.count_events(owner).unwrap(), 0);
        assert_eq!(store.count_events(neighbour).unwrap(), 2);
        store.sum_counts().unwrap();
        let month = Month::of(SystemClock.now());
        // Usage counts what was stored, in the deleted workspace too.
        let usage = store.usage(&[owner.tenant_id], month).unwrap()[0];
        assert!(usage >= 2 + 40 * 50, "{usage}");
    }
}

/// Removes everything, step by step.
fn remove_all(store: &dyn Store, which: &Removal) {
    let mut from = None;
    while let Some(next) =
        store.remove_events(which, at("2026-11-24T10:00:00Z"), from.as_ref()).unwrap().next
    {
        from = Some(next);
    }
}

#[test]
fn slow_body_does_not_outlast_its_tenant() {
    const BODY: &str = r#"{"events":[{"event_id":"late","event_name":"n","user_id":"u"}]}"#;
    let deployment = Deployment::sqlite();
    let server = deployment.start();
    let mut slow = TcpStream::connect(server.addr).unwrap();
    let (key, length) = (&deployment.key, BODY.len());
    write!(
        slow,
        "POST /v1/events/batch HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{{"
    )
    .unwrap();
    // The key is still valid, and the server has read the head.
    let mut client = Client::connect(server.addr).unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1_500) {
        assert_eq!(client.get("/v1/limits", key).unwrap().status, 200);
    }
    let store = deployment.database.store();
    let acme = TenantRef::Name(Name::parse("acme").unwrap());
    let tenant_id = store.tenant(&acme).unwrap().unwrap().tenant.id;
    store.suspend_tenant(tenant_id, true).unwrap();
    // `/v1/limits` refuses suspended tenants too: this server has applied the change.
    wait_until("the tenant is suspended", || client.get("/v1/limits", key).unwrap().status == 403);
    slow.write_all(&BODY.as_bytes()[1..]).unwrap();
    let mut response = String::new();
    slow.read_to_string(&mut response).unwrap();
    assert!(
        response.starts_with("HTTP/1.1 403") && response.contains("tenant_suspended"),
        "{response}"
    );
    assert_eq!(check_counts(&*store), 0);
}
