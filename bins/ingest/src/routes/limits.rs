//! `GET /v1/limits`: what a key's tenant may send, and how much of it is left.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use mercurio_domain::Timestamp;
use mercurio_domain::limits::{Limits, Month};
use serde::Serialize;

use crate::auth::{Caller, KeyPlaces, authenticate};
use crate::edge::RequestFacts;
use crate::problem::Problem;
use crate::rate_limit::Level;
use crate::state::{AppState, seconds_until};

/// Tells the limits. Any valid key may ask, and asking takes nothing from the buckets.
pub async fn limits(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let caller = authenticate(&state, &request, None, KeyPlaces::Headers).await?;
    let left = state.rate_limits.state(caller.owner.tenant_id, &caller.limits).await;
    RequestFacts::tell(&request, |facts| facts.rate_limit = Some(left));
    Ok(HttpResponse::Ok().json(LimitsAnswer {
        limits: caller.limits,
        remaining: Remaining {
            requests: left.requests.map(LevelAnswer::of),
            events: left.events.map(LevelAnswer::of),
            monthly_events: quota(&state, &caller).await?,
        },
    }))
}

/// The quota of this month, if the tenant has one, as the database has it.
async fn quota(state: &AppState, caller: &Caller) -> Result<Option<QuotaAnswer>, Problem> {
    let (tenant_id, limit) = (caller.owner.tenant_id, caller.limits.monthly_events);
    if limit == 0 {
        return Ok(None);
    }
    let now = state.clock.now();
    let month = Month::of(now);
    let used = state.ask(move |store| store.monthly_usage(tenant_id, month)).await?;
    let renews_at = month.renews_at();
    let reset_seconds = seconds_until(renews_at, now);
    Ok(Some(QuotaAnswer { remaining: limit.saturating_sub(used), used, limit, renews_at, reset_seconds }))
}

#[derive(Serialize)]
struct LimitsAnswer {
    limits: Limits,
    remaining: Remaining,
}

/// `null` where nothing is limited.
#[derive(Serialize)]
struct Remaining {
    requests: Option<LevelAnswer>,
    events: Option<LevelAnswer>,
    monthly_events: Option<QuotaAnswer>,
}

#[derive(Serialize)]
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

#[derive(Serialize)]
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
        Self { remaining: level.remaining, burst: level.bucket.burst, reset_seconds: level.reset_seconds() }
    }
}
