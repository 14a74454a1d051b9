//! Measures what a flood of rejected events from one tenant costs the server and another tenant.
//! Prints its figures; run with `--ignored --nocapture`, optimized and on a quiet machine.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mercurio_domain::testing::{at, provisioning};
use rustix::param::clock_ticks_per_second;
use serde_json::Value;

use crate::client::Client;
use crate::server::{Deployment, Server, command};

/// Connections of the flood.
const CONNECTIONS: usize = 64;
/// Requests of 50 events a second: 50,000 events.
const REQUESTS_PER_SECOND: f64 = 1_000.0;
const DURATION: Duration = Duration::from_secs(10);

/// The figures of a phase.
#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
struct Figures {
    rejected_per_second: u64,
    cpu_seconds: f64,
    other_p50: Duration,
    other_p99: Duration,
    other_requests: usize,
    kept: u64,
}

fn cpu_seconds(server: &Server) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    // After the name in brackets: the fields from the third on.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    ticks as f64 / clock_ticks_per_second() as f64
}

fn flood(server: &Server, key: &str, is_over: &AtomicBool, sent: &AtomicU64) {
    let event = r#"{"event_name":"order_completed","user_id":7,"properties":{"total":129.9,"currency":"EUR"}}"#;
    let body = format!(r#"{{"events":[{}]}}"#, vec![event; 50].join(","));
    let mut client = Client::connect(server.addr).unwrap();
    let start = Instant::now();
    for request in 0.. {
        let due = f64::from(request) * CONNECTIONS as f64 / REQUESTS_PER_SECOND;
        let wait = Duration::from_secs_f64(due).saturating_sub(start.elapsed());
        std::thread::sleep(wait);
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let response = client.post("/v1/events/batch", key, &body).unwrap();
        assert_eq!(response.status, 422);
        sent.fetch_add(50, Ordering::Relaxed);
    }
}

/// Sends valid events one after another, and returns the times of their responses.
fn send_valid(server: &Server, key: &str) -> Vec<Duration> {
    let mut client = Client::connect(server.addr).unwrap();
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < DURATION {
        let begun = Instant::now();
        let event = r#"{"event_name":"n","user_id":"u"}"#;
        assert_eq!(client.post("/v1/events/track", key, event).unwrap().status, 200);
        times.push(begun.elapsed());
        std::thread::sleep(Duration::from_millis(5));
    }
    times.sort_unstable();
    times
}

fn measure(deployment: &Deployment, other: &str, days: &str, has_flood: bool) -> Figures {
    let mut command = command(&deployment.database.url_text());
    let server = Server::with(command.env("MERCURIO_REJECTION_DAYS", days));
    let (is_over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let before = cpu_seconds(&server);
    let times = std::thread::scope(|scope| {
        for _ in 0..if has_flood { CONNECTIONS } else { 0 } {
            scope.spawn(|| flood(&server, &deployment.key, &is_over, &sent));
        }
        let times = send_valid(&server, other);
        is_over.store(true, Ordering::Relaxed);
        times
    });
    let cpu_seconds = cpu_seconds(&server) - before;
    let metrics = Client::connect(server.addr).unwrap().get("/metrics", "").unwrap().body;
    let kept = metrics.lines().find_map(|line| {
        line.strip_prefix("mercurio_rejections_total{result=\"kept\"} ")?.parse().ok()
    });
    Figures {
        rejected_per_second: sent.into_inner() / DURATION.as_secs(),
        cpu_seconds,
        other_p50: times[times.len() / 2],
        other_p99: times[times.len() * 99 / 100],
        other_requests: times.len(),
        kept: kept.unwrap_or(0),
    }
}

fn check(deployment: &Deployment) {
    let (request, other) = provisioning("other", 2, at("2026-11-22T10:00:00Z"));
    deployment.database.store().provision(&request).unwrap();
    let phases = [("7", false), ("0", true), ("7", true), ("0", true), ("7", true)];
    for (days, has_flood) in phases {
        let figures = measure(deployment, other.expose(), days, has_flood);
        println!("days {days}, flood {has_flood}: {figures:?}");
    }
    let server = deployment.start();
    let mut client = Client::connect(server.addr).unwrap();
    let summary = client.get("/v1/rejections/summary", &deployment.key).unwrap().json;
    assert!(summary["rejected"].as_u64() > Some(0) && summary["groups"][0] != Value::Null);
    println!("counted: {}", summary["rejected"]);
}

#[test]
#[ignore = "measures"]
fn flood_on_sqlite() {
    check(&Deployment::sqlite());
}

#[test]
#[ignore = "measures"]
fn flood_on_postgres() {
    check(&Deployment::postgres());
}
