//! Writing by clients of other services: paths, keys, bodies and answers as their own servers have
//! them.
//!
//! The path of an event is that of this server's own API, see `writes`. It differs in its ends: the
//! key may be in the body, the body may be large and of any type, and errors have more members. A
//! 200 means stored here too.

mod answer;

use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, HeaderValue};
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use mercurio_domain::api_key::Scope;
use mercurio_domain::verdict::Verdict;
use mercurio_pipeline::parse;
use mercurio_protocols::{
    Answer, BodyKey, ForeignPath, ForeignRequest, Form, Head, Protocols, Received, foreign_paths,
    form_of,
};

use super::table::Routes;
use super::wire::write::BatchResponse;
use crate::auth::{KeySources, Principal, authenticate, authenticate_body, authenticate_headers};
use crate::body::{Body, BodyHeaders, BodyLimits, Payer, drain};
use crate::client_ip::client_network;
use crate::problem::{EventErrors, Problem};
use crate::state::AppState;
use crate::writes::{
    Arrival, BodyHints, Expected, ForeignClient, ForeignLimits, WriteHeaders, body_problem,
    invalid, parse_problem, read_body_within, record_refusal, request_id, store, take_request,
};
use answer::{headers_of, refusal, response};

/// Segment's server client waits 10 seconds for an answer, and then sends the request again.
const ANSWER_WITHIN: Duration = Duration::from_millis(7_500);

/// Bound for the body of a client whose key is in it: room for a batch of PostHog's and Amplitude's
/// server clients. Anyone can send one, and all of them share a part of the memory.
const UNKNOWN_MAX_BODY_BYTES: usize = 2 * 1024 * 1024;

/// Time for that body.
const UNKNOWN_BODY_TIMEOUT: Duration = Duration::from_secs(10);

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Adds the paths of `protocols`.
pub(super) fn configure(routes: &mut Routes<'_>, protocols: Protocols) {
    for path in foreign_paths(protocols) {
        add(routes, path);
    }
}

/// Adds a path with and without a slash at its end: no client follows a redirect with its body.
fn add(routes: &mut Routes<'_>, ForeignPath { path, get, post }: ForeignPath) {
    let mut resource = web::resource([path.to_owned(), format!("{path}/")]);
    let mut methods = Vec::new();
    for (forms, method, names) in
        [(get, Method::GET, &["GET", "HEAD"][..]), (post, Method::POST, &["POST"])]
    {
        if forms.is_empty() {
            continue;
        }
        methods.extend_from_slice(names);
        // Leaked once for each route, at the start: handlers are cloned for each worker.
        let forms: &'static [Form] = forms.leak();
        if method == Method::GET {
            let head = move || look(forms);
            resource = resource.route(web::head().to(head));
        }
        let handle = move |state, request, payload| handle(forms, state, request, payload);
        resource = resource.route(web::method(method).to(handle));
    }
    methods.push("OPTIONS");
    let allow = methods.join(", ");
    let options = move || options(allow.clone());
    routes.unlisted(resource.route(web::method(Method::OPTIONS).to(options)), path, methods);
}

/// Lists the methods. The preflight of a browser is answered before, by CORS.
async fn options(allow: String) -> HttpResponse {
    HttpResponse::NoContent().insert_header((ALLOW, allow)).finish()
}

/// Answers `HEAD`: as `GET`, without storing an event.
async fn look(forms: &'static [Form]) -> HttpResponse {
    let fixed = forms.first().and_then(|form| form.fixed_reply());
    let own = || HttpResponse::Ok().insert_header((CACHE_CONTROL, NO_STORE)).finish();
    fixed.map_or_else(own, response)
}

/// Answers a request in one of `forms`.
async fn handle(
    forms: &'static [Form],
    state: Data<AppState>,
    request: HttpRequest,
    mut payload: Payload,
) -> HttpResponse {
    let headers = headers_of(&request);
    let head = Head { query: request.query_string(), headers: &headers };
    // Until the body of a shared path shows another one.
    let mut form = forms[0];
    if let Some(fixed) = form.fixed_reply() {
        // The connection stays open for the events that follow.
        drain(&mut payload, None).await;
        return response(fixed);
    }
    let arrival = Arrival::now(&state).answered_within(ANSWER_WITHIN);
    let written = write(&mut form, forms, &head, &state, &request, arrival, payload).await;
    let mut response = written.unwrap_or_else(|problem| {
        record_refusal(&state, &request, &arrival, &problem);
        refusal(form, &head, &problem)
    });
    if request.method() == Method::GET {
        // A cache would answer for an event that is not stored.
        response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    }
    response
}

/// Stores the events of a body in a foreign form.
async fn write(
    form: &mut Form,
    forms: &[Form],
    head: &Head<'_>,
    state: &AppState,
    request: &HttpRequest,
    arrival: Arrival,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    // The headers go before the body: only a client without a key in them is read unknown.
    let known = if forms.iter().any(|form| form.has_body_key()) {
        authenticate_headers(state, request).await?
    } else {
        let scope = Some(Scope::EventsWrite);
        Some(authenticate(state, request, scope, KeySources::Headers).await?)
    };
    let headers = WriteHeaders::read(request)?;
    let is_opaque = forms.iter().any(|form| form.has_opaque_body(head));
    let body_headers = if is_opaque { BodyHeaders::Coding } else { BodyHeaders::Any };
    let mut body = read_body(state, request, known.as_ref(), body_headers, payload).await?;
    // Counted references: the hints must not keep the body from its next payer.
    let bytes = body.bytes.clone();
    *form = form_of(forms, head, &bytes).unwrap_or(*form);
    let hints = BodyHints::new(Expected::Foreign(*form), &bytes);
    let text = form.payload(head, &bytes).map_err(|error| parse_problem(error, hints))?;
    // Each record of OpenTelemetry holds a copy of its resource: a small body may become megabytes.
    let grown = body.grow(text.len().saturating_sub(bytes.len()));
    grown.map_err(|error| body_problem(state, error))?;
    let hints = BodyHints::new(Expected::Foreign(*form), &text);
    let source = parse::source(&text).map_err(|error| parse_problem(error, hints))?;
    let max_events = ForeignLimits::new(&state.settings.protocols, known.as_ref()).max_events;
    let ForeignRequest { items, key, library } =
        form.read(head, &source, max_events).map_err(|error| parse_problem(error, hints))?;
    let principal = match known {
        Some(known) => known,
        None => identify(state, request, &key, items.len(), &mut body).await?,
    };
    let arrival = arrival.of_client(ForeignClient { form: *form, library });
    let verdicts = match items.len() {
        // Some protocols allow a request without events.
        0 => Vec::new(),
        _ => store(state, request, &principal, arrival, &headers, &source, items).await?,
    };
    state.metrics.record_foreign(form.protocol().as_str(), library, verdicts.len());
    let received = Received { body: &bytes, at: arrival.received_at };
    if let Some(reply) = form.reply(head, &received, &verdicts) {
        return Ok(response(reply));
    }
    let request_id = request_id();
    let response = BatchResponse::new(&verdicts, arrival.received_at, &request_id);
    // Clients drop a batch for any 4xx. One of several bad events must not cost the others.
    if response.rejected == response.total {
        return Err(invalid(match &*verdicts {
            [Verdict::Rejected(only)] => {
                EventErrors::errors(&only.errors, hints.of_errors(&only.errors))
            }
            _ => EventErrors::results(&response.results),
        }));
    }
    Ok(HttpResponse::Ok().json(Answer::new(*form, &received, &verdicts, response)))
}

/// Takes the token of a known client, and reads its body; or reads that of an unknown one, in the
/// room that all of those share.
async fn read_body(
    state: &AppState,
    request: &HttpRequest,
    known: Option<&Principal>,
    headers: BodyHeaders,
    payload: Payload,
) -> Result<Body, Problem> {
    let mut limits = BodyLimits {
        payer: Payer::Unknown(client_network(state, request)),
        max_bytes: ForeignLimits::new(&state.settings.protocols, known).max_body_bytes,
        timeout: state.settings.request_timeout,
        headers,
    };
    if let Some(principal) = known {
        take_request(state, request, principal)?;
        limits.payer = Payer::Tenant(principal.owner.tenant_id);
    } else {
        limits.max_bytes = limits.max_bytes.min(UNKNOWN_MAX_BODY_BYTES);
        limits.timeout = limits.timeout.min(UNKNOWN_BODY_TIMEOUT);
    }
    read_body_within(state, request, KeySources::ForeignHeaders, limits, payload).await
}

/// Authenticates a client by the key in its body, takes its token, checks the tenant's own limits,
/// and lets it pay for the body.
async fn identify(
    state: &AppState,
    request: &HttpRequest,
    key: &BodyKey<'_>,
    events: usize,
    body: &mut Body,
) -> Result<Principal, Problem> {
    let principal = authenticate_body(state, request, key).await?;
    take_request(state, request, &principal)?;
    let limits = ForeignLimits::new(&state.settings.protocols, Some(&principal));
    limits.check(body.bytes.len(), events)?;
    body.pass_to(principal.owner.tenant_id).map_err(|error| body_problem(state, error))?;
    Ok(principal)
}
