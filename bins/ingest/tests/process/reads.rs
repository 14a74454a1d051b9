//! A tenant that reads too much, on both databases: its scans and its unread responses leave the
//! other tenants, the probes and the memory alone.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use mercurio_domain::testing::{at, provisioning};
use mercurio_storage::testing::wait_until;

use crate::client::{Client, Response};
use crate::server::{Deployment, Server, command};

/// Columns of an event without those that differ in this test.
const COLUMNS: &str =
    "tenant_id, workspace_id, key, event_id, type, event_name, occurred_at, received_at, user_id,
    schema_version, properties, enrichment";

/// Stores events of the first tenant with payloads of `bytes`.
fn seed(deployment: &Deployment, events: usize, bytes: usize) {
    let owner = "(SELECT min(id) FROM tenants), (SELECT min(id) FROM workspaces)";
    let rest = "'u', '1.0.0'";
    deployment.database.execute(&if deployment.is_postgres() {
        format!(
            "INSERT INTO events ({COLUMNS}) SELECT {owner}, gen_random_uuid(), n::text, 'track', 'n',
             now() - n * interval '1 ms', now(), {rest}, json_build_object('a', repeat('x', {bytes})), '{{}}'
             FROM generate_series(1, {events}) n"
        )
    } else {
        format!(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT {events})
             INSERT INTO events ({COLUMNS}) SELECT {owner}, randomblob(16), n, 'track', 'n', unixepoch() * 1000000 - n,
             unixepoch() * 1000000, {rest}, json_object('a', replace(hex(zeroblob({bytes} / 2)), '0', 'x')), '{{}}'
             FROM numbers"
        )
    });
}

/// Creates a tenant whose key no server has looked up yet.
fn cold_key(deployment: &Deployment, seed: u8) -> String {
    let (request, key) = provisioning(&format!("tenant {seed}"), seed, at("2026-11-22T10:00:00Z"));
    deployment.database.store().provision(&request).unwrap();
    key.expose().to_owned()
}

/// Reads without end, on one connection.
fn scan(server: &Server, key: &str, stop: &AtomicBool, seen: &Mutex<Vec<Response>>) {
    let mut client = Client::connect(server.addr).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let response = client.get("/v1/events?user_id=nobody", key).unwrap();
        seen.lock().unwrap().push(response);
    }
}

fn has_code(seen: &Mutex<Vec<Response>>, code: &str) -> bool {
    seen.lock().unwrap().iter().any(|response| response.json["code"] == code)
}

fn check_scans(deployment: &Deployment, codes: &[&str]) {
    let keys: Vec<_> = (10..13).map(|seed| cold_key(deployment, seed)).collect();
    let url = deployment.database.url_text();
    let server = Server::with(command(&url).env("MERCURIO_READ_TIMEOUT_SECONDS", "1"));
    let (stop, seen) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| scan(&server, &deployment.key, &stop, &seen));
        }
        // Stops the readers before a failed assertion ends the scope, which waits for them.
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until("a scan ends", || !seen.lock().unwrap().is_empty());
            let mut client = Client::connect(server.addr).unwrap();
            for (number, key) in keys.iter().enumerate() {
                let ready = client.get("/health/ready", "").unwrap();
                assert_eq!(ready.status, 200, "{:?}", ready.json);
                let written = client.batch(&[number.to_string()], key).unwrap();
                assert_eq!(written.json["accepted"], 1, "{:?}", written.json);
            }
            for code in codes {
                wait_until(code, || has_code(&seen, code));
            }
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = checked {
            std::panic::resume_unwind(panic);
        }
    });
    for response in seen.into_inner().unwrap() {
        let code = response.json["code"].as_str();
        match response.status {
            200 => {}
            429 => assert_eq!(
                (code, response.retry_after.as_deref()),
                (Some("too_many_reads"), Some("1"))
            ),
            status => assert_eq!((status, code), (504, Some("query_timeout"))),
        }
    }
}

#[test]
fn scans_leave_others_alone_on_postgres() {
    let deployment = Deployment::postgres();
    seed(&deployment, 1_000, 1);
    // Each row costs a read 10 ms; writes have no policy.
    deployment.database.execute(
        "CREATE POLICY slow ON events AS RESTRICTIVE FOR SELECT TO mercurio_reader
         USING (pg_sleep(0.01) IS NOT NULL)",
    );
    check_scans(&deployment, &["too_many_reads", "query_timeout"]);
}

#[test]
fn scans_leave_others_alone_on_sqlite() {
    let deployment = Deployment::sqlite();
    seed(&deployment, 250_000, 1);
    check_scans(&deployment, &["too_many_reads"]);
}

fn check_unread_responses(deployment: &Deployment) {
    const MIB: u64 = 1024 * 1024;
    const CLIENTS: usize = 40;
    seed(deployment, 1_000, 32_000);
    let other = cold_key(deployment, 10);
    let server = deployment.start();
    let request = format!(
        "GET /v1/events?limit=1000 HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\n\r\n",
        deployment.key
    );
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = TcpStream::connect(server.addr).unwrap();
        client.write_all(request.repeat(4).as_bytes()).unwrap();
        clients.push(client);
    }
    // The server has worked on each client.
    wait_until("the reads end", || server.lines("request").len() >= CLIENTS);
    let peak = server.memory("VmHWM");
    assert!(peak < 256 * MIB, "{peak} bytes");
    let written = Client::connect(server.addr).unwrap().batch(&["a".to_owned()], &other).unwrap();
    assert_eq!(written.status, 200, "{:?}", written.json);
    drop(clients);
    wait_until("the memory shrinks", || server.memory("VmRSS") < 128 * MIB);
}

#[test]
fn unread_responses_are_bounded_in_memory_on_postgres() {
    check_unread_responses(&Deployment::postgres());
}

#[test]
fn unread_responses_are_bounded_in_memory_on_sqlite() {
    check_unread_responses(&Deployment::sqlite());
}
