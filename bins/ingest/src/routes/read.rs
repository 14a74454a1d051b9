//! The read side: `GET /v1/events/{event_id}` and `GET /v1/events`.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use mercurio_domain::EventId;
use mercurio_domain::api_key::Scope;
use mercurio_domain::event::StoredEvent;
use mercurio_domain::store::Position;
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::query;
use crate::auth::{KeyPlaces, authenticate};
use crate::problem::Problem;
use crate::state::AppState;

/// Reads one event.
pub async fn event(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let owner = authenticate(&state, &request, Some(Scope::EventsRead), KeyPlaces::Headers).await?.owner;
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

/// Reads a page of events.
pub async fn events(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let owner = authenticate(&state, &request, Some(Scope::EventsRead), KeyPlaces::Headers).await?.owner;
    let query = query::read(request.query_string()).map_err(|errors| Problem::InvalidQuery { errors })?;
    let page = state.ask(move |store| store.events(owner, &query)).await?;
    let next_cursor = page.next.map(Position::to_cursor);
    Ok(HttpResponse::Ok().json(PageAnswer { events: page.events, next_cursor }))
}

#[derive(Serialize)]
struct PageAnswer {
    events: Vec<StoredEvent>,
    next_cursor: Option<String>,
}
