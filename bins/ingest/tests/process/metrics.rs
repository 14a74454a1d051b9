//! What Prometheus gets to see: the numbers of what was sent, in a form that its own tool accepts, as the document says.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::server::{House, Server, command};

/// Metrics that exist with one database alone.
const OF_ONE_DATABASE: [&str; 2] =
    ["mercurio_storage_free_bytes", "mercurio_counts_summed_timestamp_seconds"];

/// Longer than a connection lingers.
const PATIENCE: Duration = Duration::from_secs(20);

/// Types of metrics by name, as the text says.
fn types(text: &str) -> BTreeMap<String, String> {
    let told = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    told.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// The same, as the tables of the document say.
fn documented() -> BTreeMap<String, String> {
    let rows = include_str!("../../../../docs/metrics.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    let row = |row: &str| {
        let (name, rest) = row.split_once("` | ")?;
        Some((name.to_owned(), rest.split(' ').next()?.to_owned()))
    };
    rows.filter_map(row).collect()
}

/// The sum of the samples whose name and labels begin so.
pub(crate) fn sum(text: &str, start: &str) -> f64 {
    let samples = text.lines().filter(|line| line.starts_with(start));
    samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[track_caller]
fn promtool_accepts(text: &str) {
    let mut promtool = Command::new("promtool");
    promtool
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child =
        promtool.spawn().expect("promtool is there: it comes with Debian's package prometheus");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{told}\n{text}");
}

/// Sends something of every kind, and looks at the numbers.
fn check(house: &House, of_database: &str) {
    let mut redis = command(&house.database.url_text());
    // Nobody listens there: the server says so, and goes on.
    redis.env("MERCURIO_REDIS_URL", "redis://127.0.0.1:1/0").env("MERCURIO_MONTHLY_EVENTS", "1000");
    let server = Server::with(&mut redis);
    let mut client = Client::connect(server.addr).unwrap();
    let ids = ["a", "b", "a"].map(str::to_owned);
    assert_eq!(client.batch(&ids, &house.key).unwrap().json["duplicates"], 1);
    let rejected =
        r#"{"events":[{"event_name":"n","user_id":"u"},{"user_id":" ","nonsense":1,"more":2}]}"#;
    assert_eq!(client.post("/v1/events/batch", &house.key, rejected).unwrap().json["rejected"], 1);
    assert_eq!(client.post("/v1/events/batch", "", rejected).unwrap().status, 401);
    assert_eq!(client.get("/v1/events/none?auth=secret", &house.key).unwrap().status, 404);
    assert_eq!(client.get("/secret/path", "").unwrap().status, 404);

    let mut answer = client.get("/metrics", "").unwrap();
    // The connection whose request was refused before its body was read is still being closed, and retention begins beside it all.
    let start = Instant::now();
    let is_settled = |text: &str| {
        sum(text, "mercurio_http_connections_open") <= 1.0
            && sum(text, "mercurio_retention_last_run_timestamp_seconds") > 0.0
            && sum(text, of_database) > 0.0
    };
    while !is_settled(&answer.body) && start.elapsed() < PATIENCE {
        answer = client.get("/metrics", "").unwrap();
    }
    assert_eq!(
        (answer.status, answer.content_type.as_str()),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    let text = answer.body;
    promtool_accepts(&text);
    for (start, expected) in [
        ("mercurio_events_total{verdict=\"accepted\"}", 3.0),
        ("mercurio_tenant_events_total{tenant_id=\"1\",verdict=\"duplicate\"}", 1.0),
        ("mercurio_event_rejections_total{code=\"unknown_field\"}", 1.0),
        ("mercurio_event_rejections_total{code=\"required\"}", 1.0),
        (
            "mercurio_http_requests_total{method=\"POST\",route=\"/v1/events/batch\",status=\"200\"}",
            2.0,
        ),
        (
            "mercurio_http_requests_total{method=\"GET\",route=\"/v1/events/{event_id}\",status=\"404\"}",
            1.0,
        ),
        ("mercurio_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"}", 1.0),
        ("mercurio_tenant_quota_used_ratio{tenant_id=\"1\"}", 0.003),
        ("mercurio_batch_events_sum", 5.0),
        ("mercurio_writer_group_events_sum", 4.0),
        ("mercurio_writer_queue_wait_seconds_count", 2.0),
        ("mercurio_api_keys_refused_total{reason=\"malformed\"}", 1.0),
        ("mercurio_http_connections_open", 1.0),
        ("mercurio_ready", 1.0),
        ("mercurio_redis_up", 0.0),
    ] {
        assert_eq!(sum(&text, start), expected, "{start}\n{text}");
    }
    assert!(sum(&text, "mercurio_writer_commit_duration_seconds_sum") > 0.0);
    assert!(sum(&text, "mercurio_storage_pool_connections{pool=\"write\"") >= 1.0, "{text}");
    assert!(
        !text.contains("secret") && !text.contains(&house.key) && !text.contains("nonsense"),
        "{text}"
    );

    let (told, mut documented) = (types(&text), documented());
    documented.retain(|name, _| !OF_ONE_DATABASE.contains(&name.as_str()) || name == of_database);
    assert_eq!(told, documented, "docs/metrics.md has exactly what is told");
}

#[test]
fn an_address_for_operators_takes_metrics_and_health_off_the_public_one() {
    let house = House::sqlite();
    let server = Server::with(
        command(&house.database.url_text()).env("MERCURIO_MANAGEMENT_ADDR", "127.0.0.1:0"),
    );
    let (public, management) = (server.addr, server.second_addr());
    let status = |addr, path| Client::connect(addr).unwrap().get(path, "").unwrap().status;
    for path in ["/metrics", "/health"] {
        assert_eq!((status(public, path), status(management, path)), (404, 200), "{path}");
    }
    for path in ["/health/live", "/health/ready"] {
        assert_eq!((status(public, path), status(management, path)), (200, 200), "{path}");
    }
    assert_eq!(status(management, "/v1/limits"), 404);
}

#[test]
fn prometheus_gets_what_the_document_says_on_sqlite() {
    check(&House::sqlite(), "mercurio_storage_free_bytes");
}

#[test]
fn prometheus_gets_what_the_document_says_on_postgres() {
    check(&House::postgres(), "mercurio_counts_summed_timestamp_seconds");
}
