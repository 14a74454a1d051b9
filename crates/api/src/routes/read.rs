//! Reading: `GET /v1/events/{event_id}` and `GET /v1/events`.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use mercurio_domain::EventId;
use mercurio_domain::api_key::Scope;
use mercurio_domain::event::StoredEvent;
use percent_encoding::percent_decode_str;

use super::query::{self, QueryParameters};
use super::wire::examples;
use super::wire::read::EventPageResponse;
use crate::auth::{KeySources, authenticate};
use crate::problem::Problem;
use crate::reads;
use crate::state::AppState;

/// Returns a stored event.
///
/// Needs the scope `events:read`.
#[utoipa::path(
    get,
    path = "/v1/events/{event_id}",
    operation_id = "getEvent",
    tag = "Reading",
    security(("bearer" = [])),
    params(("event_id" = EventId, Path, description = "The event's id, percent-encoded: `/` is `%2F`.")),
    responses((status = 200, description = "The event.", body = StoredEvent, example = json!(examples::stored_event()))),
)]
pub async fn event(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let principal =
        authenticate(&state, &request, Some(Scope::EventsRead), KeySources::Headers).await?;
    let owner = principal.owner;
    // From the path as sent: actix does not decode some escapes, and an id may contain any
    // character.
    // A slash inside an id arrives as `%2F`, so the last segment is the whole id.
    let escaped = request.uri().path().rsplit('/').next().unwrap_or_default();
    let Ok(event_id) = percent_decode_str(escaped).decode_utf8() else {
        // No event has such an id.
        return Err(Problem::no_event());
    };
    // Not validated: an id against the rules is simply not found.
    let event_id = EventId::lookup(&*event_id);
    // Events of other workspaces are not found either: a 403 would reveal that they exist. The
    // database enforces the tenant as well (ADR 9).
    let permit = reads::admit(&state, &principal)?;
    let found = reads::respond(&state, permit, move |store| store.event(owner, &event_id)).await?;
    found.ok_or_else(Problem::no_event)
}

/// Returns a page of stored events, newest first by event time unless `order` and `direction` are set.
///
/// Needs the scope `events:read`. A page ends at `limit` events or 1 MiB of them, so it may have fewer than `limit` although
/// more follow: only `next_cursor` shows the end. Each page starts strictly after the last event of the previous page. Every event stored
/// before the first page was read appears exactly once, even while new events arrive.
#[utoipa::path(
    get,
    path = "/v1/events",
    operation_id = "listEvents",
    tag = "Reading",
    security(("bearer" = [])),
    params(QueryParameters),
    responses((status = 200, description = "The page.", body = EventPageResponse, example = json!(examples::event_page()))),
)]
pub async fn events(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let principal =
        authenticate(&state, &request, Some(Scope::EventsRead), KeySources::Headers).await?;
    let owner = principal.owner;
    let query =
        query::parse(request.query_string()).map_err(|errors| Problem::InvalidQuery { errors })?;
    let permit = reads::admit(&state, &principal)?;
    let found = reads::respond(&state, permit, move |store| {
        let page = store.events(owner, &query)?;
        let next_cursor = page.next.map(|next| query.sort.cursor(next));
        Ok(Some(EventPageResponse { events: page.events, next_cursor }))
    });
    // A page without events is found too.
    found.await?.ok_or_else(Problem::no_event)
}
