//! The log of a running server: sampled rejections, slow requests, settings, levels changed by
//! signals, and lost lines.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use mercurio_domain::testing::{at, provisioning};
use mercurio_storage::testing::{wait_for, wait_until};
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Deployment, Server, command};

#[test]
fn rejected_events_are_sampled_without_their_content() {
    let deployment = Deployment::sqlite();
    let server = Server::with(
        command(&deployment.database.url_text()).env("MERCURIO_LOG_REJECTIONS_PER_SECOND", "3"),
    );
    let event =
        r#"{"event_name":"n","user_id":"u","someone@example.com":"secret words","properties":{}}"#;
    let body = format!("{{\"events\":[{}]}}", vec![event; 20].join(","));
    assert_eq!(
        Client::connect(server.addr)
            .unwrap()
            .post("/v1/events/batch", &deployment.key, &body)
            .unwrap()
            .status,
        422
    );
    let closing = server.line("request");
    let lines = server.lines("event rejected");
    assert_eq!(lines.len(), 3, "{lines:?}");
    for key in ["request_id", "tenant_id", "workspace_id", "key_id"] {
        assert!(
            lines[0][key].is_string() && lines[0][key] == closing[key],
            "{key}: {lines:?} {closing}"
        );
    }
    assert_eq!(
        (&lines[1]["code"], &lines[1]["pointer"]),
        // The name of an unknown member is the client's own text, so `*` replaces it.
        (&json!("unknown_field"), &json!("/events/1/*"))
    );
    server.signal("INT");
    let (_, stdout, _) = server.wait();
    assert!(stdout.iter().all(|line| !line.contains("someone@") && !line.contains("secret words")));
}

#[test]
fn flood_of_refusals_leaves_few_lines_with_its_size() {
    const PER_SECOND: usize = 3;
    let deployment = Deployment::sqlite();
    let server = Server::with(
        command(&deployment.database.url_text())
            .env("MERCURIO_LOG_REFUSALS_PER_SECOND", PER_SECOND.to_string()),
    );
    // Well-formed, but of no stored tenant.
    let (_, unknown) = provisioning("stranger", 9, at("2026-11-22T10:00:00Z"));
    let mut client = Client::connect(server.addr).unwrap();
    let (start, mut sent) = (Instant::now(), 0);
    let refused = |line: &Value| line["status"] == 401 || line["msg"] == "API key refused";
    let omitted = |line: &Value| line["not_logged"].as_u64().unwrap_or(0);
    // Ends with the first lines of a later second, which report the omitted ones.
    while server.matching(refused).iter().filter(|line| omitted(line) > 0).count() < 2 {
        assert_eq!(client.get("/v1/limits", unknown.expose()).unwrap().status, 401);
        sent += 1;
        assert!(start.elapsed() < Duration::from_secs(60));
    }
    // A tenant's own requests are logged even then.
    assert_eq!(client.batch(&["a".to_owned()], &deployment.key).unwrap().status, 200);
    assert_eq!(server.line_where(|line| line["status"] == 200)["tenant_id"], "1");
    let seconds = start.elapsed().as_secs() as usize + 1;
    for message in ["request", "API key refused"] {
        let lines = server.matching(|line| refused(line) && line["msg"] == message);
        assert!(lines.len() <= PER_SECOND * seconds, "{} lines in {seconds} s", lines.len());
        let known = lines.len() as u64 + lines.iter().map(omitted).sum::<u64>();
        // The lines of the last second may still be omitted.
        assert!(known > sent / 2 && known <= sent, "{known} of {sent}");
    }
    let metrics = client.get("/metrics", "").unwrap().body;
    let counted = metrics.lines().find_map(|line| {
        let (series, number) = line.split_once(' ')?;
        series.contains("/v1/limits").then_some(())?;
        series.starts_with("mercurio_http_requests_total").then(|| number.parse::<u64>().unwrap())
    });
    assert_eq!(counted, Some(sent));
}

#[test]
fn slow_request_is_logged_with_the_time_of_each_stage() {
    let deployment = Deployment::sqlite();
    let server =
        Server::with(command(&deployment.database.url_text()).env("MERCURIO_SLOW_REQUEST_MS", "1"));
    // One of 500 commits should take a millisecond, even on a fast disk.
    let mut client = Client::connect(server.addr).unwrap();
    for number in 0..500 {
        client.batch(&[format!("e{number}")], &deployment.key).unwrap();
        if !server.lines("slow request").is_empty() {
            break;
        }
    }
    let slow = server.line("slow request");
    let parts = ["auth_ms", "receive_ms", "parse_ms", "enrich_ms", "queue_ms", "commit_ms"]
        .map(|key| slow[key].as_f64());
    let sum: f64 = parts.iter().map(|part| part.expect("a stored request has every stage")).sum();
    let whole = slow["duration_ms"].as_f64().unwrap();
    assert!(whole >= 1.0 && sum <= whole + 0.1, "{slow}");
    assert_eq!((&slow["level"], &slow["route"]), (&json!("warning"), &json!("/v1/events/batch")));
}

#[test]
fn settings_are_logged_without_their_secrets() {
    let deployment = Deployment::sqlite();
    let mut command = command(&deployment.database.url_text());
    let server = Server::with(
        command
            .env("MERCURIO_REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
            .env("MERCURIO_MAX_BATCH_EVENTS", "7"),
    );
    let settings = &server.line("settings loaded")["settings"];
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
fn key_in_a_path_reaches_neither_log_nor_metrics() {
    let deployment = Deployment::sqlite();
    let mut command = command(&deployment.database.url_text());
    let server = Server::with(command.env("MERCURIO_LOG_LEVEL", "debug"));
    let mut client = Client::connect(server.addr).unwrap();
    let key = &deployment.key;
    for path in ["config.js", "config/", "unknown.js"] {
        let expected = if path == "unknown.js" { 404 } else { 200 };
        let response = client.get(&format!("/array/{key}/{path}"), key).unwrap();
        assert_eq!(response.status, expected, "{path}");
        assert!(!response.body.contains(key.as_str()), "{path}");
    }
    let body = format!("{{\"token\":\"{key}\"}}");
    assert_eq!(client.post("/flags/?v=2&token=x", key, &body).unwrap().status, 200);
    wait_until("four requests", || server.lines("request").len() >= 4);
    let routes: Vec<_> = server.lines("request").iter().map(|line| line["route"].clone()).collect();
    assert_eq!(routes[..2], ["/array/{key}/config.js", "/array/{key}/config"]);
    let metrics = client.get("/metrics", key).unwrap().body;
    assert!(metrics.contains("/array/{key}/config.js") && !metrics.contains(key.as_str()));
    server.signal("INT");
    let (_, stdout, stderr) = server.wait();
    assert!(
        stdout.iter().all(|line| !line.contains(key.as_str())) && !stderr.contains(key.as_str())
    );
}

#[test]
fn signals_change_the_log_level_and_hang_up_is_ignored() {
    let deployment = Deployment::sqlite();
    let server = deployment.start();
    let mut client = Client::connect(server.addr).unwrap();
    client.batch(&["a".to_owned()], &deployment.key).unwrap();
    server.signal("HUP");
    assert_eq!(server.line("signal ignored")["signal"], "SIGHUP");
    // Groups are logged at level debug.
    assert_eq!(server.lines("group committed").len(), 0);
    server.signal("USR1");
    assert_eq!(server.line("log level changed")["log_level"], "debug");
    client.batch(&["b".to_owned()], &deployment.key).unwrap();
    server.line("group committed");
    for expected in ["info", "warning"] {
        server.signal("USR2");
        let is_changed = || server.line("log level changed")["log_level"] == expected;
        wait_until(expected, is_changed);
    }
    let before = server.lines("request").len();
    client.batch(&["c".to_owned()], &deployment.key).unwrap();
    server.signal("USR1");
    wait_until("the fourth change", || server.lines("log level changed").len() >= 4);
    assert_eq!(server.lines("request").len(), before, "no line of level info at level warning");
}

#[test]
fn second_stop_signal_skips_the_shutdown_delay() {
    let deployment = Deployment::sqlite();
    let server = Server::with(
        // Five minutes: without the second signal, the test would hang.
        command(&deployment.database.url_text()).env("MERCURIO_SHUTDOWN_DELAY_SECONDS", "300"),
    );
    server.signal("TERM");
    server.line("shutdown started");
    server.signal("TERM");
    let (status, stdout, _) = server.wait();
    assert_eq!(status.code(), Some(0), "{stdout:?}");
}

fn free_addr() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Connects to a server once it listens, without reading its log.
fn connect(child: &mut Child, addr: SocketAddr) -> Client {
    wait_for("the server listens", || {
        assert_eq!(child.try_wait().unwrap(), None, "the server runs");
        Client::connect(addr)
    })
}

#[test]
fn unread_log_delays_neither_requests_nor_shutdown() {
    let (deployment, addr) = (Deployment::sqlite(), free_addr());
    // Nobody reads its stdout, so the pipe fills up.
    let mut child = command(&deployment.database.url_text())
        .env("MERCURIO_ADDR", addr.to_string())
        .spawn()
        .unwrap();
    let mut client = connect(&mut child, addr);
    // More lines than the pipe and the queue hold.
    for _ in 0..6_000 {
        assert_eq!(client.get("/v1/limits", &deployment.key).unwrap().status, 200);
    }
    let metrics = client.get("/metrics", "").unwrap().body;
    let dropped = metrics
        .lines()
        .find_map(|line| line.strip_prefix("mercurio_log_lines_dropped_total "))
        .unwrap();
    assert!(dropped.parse::<u64>().unwrap() > 0, "{dropped}");
    assert_eq!(client.batch(&["a".to_owned()], &deployment.key).unwrap().status, 200);
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
