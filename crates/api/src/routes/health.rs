//! Liveness, readiness and the health report.

use std::time::Duration;

use actix_web::web::Data;
use actix_web::{HttpResponse, http::StatusCode};
use mercurio_domain::store::Privileges;
use mercurio_observability::process;

use super::wire::examples;
use super::wire::health::{
    Checks, DatabaseCheck, EventTotals, GroupTotals, HealthResponse, PrivilegesCheck, Quantiles,
    RedisCheck, RefusedTotals, Status, StatusResponse, Summary, System, WriterCheck,
};
use crate::middleware::KeepBody;
use crate::problem::Problem;
use crate::state::{AppState, BUSY_RETRY_AFTER_SECONDS, UNAVAILABLE_RETRY_AFTER_SECONDS};

/// Returns 200 while the process serves.
#[utoipa::path(get, path = "/health/live", operation_id = "getLiveness", tag = "Health", responses(
    (status = 200, description = "The process serves.", body = StatusResponse, example = json!({"status": "ok"})),
))]
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(StatusResponse { status: Status::Ok })
}

/// Returns 200 if the server can store events, otherwise 503; always 503 during shutdown.
#[utoipa::path(get, path = "/health/ready", operation_id = "getReadiness", tag = "Health", responses(
    (status = 200, description = "The server can store events.", body = StatusResponse, example = json!({"status": "ok"})),
))]
pub async fn ready(state: Data<AppState>) -> Result<HttpResponse, Problem> {
    readiness(&state).await?;
    Ok(HttpResponse::Ok().json(StatusResponse { status: Status::Ok }))
}

/// Returns the problem that keeps the server from storing events, if there is one.
pub(super) async fn readiness(state: &AppState) -> Result<(), Problem> {
    // First, and without asking the database: a load balancer must stop sending at once.
    if state.lifecycle.is_draining() {
        return Err(Problem::ShuttingDown { retry_after_seconds: BUSY_RETRY_AFTER_SECONDS });
    }
    if !state.writer.is_available() || !state.database.ping().await.available {
        return Err(Problem::StorageUnavailable {
            retry_after_seconds: UNAVAILABLE_RETRY_AFTER_SECONDS,
        });
    }
    Ok(())
}

/// Returns the health report.
///
/// `status` is `degraded` if the queue is over 80 % full, Redis is unavailable, or the server's role lacks privileges in the
/// database.
#[utoipa::path(get, path = "/health", operation_id = "getHealth", tag = "Health", responses(
    (status = 200, description = "The server can store events: `ok` or `degraded`.", body = HealthResponse,
     example = json!(examples::health())),
    (status = 503, description = "The server cannot store events: `unavailable`.", body = HealthResponse,
     example = json!(examples::health_unavailable())),
))]
pub async fn health(state: Data<AppState>) -> HttpResponse {
    let ping = state.database.ping().await;
    let writer_available = state.writer.is_available();
    let depth = state.writer.depth();
    // A warning before clients get `overloaded`.
    let queue_is_nearly_full = depth.events * 10 > depth.capacity * 8;
    // Without `MERCURIO_REDIS_URL` there is nothing to check.
    let redis = state.rate_limits.shared().map(|shared| RedisCheck {
        status: Status::of(shared.is_available()),
        servers: shared.servers(),
        fallbacks: shared.fallbacks(),
    });
    // The limits still apply, per server: degraded, but not unavailable.
    let redis_is_away = state.rate_limits.shared().is_some_and(|shared| !shared.is_available());
    let privileges = privileges_check(&state.database.privileges());
    let lacks_privileges =
        privileges.as_ref().is_some_and(|check| matches!(check.status, Status::Degraded));
    let (code, status) = if !ping.available || !writer_available || state.lifecycle.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, Status::Unavailable)
    } else if queue_is_nearly_full || redis_is_away || lacks_privileges {
        (StatusCode::OK, Status::Degraded)
    } else {
        (StatusCode::OK, Status::Ok)
    };
    // One snapshot, so that the totals agree with each other.
    let snapshot = state.metrics.snapshot();
    let quantile = |quantile| milliseconds(state.metrics.request_quantile(quantile));
    let mut response = HttpResponse::build(code).json(HealthResponse {
        status,
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: state.lifecycle.started.elapsed().as_secs(),
        checks: Checks {
            database: DatabaseCheck {
                status: Status::of(ping.available),
                backend: state.store.backend(),
                latency_ms: milliseconds(ping.latency),
            },
            writer: WriterCheck {
                status: Status::of(writer_available),
                queue_depth: depth.events,
                queue_capacity: depth.capacity,
            },
            redis,
            privileges,
        },
        system: System {
            memory_bytes: process::resident_memory_bytes(),
            cpu_count: process::cpu_count(),
            open_connections: snapshot.connections_open,
        },
        summary: Summary {
            events: EventTotals {
                accepted: snapshot.events_accepted,
                duplicates: snapshot.events_duplicate,
                rejected: snapshot.events_rejected,
            },
            groups: GroupTotals {
                committed: snapshot.groups,
                events: snapshot.group_events,
                largest: snapshot.group_events_max,
                // Counted by the store: it decides between copying and claiming (ADR 6).
                fallbacks: state.store.append_counts().fallbacks,
            },
            refused: RefusedTotals {
                keys_malformed: snapshot.keys_malformed,
                keys_invalid: snapshot.keys_invalid,
                rate_limited: snapshot.rate_limited,
                quota_exceeded: snapshot.quota_exceeded,
            },
            request_ms: Quantiles { p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99) },
        },
    });
    // The report has the same format with 503: monitors parse it.
    response.extensions_mut().insert(KeepBody);
    response
}

/// Without row security in force, only the code separates tenants.
fn privileges_check(found: &Privileges) -> Option<PrivilegesCheck> {
    let is_complete = found.missing.is_empty() && found.row_security_finding().is_none();
    Some(PrivilegesCheck {
        status: if is_complete { Status::Ok } else { Status::Degraded },
        row_security: found.row_security?,
        missing: found.missing.clone(),
    })
}

/// Rounds to microseconds.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
