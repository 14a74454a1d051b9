//! Every series used by rules, alerts and dashboards in deploy/ and by docs/runbooks/ exists: in
//! this server, or in a named exporter.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::client::Client;
use crate::server::{Deployment, Server, command};

/// Series of other programs, each with its exporter.
const OF_EXPORTERS: [(&str, &str); 6] = [
    ("node_filesystem_avail_bytes", "node_exporter"),
    ("node_filesystem_size_bytes", "node_exporter"),
    ("pg_settings_max_connections", "postgres_exporter"),
    ("pg_stat_activity_count", "postgres_exporter"),
    ("pg_up", "postgres_exporter"),
    ("probe_ssl_earliest_cert_expiry", "blackbox_exporter"),
];

/// Series of a server on PostgreSQL only; `metrics.rs` checks that it exports them.
const POSTGRES_ONLY: [&str; 1] = ["mercurio_counts_summed_timestamp_seconds"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files that use series, by name.
fn files() -> BTreeMap<String, String> {
    let prometheus = root().join("deploy/prometheus");
    let mut paths: Vec<PathBuf> =
        ["rules.yml", "alerts.yml", "alerts.test.yml"].map(|name| prometheus.join(name)).into();
    for folder in ["deploy/grafana/dashboards", "docs/runbooks"] {
        let before = paths.len();
        paths.extend(
            std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()),
        );
        assert!(paths.len() > before, "{folder} has files");
    }
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// Finds the series in a text, by their prefixes.
fn series(text: &str) -> BTreeSet<&str> {
    let words =
        text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_' || char == ':'));
    let prefixes = ["mercurio_", "mercurio:", "process_", "node_", "pg_", "probe_"];
    words
        .filter(|word| {
            prefixes.iter().any(|prefix| word.starts_with(prefix) && word.len() > prefix.len())
        })
        .filter(|word| !word.ends_with("_exporter"))
        .collect()
}

/// The series in a metrics response. A histogram has three.
fn exported(page: &str) -> BTreeSet<String> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let parts = types.flat_map(|(name, kind)| match kind {
        "histogram" => ["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")).to_vec(),
        _ => vec![name.to_owned()],
    });
    parts.collect()
}

/// The series recorded by the rules.
fn recorded(rules: &str) -> BTreeSet<String> {
    rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn series_used_by_rules_alerts_and_dashboards_exist() {
    // With SQLite, Redis and a quota, each of which has metrics of its own.
    let deployment = Deployment::sqlite();
    let mut with_all = command(&deployment.database.url_text());
    with_all
        .env("MERCURIO_REDIS_URL", "redis://127.0.0.1:1/0")
        .env("MERCURIO_MONTHLY_EVENTS", "1000");
    let server = Server::with(&mut with_all);
    // A series with labels exists after its first count.
    let mut client = Client::connect(server.addr).unwrap();
    let some = r#"{"events":[{"event_name":"n","user_id":"u"},{"nonsense":1}]}"#;
    assert_eq!(client.post("/v1/events/batch", &deployment.key, some).unwrap().json["rejected"], 1);
    let page = client.get("/metrics", "").unwrap().body;
    let files = files();
    let mut known = exported(&page);
    known.extend(recorded(&files["rules.yml"]));
    known.extend(OF_EXPORTERS.map(|(name, _)| name.to_owned()));
    known.extend(POSTGRES_ONLY.map(str::to_owned));
    let missing: Vec<String> = files
        .iter()
        .flat_map(|(file, text)| series(text).into_iter().map(move |name| (file, name)))
        // A page may also name functions of PostgreSQL.
        .filter(|(file, name)| {
            !(known.contains(*name) || (file.ends_with(".md") && name.starts_with("pg_")))
        })
        .map(|(file, name)| format!("{file}: {name}"))
        .collect();
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
    let used: BTreeSet<&str> = files.values().flat_map(|text| series(text)).collect();
    let unused: Vec<&str> = OF_EXPORTERS
        .map(|(name, _)| name)
        .into_iter()
        .filter(|name| !used.contains(name))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn recorded_rules_are_all_used() {
    let files = files();
    let used: BTreeSet<&str> = files
        .iter()
        .filter(|(file, _)| *file != "rules.yml")
        .flat_map(|(_, text)| series(text))
        .collect();
    let recorded = recorded(&files["rules.yml"]);
    let unused: Vec<&String> =
        recorded.iter().filter(|name| !used.contains(name.as_str())).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn series_are_found_in_expressions_but_not_in_prose() {
    let text = r#"sum(rate(mercurio_events_total{job="mercurio"}[5m])) / mercurio:queue_used:ratio and mercurio_ "mercurio-tenant" pg_up"#;
    let found: Vec<&str> = series(text).into_iter().collect();
    assert_eq!(found, ["mercurio:queue_used:ratio", "mercurio_events_total", "pg_up"]);
    let page = "# TYPE a counter\na 1\n# TYPE b histogram\nb_bucket{le=\"1\"} 1\n";
    assert_eq!(
        exported(page).into_iter().collect::<Vec<_>>(),
        ["a", "b_bucket", "b_count", "b_sum"]
    );
}
