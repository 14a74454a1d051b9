//! Recording: what a server counts as it happens.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Metrics;
use crate::logging::request_line::EventCounts;

/// The `route` of a request that matched none.
const NO_ROUTE: &str = "none";
/// Values of `method`; all others are `other`, since clients choose them.
const METHODS: [&str; 7] = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"];

impl Metrics {
    /// Counts the verdicts of a request, in total and for its tenant.
    pub fn record_events(&self, tenant_id: Option<i64>, events: EventCounts) {
        self.accepted.inc_by(events.accepted);
        self.duplicate.inc_by(events.duplicates);
        self.rejected.inc_by(events.rejected);
        if let Some(tenant_id) = tenant_id {
            self.tenants.record(tenant_id, events);
        }
    }

    /// Counts events rejected with `code`.
    pub fn record_rejections(&self, code: &'static str, events: u64) {
        self.rejections.with_label_values(&[code]).inc_by(events);
    }

    /// Counts the events of a write request, before their verdicts are known.
    pub fn record_batch(&self, events: usize) {
        self.batch_events.observe(events as f64);
    }

    /// Counts a request of a client of another service and its events. Both labels have a bounded
    /// number of values.
    pub fn record_foreign(&self, protocol: &'static str, library: &'static str, events: usize) {
        self.foreign_requests.with_label_values(&[protocol, library]).inc();
        self.foreign_events.with_label_values(&[protocol, library]).inc_by(events as u64);
    }

    /// Counts a finished request. `route` is the matched pattern, never a path.
    pub fn record_request(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        let route = route.unwrap_or(NO_ROUTE);
        self.requests.with_label_values(&[method, route, &status.to_string()]).inc();
        self.request_time.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// Counts a received body.
    pub fn record_body(&self, encoding: &'static str, encoded_bytes: u64, decoded_bytes: u64) {
        self.body_bytes.observe(decoded_bytes as f64);
        self.encoded_bytes.with_label_values(&[encoding]).inc_by(encoded_bytes);
        self.decoded_bytes.with_label_values(&[encoding]).inc_by(decoded_bytes);
    }

    /// Counts a request without a valid API key, or with one for other pages. `docs/metrics.md` lists the reasons.
    pub fn record_refused_key(&self, reason: &'static str) {
        self.keys_refused.with_label_values(&[reason]).inc();
    }

    /// Counts a request over a rate limit of its tenant. `docs/metrics.md` lists the limits.
    pub fn record_rate_limited(&self, limit: &'static str) {
        self.rate_limited.with_label_values(&[limit]).inc();
    }

    /// Counts a request over the monthly quota of its tenant.
    pub fn record_quota_exceeded(&self) {
        self.quota_exceeded.inc();
    }

    /// Records how long a request waited for its transaction.
    pub fn record_queue_wait(&self, waited: Duration) {
        self.queue_wait.observe(waited.as_secs_f64());
    }

    /// Records a committed group.
    pub fn record_group(&self, events: u64, bytes: u64, took: Duration) {
        self.group_events.observe(events as f64);
        self.group_events_max.fetch_max(events, Ordering::Relaxed);
        self.group_bytes.observe(bytes as f64);
        self.commit_time.observe(took.as_secs_f64());
    }

    /// Counts a group that failed and is split in half.
    pub fn record_split(&self) {
        self.splits.inc();
    }

    /// Counts requests answered with a database error.
    pub fn record_failed_submissions(&self, submissions: usize) {
        self.failed_submissions.inc_by(submissions as u64);
    }

    /// Counts a connection as open until the returned guard is dropped.
    #[must_use = "the connection counts as open while this lives"]
    pub fn open_connection(self: &Arc<Self>) -> OpenConnection {
        self.connections_open.inc();
        OpenConnection(Arc::clone(self))
    }
}

/// An open connection. Dropping it counts the connection as closed.
#[derive(Debug)]
pub struct OpenConnection(Arc<Metrics>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections_open.dec();
    }
}
