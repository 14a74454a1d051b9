//! The write side: `POST /v1/events/track` and `POST /v1/events/batch`.
//!
//! Each handler shows the whole way of its events on one screen. What is decided about an event is decided in the stage
//! that the decision belongs to, never here.

use std::time::Instant;

use actix_web::http::header::{HeaderName, USER_AGENT};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use mercurio_domain::api_key::Scope;
use mercurio_domain::event::{Batch, Reception};
use mercurio_domain::limits::MAX_IDEMPOTENCY_KEY_CHARS;
use mercurio_domain::schema_version::SchemaVersion;
use mercurio_domain::store::Submission;
use mercurio_domain::verdict::{FieldError, Outcome, Verdict};
use mercurio_domain::{Source, TenantId, Timestamp};
use mercurio_enrichment::ClientInfo;
use mercurio_observability::logging::request_line::EventCounts;
use mercurio_observability::{Stage, context};
use mercurio_pipeline::writer::QueueTime;
use mercurio_pipeline::{Envelope, IdSource, ParseError, parse, validate};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::auth::{KeyPlaces, Principal, authenticate};
use crate::body;
use crate::client_ip::client_ip;
use crate::middleware::RequestFacts;
use crate::openapi::{SingleEvent, examples};
use crate::problem::{EventErrors, Problem};
use crate::state::AppState;
use mercurio_rate_limit::{Answer, Exceeded};

const X_EVENT_SCHEMA_VERSION: HeaderName = HeaderName::from_static("x-event-schema-version");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Stores one event.
///
/// Needs the scope `events:write`. A 200 means stored: the event is committed, now (`accepted`) or before (`duplicate`). After
/// anything else the client may send the same event again; with the same `event_id` nothing is stored twice.
#[utoipa::path(
    post,
    path = "/v1/events/track",
    tag = "Writing",
    security(("bearer" = []), ("basic" = []), ("api_key" = []), ("auth" = [])),
    params(WriteHeaderParameters),
    request_body(content = SingleEvent, examples(
        ("least" = (summary = "The least that an event needs", value = json!({"event_name": "signed_up", "user_id": "u-42"}))),
        ("full" = (summary = "An order", value = json!(examples::event()))),
    )),
    responses((status = 200, description = "The event is stored.", body = TrackAnswer, example = json!(examples::track_answer()))),
)]
pub async fn track(
    state: Data<AppState>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let received_at = state.clock.now();
    let principal = admit(&state, &request).await?;
    let headers = WriteHeaders::read(&request)?;
    let body = read_body(&state, &request, &principal, payload).await?;
    let source = parse::source(&body).map_err(parse_problem)?;
    let envelope = parse::single(&source).map_err(parse_problem)?;
    let verdicts =
        store(&state, &request, &principal, received_at, &headers, &source, envelope).await?;
    match verdicts.first() {
        Some(Verdict::Stored(event_id, outcome)) => Ok(HttpResponse::Ok().json(TrackAnswer {
            event_id: event_id.as_str(),
            status: *outcome,
            received_at,
            request_id: &request_id(),
        })),
        Some(Verdict::Rejected(rejection)) => Err(invalid(EventErrors::errors(&rejection.errors))),
        None => Err(Problem::Internal),
    }
}

/// Stores the events of a batch; each gets its own verdict.
///
/// Needs the scope `events:write`. Results stand in the order of the request. One bad event rejects itself alone. A 200 means
/// stored: each `accepted` event is committed now, each `duplicate` was before. After anything else the client may send the
/// same events again; with the same values of `event_id` nothing is stored twice.
#[utoipa::path(
    post,
    path = "/v1/events/batch",
    tag = "Writing",
    security(("bearer" = []), ("basic" = []), ("api_key" = []), ("auth" = [])),
    params(WriteHeaderParameters),
    request_body(content = Batch, examples(("batch" = (summary = "Two events", value = json!(examples::batch()))))),
    responses((status = 200, description = "At least one event is stored.", body = BatchAnswer, example = json!(examples::batch_answer()))),
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
    let source = parse::source(&body).map_err(parse_problem)?;
    let envelope = parse::batch(&source, &principal.limits).map_err(parse_problem)?;
    let verdicts =
        store(&state, &request, &principal, received_at, &headers, &source, envelope).await?;
    let results: Vec<_> = verdicts
        .iter()
        .enumerate()
        .map(|(index, verdict)| EventResult::of(index, verdict))
        .collect();
    let counts = counts_of(&verdicts);
    if counts.rejected == counts.total() {
        return Err(invalid(EventErrors::results(&results)));
    }
    Ok(HttpResponse::Ok().json(BatchAnswer {
        accepted: counts.accepted,
        duplicates: counts.duplicates,
        rejected: counts.rejected,
        total: counts.total(),
        results,
        received_at,
        request_id: &request_id(),
    }))
}

/// Finds out who is calling, and whether they may send another request.
async fn admit(state: &AppState, request: &HttpRequest) -> Result<Principal, Problem> {
    let principal =
        authenticate(state, request, Some(Scope::EventsWrite), KeyPlaces::HeadersAndQuery).await?;
    state.quota_usage.note(principal.owner.tenant_id, principal.limits.monthly_events);
    let taken = state.rate_limits.take_request(principal.owner.tenant_id, &principal.limits);
    admitted(state, request, "requests", taken)?;
    Ok(principal)
}

/// Notes what is left of the tenant's buckets, for the answer's headers, and refuses where there was too little.
fn admitted(
    state: &AppState,
    request: &HttpRequest,
    limit: &'static str,
    (left, taken): Answer,
) -> Result<(), Problem> {
    RequestFacts::tell(request, |facts| facts.rate_limit = Some(left));
    taken.map_err(|Exceeded { retry_after_seconds }| {
        state.metrics.record_rate_limited(limit);
        Problem::RateLimited { retry_after_seconds }
    })
}

/// The way of the events from drafts to verdicts: count, validate, enrich, submit.
async fn store(
    state: &AppState,
    request: &HttpRequest,
    &Principal { owner, limits }: &Principal,
    received_at: Timestamp,
    headers: &WriteHeaders,
    source: &Source,
    envelope: Envelope<'_>,
) -> Result<Vec<Verdict>, Problem> {
    state.metrics.record_batch(envelope.items.len());
    let taken = state.rate_limits.take_events(owner.tenant_id, &limits, envelope.items.len()).await;
    admitted(state, request, state.rate_limits.short_of(&taken), taken)?;
    let reception = Reception {
        received_at,
        sent_at: envelope.sent_at,
        schema_version: headers.schema_version.clone(),
        limits,
        source: source.clone(),
    };
    let ids = match &headers.idempotency_key {
        Some(key) => IdSource::Derived { tenant_id: owner.tenant_id, idempotency_key: key },
        None => IdSource::Generated(state.ids.as_ref()),
    };
    let mut validated = validate(envelope.items, &reception, ids);
    RequestFacts::end_stage(request, Stage::Parse);
    let user_agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
    let enrichment =
        state.enricher.request(&ClientInfo { client_ip: client_ip(state, request), user_agent });
    let events =
        validated.take_events().into_iter().map(|event| enrichment.enrich(event)).collect();
    RequestFacts::end_stage(request, Stage::Enrich);
    let submission = Submission { owner, received_at, events };
    let outcomes = submit(state, request, submission, limits.monthly_events).await?;
    let verdicts = validated.verdicts(&outcomes);
    count_rejections(state, owner.tenant_id, &verdicts);
    RequestFacts::tell(request, |facts| facts.events = Some(counts_of(&verdicts)));
    Ok(verdicts)
}

async fn read_body(
    state: &AppState,
    request: &HttpRequest,
    principal: &Principal,
    payload: Payload,
) -> Result<actix_web::web::Bytes, Problem> {
    let limits = body::BodyLimits {
        max_bytes: principal.limits.max_body_bytes,
        timeout: state.settings.request_timeout,
    };
    let body = body::read(request, payload, limits, &state.metrics).await;
    RequestFacts::end_stage(request, Stage::Receive);
    body
}

/// Waits for the commit, and notes how long the queue and the transaction took.
async fn submit(
    state: &AppState,
    request: &HttpRequest,
    submission: Submission,
    monthly_events: u64,
) -> Result<Vec<Outcome>, Problem> {
    let (start, queued) = (Instant::now(), QueueTime::default());
    let outcomes = state.submit(submission, monthly_events, &queued).await;
    let end = Instant::now();
    RequestFacts::tell(request, |facts| {
        let began = queued.get().map_or(end, |queued| start + queued);
        facts.stages.note(Stage::Queue, start, began);
        if began < end {
            facts.stages.note(Stage::Commit, began, end);
        }
    });
    outcomes
}

/// The headers of a write, as clients are told of them.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the document alone reads it")]
struct WriteHeaderParameters {
    /// The version of the schema of events that name none; `1.0.0` where nothing names one.
    #[param(rename = "X-Event-Schema-Version", nullable = false, example = "2.1.0")]
    x_event_schema_version: Option<SchemaVersion>,
    /// Makes a request without `event_id`s safe to repeat: each missing id is derived from the tenant, this key, the event's
    /// place and its bytes. Bare or quoted.
    #[param(
        rename = "Idempotency-Key",
        nullable = false,
        max_length = 255,
        pattern = r#"^([!-~]|[!#-~][!-~]|[!-~][!#-~]|[!-~][\t -~]+[!-~])$"#
    )]
    idempotency_key: Option<String>,
    /// How the body is compressed, in any case of letters; one coding at most. Limits count the bytes after decompression,
    /// which stops at the limit.
    #[param(rename = "Content-Encoding", nullable = false, inline)]
    content_encoding: Option<ContentCoding>,
}

/// A coding of a body.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(
    dead_code,
    reason = "the document alone reads it; a test holds it against what is decoded"
)]
enum ContentCoding {
    Gzip,
    Br,
    Zstd,
    Deflate,
    /// As it is.
    Identity,
}

/// What the headers of a write say beside the key.
struct WriteHeaders {
    schema_version: SchemaVersion,
    idempotency_key: Option<String>,
}

impl WriteHeaders {
    fn read(request: &HttpRequest) -> Result<Self, Problem> {
        Ok(Self {
            schema_version: schema_version(request)?,
            idempotency_key: idempotency_key(request)?,
        })
    }
}

fn schema_version(request: &HttpRequest) -> Result<SchemaVersion, Problem> {
    let values = request.headers().get_all(X_EVENT_SCHEMA_VERSION);
    let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    if values.is_empty() {
        return Ok(SchemaVersion::default());
    }
    // One that stands twice is a list (RFC 9110, 5.3), which is no version: to choose one would be a guess.
    let text = values.join(", ");
    SchemaVersion::parse(&text).map_err(|_| Problem::InvalidSchemaVersion { actual: text })
}

/// The key of draft-ietf-httpapi-idempotency-key-header, quoted or bare.
fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let mut values = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let refused = Problem::BadRequest {
        detail: "Idempotency-Key must be one text of 1 to 255 characters in UTF-8.",
    };
    let (Ok(text), None) = (std::str::from_utf8(value.as_bytes()), values.next()) else {
        return Err(refused);
    };
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let key = quoted.unwrap_or(text);
    if key.is_empty() || key.chars().count() > MAX_IDEMPOTENCY_KEY_CHARS {
        return Err(refused);
    }
    Ok(Some(key.to_owned()))
}

fn parse_problem(error: ParseError) -> Problem {
    match error {
        ParseError::Malformed { line, column, message } => {
            Problem::MalformedJson { line, column, detail: message }
        }
        ParseError::BatchEmpty => Problem::BatchEmpty,
        ParseError::BatchTooLarge { limit, actual } => Problem::BatchTooLarge { limit, actual },
        ParseError::Shape(errors) => invalid(EventErrors::errors(&errors)),
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
            Verdict::Stored(_, Outcome::Duplicate) => counts.duplicates += 1,
            Verdict::Rejected(_) => counts.rejected += 1,
        }
    }
    counts
}

/// Counts each rejected event once for each of its codes, and logs a few.
fn count_rejections(state: &AppState, tenant_id: TenantId, verdicts: &[Verdict]) {
    for verdict in verdicts {
        let Verdict::Rejected(rejection) = verdict else { continue };
        state.rejection_log.tell(&context::current(), tenant_id, rejection);
        for (index, fault) in rejection.errors.iter().enumerate() {
            if !rejection.errors[..index].iter().any(|before| before.code == fault.code) {
                state.metrics.record_rejections(fault.code.as_str(), 1);
            }
        }
    }
}

fn request_id() -> String {
    context::current_request().map(|request| request.request_id).unwrap_or_default()
}

#[derive(Serialize, ToSchema)]
struct TrackAnswer<'a> {
    /// The event's id: the client's, or the one that the server made.
    event_id: &'a str,
    /// What became of it.
    status: Outcome,
    /// When the request came, by the server's clock.
    received_at: Timestamp,
    /// The id of the request, under which it is in the server's log.
    request_id: &'a str,
}

#[derive(Serialize, ToSchema)]
struct BatchAnswer<'a> {
    /// Events that were stored now.
    accepted: u64,
    /// Events that had been stored before.
    duplicates: u64,
    /// Events that break rules.
    rejected: u64,
    /// All of them.
    total: u64,
    /// What became of each, in the order of the request.
    results: Vec<EventResult<'a>>,
    /// When the request came, by the server's clock.
    received_at: Timestamp,
    /// The id of the request, under which it is in the server's log.
    request_id: &'a str,
}

/// What became of an event of a batch.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventResult<'a> {
    /// Its place in the request, from 0.
    index: usize,
    /// Its id: the client's, or the one that the server made; `null` for a rejected event without a sound one.
    #[schema(required)]
    event_id: Option<&'a str>,
    /// What became of it.
    status: EventStatus,
    /// What is wrong with it; only where it is rejected.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

/// What became of an event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum EventStatus {
    /// Stored now.
    Accepted,
    /// Stored before.
    Duplicate,
    /// Not stored: it breaks rules.
    Rejected,
}

impl<'a> EventResult<'a> {
    fn of(index: usize, verdict: &'a Verdict) -> Self {
        match verdict {
            Verdict::Stored(event_id, outcome) => {
                let status = match outcome {
                    Outcome::Accepted => EventStatus::Accepted,
                    Outcome::Duplicate => EventStatus::Duplicate,
                };
                Self { index, event_id: Some(event_id.as_str()), status, errors: &[] }
            }
            Verdict::Rejected(rejection) => Self {
                index,
                event_id: rejection.event_id.as_ref().map(mercurio_domain::EventId::as_str),
                status: EventStatus::Rejected,
                errors: &rejection.errors,
            },
        }
    }
}
