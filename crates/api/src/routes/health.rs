//! Whether the process serves, whether it can store events, and how it is.

use std::time::Duration;

use actix_web::web::Data;
use actix_web::{HttpResponse, http::StatusCode};
use mercurio_domain::store::Backend;
use mercurio_observability::process;
use serde::Serialize;
use utoipa::ToSchema;

use super::wire::examples;
use crate::middleware::KeepBody;
use crate::problem::Problem;
use crate::state::{AppState, OVERLOADED_RETRY_AFTER_SECONDS, UNAVAILABLE_RETRY_AFTER_SECONDS};

/// 200 while the process serves.
#[utoipa::path(get, path = "/health/live", tag = "Health", responses(
    (status = 200, description = "The process serves.", body = Plain, example = json!({"status": "ok"})),
))]
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Plain { status: Status::Ok })
}

/// 200 when the process can store events, else 503; 503 too from the moment it starts to shut down.
#[utoipa::path(get, path = "/health/ready", tag = "Health", responses(
    (status = 200, description = "The process can store events.", body = Plain, example = json!({"status": "ok"})),
))]
pub async fn ready(state: Data<AppState>) -> Result<HttpResponse, Problem> {
    readiness(&state).await?;
    Ok(HttpResponse::Ok().json(Plain { status: Status::Ok }))
}

/// Whether the process can store events.
pub(super) async fn readiness(state: &AppState) -> Result<(), Problem> {
    if state.lifecycle.is_draining() {
        return Err(Problem::Overloaded { retry_after_seconds: OVERLOADED_RETRY_AFTER_SECONDS });
    }
    if !state.writer.is_available() || !state.database.ping().await.available {
        return Err(Problem::StorageUnavailable {
            retry_after_seconds: UNAVAILABLE_RETRY_AFTER_SECONDS,
        });
    }
    Ok(())
}

/// How the process is.
#[utoipa::path(get, path = "/health", tag = "Health", responses(
    (status = 200, description = "It can store events; `degraded` tells that something needs a look.", body = Health,
     example = json!(examples::health())),
    (status = 503, description = "It is `unavailable`: it can't store events now.", body = Health,
     example = json!(examples::health_unavailable())),
))]
pub async fn health(state: Data<AppState>) -> HttpResponse {
    let ping = state.database.ping().await;
    let writer_available = state.writer.is_available();
    let depth = state.writer.depth();
    let busy = depth.events * 10 > depth.capacity * 8;
    let redis = state.rate_limits.shared().map(|shared| RedisCheck {
        status: word(shared.is_available()),
        servers: shared.servers(),
        fallbacks: shared.fallbacks(),
    });
    let alone = state.rate_limits.shared().is_some_and(|shared| !shared.is_available());
    let (code, status) = if !ping.available || !writer_available || state.lifecycle.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, Status::Unavailable)
    } else if busy || alone {
        (StatusCode::OK, Status::Degraded)
    } else {
        (StatusCode::OK, Status::Ok)
    };
    let snapshot = state.metrics.snapshot();
    let quantile = |quantile| milliseconds(state.metrics.request_quantile(quantile));
    let mut response = HttpResponse::build(code).json(Health {
        status,
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: state.lifecycle.started.elapsed().as_secs(),
        checks: Checks {
            database: DatabaseCheck {
                status: word(ping.available),
                backend: state.store.backend(),
                latency_ms: milliseconds(ping.latency),
            },
            writer: WriterCheck {
                status: word(writer_available),
                queue_depth: depth.events,
                queue_capacity: depth.capacity,
            },
            redis,
        },
        system: System {
            memory_bytes: process::resident_memory_bytes(),
            cpu_count: process::cpu_count(),
            open_connections: snapshot.connections_open,
        },
        summary: Summary {
            events: Events {
                accepted: snapshot.events_accepted,
                duplicate: snapshot.events_duplicate,
                rejected: snapshot.events_rejected,
            },
            groups: Groups {
                committed: snapshot.groups,
                events: snapshot.group_events,
                largest: snapshot.group_events_max,
                fallbacks: state.store.append_counts().fallbacks,
            },
            refused: Refused {
                keys_malformed: snapshot.keys_malformed,
                keys_invalid: snapshot.keys_invalid,
                rate_limited: snapshot.rate_limited,
            },
            request_ms: Quantiles { p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99) },
        },
    });
    // The contract gives this document the same shape whatever its status.
    response.extensions_mut().insert(KeepBody);
    response
}

fn word(available: bool) -> Status {
    if available { Status::Ok } else { Status::Unavailable }
}

/// Milliseconds to the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// All is well.
    Ok,
    /// It serves, and something needs a look.
    Degraded,
    /// It does not serve.
    Unavailable,
}

#[derive(Serialize, ToSchema)]
struct Plain {
    /// How it is.
    status: Status,
}

#[derive(Serialize, ToSchema)]
struct Health {
    /// How it is.
    status: Status,
    /// The version of the server.
    version: &'static str,
    /// Seconds since the process started.
    uptime_seconds: u64,
    /// What it depends on.
    checks: Checks,
    /// What it takes.
    system: System,
    /// What it did since it started.
    summary: Summary,
}

#[derive(Serialize, ToSchema)]
struct Checks {
    /// The database.
    database: DatabaseCheck,
    /// The writer, which commits events in groups.
    writer: WriterCheck,
    /// The Redis through which servers share rate limits, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    redis: Option<RedisCheck>,
}

/// The rate limits that servers share. Without them each server goes on with its share.
#[derive(Serialize, ToSchema)]
struct RedisCheck {
    /// How it is.
    status: Status,
    /// Servers that share, when Redis last told.
    servers: u32,
    /// Requests that this server decided alone.
    fallbacks: u64,
}

#[derive(Serialize, ToSchema)]
struct DatabaseCheck {
    /// How it is.
    status: Status,
    /// Which database it is.
    backend: Backend,
    /// How long it took to answer, in milliseconds.
    latency_ms: f64,
}

#[derive(Serialize, ToSchema)]
struct WriterCheck {
    /// How it is.
    status: Status,
    /// Events that wait to be committed.
    queue_depth: usize,
    /// The most events that may wait.
    queue_capacity: usize,
}

#[derive(Serialize, ToSchema)]
struct System {
    /// Resident memory of the process.
    #[schema(required)]
    memory_bytes: Option<u64>,
    /// Processors that it may use.
    #[schema(required)]
    cpu_count: Option<usize>,
    /// Connections of clients.
    open_connections: u64,
}

#[derive(Serialize, ToSchema)]
struct Summary {
    /// Events by what became of them.
    events: Events,
    /// The writer's transactions.
    groups: Groups,
    /// Requests that were refused for their key or their tenant's limits.
    refused: Refused,
    /// How long requests took, in milliseconds.
    request_ms: Quantiles,
}

/// Requests that came to nothing for who sent them, or how many.
#[derive(Serialize, ToSchema)]
struct Refused {
    /// No API key, or something else in its place.
    keys_malformed: u64,
    /// An API key that is unknown, expired or revoked.
    keys_invalid: u64,
    /// A tenant over its rate limit.
    rate_limited: u64,
}

/// The writer's transactions.
#[derive(Serialize, ToSchema)]
struct Groups {
    /// How many were committed.
    committed: u64,
    /// Events of all of them.
    events: u64,
    /// Events of the largest.
    largest: u64,
    /// How many took the slower way, since the database knew of a duplicate that the server did not.
    fallbacks: u64,
}

#[derive(Serialize, ToSchema)]
struct Events {
    /// Stored.
    accepted: u64,
    /// Stored before.
    duplicate: u64,
    /// Not stored: they break rules.
    rejected: u64,
}

#[derive(Serialize, ToSchema)]
struct Quantiles {
    /// Half of them took no longer.
    p50: f64,
    /// 95 % of them took no longer.
    p95: f64,
    /// 99 % of them took no longer.
    p99: f64,
}
