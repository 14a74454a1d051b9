//! `GET /v1/limits`: what a key's tenant may send, and how much of it is left.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use mercurio_domain::limits::Limits;
use serde::Serialize;

use crate::auth::{KeyPlaces, authenticate};
use crate::edge::RequestFacts;
use crate::problem::Problem;
use crate::rate_limit::Level;
use crate::state::AppState;

/// Tells the limits. Any valid key may ask, and asking takes nothing from the buckets.
pub async fn limits(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let caller = authenticate(&state, &request, None, KeyPlaces::Headers).await?;
    let left = state.rate_limits.state(caller.owner.tenant_id, &caller.limits).await;
    RequestFacts::tell(&request, |facts| facts.rate_limit = Some(left));
    Ok(HttpResponse::Ok().json(LimitsAnswer {
        limits: caller.limits,
        remaining: Remaining { requests: left.requests.map(LevelAnswer::of), events: left.events.map(LevelAnswer::of) },
    }))
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
