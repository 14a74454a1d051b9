//! Writing: `POST /v1/events/track` and `POST /v1/events/batch`.
//!
//! A handler shows the whole path of its events: authenticate, read, parse, store (validate, enrich, submit), respond. Every
//! decision about an event belongs to one of these stages, and none is made here.

use std::time::{Duration, Instant};

use actix_web::http::header::USER_AGENT;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use mercurio_domain::api_key::Scope;
use mercurio_domain::event::{Batch, Reception};
use mercurio_domain::limits::Limits;
use mercurio_domain::request::{Item, ParseError};
use mercurio_domain::store::Submission;
use mercurio_domain::verdict::{Outcome, Rejection, Verdict};
use mercurio_domain::{Source, TenantId, Timestamp};
use mercurio_enrichment::ClientInfo;
use mercurio_observability::logging::request_line::EventCounts;
use mercurio_observability::{Stage, context};
use mercurio_pipeline::writer::QueueTime;
use mercurio_pipeline::{IdSource, parse, validate};

use super::body_hints::{BodyHints, Expected};
use super::wire::examples;
use super::wire::write::{BODY, BatchResponse, EventResult, SingleEvent, TrackResponse};
use super::write_headers::{WriteHeaderParameters, WriteHeaders};
use crate::auth::{KeySources, Principal, authenticate, recheck_key};
use crate::body::{Body, BodyError, BodyLimits};
use crate::client_ip::client_ip;
use crate::middleware::RequestFacts;
use crate::problem::{EventErrors, Problem};
use crate::state::AppState;
use mercurio_rate_limit::{BucketName, RateLimitDecision, RateLimitExceeded};
use mercurio_runtime::quota_usage::Admission;

/// Bodies that take longer have their key checked again. The deletion of a tenant waits for this
/// time, the lifetime of a cached key and a commit.
const KEY_RECHECK_AFTER: Duration = Duration::from_secs(1);

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
    let received_at = state.clock.now();
    let principal = admit(&state, &request).await?;
    // Before the body: a request with invalid headers is refused without reading it.
    let headers = WriteHeaders::read(&request)?;
    let body = read_body(&state, &request, &principal, payload).await?;
    let hints = BodyHints::new(Expected::Event, &body.bytes);
    let source = parse::source(&body.bytes).map_err(|error| parse_problem(error, hints))?;
    let items = parse::single(&source).map_err(|error| parse_problem(error, hints))?;
    let verdicts =
        store(&state, &request, &principal, received_at, &headers, &source, items).await?;
    match verdicts.first() {
        Some(Verdict::Stored(event_id, outcome)) => {
            let request_id = request_id();
            let response = TrackResponse::new(event_id, *outcome, received_at, &request_id);
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
    let received_at = state.clock.now();
    let principal = admit(&state, &request).await?;
    let headers = WriteHeaders::read(&request)?;
    let body = read_body(&state, &request, &principal, payload).await?;
    let hints = BodyHints::new(Expected::Batch, &body.bytes);
    let source = parse::source(&body.bytes).map_err(|error| parse_problem(error, hints))?;
    let items =
        parse::batch(&source, &principal.limits).map_err(|error| parse_problem(error, hints))?;
    let verdicts =
        store(&state, &request, &principal, received_at, &headers, &source, items).await?;
    let results: Vec<_> = verdicts
        .iter()
        .enumerate()
        .map(|(index, verdict)| EventResult::new(index, verdict))
        .collect();
    let counts = counts_of(&verdicts);
    // Clients often check only the status: a batch that stored nothing must not look like a
    // success.
    if counts.rejected == counts.total() {
        return Err(invalid(EventErrors::results(&results)));
    }
    Ok(HttpResponse::Ok().json(BatchResponse {
        accepted: counts.accepted,
        duplicates: counts.duplicates,
        rejected: counts.rejected,
        total: counts.total(),
        results,
        received_at,
        request_id: &request_id(),
    }))
}

/// Authenticates the request and takes its token from the bucket of requests.
async fn admit(state: &AppState, request: &HttpRequest) -> Result<Principal, Problem> {
    let principal =
        authenticate(state, request, Some(Scope::EventsWrite), KeySources::HeadersAndQuery).await?;
    // Puts the tenant into the metric of used quotas.
    state.quota_usage.note(principal.owner.tenant_id, principal.limits.monthly_events);
    // Only the local bucket. Redis is asked once per write, together with the event tokens.
    let decision = state.rate_limits.take_request(principal.owner.tenant_id, &principal.limits);
    admitted(state, request, &principal.limits, decision)?;
    Ok(principal)
}

/// Puts the state of the tenant's buckets into the response headers, and fails if a token was missing.
fn admitted(
    state: &AppState,
    request: &HttpRequest,
    limits: &Limits,
    decision: RateLimitDecision,
) -> Result<(), Problem> {
    // Also for a refused request: its client needs the headers most.
    RequestFacts::update(request, |facts| facts.rate_limit = Some(decision.state));
    decision.result.map_err(|RateLimitExceeded { bucket, retry_after_seconds }| {
        let per_second = match bucket {
            BucketName::Events => limits.events_per_second,
            BucketName::Requests | BucketName::Reads => limits.requests_per_second,
        };
        let bucket = bucket.as_str();
        state.metrics.record_rate_limited(bucket);
        Problem::RateLimited { bucket, per_second, retry_after_seconds }
    })
}

/// Turns drafts into verdicts: takes event tokens, validates, enriches and submits.
async fn store(
    state: &AppState,
    request: &HttpRequest,
    &Principal { owner, limits }: &Principal,
    received_at: Timestamp,
    headers: &WriteHeaders,
    source: &Source,
    items: Vec<Item<'_>>,
) -> Result<Vec<Verdict>, Problem> {
    state.metrics.record_batch(items.len());
    // Before validation: checking events costs CPU, and so does checking invalid ones. If Redis
    // does not answer, this server decides alone with its share of the limit (ADR 15).
    let count = items.len();
    let decision = state.rate_limits.take_events(owner.tenant_id, &limits, count).await;
    admitted(state, request, &limits, decision)?;
    // Validation corrects times by `sent_at` before it checks their window: a phone whose clock is
    // wrong sends valid events (ADR 4).
    let reception = Reception {
        received_at,
        schema_version: headers.schema_version.clone(),
        limits,
        source: source.clone(),
    };
    let ids = match &headers.idempotency_key {
        // A repeat of the request derives the same ids, so that its events are duplicates.
        Some(key) => IdSource::Derived { tenant_id: owner.tenant_id, idempotency_key: key },
        // Only events without an id get one.
        None => IdSource::Generated(state.ids.as_ref()),
    };
    let mut validated = validate(items, &reception, ids);
    // The stage includes the round trip to Redis, if there is one.
    RequestFacts::end_stage(request, Stage::Parse);
    // Absent or not ASCII: then the event has no device.
    let user_agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
    // Device and location are looked up once per request.
    let enrichment =
        state.enricher.request(&ClientInfo { client_ip: client_ip(state, request), user_agent });
    let events =
        validated.take_events().into_iter().map(|event| enrichment.enrich(event)).collect();
    RequestFacts::end_stage(request, Stage::Enrich);
    let submission = Submission { owner, received_at, events };
    // One deadline for both waits: a database that hangs in each of them takes no longer.
    let deadline = tokio::time::Instant::now() + state.settings.commit_timeout;
    // A cold tenant waits here for a read of its usage.
    let admission = state.admit(&submission, limits.monthly_events, deadline).await?;
    // The last wait. It ends after the commit: a 200 means stored.
    let outcomes = submit(state, request, submission, admission, deadline).await?;
    let verdicts = validated.verdicts(&outcomes);
    // After the commit: a failed request has no verdicts.
    count_rejections(state, owner.tenant_id, &verdicts);
    RequestFacts::update(request, |facts| facts.events = Some(counts_of(&verdicts)));
    Ok(verdicts)
}

async fn read_body(
    state: &AppState,
    request: &HttpRequest,
    principal: &Principal,
    payload: Payload,
) -> Result<Body, Problem> {
    let limits = BodyLimits {
        tenant_id: principal.owner.tenant_id,
        max_bytes: principal.limits.max_body_bytes,
        timeout: state.settings.request_timeout,
    };
    let start = Instant::now();
    let body = state.bodies.read(request, payload, limits, &state.metrics).await;
    // Also after an error: a slow body belongs to the client in the log of slow requests.
    RequestFacts::end_stage(request, Stage::Receive);
    // A slow body may outlast the tenant: after a deletion its events would stay for ever.
    if start.elapsed() >= KEY_RECHECK_AFTER {
        recheck_key(state, request).await?;
    }
    body.map_err(|error| match error {
        BodyError::Overloaded => state.overloaded(),
        BodyError::Refused(problem) => problem,
    })
}

/// Waits for the commit and records the time in the queue and in the transaction.
async fn submit(
    state: &AppState,
    request: &HttpRequest,
    submission: Submission,
    admission: Option<Admission>,
    deadline: tokio::time::Instant,
) -> Result<Vec<Outcome>, Problem> {
    let (start, queued) = (Instant::now(), QueueTime::default());
    let outcomes = state.submit(submission, admission, &queued, deadline).await;
    let end = Instant::now();
    RequestFacts::update(request, |facts| {
        // Without a time in the queue no transaction has begun: all of the wait was in the queue.
        let began = queued.get().map_or(end, |queued| start + queued);
        facts.stages.note(Stage::Queue, start, began);
        if began < end {
            facts.stages.note(Stage::Commit, began, end);
        }
    });
    outcomes
}

fn parse_problem(error: ParseError, hints: BodyHints<'_>) -> Problem {
    match error {
        ParseError::Malformed { line, column, message } => {
            let detail = hints.of_malformed(line, column, &message);
            Problem::MalformedJson { line, column, detail }
        }
        ParseError::BatchEmpty => Problem::BatchEmpty,
        ParseError::BatchTooLarge { limit, actual } => Problem::BatchTooLarge { limit, actual },
        ParseError::Shape(errors) => {
            invalid(EventErrors::errors(&errors, hints.of_errors(&errors)))
        }
    }
}

fn invalid(errors: serde_json::Result<EventErrors>) -> Problem {
    errors.map_or(Problem::Internal, Problem::InvalidEvent)
}

fn counts_of(verdicts: &[Verdict]) -> EventCounts {
    let mut counts = EventCounts::default();
    for verdict in verdicts {
        match verdict {
            Verdict::Stored(_, Outcome::Accepted) => counts.accepted += 1,
            Verdict::Stored(_, Outcome::Duplicate | Outcome::DuplicateIn(_)) => {
                counts.duplicates += 1;
            }
            Verdict::Rejected(_) => counts.rejected += 1,
        }
    }
    counts
}

/// Counts each rejected event once per error code, and logs a sample.
fn count_rejections(state: &AppState, tenant_id: TenantId, verdicts: &[Verdict]) {
    for verdict in verdicts {
        // Accepted events are counted by the middleware, from the facts.
        let Verdict::Rejected(rejection) = verdict else { continue };
        state.rejection_log.record(&context::current(), tenant_id, rejection);
        for (index, error) in rejection.errors.iter().enumerate() {
            // An event with the same error in several members counts once for it.
            if !rejection.errors[..index].iter().any(|before| before.code == error.code) {
                state.metrics.record_rejections(error.code.as_str(), 1);
            }
        }
    }
}

/// Returns the id set by the middleware; empty without it, as in a unit test.
fn request_id() -> String {
    context::current_request().map(|request| request.request_id).unwrap_or_default()
}
