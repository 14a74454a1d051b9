//! Values as `/health` and Prometheus read them.

use super::*;
use crate::logging::request_line::EventCounts;

fn events(accepted: u64, duplicates: u64, rejected: u64) -> EventCounts {
    EventCounts { accepted, duplicates, rejected }
}

/// Fails unless each of `lines` is a line of the text.
#[track_caller]
fn has(metrics: &Metrics, reading: &ServerReading, lines: &[&str]) {
    let text = metrics.render(reading);
    for line in lines {
        assert!(text.lines().any(|found| found == *line), "{line} in\n{text}");
    }
}

#[test]
fn snapshot_and_text_have_the_same_values() {
    let metrics = Metrics::new();
    metrics.record_events(Some(7), events(3, 2, 1));
    metrics.record_events(None, events(10, 0, 0));
    for (size, bytes) in [(5, 500), (50, 5_000), (7, 700)] {
        metrics.record_group(size, bytes, Duration::from_millis(4));
    }
    // One connection stays open, the other closes at once.
    let kept = metrics.open_connection();
    drop(metrics.open_connection());
    for reason in REFUSAL_REASONS {
        metrics.record_refused_key(reason);
    }
    metrics.record_rate_limited("events");
    metrics.record_quota_exceeded();
    let expected = Snapshot {
        events_accepted: 13,
        events_duplicate: 2,
        events_rejected: 1,
        groups: 3,
        group_events: 62,
        group_events_max: 50,
        connections_open: 1,
        keys_malformed: 2,
        // Each of the six reasons occurs once.
        keys_invalid: 4,
        rate_limited: 1,
        quota_exceeded: 1,
    };
    assert_eq!(metrics.snapshot(), expected);
    has(
        &metrics,
        &ServerReading::default(),
        &[
            "# TYPE mercurio_events_total counter",
            "mercurio_events_total{verdict=\"accepted\"} 13",
            "mercurio_tenant_events_total{tenant_id=\"7\",verdict=\"duplicate\"} 2",
            // Buckets are cumulative: 5, then 5 and 7, then also 50.
            "mercurio_writer_group_events_bucket{le=\"5\"} 1",
            "mercurio_writer_group_events_bucket{le=\"10\"} 2",
            "mercurio_writer_group_events_bucket{le=\"+Inf\"} 3",
            "mercurio_writer_group_events_count 3",
            "mercurio_writer_group_bytes_sum 6200",
            // The duration of 4 ms lies between these two bounds.
            "mercurio_writer_commit_duration_seconds_bucket{le=\"0.0025\"} 0",
            "mercurio_writer_commit_duration_seconds_bucket{le=\"0.005\"} 3",
            "mercurio_writer_commit_duration_seconds_sum 0.012",
            "mercurio_http_connections_open 1",
            "mercurio_rate_limited_total{limit=\"requests\"} 0",
            "mercurio_rate_limited_total{limit=\"events\"} 1",
            "mercurio_quota_exceeded_total 1",
            "mercurio_api_keys_refused_total{reason=\"expired\"} 1",
        ],
    );
    drop(kept);
    assert_eq!(metrics.snapshot().connections_open, 0);
}

#[test]
fn requests_have_a_route_and_unusual_methods_share_a_label() {
    let metrics = Metrics::new();
    metrics.record_request("POST", Some("/v1/events/batch"), 200, Duration::from_millis(1));
    metrics.record_request("POST", Some("/v1/events/batch"), 503, Duration::from_millis(30));
    // Clients choose the method; the last one tries to break out of its label.
    for method in ["BREW", "post", "?", "\"} 1\n"] {
        metrics.record_request(method, None, 404, Duration::ZERO);
    }
    has(
        &metrics,
        &ServerReading::default(),
        &[
            "mercurio_http_requests_total{method=\"POST\",route=\"/v1/events/batch\",status=\"503\"} 1",
            "mercurio_http_requests_total{method=\"other\",route=\"none\",status=\"404\"} 4",
            "mercurio_http_request_duration_seconds_bucket{route=\"/v1/events/batch\",le=\"0.001\"} 1",
            "mercurio_http_request_duration_seconds_count{route=\"/v1/events/batch\"} 2",
        ],
    );
    assert_eq!(metrics.request_quantile(1.0), Duration::from_millis(50), "the bucket of 30 ms");
    let median = metrics.request_quantile(0.5);
    // Four of six requests took no time.
    assert!(median <= Duration::from_micros(100), "all routes count: {median:?}");
}

#[test]
fn tenants_beyond_the_bound_share_a_series() {
    let metrics = Metrics::with(&MetricSettings { max_tenants: 2, ..MetricSettings::default() });
    // Tenants 1 and 2 come first, so 3 and 4 share a series.
    for tenant in [1, 2, 3, 4, 1, 3] {
        metrics.record_events(Some(tenant), events(1, 0, 0));
    }
    let text = metrics.render(&ServerReading::default());
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.contains("tenant_id") && line.contains("accepted"))
        .collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (tenant, number) in [("1", 2), ("2", 1), ("other", 3)] {
        let line = format!(
            "mercurio_tenant_events_total{{tenant_id=\"{tenant}\",verdict=\"accepted\"}} {number}"
        );
        assert!(lines.contains(&line.as_str()), "{line}: {lines:?}");
    }
}

#[test]
fn observations_of_many_threads_are_all_counted() {
    let metrics = Metrics::new();
    std::thread::scope(|scope| {
        for thread in 1..=4 {
            let metrics = &metrics;
            scope.spawn(move || {
                for _ in 0..10_000 {
                    metrics.record_group(thread, thread, Duration::ZERO);
                }
            });
        }
        // Scrapes run during the updates.
        for _ in 0..100 {
            drop(metrics.render(&ServerReading::default()));
        }
    });
    let snapshot = metrics.snapshot();
    // The events are 10,000 times 1 + 2 + 3 + 4.
    assert_eq!((snapshot.groups, snapshot.group_events), (40_000, 100_000));
    assert_eq!(snapshot.group_events_max, 4);
}

#[test]
fn readings_of_absent_parts_are_missing() {
    let text = Metrics::new().render(&ServerReading::default());
    for absent in [
        "redis",
        "storage_free",
        "storage_pool",
        "retention_last_run",
        "counts_summed",
        "quota_used",
    ] {
        assert!(!text.contains(absent), "{absent}");
    }
}

#[test]
fn readings_of_other_parts_are_rendered() {
    let metrics = Metrics::with(&MetricSettings {
        rejection_codes: vec!["required"],
        ..MetricSettings::default()
    });
    metrics.record_rejections("too_long", 2);
    metrics.record_body("gzip", 100, 1000);
    let reading = ServerReading {
        ready: true,
        pools: vec![PoolReading { pool: "read", busy: 3, idle: 5 }],
        storage_free_bytes: Some(1 << 40),
        key_cache_misses: 4,
        quotas_used: vec![(7, 0.25)],
        redis: Some(RedisReading { up: false, servers: 2, fallbacks: 9 }),
        writer: WriterReading { queue_bytes: 17, likely_duplicates: 6, ..WriterReading::default() },
        retention: RetentionReading {
            removed_events: 8,
            removed_event_keys: 7,
            removed_rejections: 6,
            last_run_seconds: Some(1_795_000_000),
        },
        counts_summed_at_seconds: Some(1_795_000_001),
        ..ServerReading::default()
    };
    has(
        &metrics,
        &reading,
        &[
            "mercurio_ready 1",
            "mercurio_writer_queue_bytes 17",
            "mercurio_writer_likely_duplicates_total 6",
            "mercurio_storage_pool_connections{pool=\"read\",state=\"busy\"} 3",
            "mercurio_storage_free_bytes 1099511627776",
            "mercurio_key_cache_lookups_total{result=\"miss\"} 4",
            "mercurio_tenant_quota_used_ratio{tenant_id=\"7\"} 0.25",
            "mercurio_retention_removed_events_total 8",
            "mercurio_retention_removed_event_keys_total 7",
            "mercurio_retention_removed_rejections_total 6",
            "mercurio_retention_last_run_timestamp_seconds 1795000000",
            "mercurio_counts_summed_timestamp_seconds 1795000001",
            "mercurio_redis_up 0",
            "mercurio_redis_fallbacks_total 9",
            // A code from the settings has a series before its first event.
            "mercurio_event_rejections_total{code=\"required\"} 0",
            "mercurio_event_rejections_total{code=\"too_long\"} 2",
            "mercurio_http_body_encoded_bytes_total{encoding=\"gzip\"} 100",
            "mercurio_http_body_decoded_bytes_total{encoding=\"gzip\"} 1000",
            concat!("mercurio_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ],
    );
}
