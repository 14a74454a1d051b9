//! Reading rejected events back: `GET /v1/rejections` and `GET /v1/rejections/summary`.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use mercurio_domain::api_key::Scope;
use mercurio_domain::store::Position;

use super::rejection_query::{PageParameters, SummaryParameters, parse_page, parse_summary};
use super::wire::examples;
use super::wire::rejections::{RejectedEvent, RejectionPageResponse, RejectionSummary};
use crate::auth::{KeySources, authenticate};
use crate::problem::Problem;
use crate::reads;
use crate::state::AppState;

/// Returns a page of rejected events, newest first by time of receipt.
///
/// Needs the scope `events:read`. Servers keep rejected events for some days, and of a flood only a sample; the summary counts
/// all of them. They write after the response, so an event appears a moment later. A page ends at `limit` events or 1 MiB of
/// them: only `next_cursor` shows the end.
#[utoipa::path(
    get,
    path = "/v1/rejections",
    operation_id = "listRejections",
    tag = "Reading",
    security(("bearer" = [])),
    params(PageParameters),
    responses((status = 200, description = "The page.", body = RejectionPageResponse, example = json!(examples::rejection_page()))),
)]
pub async fn rejections(
    state: Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let principal =
        authenticate(&state, &request, Some(Scope::EventsRead), KeySources::Headers).await?;
    let owner = principal.owner;
    let query =
        parse_page(request.query_string()).map_err(|errors| Problem::InvalidQuery { errors })?;
    let permit = reads::admit(&state, &principal)?;
    let found = reads::respond(&state, permit, move |store| {
        let page = store.rejections(owner, &query)?;
        let next_cursor = page.next.map(Position::to_rejections_cursor);
        let rejections = page.events.into_iter().map(RejectedEvent::from).collect();
        Ok(Some(RejectionPageResponse { rejections, next_cursor }))
    });
    // A page without events is found too.
    found.await?.ok_or_else(Problem::no_event)
}

/// Returns counts of rejected events and of refused requests.
///
/// Needs the scope `events:read`. The counts are complete: they include the events of which no copy was kept. By default they
/// are those of the last 24 hours.
#[utoipa::path(
    get,
    path = "/v1/rejections/summary",
    operation_id = "summarizeRejections",
    tag = "Reading",
    security(("bearer" = [])),
    params(SummaryParameters),
    responses((status = 200, description = "The counts.", body = RejectionSummary, example = json!(examples::rejection_summary()))),
)]
pub async fn summary(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let principal =
        authenticate(&state, &request, Some(Scope::EventsRead), KeySources::Headers).await?;
    let owner = principal.owner;
    let query = parse_summary(request.query_string(), state.clock.now());
    let query = query.map_err(|errors| Problem::InvalidQuery { errors })?;
    let permit = reads::admit(&state, &principal)?;
    let found = reads::respond(&state, permit, move |store| {
        let totals = store.rejection_totals(owner, &query)?;
        Ok(Some(RejectionSummary::new(&query, totals)))
    });
    found.await?.ok_or_else(Problem::no_event)
}
