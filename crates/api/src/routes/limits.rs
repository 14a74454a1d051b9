//! `GET /v1/limits`: what a key's tenant may send, and how much of it is left.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use mercurio_domain::Timestamp;
use mercurio_domain::limits::{Limits, Month};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{KeyPlaces, Principal, authenticate};
use crate::middleware::RequestFacts;
use crate::problem::Problem;
use crate::state::{AppState, seconds_until};
use mercurio_rate_limit::Level;

/// What the key's tenant may send, and how much of it is left.
///
/// Any valid key may ask, and asking takes nothing from the buckets.
#[utoipa::path(
    get,
    path = "/v1/limits",
    tag = "Limits",
    security(("bearer" = []), ("basic" = []), ("api_key" = [])),
    responses((status = 200, description = "The limits.", body = LimitsAnswer, example = json!({
        "limits": {
            "max_body_bytes": 262_144, "max_batch_events": 50, "max_event_bytes": 32_768, "max_event_age_days": 365,
            "max_event_future_seconds": 300, "events_per_second": 500, "events_burst": 0,
            "requests_per_second": 0, "requests_burst": 0, "monthly_events": 1_000_000,
            "retention_days": 0,
        },
        "remaining": {
            "requests": null,
            "events": {"remaining": 4990, "burst": 5000, "reset_seconds": 1},
            "monthly_events": {
                "remaining": 999_980, "used": 20, "limit": 1_000_000, "renews_at": "2026-12-01T00:00:00.000000Z",
                "reset_seconds": 741_600,
            },
        },
    }))),
)]
pub async fn limits(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let principal = authenticate(&state, &request, None, KeyPlaces::Headers).await?;
    let left = state.rate_limits.state(principal.owner.tenant_id, &principal.limits).await;
    RequestFacts::tell(&request, |facts| facts.rate_limit = Some(left));
    Ok(HttpResponse::Ok().json(LimitsAnswer {
        limits: principal.limits,
        remaining: Remaining {
            requests: left.requests.map(LevelAnswer::of),
            events: left.events.map(LevelAnswer::of),
            monthly_events: quota(&state, &principal).await?,
        },
    }))
}

/// The quota of this month, if the tenant has one, as the database has it.
async fn quota(state: &AppState, principal: &Principal) -> Result<Option<QuotaAnswer>, Problem> {
    let (tenant_id, limit) = (principal.owner.tenant_id, principal.limits.monthly_events);
    if limit == 0 {
        return Ok(None);
    }
    let now = state.clock.now();
    let month = Month::of(now);
    let used = state.ask(move |store| store.usage(&[tenant_id], month)).await?;
    let used = used.first().copied().unwrap_or(0);
    let renews_at = month.renews_at();
    let reset_seconds = seconds_until(renews_at, now);
    Ok(Some(QuotaAnswer {
        remaining: limit.saturating_sub(used),
        used,
        limit,
        renews_at,
        reset_seconds,
    }))
}

#[derive(Serialize, ToSchema)]
struct LimitsAnswer {
    /// What the tenant may send: its own limits, else the server's.
    limits: Limits,
    /// What is left of it now.
    remaining: Remaining,
}

/// `null` where nothing is limited.
#[derive(Serialize, ToSchema)]
struct Remaining {
    /// Of the requests that write.
    #[schema(required)]
    requests: Option<LevelAnswer>,
    /// Of the events.
    #[schema(required)]
    events: Option<LevelAnswer>,
    /// Of the month's events.
    #[schema(required)]
    monthly_events: Option<QuotaAnswer>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Quota)]
struct QuotaAnswer {
    /// What may still be stored this month.
    remaining: u64,
    /// What was stored this month.
    used: u64,
    /// What may be stored in a month.
    limit: u64,
    /// When the next month begins.
    renews_at: Timestamp,
    /// Seconds until then.
    reset_seconds: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Level)]
struct LevelAnswer {
    /// What may be sent at once, now.
    remaining: u32,
    /// What may be sent at once after a pause.
    burst: u32,
    /// Seconds until it may be again.
    reset_seconds: u32,
}

impl LevelAnswer {
    fn of(level: Level) -> Self {
        Self {
            remaining: level.remaining,
            burst: level.bucket.burst,
            reset_seconds: level.reset_seconds(),
        }
    }
}
