//! `GET /v1/limits`: the limits of the key's tenant and the remainder of each.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use mercurio_domain::limits::Month;

use super::wire::examples;
use super::wire::limits::{BucketLevel, LimitsResponse, Quota, Remaining};
use crate::auth::{KeySources, Principal, authenticate};
use crate::middleware::RequestFacts;
use crate::problem::Problem;
use crate::state::{AppState, seconds_until, store_problem};

/// Returns the limits of the key's tenant and the remainder of each.
///
/// Works with any valid key, and takes no tokens.
#[utoipa::path(
    get,
    path = "/v1/limits",
    operation_id = "getLimits",
    tag = "Limits",
    security(("bearer" = [])),
    responses((status = 200, description = "The limits.", body = LimitsResponse, example = json!(examples::limits()))),
)]
pub async fn limits(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let principal = authenticate(&state, &request, None, KeySources::Headers).await?;
    let left = state.rate_limits.state(principal.owner.tenant_id, &principal.limits).await;
    // The headers agree with the body.
    RequestFacts::update(&request, |facts| facts.rate_limit = Some(left));
    Ok(HttpResponse::Ok().json(LimitsResponse {
        limits: principal.limits,
        remaining: Remaining {
            requests: left.requests.map(BucketLevel::from),
            events: left.events.map(BucketLevel::from),
            reads: left.reads.map(BucketLevel::from),
            monthly_events: quota(&state, &principal).await?,
        },
    }))
}

/// Returns this month's quota and its usage; `None` without a quota.
async fn quota(state: &AppState, principal: &Principal) -> Result<Option<Quota>, Problem> {
    let (tenant_id, limit) = (principal.owner.tenant_id, principal.limits.monthly_events);
    // 0 means no quota.
    if limit == 0 {
        return Ok(None);
    }
    let now = state.clock.now();
    let month = Month::of(now);
    // Concurrent requests share a read of the database.
    let used = state.quota_usage.used(tenant_id, month);
    let used = tokio::time::timeout(state.settings.commit_timeout, used).await;
    let used = used.map_err(|_| state.unavailable())?.map_err(|error| store_problem(&error))?;
    let renews_at = month.renews_at();
    let reset_seconds = seconds_until(renews_at, now);
    Ok(Some(Quota {
        // Usage may pass the limit: another server accepted events, or the limit was lowered.
        remaining: limit.saturating_sub(used),
        used,
        limit,
        renews_at,
        reset_seconds,
    }))
}
