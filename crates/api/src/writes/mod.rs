//! The path of events, shared by the routes that write: admit, read the body, store, count.
//!
//! Handlers parse between these steps, and respond after them. Not here: the forms of requests and
//! responses.

mod arrival;
mod body_hints;
mod commit;
mod foreign_limits;
mod headers;
mod problems;
mod rejections;

use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::http::header::USER_AGENT;
use actix_web::web::Payload;
use mercurio_domain::api_key::Scope;
use mercurio_domain::event::Reception;
use mercurio_domain::limits::Limits;
use mercurio_domain::request::Item;
use mercurio_domain::store::Submission;
use mercurio_domain::verdict::{Outcome, Verdict};
use mercurio_domain::{Source, TenantId};
use mercurio_enrichment::ClientInfo;
use mercurio_observability::logging::request_line::EventCounts;
use mercurio_observability::{Stage, context};
use mercurio_pipeline::{IdSource, validate};

use crate::auth::{KeySources, Principal, authenticate, recheck_key};
use crate::body::{Body, BodyError, BodyHeaders, BodyLimits, Payer};
use crate::client_ip::client_ip;
use crate::middleware::RequestFacts;
use crate::problem::Problem;
use crate::state::AppState;
use mercurio_rate_limit::{BucketName, RateLimitDecision, RateLimitExceeded};

pub(crate) use arrival::{Arrival, ForeignClient, request_id};
pub(crate) use body_hints::{BodyHints, Expected};
pub(crate) use foreign_limits::ForeignLimits;
pub(crate) use headers::{WriteHeaderParameters, WriteHeaders};
pub(crate) use problems::{invalid, parse_problem};
pub(crate) use rejections::record_refusal;

/// Bodies that take longer have their key checked again. The deletion of a tenant waits for this
/// time, the lifetime of a cached key and a commit.
const KEY_RECHECK_AFTER: Duration = Duration::from_secs(1);

/// Authenticates the request and takes its token from the bucket of requests.
pub(crate) async fn admit(state: &AppState, request: &HttpRequest) -> Result<Principal, Problem> {
    let principal =
        authenticate(state, request, Some(Scope::EventsWrite), KeySources::HeadersAndQuery).await?;
    take_request(state, request, &principal)?;
    Ok(principal)
}

/// Takes the token of an authenticated request.
pub(crate) fn take_request(
    state: &AppState,
    request: &HttpRequest,
    principal: &Principal,
) -> Result<(), Problem> {
    // Puts the tenant into the metric of used quotas.
    state.quota_usage.note(principal.owner.tenant_id, principal.limits.monthly_events);
    // Only the local bucket. Redis is asked once per write, together with the event tokens.
    let decision = state.rate_limits.take_request(principal.owner.tenant_id, &principal.limits);
    admitted(state, request, &principal.limits, decision)
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

/// Reads the body of an admitted request.
pub(crate) async fn read_body(
    state: &AppState,
    request: &HttpRequest,
    principal: &Principal,
    payload: Payload,
) -> Result<Body, Problem> {
    let limits = BodyLimits {
        payer: Payer::Tenant(principal.owner.tenant_id),
        max_bytes: principal.limits.max_body_bytes,
        timeout: state.settings.request_timeout,
        headers: BodyHeaders::Exact,
    };
    read_body_within(state, request, KeySources::HeadersAndQuery, limits, payload).await
}

/// Reads a body within `limits`. The request has a key in one of `sources`, unless its payer is
/// unknown.
pub(crate) async fn read_body_within(
    state: &AppState,
    request: &HttpRequest,
    sources: KeySources,
    limits: BodyLimits,
    payload: Payload,
) -> Result<Body, Problem> {
    let start = Instant::now();
    let body = state.bodies.read(request, payload, limits, &state.metrics).await;
    // Also after an error: a slow body belongs to the client in the log of slow requests.
    RequestFacts::end_stage(request, Stage::Receive);
    // A slow body may outlast the tenant: after a deletion its events would stay for ever.
    let is_known = matches!(limits.payer, Payer::Tenant(_));
    if is_known && start.elapsed() >= KEY_RECHECK_AFTER {
        recheck_key(state, request, sources).await?;
    }
    body.map_err(|error| body_problem(state, error))
}

/// Returns the problem of a body that was not read.
pub(crate) fn body_problem(state: &AppState, error: BodyError) -> Problem {
    match error {
        BodyError::Overloaded(bound) => {
            state.metrics.record_refused_body(bound.as_str());
            state.overloaded()
        }
        BodyError::Refused(problem) => problem,
    }
}

/// Turns drafts into verdicts: takes event tokens, validates, enriches and submits.
pub(crate) async fn store(
    state: &AppState,
    request: &HttpRequest,
    &Principal { owner, limits, .. }: &Principal,
    arrival: Arrival,
    headers: &WriteHeaders,
    source: &Source,
    items: Vec<Item<'_>>,
) -> Result<Vec<Verdict>, Problem> {
    state.metrics.record_batch(items.len());
    // Before validation: checking events costs CPU, and so does checking invalid ones. If Redis
    // does not answer, this server decides alone with its share of the limit (ADR 15).
    let decision = state.rate_limits.take_events(owner.tenant_id, &limits, items.len()).await;
    admitted(state, request, &limits, decision)?;
    // Validation corrects times by `sent_at` before it checks their window: a phone whose clock is
    // wrong sends valid events (ADR 4).
    let reception = Reception {
        received_at: arrival.received_at,
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
    let rejected = validated.take_rejected();
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
    // One deadline for all waits: a database that hangs in each of them takes no longer.
    let deadline = arrival.deadline(state.settings.commit_timeout);
    let submission = Submission { owner, received_at: arrival.received_at, events };
    // The last wait. It ends after the commit: a 200 means stored.
    let outcomes =
        commit::submit(state, request, submission, limits.monthly_events, deadline).await?;
    let verdicts = validated.verdicts(&outcomes);
    // After the commit: a failed request has no verdicts.
    if !rejected.is_empty() {
        count_rejections(state, owner.tenant_id, &verdicts);
        rejections::record(state, request, owner, &arrival, &rejected, &verdicts);
    }
    RequestFacts::update(request, |facts| facts.events = Some(counts_of(&verdicts)));
    Ok(verdicts)
}

/// Counts verdicts by their kind.
pub(crate) fn counts_of(verdicts: &[Verdict]) -> EventCounts {
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
