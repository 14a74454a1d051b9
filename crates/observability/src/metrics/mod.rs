//! The numbers of the running process: one [`Metrics`], shared by `Arc`, filled from any thread.
//!
//! Used by the request path and the writer to count, by `/health` to read ([`Metrics::snapshot`]) and by `/metrics` to print
//! ([`Metrics::render`]): both look at the same numbers. What somebody else keeps already, such as the depth of a queue, is
//! asked when the numbers are printed, and comes as a [`Reading`]. Names and meanings: `docs/metrics.md`. Labels are bounded:
//! patterns of routes, fixed words, and the ids of so many tenants. Not here: HTTP, quantiles ([`histogram`]).

mod exposition;
pub mod histogram;
pub mod process;
mod reading;
mod tenants;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::logging::logger::DroppedLines;
use crate::logging::request_line::EventCounts;
use histogram::{Histogram, Measure, quantile};
use tenants::Tenants;

pub use reading::{PoolReading, Reading, RedisReading, RetentionReading, WriterReading};

/// What a route is called where none matched.
const NO_ROUTE: &str = "none";
/// Methods that have a name of their own in labels.
const METHODS: [&str; 7] = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"];

/// Content codings of bodies.
const ENCODINGS: [&str; 5] = ["identity", "gzip", "br", "zstd", "deflate"];

/// One label of a fixed name, whose value is one of a few words.
type Word = [(&'static str, &'static str); 1];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u32,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

/// Histograms of routes: those of the family, within reach.
type Routes = Arc<Mutex<Vec<Histogram>>>;

/// What can be set about the numbers.
#[derive(Clone, Debug)]
pub struct MetricSettings {
    /// How many tenants have numbers of their own; the rest are counted together.
    pub max_tenants: usize,
    /// The codes with which events are rejected, so that each has a number from the start.
    pub rejection_codes: Vec<&'static str>,
}

impl Default for MetricSettings {
    /// A hundred tenants; no codes.
    fn default() -> Self {
        Self { max_tenants: 100, rejection_codes: Vec::new() }
    }
}

/// Counters since the start of the process, and gauges. Recording never waits for long and may be done from any thread.
pub struct Metrics {
    registry: Registry,
    accepted: Counter,
    duplicate: Counter,
    rejected: Counter,
    rejections: Family<Word, Counter>,
    tenants: Tenants,
    requests: Family<RequestLabels, Counter>,
    request_time: Family<RouteLabel, Histogram, NewRoute>,
    routes: Routes,
    body_bytes: Histogram,
    encoded_bytes: Family<Word, Counter>,
    decoded_bytes: Family<Word, Counter>,
    connections_open: Gauge,
    batch_events: Histogram,
    queue_wait: Histogram,
    group_events: Histogram,
    group_bytes: Histogram,
    /// Exact, where the histogram is not.
    group_events_max: AtomicU64,
    commit_time: Histogram,
    splits: Counter,
    failed_submissions: Counter,
    keys_refused: Family<Word, Counter>,
    rate_limited: Family<Word, Counter>,
    quota_exceeded: Counter,
    log: OnceLock<DroppedLines>,
}

/// Makes the histogram of a route, and keeps a hand on it.
#[derive(Clone, Debug)]
struct NewRoute(Routes);

impl MetricConstructor<Histogram> for NewRoute {
    fn new_metric(&self) -> Histogram {
        let histogram = Histogram::new(Measure::Time);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(histogram.clone());
        histogram
    }
}

impl Metrics {
    /// All zero, with the default settings.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::with(&MetricSettings::default())
    }

    /// All zero.
    #[must_use]
    pub fn with(settings: &MetricSettings) -> Arc<Self> {
        let (events, routes) = (Family::<Word, Counter>::default(), Routes::default());
        let of_verdict = |verdict| events.get_or_create_owned(&[("verdict", verdict)]);
        let mut metrics = Self {
            registry: Registry::default(),
            accepted: of_verdict("accepted"),
            duplicate: of_verdict("duplicate"),
            rejected: of_verdict("rejected"),
            rejections: words("code", &settings.rejection_codes),
            tenants: Tenants::new(settings.max_tenants),
            requests: Family::default(),
            request_time: Family::new_with_constructor(NewRoute(Arc::clone(&routes))),
            routes,
            body_bytes: Histogram::new(Measure::Bytes),
            encoded_bytes: words("encoding", &ENCODINGS),
            decoded_bytes: words("encoding", &ENCODINGS),
            connections_open: Gauge::default(),
            batch_events: Histogram::new(Measure::Count),
            queue_wait: Histogram::new(Measure::Time),
            group_events: Histogram::new(Measure::Count),
            group_bytes: Histogram::new(Measure::Bytes),
            group_events_max: AtomicU64::new(0),
            commit_time: Histogram::new(Measure::Time),
            splits: Counter::default(),
            failed_submissions: Counter::default(),
            keys_refused: words(
                "reason",
                &["missing", "malformed", "unknown", "expired", "revoked"],
            ),
            rate_limited: words("limit", &["requests", "events"]),
            quota_exceeded: Counter::default(),
            log: OnceLock::new(),
        };
        let mut registry = Registry::with_prefix("mercurio");
        metrics.register(&mut registry, events);
        metrics.registry = registry;
        Arc::new(metrics)
    }

    fn register(&self, registry: &mut Registry, events: Family<Word, Counter>) {
        registry.register("events", "Events, by what became of them", events);
        registry.register(
            "event_rejections",
            "Rejected events, by what was wrong",
            self.rejections.clone(),
        );
        registry.register(
            "tenant_events",
            "Events of a tenant, by what became of them",
            self.tenants.family(),
        );
        registry.register("http_requests", "Finished requests", self.requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "From the head of a request to the head of its answer",
            self.request_time.clone(),
        );
        registry.register(
            "http_request_body_bytes",
            "Size of a body after decompression",
            self.body_bytes.clone(),
        );
        registry.register(
            "http_body_encoded_bytes",
            "Bytes of bodies as they were sent",
            self.encoded_bytes.clone(),
        );
        registry.register(
            "http_body_decoded_bytes",
            "Bytes of bodies after decompression",
            self.decoded_bytes.clone(),
        );
        registry.register(
            "http_connections_open",
            "Connections of clients",
            self.connections_open.clone(),
        );
        registry.register("batch_events", "Events of a request", self.batch_events.clone());
        registry.register(
            "writer_queue_wait_seconds",
            "From the queue to the beginning of the transaction",
            self.queue_wait.clone(),
        );
        registry.register(
            "writer_group_events",
            "Events of a transaction",
            self.group_events.clone(),
        );
        registry.register(
            "writer_group_bytes",
            "Bytes of the events of a transaction",
            self.group_bytes.clone(),
        );
        registry.register(
            "writer_commit_duration_seconds",
            "Length of a transaction",
            self.commit_time.clone(),
        );
        registry.register(
            "writer_splits",
            "Groups that failed and were halved",
            self.splits.clone(),
        );
        registry.register(
            "writer_failed_submissions",
            "Requests whose events could not be written, or are not known to be",
            self.failed_submissions.clone(),
        );
        registry.register(
            "api_keys_refused",
            "Requests whose API key opens nothing",
            self.keys_refused.clone(),
        );
        registry.register(
            "rate_limited",
            "Requests above a limit of their tenant",
            self.rate_limited.clone(),
        );
        registry.register(
            "quota_exceeded",
            "Requests refused by the monthly quota of their tenant",
            self.quota_exceeded.clone(),
        );
    }

    /// Tells where lost log lines are counted. Only the first call counts.
    pub fn watch_log(&self, dropped: DroppedLines) {
        self.log.set(dropped).ok();
    }

    /// Counts what became of a request's events, for all and for the tenant of that id.
    pub fn record_events(&self, tenant_id: Option<i64>, events: EventCounts) {
        self.accepted.inc_by(events.accepted);
        self.duplicate.inc_by(events.duplicates);
        self.rejected.inc_by(events.rejected);
        if let Some(tenant_id) = tenant_id {
            self.tenants.record(tenant_id, events);
        }
    }

    /// Counts events that were rejected for that code, one of a bounded number of codes.
    pub fn record_rejections(&self, code: &'static str, events: u64) {
        self.rejections.get_or_create(&[("code", code)]).inc_by(events);
    }

    /// Counts the events that a request has, whatever becomes of them.
    pub fn record_batch(&self, events: usize) {
        self.batch_events.record(events as u64);
    }

    /// Counts a finished request and how long it took. `route` is the pattern that matched.
    pub fn record_request(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        let route = route.unwrap_or(NO_ROUTE).to_owned();
        let labels = RequestLabels { method, route, status: u32::from(status) };
        self.requests.get_or_create(&labels).inc();
        self.request_time.get_or_create(&RouteLabel { route: labels.route }).record_time(took);
    }

    /// Counts a body that was read: its encoding's name, its bytes as sent and after decompression.
    pub fn record_body(&self, encoding: &'static str, encoded_bytes: u64, decoded_bytes: u64) {
        self.body_bytes.record(decoded_bytes);
        let label = [("encoding", encoding)];
        self.encoded_bytes.get_or_create(&label).inc_by(encoded_bytes);
        self.decoded_bytes.get_or_create(&label).inc_by(decoded_bytes);
    }

    /// Counts a request whose API key was refused, by one of the reasons in `docs/metrics.md`.
    pub fn record_refused_key(&self, reason: &'static str) {
        self.keys_refused.get_or_create(&[("reason", reason)]).inc();
    }

    /// Counts a request that was over a limit of its tenant: `requests` or `events`.
    pub fn record_rate_limited(&self, limit: &'static str) {
        self.rate_limited.get_or_create(&[("limit", limit)]).inc();
    }

    /// Counts a request refused by the monthly quota of its tenant.
    pub fn record_quota_exceeded(&self) {
        self.quota_exceeded.inc();
    }

    /// Counts how long a request's events waited for a writer thread.
    pub fn record_queue_wait(&self, waited: Duration) {
        self.queue_wait.record_time(waited);
    }

    /// Counts a group of submissions that the writer committed together.
    pub fn record_group(&self, events: u64, bytes: u64, took: Duration) {
        self.group_events.record(events);
        self.group_events_max.fetch_max(events, Ordering::Relaxed);
        self.group_bytes.record(bytes);
        self.commit_time.record_time(took);
    }

    /// Counts a group that failed and is written in halves.
    pub fn record_split(&self) {
        self.splits.inc();
    }

    /// Counts submissions that were answered with an error of the store.
    pub fn record_failed_submissions(&self, submissions: usize) {
        self.failed_submissions.inc_by(submissions as u64);
    }

    /// Counts a connection as open for as long as the returned value lives.
    #[must_use = "the connection counts as open while this lives"]
    pub fn open_connection(self: &Arc<Self>) -> OpenConnection {
        self.connections_open.inc();
        OpenConnection(Arc::clone(self))
    }

    /// The time that the share `q` of all finished requests did not exceed, within 5 %.
    #[must_use]
    pub fn request_quantile(&self, q: f64) -> Duration {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Duration::from_nanos(quantile(&routes, q))
    }

    /// The numbers of now. Each is exact; two of them may be a moment apart.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let refused = |reason| self.keys_refused.get_or_create(&[("reason", reason)]).get();
        let limited = |limit| self.rate_limited.get_or_create(&[("limit", limit)]).get();
        Snapshot {
            events_accepted: self.accepted.get(),
            events_duplicate: self.duplicate.get(),
            events_rejected: self.rejected.get(),
            groups: self.group_events.count(),
            group_events: self.group_events.sum(),
            group_events_max: self.group_events_max.load(Ordering::Relaxed),
            connections_open: u64::try_from(self.connections_open.get()).unwrap_or(0),
            keys_malformed: refused("missing") + refused("malformed"),
            keys_invalid: refused("unknown") + refused("expired") + refused("revoked"),
            rate_limited: limited("requests") + limited("events"),
            over_quota: self.quota_exceeded.get(),
        }
    }

    /// All numbers in the text format of Prometheus, version 0.0.4; with them those of `reading` and of the process.
    #[must_use]
    pub fn render(&self, reading: &Reading) -> String {
        let mut asked = Registry::with_prefix("mercurio");
        let dropped = self.log.get().map_or(0, DroppedLines::get);
        reading.register(&mut asked, dropped);
        let mut process = Registry::with_prefix("process");
        reading::register_process(&mut process);
        exposition::text(&[&self.registry, &asked, &process])
    }
}

/// A family with a number for each of these words from the start.
fn words(label: &'static str, words: &[&'static str]) -> Family<Word, Counter> {
    let family = Family::<Word, Counter>::default();
    for word in words {
        drop(family.get_or_create(&[(label, *word)]));
    }
    family
}

/// The numbers of a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Events stored.
    pub events_accepted: u64,
    /// Events that were stored before.
    pub events_duplicate: u64,
    /// Events refused.
    pub events_rejected: u64,
    /// Groups the writer committed.
    pub groups: u64,
    /// Events in all these groups.
    pub group_events: u64,
    /// Events in the largest of them.
    pub group_events_max: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Requests without an API key, or with something else in its place.
    pub keys_malformed: u64,
    /// Requests whose API key is unknown, expired or revoked.
    pub keys_invalid: u64,
    /// Requests that were over their tenant's rate limit.
    pub rate_limited: u64,
    /// Requests that were over their tenant's monthly quota.
    pub over_quota: u64,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.snapshot().fmt(f)
    }
}

/// An open connection; dropping it counts it as closed.
#[derive(Debug)]
pub struct OpenConnection(Arc<Metrics>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections_open.dec();
    }
}

#[cfg(test)]
mod tests;
