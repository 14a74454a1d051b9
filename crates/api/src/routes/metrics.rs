//! `GET /metrics`: metrics in the text format of Prometheus.

use actix_web::web::Data;
use actix_web::{HttpResponse, http::header::CONTENT_TYPE};
use mercurio_observability::metrics::{
    BodiesReading, PoolReading, RedisReading, ServerReading, TailsReading, WriterReading,
};

use super::health::readiness;
use crate::state::AppState;

/// <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns metrics in the text format of Prometheus.
///
/// Checks the database like `/health/ready`, at most once a second.
#[utoipa::path(get, path = "/metrics", operation_id = "getMetrics", tag = "Health", responses(
    (status = 200, description = "The metrics.", body = String, content_type = "text/plain"),
))]
pub async fn metrics(state: Data<AppState>) -> HttpResponse {
    let text = state.metrics.render(&read(&state).await);
    HttpResponse::Ok().insert_header((CONTENT_TYPE, TEXT_FORMAT)).body(text)
}

/// Reads the current values of the server's parts.
async fn read(state: &AppState) -> ServerReading {
    // Cached by the probe: frequent scrapes do not load the database.
    let ready = readiness(state).await.is_ok();
    let (depth, appended) = (state.writer.depth(), state.store.append_counts());
    let body_memory = state.bodies.memory();
    let key_cache = state.keys.counts();
    let tails = state.tails.counts();
    let pools = state.store.connections().into_iter();
    ServerReading {
        ready,
        writer: WriterReading {
            available: state.writer.is_available(),
            queue_events: depth.events as u64,
            queue_bytes: depth.bytes as u64,
            queue_capacity_events: depth.capacity as u64,
            retries: appended.retries,
            fallbacks: appended.fallbacks,
            likely_duplicates: appended.likely_duplicates,
        },
        bodies: BodiesReading {
            bytes: body_memory.bytes as u64,
            capacity_bytes: body_memory.capacity as u64,
        },
        tails: TailsReading {
            open: tails.subscribers,
            notices: tails.notices,
            missed: tails.missed,
        },
        quotas_used: state.quota_usage.used_ratios(state.clock.now()).await,
        pools: pools
            .map(|load| PoolReading {
                pool: load.pool,
                busy: load.busy.into(),
                idle: load.idle.into(),
            })
            .collect(),
        storage_free_bytes: state.store.free_bytes(),
        key_cache_hits: key_cache.hits,
        key_cache_misses: key_cache.misses,
        retention: state.retention.read(),
        rejections: state.rejections.is_enabled().then(|| state.rejections.read()),
        counts_summed_at_seconds: state.counts_summed_at.seconds(),
        redis: state.rate_limits.shared().map(|shared| RedisReading {
            up: shared.is_available(),
            servers: shared.servers().into(),
            fallbacks: shared.fallbacks(),
        }),
    }
}
