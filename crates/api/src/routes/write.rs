//! Writing: `POST /v1/events/track` and `POST /v1/events/batch`.
//!
//! A handler shows the whole path of its events: authenticate, read, parse, store (validate, enrich, submit), respond. Every
//! decision about an event belongs to one of these stages, and none is made here.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use mercurio_domain::event::Batch;
use mercurio_domain::verdict::{Rejection, Verdict};
use mercurio_pipeline::parse;

use super::wire::examples;
use super::wire::write::{BODY, BatchResponse, SingleEvent, TrackResponse};
use crate::problem::{EventErrors, Problem};
use crate::state::AppState;
use crate::writes::{
    Arrival, BodyHints, Expected, WriteHeaderParameters, WriteHeaders, admit, invalid,
    parse_problem, read_body, record_refusal, request_id, store,
};

/// Stores one event.
///
/// Needs the scope `events:write`. A 200 means stored: the event was committed by this request (`accepted`) or earlier
/// (`duplicate`). After any other outcome, send the same event again: the same `event_id` is never stored twice.
#[utoipa::path(
    post,
    path = "/v1/events/track",
    operation_id = "trackEvent",
    tag = "Writing",
    security(("bearer" = [])),
    params(WriteHeaderParameters),
    request_body(content = SingleEvent, description = BODY, examples(
        ("least" = (summary = "The minimum", value = json!({"event_name": "signed_up", "user_id": "u-42"}))),
        ("full" = (summary = "An order", value = json!(examples::event()))),
    )),
    responses((status = 200, description = "The event is stored.", body = TrackResponse, example = json!(examples::track_response()))),
)]
pub async fn track(
    state: Data<AppState>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    // Before authentication and the body: a slow upload must not move the time of receipt.
    let arrival = Arrival::now(&state);
    let written = write_track(&state, &request, payload, arrival).await;
    written.inspect_err(|problem| record_refusal(&state, &request, &arrival, problem))
}

async fn write_track(
    state: &AppState,
    request: &HttpRequest,
    payload: Payload,
    arrival: Arrival,
) -> Result<HttpResponse, Problem> {
    let principal = admit(state, request).await?;
    // Before the body: a request with invalid headers is refused without reading it.
    let headers = WriteHeaders::read(request)?;
    let body = read_body(state, request, &principal, payload).await?;
    let hints = BodyHints::new(Expected::Event, &body.bytes);
    let source = parse::source(&body.bytes).map_err(|error| parse_problem(error, hints))?;
    let items = parse::single(&source).map_err(|error| parse_problem(error, hints))?;
    let verdicts = store(state, request, &principal, arrival, &headers, &source, items).await?;
    match verdicts.first() {
        Some(Verdict::Stored(event_id, outcome)) => {
            let request_id = request_id();
            let response = TrackResponse::new(event_id, *outcome, arrival.received_at, &request_id);
            Ok(HttpResponse::Ok().json(response))
        }
        Some(Verdict::Rejected(Rejection { errors, .. })) => {
            Err(invalid(EventErrors::errors(errors, hints.of_errors(errors))))
        }
        // A single event always yields one verdict.
        None => Err(Problem::Internal),
    }
}

/// Stores the events of a batch, each with its own result.
///
/// Needs the scope `events:write`. The results are in the order of the request. A rejected event does not affect the others. A
/// 200 means stored: each `accepted` event was committed by this request, each `duplicate` earlier. After any other outcome,
/// send the same events again: the same `event_id` is never stored twice.
#[utoipa::path(
    post,
    path = "/v1/events/batch",
    operation_id = "sendBatch",
    tag = "Writing",
    security(("bearer" = [])),
    params(WriteHeaderParameters),
    request_body(content = Batch, description = BODY, examples(("batch" = (summary = "Two events", value = json!(examples::batch()))))),
    responses((status = 200, description = "At least one event is stored.", body = BatchResponse, example = json!(examples::batch_response()))),
)]
pub async fn batch(
    state: Data<AppState>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    // Before authentication and the body: a slow upload must not move the time of receipt.
    let arrival = Arrival::now(&state);
    let written = write_batch(&state, &request, payload, arrival).await;
    written.inspect_err(|problem| record_refusal(&state, &request, &arrival, problem))
}

async fn write_batch(
    state: &AppState,
    request: &HttpRequest,
    payload: Payload,
    arrival: Arrival,
) -> Result<HttpResponse, Problem> {
    let principal = admit(state, request).await?;
    let headers = WriteHeaders::read(request)?;
    let body = read_body(state, request, &principal, payload).await?;
    let hints = BodyHints::new(Expected::Batch, &body.bytes);
    let source = parse::source(&body.bytes).map_err(|error| parse_problem(error, hints))?;
    let items =
        parse::batch(&source, &principal.limits).map_err(|error| parse_problem(error, hints))?;
    let verdicts = store(state, request, &principal, arrival, &headers, &source, items).await?;
    let request_id = request_id();
    let response = BatchResponse::new(&verdicts, arrival.received_at, &request_id);
    // Clients often check only the status: a batch that stored nothing must not look like a
    // success.
    if response.rejected == response.total {
        return Err(invalid(EventErrors::results(&response.results)));
    }
    Ok(HttpResponse::Ok().json(response))
}
