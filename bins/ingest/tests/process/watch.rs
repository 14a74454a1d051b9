//! What the log tells of a running process, how its level is moved, and what readiness says of the schema.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use mercurio_storage::testing::TestDatabase;
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{House, Server, command};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn rejected_events_are_told_a_few_a_second_with_whose_they_are_and_never_what_was_sent() {
    let house = House::sqlite();
    let server = Server::with(
        command(&house.database.url_text()).env("MERCURIO_LOG_REJECTIONS_PER_SECOND", "3"),
    );
    let event =
        r#"{"event_name":"n","user_id":"u","someone@example.com":"secret words","properties":{}}"#;
    let body = format!("{{\"events\":[{}]}}", vec![event; 20].join(","));
    assert_eq!(
        Client::connect(server.addr)
            .unwrap()
            .post("/v1/events/batch", &house.key, &body)
            .unwrap()
            .status,
        422
    );
    let closing = server.line("request");
    let told = server.lines("an event was rejected");
    assert_eq!(told.len(), 3, "{told:?}");
    for key in ["request_id", "tenant_id", "workspace_id", "key_id"] {
        assert!(
            told[0][key].is_string() && told[0][key] == closing[key],
            "{key}: {told:?} {closing}"
        );
    }
    assert_eq!(
        (&told[1]["code"], &told[1]["pointer"]),
        (&json!("unknown_field"), &json!("/events/1/*"))
    );
    server.signal("INT");
    let (_, stdout, _) = server.wait();
    assert!(stdout.iter().all(|line| !line.contains("someone@") && !line.contains("secret words")));
}

#[test]
fn a_slow_request_tells_where_its_time_went() {
    let house = House::sqlite();
    let server =
        Server::with(command(&house.database.url_text()).env("MERCURIO_SLOW_REQUEST_MS", "1"));
    // With the first look at the key and the disk, one of them takes a millisecond.
    let mut client = Client::connect(server.addr).unwrap();
    for number in 0..500 {
        client.batch(&[format!("e{number}")], &house.key).unwrap();
        if !server.lines("slow request").is_empty() {
            break;
        }
    }
    let slow = server.line("slow request");
    let parts = ["auth_ms", "receive_ms", "parse_ms", "enrich_ms", "queue_ms", "commit_ms"]
        .map(|key| slow[key].as_f64());
    let sum: f64 = parts
        .iter()
        .map(|part| part.expect("a request that was stored went through every stage"))
        .sum();
    let whole = slow["duration_ms"].as_f64().unwrap();
    assert!(whole >= 1.0 && sum <= whole + 0.1, "{slow}");
    assert_eq!((&slow["level"], &slow["route"]), (&json!("warning"), &json!("/v1/events/batch")));
}

#[test]
fn the_settings_in_force_are_told_without_their_secrets() {
    let house = House::sqlite();
    let mut command = command(&house.database.url_text());
    let server = Server::with(
        command
            .env("MERCURIO_REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
            .env("MERCURIO_MAX_BATCH_EVENTS", "7"),
    );
    let settings = &server.line("settings in force")["settings"];
    assert_eq!(settings["MERCURIO_MAX_BATCH_EVENTS"], "7");
    assert_eq!(
        (&settings["MERCURIO_SLOW_REQUEST_MS"], &settings["MERCURIO_GEOIP_DB"]),
        (&json!("1000"), &Value::Null)
    );
    assert!(settings["MERCURIO_REDIS_URL"].is_string());
    server.signal("INT");
    let (_, stdout, stderr) = server.wait();
    assert!(stdout.iter().all(|line| !line.contains("hunter2")) && !stderr.contains("hunter2"));
}

#[test]
fn signals_move_the_level_of_the_log_and_a_hang_up_ends_nothing() {
    let house = House::sqlite();
    let server = house.start();
    let mut client = Client::connect(server.addr).unwrap();
    client.batch(&["a".to_owned()], &house.key).unwrap();
    server.signal("HUP");
    assert_eq!(
        server.line("a signal changes nothing: settings are read at start")["signal"],
        "SIGHUP"
    );
    assert_eq!(server.lines("committed a group").len(), 0);
    server.signal("USR1");
    assert_eq!(server.line("the level of the log was changed")["log_level"], "debug");
    client.batch(&["b".to_owned()], &house.key).unwrap();
    server.line("committed a group");
    for expected in ["info", "warning"] {
        server.signal("USR2");
        let deadline = Instant::now() + PATIENCE;
        while server.line("the level of the log was changed")["log_level"] != expected {
            assert!(Instant::now() < deadline, "{expected}");
        }
    }
    let before = server.lines("request").len();
    client.batch(&["c".to_owned()], &house.key).unwrap();
    server.signal("USR1");
    let deadline = Instant::now() + PATIENCE;
    while server.lines("the level of the log was changed").len() < 4 {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(server.lines("request").len(), before, "nothing of level info was told meanwhile");
}

#[test]
fn told_to_stop_a_second_time_it_waits_no_longer() {
    let house = House::sqlite();
    let server = Server::with(
        command(&house.database.url_text()).env("MERCURIO_SHUTDOWN_DELAY_SECONDS", "300"),
    );
    server.signal("TERM");
    server.line("told to stop");
    server.signal("TERM");
    let (status, stdout, _) = server.wait();
    assert_eq!(status.code(), Some(0), "{stdout:?}");
}

fn free_addr() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Connects to a server whose log nobody reads, once it listens.
fn connect(child: &mut Child, addr: SocketAddr) -> Client {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(client) = Client::connect(addr) {
            return client;
        }
        assert!(
            Instant::now() < deadline && child.try_wait().unwrap().is_none(),
            "the server listens"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_requests_nor_the_end() {
    let (house, addr) = (House::sqlite(), free_addr());
    let mut child =
        command(&house.database.url_text()).env("MERCURIO_ADDR", addr.to_string()).spawn().unwrap();
    let mut client = connect(&mut child, addr);
    // More than the pipe and the queue of lines hold.
    for _ in 0..6_000 {
        assert_eq!(client.get("/health/live", "").unwrap().status, 200);
    }
    let metrics = client.get("/metrics", "").unwrap().body;
    let dropped = metrics
        .lines()
        .find_map(|line| line.strip_prefix("mercurio_log_lines_dropped_total "))
        .unwrap();
    assert!(dropped.parse::<u64>().unwrap() > 0, "{dropped}");
    assert_eq!(client.batch(&["a".to_owned()], &house.key).unwrap().status, 200);
    let start = Instant::now();
    assert!(
        Command::new("sh")
            .arg("-c")
            .arg(format!("kill -INT {}", child.id()))
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr, "");
}

fn check_schema(database: &TestDatabase) {
    let server = Server::start(&database.url_text());
    let mut client = Client::connect(server.addr).unwrap();
    let mut wait_for = |status: u16| {
        let deadline = Instant::now() + PATIENCE;
        while client.get("/health/ready", "").unwrap().status != status {
            assert!(Instant::now() < deadline, "readiness is {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    wait_for(200);
    database.store().revert().unwrap();
    wait_for(503);
    assert_eq!(server.line("the schema of the database is not this program's")["level"], "error");
    database.store().migrate().unwrap();
    wait_for(200);
    server.line("the schema of the database is this program's again");
}

#[test]
fn a_schema_that_is_taken_back_under_a_server_makes_it_not_ready_until_it_is_there_again() {
    check_schema(&House::sqlite().database);
    check_schema(&House::postgres().database);
}
