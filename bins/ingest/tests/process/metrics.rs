//! `GET /metrics`: correct values after known traffic, a format accepted by promtool, and the names
//! of docs/metrics.md.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::server::{Deployment, Server, command};

/// Longer than a closing connection lingers.
const PATIENCE: Duration = Duration::from_secs(20);

/// Metrics of one database only.
const OF_SQLITE: &str = "mercurio_storage_free_bytes";
const OF_POSTGRES: &str = "mercurio_counts_summed_timestamp_seconds";

/// Types of metrics by name, from the text.
fn types(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// Types of metrics by name, from the tables of the document.
fn documented() -> BTreeMap<String, String> {
    let mut types = BTreeMap::new();
    for line in include_str!("../../../../docs/metrics.md").lines() {
        if let Some(row) = line.strip_prefix("| `")
            && let Some((name, rest)) = row.split_once("` | ")
            && let Some(kind) = rest.split(' ').next()
        {
            types.insert(name.to_owned(), kind.to_owned());
        }
    }
    types
}

/// Sums the samples whose name and labels begin with `start`.
pub(crate) fn sum(text: &str, start: &str) -> f64 {
    let samples = text.lines().filter(|line| line.starts_with(start));
    samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

fn is_settled(text: &str, documented: &BTreeMap<String, String>) -> bool {
    sum(text, "mercurio_http_connections_open") <= 1.0 && types(text) == *documented
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
        promtool.spawn().expect("promtool is installed: it is in Debian's package prometheus");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.is_empty(), "{printed}\n{text}");
}

/// Sends traffic of every kind, and checks the values. `missing` is the metric of the other
/// database.
fn check(deployment: &Deployment, missing: &str) {
    let mut redis = command(&deployment.database.url_text());
    // Nothing listens there: the metrics report it, and the server works.
    redis.env("MERCURIO_REDIS_URL", "redis://127.0.0.1:1/0").env("MERCURIO_MONTHLY_EVENTS", "1000");
    let server = Server::with(&mut redis);
    let mut client = Client::connect(server.addr).unwrap();
    let ids = ["a", "b", "a"].map(str::to_owned);
    assert_eq!(client.batch(&ids, &deployment.key).unwrap().json["duplicates"], 1);
    let rejected =
        r#"{"events":[{"event_name":"n","user_id":"u"},{"user_id":" ","nonsense":1,"more":2}]}"#;
    assert_eq!(
        client.post("/v1/events/batch", &deployment.key, rejected).unwrap().json["rejected"],
        1
    );
    // A client of another service, with an event of nobody.
    assert_eq!(client.post("/v1/track", &deployment.key, r#"{"event":"n"}"#).unwrap().status, 422);
    assert_eq!(client.post("/v1/events/batch", "", rejected).unwrap().status, 401);
    assert_eq!(client.get("/v1/events/none?auth=secret", &deployment.key).unwrap().status, 404);
    assert_eq!(client.get("/secret/path", "").unwrap().status, 404);

    let mut answer = client.get("/metrics", "").unwrap();
    // The server is still closing the connection of the unauthorized request, and its background
    // threads have just started.
    let start = Instant::now();
    let mut documented = documented();
    documented.remove(missing);
    while !is_settled(&answer.body, &documented) && start.elapsed() < PATIENCE {
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
        ("mercurio_event_rejections_total{code=\"required\"}", 2.0),
        ("mercurio_foreign_events_total{library=\"other\",protocol=\"segment\"}", 1.0),
        (
            "mercurio_http_requests_total{method=\"POST\",route=\"/v1/events/batch\",status=\"200\"}",
            2.0,
        ),
        (
            "mercurio_http_requests_total{method=\"GET\",route=\"/v1/events/{event_id}\",status=\"404\"}",
            1.0,
        ),
        ("mercurio_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"}", 1.0),
        // Three of 1,000 events.
        ("mercurio_tenant_quota_used_ratio{tenant_id=\"1\"}", 0.003),
        // Three, two and one: the request without a key was refused before its body.
        ("mercurio_batch_events_sum", 6.0),
        // A rejected event reaches no group.
        ("mercurio_writer_group_events_sum", 4.0),
        ("mercurio_writer_queue_wait_seconds_count", 2.0),
        // `Bearer` with an empty key is malformed, not missing.
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
        !text.contains("secret") && !text.contains(&deployment.key) && !text.contains("nonsense"),
        "{text}"
    );

    assert_eq!(types(&text), documented, "docs/metrics.md lists exactly the exported metrics");
}

#[test]
fn management_address_takes_metrics_off_the_public_one() {
    let deployment = Deployment::sqlite();
    let server = Server::with(
        command(&deployment.database.url_text()).env("MERCURIO_MANAGEMENT_ADDR", "127.0.0.1:0"),
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
fn docs_leave_the_public_address_if_set() {
    let deployment = Deployment::sqlite();
    for (public_docs, on_public) in [("true", 200), ("false", 404)] {
        let server = Server::with(
            command(&deployment.database.url_text())
                .env("MERCURIO_MANAGEMENT_ADDR", "127.0.0.1:0")
                .env("MERCURIO_PUBLIC_DOCS", public_docs),
        );
        let (public, management) = (server.addr, server.second_addr());
        let status = |addr, path| Client::connect(addr).unwrap().get(path, "").unwrap().status;
        for path in ["/docs", "/openapi.json"] {
            let statuses = (status(public, path), status(management, path));
            assert_eq!(statuses, (on_public, 200), "{public_docs} {path}");
        }
    }
}

#[test]
fn metrics_match_the_document_on_sqlite() {
    check(&Deployment::sqlite(), OF_POSTGRES);
}

#[test]
fn metrics_match_the_document_on_postgres() {
    check(&Deployment::postgres(), OF_SQLITE);
}
