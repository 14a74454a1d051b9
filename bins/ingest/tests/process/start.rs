//! Start: invalid settings, schemas, addresses, privileges, and two servers at once.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::process::Command;
use std::time::Duration;

use mercurio_storage::testing::{TestDatabase, wait_for};
use serde_json::json;

use crate::client::Client;
use crate::first_run::key_in;
use crate::server::{Deployment, Server, command, end, free_port};

#[test]
fn first_run_on_postgres_creates_nothing_unasked() {
    let empty = TestDatabase::empty_postgres();
    let (code, stderr) = end(&mut command(&empty.url_text()));
    // `EX_CONFIG` of sysexits.h.
    assert_eq!(code, 78, "{stderr}");
    assert!(stderr.contains("mercurio-admin migrate"), "{stderr}");
    let server = Server::with(command(&empty.url_text()).env("MERCURIO_AUTO_MIGRATE", "true"));
    assert_eq!(Client::connect(server.addr).unwrap().get("/health/ready", "").unwrap().status, 200);
    server.signal("INT");
    let (_, _, stderr) = server.wait();
    assert_eq!(stderr, "");
    assert!(!empty.store().has_tenants().unwrap());
}

#[test]
fn invalid_settings_are_all_reported_at_once() {
    let (code, stderr) = end(command("postgres://u:hunter2@db.example/m")
        .env("MERCURIO_ADDR", "nowhere")
        .env("MERCURIO_MAX_BATCH_EVENTS", "0")
        .env("MERCURIO_MAX_BATCH_EVENT", "50"));
    assert_eq!(code, 64);
    for name in
        ["DATABASE_URL", "MERCURIO_ADDR", "MERCURIO_MAX_BATCH_EVENTS", "MERCURIO_MAX_BATCH_EVENT:"]
    {
        assert!(
            cfg!(feature = "tls") && name == "DATABASE_URL" || stderr.contains(name),
            "{name}: {stderr}"
        );
    }
    assert!(!stderr.contains("hunter2"), "{stderr}");
}

#[test]
fn unavailable_database_is_reported() {
    // Closed at once: nothing listens on this port.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, stderr) = end(&mut command(&format!("postgres://u@{free}/m?sslmode=disable")));
    assert_eq!(code, 69, "{stderr}");
}

#[test]
fn folder_without_write_access_is_reported_by_its_name() {
    // Not even root can create anything there.
    let (code, stderr) = end(&mut command("sqlite:///proc/nowhere/mercurio.db"));
    assert_eq!(code, 69, "{stderr}");
    assert!(stderr.contains("/proc/nowhere") && stderr.contains("can't create"), "{stderr}");
}

/// Runs a statement as the owner of the database.
fn psql(database: &TestDatabase, statement: &str) {
    let mut psql = Command::new("psql");
    let output = psql
        .args(["-qX", "-v", "ON_ERROR_STOP=1", "-c", statement, &database.url_text()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn read_only_database_serves_reads_and_refuses_events() {
    let deployment = Deployment::postgres();
    psql(
        &deployment.database,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$",
    );
    let server = deployment.start();
    let mut client = Client::connect(server.addr).unwrap();
    let answer = client.batch(&["a".to_owned()], &deployment.key).unwrap();
    assert_eq!((answer.status, answer.json["code"].as_str()), (503, Some("storage_unavailable")));
    assert!(answer.retry_after.is_some());
    assert_eq!(client.get("/health/ready", "").unwrap().status, 503);
    let page = client.get("/v1/events", &deployment.key).unwrap();
    assert_eq!(
        (page.status, page.json["events"].as_array().map(Vec::len)),
        (200, Some(0)),
        "reads still work"
    );
    server.signal("INT");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn command_line_helps_and_refuses_unknown_options() {
    let sqlite = TestDatabase::sqlite();
    assert_eq!(end(command(&sqlite.url_text()).arg("--help")).0, 0);
    assert_eq!(end(command(&sqlite.url_text()).arg("--version")).0, 0);
    for (argument, expected) in [
        ("--healtcheck", "did you mean --healthcheck?"),
        ("--nonsense", "--nonsense"),
        ("serve", "Settings come from the environment"),
    ] {
        let (code, stderr) = end(command(&sqlite.url_text()).arg(argument));
        assert_eq!(code, 64);
        assert!(stderr.contains(argument) && stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn version_names_commit_target_and_features() {
    for option in ["-V", "--version"] {
        let output = command("sqlite://never-opened.db").arg(option).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<(&str, &str)> =
            text.lines().filter_map(|line| line.split_once(' ')).collect();
        let [(program, version), (_, commit), (_, target), (_, features)] = lines[..] else {
            panic!("{text}");
        };
        assert_eq!((program, version), ("mercurio-ingest", env!("CARGO_PKG_VERSION")));
        let commit = commit.trim();
        let is_hash = commit.len() >= 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_hash || commit == "unknown", "{text}");
        assert!(target.contains("linux"), "{text}");
        assert_eq!(features.trim(), if cfg!(feature = "tls") { "tls" } else { "none" });
    }
}

#[test]
fn name_in_an_address_is_served_on_each_of_its_addresses() {
    let deployment = Deployment::sqlite();
    let port = free_port();
    let server = Server::with(
        command(&deployment.database.url_text()).env("MERCURIO_ADDR", format!("localhost:{port}")),
    );
    for addr in ("localhost", port).to_socket_addrs().unwrap() {
        // A machine without IPv6 may still have `::1` as an address of `localhost`.
        if TcpListener::bind((addr.ip(), 0)).is_ok() {
            let answer = Client::connect(addr).unwrap().get("/health/ready", "").unwrap();
            assert_eq!(answer.status, 200, "{addr}");
        }
    }
    assert_eq!(server.addr.port(), port);
}

#[test]
fn address_that_cannot_be_used_is_reported_with_the_way_out() {
    let sqlite = TestDatabase::empty_sqlite();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (setting, value, expected) in [
        ("MERCURIO_ADDR", &*taken, "set MERCURIO_ADDR to another port"),
        ("MERCURIO_MANAGEMENT_ADDR", &taken, "set MERCURIO_MANAGEMENT_ADDR to another port"),
        // TEST-NET-1, which no interface has (RFC 5737).
        ("MERCURIO_ADDR", "192.0.2.1:8080", "0.0.0.0:8080 for all interfaces"),
        ("MERCURIO_ADDR", "nowhere.invalid:8080", "such as 127.0.0.1:8080"),
    ] {
        let (code, stderr) = end(command(&sqlite.url_text()).env(setting, value));
        assert_eq!(code, 1, "{stderr}");
        let start = format!("mercurio-ingest: {setting}: ");
        assert!(stderr.starts_with(&start) && stderr.contains(expected), "{stderr}");
        assert!(stderr.contains(value), "{stderr}");
    }
}

#[test]
fn client_of_a_starting_server_waits_for_its_response() {
    let deployment = Deployment::sqlite();
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("places.mmdb");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let port = free_port();
    // The start waits for the file until the test writes it.
    let mut command = command(&deployment.database.url_text());
    command.env("MERCURIO_ADDR", format!("127.0.0.1:{port}")).env("MERCURIO_GEOIP_DB", &fifo);
    std::thread::scope(|scope| {
        let starting = scope.spawn(move || Server::with(&mut command));
        let mut client =
            wait_for("the socket is bound", || TcpStream::connect(("127.0.0.1", port)));
        client
            .write_all(b"GET /health/ready HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .unwrap();
        client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert!(client.read(&mut [0]).is_err(), "no response before the start is complete");
        std::fs::write(
            &fifo,
            include_bytes!("../../../../crates/enrichment/tests/data/places.mmdb"),
        )
        .unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        drop(starting.join().unwrap());
    });
}

/// A role for a server with some of its rights. Dropping it removes it.
struct Role<'a> {
    database: &'a TestDatabase,
    name: String,
}

impl<'a> Role<'a> {
    fn create(database: &'a TestDatabase, name: &str, rights: &str) -> Self {
        let name = format!("{name}_{}", std::process::id());
        let rights = rights.replace("ROLE", &name);
        database.execute(&format!(
            "DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN BYPASSRLS;
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}; {rights}"
        ));
        Self { database, name }
    }

    fn url(&self) -> String {
        self.database.url_text().replace("postgres@", &format!("{}@", self.name))
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        self.database.execute(&format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name));
    }
}

#[test]
fn missing_privileges_are_reported_at_start_and_in_health() {
    let Deployment { database, .. } = Deployment::postgres();
    let rights =
        "GRANT INSERT ON event_keys, rejections TO ROLE; GRANT INSERT, DELETE ON count_log TO ROLE;
        GRANT INSERT, UPDATE ON rejection_counts TO ROLE;
        GRANT INSERT, UPDATE, DELETE ON event_counts, tenant_usage TO ROLE;
        GRANT UPDATE (last_used_at) ON api_keys TO ROLE";
    let role = Role::create(&database, "incomplete", rights);
    let server = Server::start(&role.url());
    let line = server.line("row security not in force");
    assert_eq!((&line["level"], &line["reason"]), (&"warning".into(), &"not_granted".into()));
    assert!(line["advice"].as_str().unwrap().contains("GRANT mercurio_reader"), "{line}");
    let line = server.line("database privileges missing");
    assert_eq!(line["privileges"], json!(["INSERT on events"]), "{line}");
    let health = Client::connect(server.addr).unwrap().get("/health", "").unwrap();
    let expected = json!({
        "status": "degraded", "row_security": "not_granted", "missing": ["INSERT on events"],
    });
    assert_eq!((health.status, &health.json["status"]), (200, &"degraded".into()), "{health:?}");
    assert_eq!(health.json["checks"]["privileges"], expected);
    drop(server);

    database.execute(&format!(
        "GRANT mercurio_reader TO {0}; GRANT INSERT ON events TO {0}",
        role.name
    ));
    let server = Server::start(&role.url());
    let health = Client::connect(server.addr).unwrap().get("/health", "").unwrap();
    let expected = json!({"status": "ok", "row_security": "in_force", "missing": []});
    assert_eq!(health.json["checks"]["privileges"], expected);
    assert_eq!(health.json["status"], "ok");
    let warnings = server.matching(|line| line["level"] == "warning");
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn tls_on_the_http_port_is_logged_once() {
    let deployment = Deployment::sqlite();
    let server = deployment.start();
    for _ in 0..3 {
        let url = format!("https://{}/health/live", server.addr);
        let output = Command::new("curl").args(["-sS", &url]).output().unwrap();
        // CURLE_SSL_CONNECT_ERROR
        assert_eq!(output.status.code(), Some(35), "{output:?}");
    }
    let line = server.line("TLS on the HTTP port");
    assert_eq!((&line["level"], &line["client_ip"]), (&"warning".into(), &"127.0.0.0".into()));
    assert!(line["advice"].as_str().unwrap().contains("http://"), "{line}");
    server.signal("INT");
    let (_, stdout, _) = server.wait();
    assert_eq!(stdout.iter().filter(|line| line.contains("TLS on the HTTP port")).count(), 1);
    assert!(!stdout.iter().any(|line| line.contains(r#""msg":"request""#)), "{stdout:?}");
}

fn check_two_at_once(url: &str) -> Vec<String> {
    let servers: Vec<_> = std::thread::scope(|scope| {
        let start = || Server::with(command(url).env("MERCURIO_AUTO_MIGRATE", "true"));
        let starting: Vec<_> = (0..2).map(|_| scope.spawn(start)).collect();
        starting.into_iter().map(|server| server.join().unwrap()).collect()
    });
    let mut outputs = Vec::new();
    for server in servers {
        let mut client = Client::connect(server.addr).unwrap();
        assert_eq!(client.get("/health/ready", "").unwrap().status, 200);
        server.signal("INT");
        let (status, _, stderr) = server.wait();
        assert_eq!(status.code(), Some(0));
        outputs.push(stderr);
    }
    outputs
}

#[test]
fn two_servers_started_at_once_on_an_empty_database_both_serve() {
    // Both servers find the database empty; only one may create the tenant.
    let sqlite = TestDatabase::empty_sqlite();
    let greetings = check_two_at_once(&sqlite.url_text());
    assert_eq!(
        greetings.iter().filter(|stderr| key_in(stderr).is_some()).count(),
        1,
        "{greetings:?}"
    );
    let postgres = TestDatabase::empty_postgres();
    // On PostgreSQL the first run creates no tenant, so nothing is printed.
    assert_eq!(check_two_at_once(&postgres.url_text()), ["", ""]);
}
