//! The numbers of the running process: one [`Metrics`], shared by `Arc`, filled from any thread without a lock.
//!
//! Used by the request path and the writer to count, by health checks and `/metrics` to read ([`Metrics::snapshot`]).
//! Not here: names and text of an exposition format; numbers per tenant.

use crate::histogram::LatencyHistogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters since the start of the process, and gauges. Recording never blocks and may be done from any thread.
#[derive(Debug, Default)]
pub struct Metrics {
    events_accepted: AtomicU64,
    events_duplicate: AtomicU64,
    events_rejected: AtomicU64,
    requests: [AtomicU64; 5],
    request_latency: LatencyHistogram,
    groups: AtomicU64,
    group_events: AtomicU64,
    group_events_max: AtomicU64,
    connections_open: AtomicU64,
    keys_malformed: AtomicU64,
    keys_invalid: AtomicU64,
    rate_limited: AtomicU64,
}

impl Metrics {
    /// All zero.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Counts what became of a request's events.
    pub fn record_events(&self, accepted: u64, duplicate: u64, rejected: u64) {
        self.events_accepted.fetch_add(accepted, Ordering::Relaxed);
        self.events_duplicate.fetch_add(duplicate, Ordering::Relaxed);
        self.events_rejected.fetch_add(rejected, Ordering::Relaxed);
    }

    /// Counts a finished request by the class of its status (100 to 599, else the nearest), and how long it took.
    pub fn record_request(&self, status: u16, latency: Duration) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.requests[class].fetch_add(1, Ordering::Relaxed);
        self.request_latency.record(latency);
    }

    /// Counts a request whose API key was refused: `invalid` where it had the form of one.
    pub fn record_refused_key(&self, invalid: bool) {
        let counter = if invalid { &self.keys_invalid } else { &self.keys_malformed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that was over its tenant's rate limit.
    pub fn record_rate_limited(&self) {
        self.rate_limited.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a group of submissions that the writer committed together.
    pub fn record_group(&self, events: u64) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.group_events.fetch_add(events, Ordering::Relaxed);
        self.group_events_max.fetch_max(events, Ordering::Relaxed);
    }

    /// Counts a connection as open for as long as the returned value lives.
    #[must_use = "the connection counts as open while this lives"]
    pub fn open_connection(self: &Arc<Self>) -> OpenConnection {
        self.connections_open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    /// The latencies of all finished requests.
    #[must_use]
    pub fn request_latency(&self) -> &LatencyHistogram {
        &self.request_latency
    }

    /// The numbers of now. Each is exact; two of them may be a moment apart.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Snapshot {
            events_accepted: get(&self.events_accepted),
            events_duplicate: get(&self.events_duplicate),
            events_rejected: get(&self.events_rejected),
            requests_by_class: self.requests.each_ref().map(get),
            groups: get(&self.groups),
            group_events: get(&self.group_events),
            group_events_max: get(&self.group_events_max),
            connections_open: get(&self.connections_open),
            keys_malformed: get(&self.keys_malformed),
            keys_invalid: get(&self.keys_invalid),
            rate_limited: get(&self.rate_limited),
        }
    }
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
    /// Finished requests with a status of 1xx, 2xx, 3xx, 4xx, 5xx, in this order.
    pub requests_by_class: [u64; 5],
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
}

/// An open connection; dropping it counts it as closed.
#[derive(Debug)]
pub struct OpenConnection(Arc<Metrics>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections_open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_counts_what_it_says() {
        let metrics = Metrics::new();
        metrics.record_events(3, 2, 1);
        metrics.record_events(10, 0, 0);
        for events in [5, 50, 7] {
            metrics.record_group(events);
        }
        let kept = metrics.open_connection();
        drop(metrics.open_connection());
        let snapshot = metrics.snapshot();
        assert_eq!((snapshot.events_accepted, snapshot.events_duplicate, snapshot.events_rejected), (13, 2, 1));
        assert_eq!((snapshot.groups, snapshot.group_events, snapshot.group_events_max), (3, 62, 50));
        assert_eq!(snapshot.connections_open, 1);
        metrics.record_refused_key(true);
        metrics.record_refused_key(false);
        metrics.record_refused_key(false);
        metrics.record_rate_limited();
        let refused = metrics.snapshot();
        assert_eq!((refused.keys_invalid, refused.keys_malformed, refused.rate_limited), (1, 2, 1));
        drop(kept);
        assert_eq!(metrics.snapshot().connections_open, 0);
    }

    #[test]
    fn requests_are_counted_by_the_class_of_their_status() {
        let metrics = Metrics::new();
        for status in [101, 200, 204, 304, 404, 422, 499, 500, 503, 0, 999] {
            metrics.record_request(status, Duration::from_millis(1));
        }
        assert_eq!(metrics.snapshot().requests_by_class, [2, 2, 1, 3, 3]);
        assert_eq!(metrics.request_latency().count(), 11);
    }
}
