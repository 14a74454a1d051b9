//! Metrics of this process: one [`Metrics`], shared by `Arc`, updated from any thread.
//!
//! `/health` reads them with [`Metrics::snapshot`], `/metrics` with [`Metrics::render`]. Values
//! that another part already keeps, such as the queue depth, are read per scrape and passed in as a
//! [`ServerReading`]. `docs/metrics.md` lists all names. Labels are bounded: route patterns, fixed
//! words and a limited number of tenant ids.

pub mod process;
mod quantile;
mod reading;
mod record;
mod registration;
mod tenants;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry, TextEncoder,
};

use crate::logging::logger::DroppedLines;
use registration::{
    BYTES, EVENTS, SECONDS, counter, counters, counters_from_zero, histogram, histograms,
    int_gauge, registry,
};
use tenants::TenantCounters;

pub use reading::{
    BodiesReading, PoolReading, RedisReading, RejectionsReading, RetentionReading, ServerReading,
    TailsReading, WriterReading,
};
pub use record::OpenConnection;

const ENCODINGS: [&str; 5] = ["identity", "gzip", "br", "zstd", "deflate"];
const REFUSAL_REASONS: [&str; 6] =
    ["missing", "malformed", "unknown", "expired", "revoked", "origin"];
const FOREIGN_LABELS: [&str; 2] = ["protocol", "library"];
const BODY_BOUNDS: [&str; 5] = ["server", "tenant", "unknown", "network", "decoding"];
const RATE_LIMITS: [&str; 5] = ["requests", "events", "reads", "concurrent_reads", "tails"];

/// Settings of the metrics.
#[derive(Clone, Debug)]
pub struct MetricSettings {
    /// Maximum tenants with their own series.
    pub max_tenants: usize,
    /// Codes of rejected events; each starts with a series at zero.
    pub rejection_codes: Vec<&'static str>,
}

impl Default for MetricSettings {
    /// 100 tenants, no codes.
    fn default() -> Self {
        Self { max_tenants: 100, rejection_codes: Vec::new() }
    }
}

/// Counters since the start of the process, and gauges. Updates are atomic and do not wait for a
/// scrape.
pub struct Metrics {
    registry: Registry,
    accepted: IntCounter,
    duplicate: IntCounter,
    rejected: IntCounter,
    rejections: IntCounterVec,
    tenants: TenantCounters,
    requests: IntCounterVec,
    request_time: HistogramVec,
    body_bytes: Histogram,
    encoded_bytes: IntCounterVec,
    decoded_bytes: IntCounterVec,
    connections_open: IntGauge,
    batch_events: Histogram,
    foreign_requests: IntCounterVec,
    foreign_events: IntCounterVec,
    queue_wait: Histogram,
    group_events: Histogram,
    group_bytes: Histogram,
    /// Exact; the histogram only knows the bucket.
    group_events_max: AtomicU64,
    commit_time: Histogram,
    splits: IntCounter,
    failed_submissions: IntCounter,
    keys_refused: IntCounterVec,
    bodies_refused: IntCounterVec,
    rate_limited: IntCounterVec,
    quota_exceeded: IntCounter,
    dropped_lines: OnceLock<DroppedLines>,
}

impl Metrics {
    /// Returns metrics with the default settings, all zero.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::with(&MetricSettings::default())
    }

    /// Returns metrics that are all zero.
    #[must_use]
    pub fn with(settings: &MetricSettings) -> Arc<Self> {
        let registry = registry("mercurio");
        let verdicts = ["accepted", "duplicate", "rejected"];
        let events = counters_from_zero(
            &registry,
            "events_total",
            "Events by verdict, counted with the response",
            "verdict",
            &verdicts,
        );
        Arc::new(Self {
            accepted: events.with_label_values(&["accepted"]),
            duplicate: events.with_label_values(&["duplicate"]),
            rejected: events.with_label_values(&["rejected"]),
            rejections: counters_from_zero(
                &registry,
                "event_rejections_total",
                "Rejected events by code",
                "code",
                &settings.rejection_codes,
            ),
            tenants: TenantCounters::register(&registry, settings.max_tenants),
            // Not from zero: every method, route and status together would make many idle series.
            requests: counters(
                &registry,
                "http_requests_total",
                "Finished requests",
                &["method", "route", "status"],
            ),
            // By route alone: a histogram has 19 series for each set of labels.
            request_time: histograms(
                &registry,
                "http_request_duration_seconds",
                "Time from the request head to the response head",
                SECONDS,
                "route",
            ),
            body_bytes: histogram(
                &registry,
                "http_request_body_bytes",
                "Body size after decompression",
                BYTES,
            ),
            encoded_bytes: counters_from_zero(
                &registry,
                "http_body_encoded_bytes_total",
                "Body bytes as sent",
                "encoding",
                &ENCODINGS,
            ),
            decoded_bytes: counters_from_zero(
                &registry,
                "http_body_decoded_bytes_total",
                "Body bytes after decompression",
                "encoding",
                &ENCODINGS,
            ),
            connections_open: int_gauge(
                &registry,
                "http_connections_open",
                "Open client connections",
            ),
            batch_events: histogram(
                &registry,
                "batch_events",
                "Events per write request, of any verdict",
                EVENTS,
            ),
            // Not from zero: few of the known libraries are in use.
            foreign_requests: counters(
                &registry,
                "foreign_requests_total",
                "Answered requests of clients of other services",
                &FOREIGN_LABELS,
            ),
            foreign_events: counters(
                &registry,
                "foreign_events_total",
                "Events of clients of other services, of any verdict",
                &FOREIGN_LABELS,
            ),
            queue_wait: histogram(
                &registry,
                "writer_queue_wait_seconds",
                "Time of a request in the queue, up to the start of its transaction",
                SECONDS,
            ),
            group_events: histogram(
                &registry,
                "writer_group_events",
                "Events per transaction",
                EVENTS,
            ),
            group_bytes: histogram(
                &registry,
                "writer_group_bytes",
                "Bytes of events per transaction",
                BYTES,
            ),
            group_events_max: AtomicU64::new(0),
            commit_time: histogram(
                &registry,
                "writer_commit_duration_seconds",
                "Duration of a transaction from start to commit",
                SECONDS,
            ),
            splits: counter(
                &registry,
                "writer_splits_total",
                "Groups split in half after the database refused them",
            ),
            failed_submissions: counter(
                &registry,
                "writer_failed_submissions_total",
                "Requests answered with a database error",
            ),
            keys_refused: counters_from_zero(
                &registry,
                "api_keys_refused_total",
                "Requests without a valid API key",
                "reason",
                &REFUSAL_REASONS,
            ),
            bodies_refused: counters_from_zero(
                &registry,
                "bodies_refused_total",
                "Request bodies refused because too many were in flight",
                "limit",
                &BODY_BOUNDS,
            ),
            rate_limited: counters_from_zero(
                &registry,
                "rate_limited_total",
                "Requests refused by a rate limit of their tenant",
                "limit",
                &RATE_LIMITS,
            ),
            quota_exceeded: counter(
                &registry,
                "quota_exceeded_total",
                "Requests refused by the monthly quota of their tenant",
            ),
            dropped_lines: OnceLock::new(),
            registry,
        })
    }

    /// Exports the number of dropped log lines from now on. Calls after the first have no effect.
    pub fn track_dropped_lines(&self, dropped: DroppedLines) {
        self.dropped_lines.set(dropped).ok();
    }

    /// Returns the duration that the share `q` of all requests did not exceed, interpolated within
    /// its bucket.
    #[must_use]
    pub fn request_quantile(&self, q: f64) -> Duration {
        Duration::from_secs_f64(quantile::quantile(&self.request_time.collect(), q))
    }

    /// Returns the current values. Two of them may be a moment apart.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let refused = |reason| self.keys_refused.with_label_values(&[reason]).get();
        let limited = |limit| self.rate_limited.with_label_values(&[limit]).get();
        Snapshot {
            events_accepted: self.accepted.get(),
            events_duplicate: self.duplicate.get(),
            events_rejected: self.rejected.get(),
            groups: self.group_events.get_sample_count(),
            // A double holds sums of whole numbers exactly up to 2^53.
            group_events: self.group_events.get_sample_sum() as u64,
            group_events_max: self.group_events_max.load(Ordering::Relaxed),
            // Each guard is counted once up and once down, so the gauge is never negative.
            connections_open: u64::try_from(self.connections_open.get()).unwrap_or(0),
            // `/health` has two groups: no readable key, and a readable key without access.
            keys_malformed: refused("missing") + refused("malformed"),
            keys_invalid: refused("unknown")
                + refused("expired")
                + refused("revoked")
                + refused("origin"),
            rate_limited: RATE_LIMITS.into_iter().map(limited).sum(),
            quota_exceeded: self.quota_exceeded.get(),
        }
    }

    /// Returns all metrics in the Prometheus text format 0.0.4, including `reading` and the values
    /// of the process.
    #[must_use]
    pub fn render(&self, reading: &ServerReading) -> String {
        // Registries of this scrape: a tenant or a lease may be gone at the next one.
        let server = registry("mercurio");
        reading.register(&server, self.dropped_lines.get().map_or(0, DroppedLines::get));
        let process = registry("process");
        reading::register_process(&process);
        // The text format allows a family once; the registries have disjoint names.
        let mut families = self.registry.gather();
        families.extend(server.gather());
        families.extend(process.gather());
        TextEncoder::new()
            .encode_to_string(&families)
            .expect("each gathered family has a name and a value")
    }
}

/// Values of [`Metrics`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Events stored.
    pub events_accepted: u64,
    /// Events stored before.
    pub events_duplicate: u64,
    /// Events refused.
    pub events_rejected: u64,
    /// Groups committed.
    pub groups: u64,
    /// Events in all groups.
    pub group_events: u64,
    /// Events in the largest group.
    pub group_events_max: u64,
    /// Open client connections.
    pub connections_open: u64,
    /// Requests with a missing or malformed API key.
    pub keys_malformed: u64,
    /// Requests with an unknown, expired or revoked API key.
    pub keys_invalid: u64,
    /// Requests over a rate limit of their tenant.
    pub rate_limited: u64,
    /// Requests over the monthly quota of their tenant.
    pub quota_exceeded: u64,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.snapshot().fmt(f)
    }
}

#[cfg(test)]
mod tests;
