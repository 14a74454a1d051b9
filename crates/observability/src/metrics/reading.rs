//! Values kept by other parts of the server. Each scrape reads them and registers them in a
//! registry of its own.

use prometheus::Registry;

use super::registration::{counter, counters, float_counter, gauge, gauges};
use crate::metrics::process;

/// Values of the server's parts at one moment.
#[derive(Clone, Debug, Default)]
pub struct ServerReading {
    /// Whether the server can store events.
    pub ready: bool,
    /// The writer.
    pub writer: WriterReading,
    /// The request bodies in flight.
    pub bodies: BodiesReading,
    /// The pools of database connections.
    pub pools: Vec<PoolReading>,
    /// Free disk space for the database file; `None` without such a file.
    pub storage_free_bytes: Option<u64>,
    /// API key look-ups answered by the cache.
    pub key_cache_hits: u64,
    /// API key look-ups answered by the database.
    pub key_cache_misses: u64,
    /// Live tails.
    pub tails: TailsReading,
    /// Used share of the monthly quota, by tenant id.
    pub quotas_used: Vec<(i64, f64)>,
    /// `None` if servers do not share rate limits through Redis.
    pub redis: Option<RedisReading>,
    /// Deletion of expired events.
    pub retention: RetentionReading,
    /// Rejected events. `None`: the server keeps and counts none.
    pub rejections: Option<RejectionsReading>,
    /// Time when this server last summed `count_log`, in seconds since 1970. `None` without the
    /// counts lease.
    pub counts_summed_at_seconds: Option<u64>,
}

/// Live tails.
#[derive(Clone, Copy, Debug, Default)]
pub struct TailsReading {
    /// Open now.
    pub open: u64,
    /// Duplicates and rejected events that this server has passed on.
    pub notices: u64,
    /// Duplicates and rejected events that this server has not passed on.
    pub missed: u64,
}

/// Work of the retention thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct RetentionReading {
    /// Events removed for their age.
    pub removed_events: u64,
    /// Event keys removed for their age.
    pub removed_event_keys: u64,
    /// Kept rejected events removed for their age.
    pub removed_rejections: u64,
    /// Time of the last complete run, in seconds since 1970; before the first one, the time this
    /// server took the lease. `None` without the lease.
    pub last_run_seconds: Option<u64>,
}

/// What became of rejected events after their response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RejectionsReading {
    /// Events written to the database.
    pub kept: u64,
    /// Events over a bound: counted, not kept.
    pub counted: u64,
    /// Events to keep that were lost, because a write failed.
    pub dropped: u64,
    /// Events and requests whose counts were lost.
    pub dropped_counts: u64,
    /// Failed writes.
    pub write_failures: u64,
}

/// State of the writer and its queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriterReading {
    /// Whether it accepts events.
    pub available: bool,
    /// Events in the queue.
    pub queue_events: u64,
    /// Bytes in the queue.
    pub queue_bytes: u64,
    /// Maximum events in the queue.
    pub queue_capacity_events: u64,
    /// Transactions retried.
    pub retries: u64,
    /// Groups written the slower way.
    pub fallbacks: u64,
    /// Events recognized as likely duplicates before the write.
    pub likely_duplicates: u64,
}

/// Memory of request bodies.
#[derive(Clone, Copy, Debug, Default)]
pub struct BodiesReading {
    /// Bytes of bodies in flight.
    pub bytes: u64,
    /// Maximum bytes of bodies in flight.
    pub capacity_bytes: u64,
}

/// Load of a pool of database connections.
#[derive(Clone, Copy, Debug)]
pub struct PoolReading {
    /// `read` or `write`.
    pub pool: &'static str,
    /// Connections in use.
    pub busy: u64,
    /// Connections not in use.
    pub idle: u64,
}

/// State of the shared rate limits.
#[derive(Clone, Copy, Debug)]
pub struct RedisReading {
    /// Whether Redis decides rate limits now.
    pub up: bool,
    /// Servers that share the limits, as last reported by Redis.
    pub servers: u64,
    /// Requests decided by this server alone.
    pub fallbacks: u64,
}

impl ServerReading {
    /// Registers the values in the registry of one scrape.
    pub(super) fn register(&self, registry: &Registry, log_lines_dropped: u64) {
        gauge(registry, "ready", "1 if /health/ready answers 200, otherwise 0")
            .set(f64::from(self.ready));
        self.writer.register(registry);
        self.bodies.register(registry);
        let lookups = counters(
            registry,
            "key_cache_lookups_total",
            "API key look-ups; a miss queries the database",
            &["result"],
        );
        // The parts count themselves, so a counter of this scrape starts at their total.
        lookups.with_label_values(&["hit"]).inc_by(self.key_cache_hits);
        lookups.with_label_values(&["miss"]).inc_by(self.key_cache_misses);
        counter(
            registry,
            "log_lines_dropped_total",
            "Log lines lost because standard output was slow or failed",
        )
        .inc_by(log_lines_dropped);
        gauges(registry, "build_info", "Version of the program; always 1", &["version"])
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        self.register_storage(registry);
        self.tails.register(registry);
        let used = gauges(
            registry,
            "tenant_quota_used_ratio",
            "Used share of the monthly quota: 1 is all of it",
            &["tenant_id"],
        );
        // The caller bounds the tenants by `MERCURIO_METRICS_TENANTS`.
        for (tenant_id, share) in &self.quotas_used {
            used.with_label_values(&[tenant_id.to_string()]).set(*share);
        }
        self.retention.register(registry);
        if let Some(rejections) = self.rejections {
            rejections.register(registry);
        }
        // A server without the lease has no series, so it does not look stalled.
        if let Some(seconds) = self.counts_summed_at_seconds {
            gauge(
                registry,
                "counts_summed_timestamp_seconds",
                "Time of the last run over count_log, in seconds since 1970",
            )
            .set(seconds as f64);
        }
        // A server without Redis has no `redis_up`, so no alert fires for it.
        if let Some(redis) = self.redis {
            redis.register(registry);
        }
    }

    fn register_storage(&self, registry: &Registry) {
        let connections = gauges(
            registry,
            "storage_pool_connections",
            "Database connections by pool and state",
            &["pool", "state"],
        );
        for PoolReading { pool, busy, idle } in &self.pools {
            connections.with_label_values(&[*pool, "busy"]).set(*busy as f64);
            connections.with_label_values(&[*pool, "idle"]).set(*idle as f64);
        }
        // Only SQLite has a file of its own; PostgreSQL does not report free disk space.
        if let Some(bytes) = self.storage_free_bytes {
            gauge(registry, "storage_free_bytes", "Free disk space for the database file")
                .set(bytes as f64);
        }
    }
}

impl WriterReading {
    fn register(self, registry: &Registry) {
        gauge(registry, "writer_available", "1 while the writer accepts events, otherwise 0")
            .set(f64::from(self.available));
        gauge(registry, "writer_queue_events", "Events in the queue").set(self.queue_events as f64);
        gauge(registry, "writer_queue_bytes", "Bytes of events in the queue")
            .set(self.queue_bytes as f64);
        gauge(registry, "writer_queue_capacity_events", "Capacity of the queue in events")
            .set(self.queue_capacity_events as f64);
        counter(
            registry,
            "writer_retries_total",
            "Transactions retried after a conflict or a dead idle connection",
        )
        .inc_by(self.retries);
        counter(
            registry,
            "writer_fallbacks_total",
            "Groups written the slower way, because of a duplicate unknown to the server",
        )
        .inc_by(self.fallbacks);
        counter(
            registry,
            "writer_likely_duplicates_total",
            "Events recognized as likely duplicates before the write",
        )
        .inc_by(self.likely_duplicates);
    }
}

impl BodiesReading {
    fn register(self, registry: &Registry) {
        gauge(registry, "bodies_in_flight_bytes", "Bytes of request bodies in flight")
            .set(self.bytes as f64);
        gauge(
            registry,
            "bodies_in_flight_capacity_bytes",
            "Maximum bytes of request bodies in flight",
        )
        .set(self.capacity_bytes as f64);
    }
}

impl TailsReading {
    fn register(self, registry: &Registry) {
        gauge(registry, "tails_open", "Open live tails").set(self.open as f64);
        counter(
            registry,
            "tail_notices_total",
            "Duplicates and rejected events passed on to live tails, of this server or others",
        )
        .inc_by(self.notices);
        counter(
            registry,
            "tail_missed_total",
            "Duplicates and rejected events of watched workspaces that were not passed on",
        )
        .inc_by(self.missed);
    }
}

impl RetentionReading {
    fn register(self, registry: &Registry) {
        counter(
            registry,
            "retention_removed_events_total",
            "Events this server removed for their age",
        )
        .inc_by(self.removed_events);
        counter(
            registry,
            "retention_removed_event_keys_total",
            "Event keys this server removed, 30 days after their events",
        )
        .inc_by(self.removed_event_keys);
        counter(
            registry,
            "retention_removed_rejections_total",
            "Rejected events this server removed for their age",
        )
        .inc_by(self.removed_rejections);
        // Missing without the lease, like the time of the last sum.
        if let Some(seconds) = self.last_run_seconds {
            gauge(
                registry,
                "retention_last_run_timestamp_seconds",
                "Time of the last complete run, in seconds since 1970",
            )
            .set(seconds as f64);
        }
    }
}

impl RejectionsReading {
    fn register(self, registry: &Registry) {
        let events = counters(
            registry,
            "rejections_total",
            "Rejected events: kept in the database, only counted, or dropped by a failed write",
            &["result"],
        );
        events.with_label_values(&["kept"]).inc_by(self.kept);
        events.with_label_values(&["counted"]).inc_by(self.counted);
        events.with_label_values(&["dropped"]).inc_by(self.dropped);
        counter(
            registry,
            "rejections_dropped_counts_total",
            "Rejected events and refused requests missing from the counts of rejections",
        )
        .inc_by(self.dropped_counts);
        counter(
            registry,
            "rejections_write_failures_total",
            "Failed writes of rejected events and their counts",
        )
        .inc_by(self.write_failures);
    }
}

impl RedisReading {
    fn register(self, registry: &Registry) {
        gauge(registry, "redis_up", "1 while rate limits are decided by Redis, otherwise 0")
            .set(f64::from(self.up));
        gauge(registry, "redis_servers", "Servers that share the rate limits")
            .set(self.servers as f64);
        counter(registry, "redis_fallbacks_total", "Requests decided by this server alone")
            .inc_by(self.fallbacks);
    }
}

/// Registers the values of this process in the registry of one scrape; none without a readable
/// `/proc`.
pub(super) fn register_process(registry: &Registry) {
    let Some(reading) = process::read() else { return };
    gauge(registry, "resident_memory_bytes", "Resident memory")
        .set(reading.resident_memory_bytes as f64);
    gauge(registry, "virtual_memory_bytes", "Virtual memory")
        .set(reading.virtual_memory_bytes as f64);
    gauge(registry, "open_fds", "Open file descriptors").set(reading.open_fds as f64);
    if let Some(max) = reading.max_fds {
        gauge(registry, "max_fds", "Maximum open file descriptors").set(max as f64);
    }
    gauge(registry, "threads", "Threads").set(reading.threads as f64);
    gauge(registry, "start_time_seconds", "Start time of the process, in seconds since 1970")
        .set(reading.start_time_seconds);
    float_counter(registry, "cpu_seconds_total", "Total user and system CPU time")
        .inc_by(reading.cpu_seconds);
}
