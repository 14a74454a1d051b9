//! A database outage under a running server: reported at once, over without a restart, without
//! losing an acknowledged event.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mercurio_storage::testing::wait_until;

use crate::client::Client;
use crate::server::{Deployment, Server, command};

/// Runs SQL from another database of the same PostgreSQL server.
fn psql(deployment: &Deployment, sql: &str) {
    let url = deployment.database.url_text();
    // `postgres` accepts connections while the database of the test refuses them.
    let (server, name) = url.rsplit_once('/').unwrap();
    let sql = sql.replace("$NAME", name.split('?').next().unwrap());
    let output = Command::new("psql")
        .args(["-v", "ON_ERROR_STOP=1", "-qc", &sql])
        .arg(format!("{server}/postgres"))
        .output();
    let output = output.expect("psql is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Takes the database away from all servers.
pub(crate) fn take_away(deployment: &Deployment) {
    psql(deployment, r#"ALTER DATABASE "$NAME" WITH ALLOW_CONNECTIONS false"#);
    psql(
        deployment,
        // ALLOW_CONNECTIONS does not end open connections.
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$NAME'",
    );
}

pub(crate) fn bring_back(deployment: &Deployment) {
    psql(deployment, r#"ALTER DATABASE "$NAME" WITH ALLOW_CONNECTIONS true"#);
}

/// A proxy in front of PostgreSQL that can swallow all packets, as a network that fails does.
struct BlackHole {
    addr: SocketAddr,
    swallows: Arc<AtomicBool>,
}

impl BlackHole {
    fn before(database: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (addr, swallows) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let flag = Arc::clone(&swallows);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(database).unwrap());
                let (to_server, to_client) =
                    (server.try_clone().unwrap(), client.try_clone().unwrap());
                let (upward, downward) = (Arc::clone(&flag), Arc::clone(&flag));
                std::thread::spawn(move || forward(client, to_server, &upward));
                std::thread::spawn(move || forward(server, to_client, &downward));
            }
        });
        Self { addr, swallows }
    }
}

/// Copies bytes until one side closes.
fn forward(mut from: TcpStream, mut to: TcpStream, swallows: &AtomicBool) {
    let mut buffer = [0; 65_536];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 {
            break;
        }
        if !swallows.load(Ordering::SeqCst) && to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Both).ok();
}

#[test]
fn request_over_a_black_hole_is_answered_within_seconds() {
    let deployment = Deployment::postgres();
    let url = deployment.database.url_text();
    // postgres://USER@HOST:PORT/NAME
    let host = url.split(['@', '/']).find(|part| part.contains("127.0.0.1:")).unwrap();
    let hole = BlackHole::before(host.parse().unwrap());
    let url = url.replace(host, &hole.addr.to_string());
    // Keys are looked up for each request, and not at all.
    for (cache_seconds, commit_seconds) in [("0", "30"), ("3600", "2")] {
        let server = Server::with(
            command(&url)
                .env("MERCURIO_KEY_CACHE_SECONDS", cache_seconds)
                .env("MERCURIO_COMMIT_TIMEOUT_SECONDS", commit_seconds)
                .env("MERCURIO_MONTHLY_EVENTS", "1000000"),
        );
        let mut client = Client::connect(server.addr).unwrap();
        let first = client.batch(&ids(cache_seconds), &deployment.key).unwrap();
        assert_eq!(first.status, 200, "{first:?}");
        hole.swallows.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            let start = Instant::now();
            let answer = client.batch(&ids("swallowed"), &deployment.key).unwrap();
            assert_eq!(answer.status, 503, "{answer:?}");
            assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
        }
        server.kill();
        hole.swallows.store(false, Ordering::SeqCst);
    }
}

fn ids(name: &str) -> Vec<String> {
    (0..10).map(|event| format!("{name}-{event}")).collect()
}

#[test]
fn database_outage_is_reported_and_recovered_from() {
    let deployment = Deployment::postgres();
    let server = deployment.start();
    let mut client = Client::connect(server.addr).unwrap();
    let mut sender = deployment.sender();
    assert_eq!(sender.batch(&mut client, &ids("before")).unwrap().json["accepted"], 10);

    take_away(&deployment);
    let unavailable = sender.batch(&mut client, &ids("during")).unwrap();
    assert_eq!(
        (unavailable.status, unavailable.json["code"].as_str()),
        (503, Some("storage_unavailable")),
        "{unavailable:?}"
    );
    assert!(unavailable.retry_after.is_some());
    assert_eq!(client.get("/health/ready", "").unwrap().status, 503);
    assert_eq!(client.get("/health/live", "").unwrap().status, 200);
    let health = client.get("/health", "").unwrap();
    assert_eq!(
        (health.status, health.json["status"].as_str()),
        (503, Some("unavailable")),
        "{health:?}"
    );

    bring_back(&deployment);
    wait_until("the server reconnects", || client.get("/health/ready", "").unwrap().status == 200);
    sender.send_again(&mut client);
    assert_eq!(deployment.check(&sender.history).rows, 20);
}
