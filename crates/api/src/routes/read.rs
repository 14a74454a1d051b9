//! The read side: `GET /v1/events/{event_id}` and `GET /v1/events`.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use mercurio_domain::EventId;
use mercurio_domain::api_key::Scope;
use mercurio_domain::event::StoredEvent;
use mercurio_domain::store::Position;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use utoipa::ToSchema;

use super::query::{self, QueryParameters};
use super::wire::examples;
use crate::auth::{KeyPlaces, authenticate};
use crate::problem::Problem;
use crate::state::AppState;

/// One stored event.
///
/// Needs the scope `events:read`.
#[utoipa::path(
    get,
    path = "/v1/events/{event_id}",
    tag = "Reading",
    security(("bearer" = []), ("basic" = []), ("api_key" = [])),
    params(("event_id" = EventId, Path, description = "The event's id; a `/` in it is written as `%2F`.")),
    responses((status = 200, description = "The event.", body = StoredEvent, example = json!(examples::stored_event()))),
)]
pub async fn event(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let owner =
        authenticate(&state, &request, Some(Scope::EventsRead), KeyPlaces::Headers).await?.owner;
    // From the path as sent: the framework leaves some escapes in place, and an id may have any character.
    let escaped = request.uri().path().rsplit('/').next().unwrap_or_default();
    let Ok(event_id) = percent_decode_str(escaped).decode_utf8() else {
        return Err(Problem::NotFound);
    };
    let event_id = EventId::lookup(&*event_id);
    match state.ask(move |store| store.event(owner, &event_id)).await? {
        Some(event) => Ok(HttpResponse::Ok().json(event)),
        None => Err(Problem::NotFound),
    }
}

/// A page of stored events, the newest first by the time at which they happened.
///
/// Needs the scope `events:read`. A page begins strictly below the last event of the one before: every event that was
/// stored when the first page was read comes exactly once, whatever arrives meanwhile.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "Reading",
    security(("bearer" = []), ("basic" = []), ("api_key" = [])),
    params(QueryParameters),
    responses((status = 200, description = "The page.", body = PageAnswer, example = json!(examples::page()))),
)]
pub async fn events(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let owner =
        authenticate(&state, &request, Some(Scope::EventsRead), KeyPlaces::Headers).await?.owner;
    let query =
        query::read(request.query_string()).map_err(|errors| Problem::InvalidQuery { errors })?;
    let page = state.ask(move |store| store.events(owner, &query)).await?;
    let next_cursor = page.next.map(Position::to_cursor);
    Ok(HttpResponse::Ok().json(PageAnswer { events: page.events, next_cursor }))
}

#[derive(Serialize, ToSchema)]
#[schema(as = EventPage)]
struct PageAnswer {
    /// The events, the newest first.
    events: Vec<StoredEvent>,
    /// What the next page is asked for with, unchanged; `null` on the last one.
    #[schema(required)]
    next_cursor: Option<String>,
}
