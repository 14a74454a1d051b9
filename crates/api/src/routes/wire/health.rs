//! The responses of `GET /health`, `/health/live` and `/health/ready`.

use mercurio_domain::store::{Backend, RowSecurity};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// No problem.
    Ok,
    /// It works, but needs attention.
    Degraded,
    /// It does not work.
    Unavailable,
}

impl Status {
    pub(crate) fn of(available: bool) -> Self {
        if available { Self::Ok } else { Self::Unavailable }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct StatusResponse {
    /// Always `ok`.
    pub(crate) status: Status,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct HealthResponse {
    /// The worst status of the server.
    pub(crate) status: Status,
    /// Version of the server.
    pub(crate) version: &'static str,
    /// Seconds since the process started.
    pub(crate) uptime_seconds: u64,
    /// The server's dependencies and parts.
    pub(crate) checks: Checks,
    /// Resources of the process.
    pub(crate) system: System,
    /// Totals since the process started.
    pub(crate) summary: Summary,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Checks {
    /// The database.
    pub(crate) database: DatabaseCheck,
    /// The writer: it commits events in groups.
    pub(crate) writer: WriterCheck,
    /// The Redis of shared rate limits; missing without `MERCURIO_REDIS_URL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redis: Option<RedisCheck>,
    /// The privileges of the server's role in PostgreSQL; missing with SQLite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) privileges: Option<PrivilegesCheck>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DatabaseCheck {
    /// Whether it answers.
    pub(crate) status: Status,
    /// The kind of database.
    pub(crate) backend: Backend,
    /// Duration of its last answer, in milliseconds.
    pub(crate) latency_ms: f64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct WriterCheck {
    /// Whether it accepts events.
    pub(crate) status: Status,
    /// Events in the queue.
    pub(crate) queue_depth: usize,
    /// Maximum events in the queue.
    pub(crate) queue_capacity: usize,
}

/// Shared rate limits. Without Redis, each server enforces its own share.
#[derive(Serialize, ToSchema)]
pub(crate) struct RedisCheck {
    /// Whether it answers.
    pub(crate) status: Status,
    /// Servers that share the limits, at the last answer of Redis.
    pub(crate) servers: u32,
    /// Requests decided by this server alone.
    pub(crate) fallbacks: u64,
}

/// The privileges of the server's role in PostgreSQL, looked at once a minute.
#[derive(Serialize, ToSchema)]
pub(crate) struct PrivilegesCheck {
    /// `degraded` if a privilege is missing or row security is not in force.
    pub(crate) status: Status,
    /// Whether the database limits reads of events to one tenant.
    pub(crate) row_security: RowSecurity,
    /// Privileges that the role lacks, such as `INSERT on events`.
    pub(crate) missing: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct System {
    /// Resident memory of the process; `null` if unknown.
    #[schema(required)]
    pub(crate) memory_bytes: Option<u64>,
    /// CPUs available to the process; `null` if unknown.
    #[schema(required)]
    pub(crate) cpu_count: Option<usize>,
    /// Open client connections.
    pub(crate) open_connections: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Summary {
    /// Events by verdict.
    pub(crate) events: EventTotals,
    /// Transactions of the writer.
    pub(crate) groups: GroupTotals,
    /// Requests refused for their key, or for their tenant's rate limit or quota.
    pub(crate) refused: RefusedTotals,
    /// Request durations in milliseconds.
    pub(crate) request_ms: Quantiles,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct EventTotals {
    /// Stored.
    pub(crate) accepted: u64,
    /// Stored before.
    pub(crate) duplicates: u64,
    /// Invalid, and not stored.
    pub(crate) rejected: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct GroupTotals {
    /// Committed transactions.
    pub(crate) committed: u64,
    /// Events in all of them.
    pub(crate) events: u64,
    /// Events in the largest one.
    pub(crate) largest: u64,
    /// Transactions written the slower way, because of a duplicate unknown to the server.
    pub(crate) fallbacks: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RefusedTotals {
    /// Missing or malformed API key.
    pub(crate) keys_malformed: u64,
    /// Unknown, expired or revoked API key.
    pub(crate) keys_invalid: u64,
    /// Tenant over its rate limit.
    pub(crate) rate_limited: u64,
    /// Tenant over its monthly quota.
    pub(crate) quota_exceeded: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Quantiles {
    /// Median.
    pub(crate) p50: f64,
    /// 95th percentile.
    pub(crate) p95: f64,
    /// 99th percentile.
    pub(crate) p99: f64,
}
