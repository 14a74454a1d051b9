//! Numbers that others keep, asked for when the metrics are printed.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::metrics::process;

/// What the parts of a server say of themselves at a moment.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Whether the server can store events.
    pub ready: bool,
    /// The writer.
    pub writer: WriterReading,
    /// The pools of connections to the database.
    pub pools: Vec<PoolReading>,
    /// Bytes that are free where the database's file lies; `None` where it has none.
    pub storage_free_bytes: Option<u64>,
    /// API keys that were found in the cache.
    pub key_cache_hits: u64,
    /// API keys for which the database was asked.
    pub key_cache_misses: u64,
    /// The share of its monthly quota that a tenant has used, by its id.
    pub quotas_used: Vec<(i64, f64)>,
    /// The Redis through which servers share rate limits, if they do.
    pub redis: Option<RedisReading>,
    /// What became of events that were kept long enough.
    pub retention: RetentionReading,
    /// When this server last summed the log of counts, in seconds since 1970. `None` without the lease for it.
    pub counts_summed_at_seconds: Option<u64>,
}

/// What the thread that removes old events says.
#[derive(Clone, Copy, Debug, Default)]
pub struct RetentionReading {
    /// Events that it removed.
    pub removed_events: u64,
    /// Keys of events that it removed.
    pub removed_event_keys: u64,
    /// When it last removed all that was due, or before that when it took the duty over, in seconds since 1970. `None` where
    /// another server has the duty.
    pub swept_at_seconds: Option<u64>,
}

/// What the writer says.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriterReading {
    /// Whether it takes events.
    pub available: bool,
    /// Events that wait.
    pub queue_events: u64,
    /// Bytes that wait.
    pub queue_bytes: u64,
    /// Events that may wait.
    pub queue_capacity_events: u64,
    /// Transactions that were begun again.
    pub retries: u64,
    /// Groups that had to take the slower way.
    pub fallbacks: u64,
    /// Events predicted to be duplicates.
    pub likely_duplicates: u64,
}

/// What a pool says.
#[derive(Clone, Copy, Debug)]
pub struct PoolReading {
    /// What it is for.
    pub pool: &'static str,
    /// Connections in use.
    pub busy: u64,
    /// Connections that wait for use.
    pub idle: u64,
}

/// What the task that reaches Redis says.
#[derive(Clone, Copy, Debug)]
pub struct RedisReading {
    /// Whether Redis decides.
    pub up: bool,
    /// Servers that share.
    pub servers: u64,
    /// Requests that this server decided alone.
    pub fallbacks: u64,
}

impl Reading {
    /// Puts the numbers into a registry that is printed once.
    pub(super) fn register(&self, registry: &mut Registry, log_lines_dropped: u64) {
        let Reading { writer, .. } = self;
        gauge(registry, "ready", "Whether /health/ready says yes", u64::from(self.ready));
        gauge(
            registry,
            "writer_available",
            "Whether the writer takes events",
            u64::from(writer.available),
        );
        gauge(
            registry,
            "writer_queue_events",
            "Events that wait for the writer",
            writer.queue_events,
        );
        gauge(
            registry,
            "writer_queue_bytes",
            "Bytes of events that wait for the writer",
            writer.queue_bytes,
        );
        gauge(
            registry,
            "writer_queue_capacity_events",
            "Events that may wait",
            writer.queue_capacity_events,
        );
        counter(registry, "writer_retries", "Transactions that were begun again", writer.retries);
        counter(
            registry,
            "writer_fallbacks",
            "Groups that had to take the slower way",
            writer.fallbacks,
        );
        counter(
            registry,
            "writer_likely_duplicates",
            "Events predicted to be duplicates, and claimed instead of copied",
            writer.likely_duplicates,
        );
        let lookups = Family::<[(&str, &str); 1], Counter>::default();
        lookups.get_or_create(&[("result", "hit")]).inc_by(self.key_cache_hits);
        lookups.get_or_create(&[("result", "miss")]).inc_by(self.key_cache_misses);
        registry.register("key_cache_lookups", "API keys that were looked up", lookups);
        counter(registry, "log_lines_dropped", "Log lines that were lost", log_lines_dropped);
        let version = Family::<[(&str, &str); 1], Gauge>::default();
        version.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        registry.register("build_info", "The version of the program", version);
        self.register_pools(registry);
        let used = Family::<[(&str, i64); 1], Gauge<f64, AtomicU64>>::default();
        for (tenant_id, share) in &self.quotas_used {
            used.get_or_create(&[("tenant_id", *tenant_id)]).set(*share);
        }
        registry.register(
            "tenant_quota_used_ratio",
            "The share of its monthly quota that a tenant has used",
            used,
        );
        if let Some(bytes) = self.storage_free_bytes {
            gauge(
                registry,
                "storage_free_bytes",
                "Free space where the database's file lies",
                bytes,
            );
        }
        let RetentionReading { removed_events, removed_event_keys, swept_at_seconds } =
            self.retention;
        counter(
            registry,
            "retention_removed_events",
            "Events removed for their age",
            removed_events,
        );
        counter(
            registry,
            "retention_removed_event_keys",
            "Keys of events removed for their age",
            removed_event_keys,
        );
        if let Some(seconds) = swept_at_seconds {
            gauge(
                registry,
                "retention_swept_timestamp_seconds",
                "When all that was due was last removed",
                seconds,
            );
        }
        if let Some(seconds) = self.counts_summed_at_seconds {
            gauge(
                registry,
                "counts_summed_timestamp_seconds",
                "When the log of counts was last summed",
                seconds,
            );
        }
        if let Some(redis) = self.redis {
            gauge(registry, "redis_up", "Whether Redis decides rate limits", u64::from(redis.up));
            gauge(registry, "redis_servers", "Servers that share rate limits", redis.servers);
            counter(registry, "redis_fallbacks", "Requests decided without Redis", redis.fallbacks);
        }
    }

    fn register_pools(&self, registry: &mut Registry) {
        let connections = Family::<[(&str, &str); 2], Gauge<u64, AtomicU64>>::default();
        for PoolReading { pool, busy, idle } in &self.pools {
            connections.get_or_create(&[("pool", *pool), ("state", "busy")]).set(*busy);
            connections.get_or_create(&[("pool", *pool), ("state", "idle")]).set(*idle);
        }
        registry.register("storage_pool_connections", "Connections to the database", connections);
    }
}

/// Puts what the operating system knows of this process into a registry that is printed once.
pub(super) fn register_process(registry: &mut Registry) {
    let reading = process::read();
    let gauges = [
        ("resident_memory_bytes", "Resident memory", reading.resident_memory_bytes),
        ("virtual_memory_bytes", "Virtual memory", reading.virtual_memory_bytes),
        ("open_fds", "Open file descriptors", reading.open_fds),
        ("max_fds", "File descriptors that may be open", reading.max_fds),
        ("threads", "Threads", reading.threads),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            gauge(registry, name, help, value);
        }
    }
    if let Some(seconds) = reading.cpu_seconds {
        let counter = Counter::<f64, AtomicU64>::default();
        counter.inc_by(seconds);
        registry.register(
            "cpu_seconds",
            "Time of processors, in the program and in the system for it",
            counter,
        );
    }
    if let Some(seconds) = reading.start_time_seconds {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(seconds);
        registry.register(
            "start_time_seconds",
            "When the process started, in seconds since 1970",
            gauge,
        );
    }
}

fn gauge(registry: &mut Registry, name: &'static str, help: &'static str, value: u64) {
    let gauge = Gauge::<u64, AtomicU64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn counter(registry: &mut Registry, name: &'static str, help: &'static str, value: u64) {
    let counter = Counter::<u64, AtomicU64>::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}
