//! PostgreSQL cannot extend its files, and reports it in a language that the server does not know.

use std::process::Command;
use std::time::{Duration, Instant};

use mercurio_domain::testing::provisioning;
use mercurio_domain::{Clock, EventId, EventKey};
use mercurio_runtime::system::SystemClock;
use mercurio_storage::{DatabaseUrl, StoreOptions};

use crate::client::{Client, Response};
use crate::postgres_server;
use crate::quota::check_counts;
use crate::server::Server;

/// A WAL segment fits; the tables of some events, and a probe, do not.
const MAX_FILE_BYTES: u32 = 1024 * 1024;

const EVENTS: usize = 20;

#[track_caller]
fn psql(url: &str, sql: &str) -> String {
    let output = Command::new("psql")
        .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-c", sql])
        .arg(url)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Sends a batch with payloads that do not compress.
fn send(client: &mut Client, batch: usize, key: &str) -> Response {
    let events: Vec<_> = (0..EVENTS).map(|number| event(batch, number)).collect();
    let body = format!(r#"{{"events":[{}]}}"#, events.join(","));
    client.post("/v1/events/batch", key, &body).unwrap()
}

fn event(batch: usize, number: usize) -> String {
    let mut text = String::new();
    for part in 0..60 {
        // A hash of the text.
        let key = EventKey::of(&EventId::lookup(format!("{batch} {number} {part}")));
        text += &key.0.to_string();
    }
    format!(
        r#"{{"event_id":"{batch}-{number}","event_name":"n","user_id":"u","properties":{{"x":"{text}"}}}}"#
    )
}

/// The server's role may not change the language, and may create temporary tables or not.
fn check(database: &postgres_server::Server, role: &str, may_create_temporary: bool) {
    let admin = database.url();
    psql(&admin, &format!("CREATE ROLE {role} LOGIN"));
    psql(&admin, &format!("CREATE DATABASE {role} OWNER {role}"));
    if !may_create_temporary {
        psql(&admin, &format!("REVOKE TEMPORARY ON DATABASE {role} FROM public, {role}"));
    }
    let url = database.url_of(role, role);
    assert_eq!(psql(&url, "SHOW lc_messages"), "de_DE.UTF-8");
    let parsed = DatabaseUrl::parse(&url).unwrap();
    let store = mercurio_storage::open(&parsed, &StoreOptions::default()).unwrap();
    store.migrate().unwrap();
    let (request, key) = provisioning("acme", 1, SystemClock.now());
    store.provision(&request).unwrap();

    database.limit_files(Some(MAX_FILE_BYTES));
    let server = Server::start(&url);
    let mut client = Client::connect(server.addr).unwrap();
    let mut batch = 0;
    let refused = loop {
        let answer = send(&mut client, batch, key.expose());
        if answer.status != 200 {
            break answer;
        }
        batch += 1;
        assert!(batch < 1_000, "the files never reach the limit");
    };
    for _ in 0..10 {
        assert_eq!(client.get("/health/ready", "").unwrap().status, 503, "{refused:?}");
        let answer = send(&mut client, batch, key.expose());
        assert_eq!(
            (answer.status, answer.json["code"].as_str()),
            (503, Some("storage_unavailable")),
            "{answer:?}"
        );
    }
    assert_eq!(refused.status, 503, "{refused:?}");
    server.line_where(|line| line.to_string().contains("konnte Datei"));

    database.limit_files(None);
    // Open sessions keep the limit.
    let sessions = format!("FROM pg_stat_activity WHERE usename = '{role}'");
    psql(&admin, &format!("SELECT pg_terminate_backend(pid) {sessions}"));
    let begun = Instant::now();
    while client.get("/health/ready", "").unwrap().status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the server recovers");
        std::thread::yield_now();
    }
    assert_eq!(send(&mut client, batch, key.expose()).status, 200);
    assert_eq!(check_counts(&*store), ((batch + 1) * EVENTS) as u64);
}

#[test]
fn full_disk_is_found_in_any_language() {
    let database = postgres_server::Server::start_german("");
    check(&database, "owner", true);
    check(&database, "poor_owner", false);
}
