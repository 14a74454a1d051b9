//! Writing by clients of other services: paths, keys, bodies and answers as their own servers have
//! them.
//!
//! The path of an event is that of this server's own API, see `writes`. It differs in its ends: the
//! key may be in the body, the body may be large and of any type, and errors have more members. A
//! 200 means stored here too.

mod problem;

use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::ALLOW;
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use mercurio_domain::event::EventType;
use mercurio_pipeline::parse;
use mercurio_protocols::segment::{self, Form};
use mercurio_protocols::{Answer, BodyKey, ForeignRequest, Protocol, Protocols};

use super::table::Routes;
use super::wire::write::BatchResponse;
use crate::auth::{KeySources, Principal, authenticate_body, authenticate_headers};
use crate::body::{Body, BodyHeaders, BodyLimits, Payer};
use crate::client_ip::client_network;
use crate::problem::{EventErrors, Problem};
use crate::state::AppState;
use crate::writes::{
    Arrival, BodyHints, Expected, ForeignLimits, WriteHeaders, body_problem, invalid,
    parse_problem, read_body_within, request_id, store, take_request,
};
use problem::ForeignProblem;

/// Segment's server client waits 10 seconds for an answer, and then sends the request again.
const ANSWER_WITHIN: Duration = Duration::from_millis(7_500);

/// Bound for the body of a client whose key is in it: such clients are browsers, with at most half
/// a megabyte. Anyone can send one, and all of them share a part of the memory.
const UNKNOWN_MAX_BODY_BYTES: usize = 512 * 1024;

/// Time for that body.
const UNKNOWN_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The paths of Segment's clients and RudderStack's.
const SEGMENT: [(&str, Form); 14] = [
    ("/v1/batch", Form::Batch),
    ("/v1/b", Form::Batch),
    ("/v1/track", Form::Message(EventType::Track)),
    ("/v1/t", Form::Message(EventType::Track)),
    ("/v1/identify", Form::Message(EventType::Identify)),
    ("/v1/i", Form::Message(EventType::Identify)),
    ("/v1/page", Form::Message(EventType::Page)),
    ("/v1/p", Form::Message(EventType::Page)),
    ("/v1/screen", Form::Message(EventType::Screen)),
    ("/v1/s", Form::Message(EventType::Screen)),
    ("/v1/group", Form::Message(EventType::Group)),
    ("/v1/g", Form::Message(EventType::Group)),
    ("/v1/alias", Form::Message(EventType::Alias)),
    ("/v1/a", Form::Message(EventType::Alias)),
];

/// The paths of Jitsu's clients end in a type.
const JITSU: [&str; 2] = ["/api/s", "/api/s/s2s"];

/// What a path takes.
#[derive(Clone, Copy)]
struct Endpoint {
    protocol: Protocol,
    form: Form,
}

/// Adds the paths of `protocols`.
pub(super) fn configure(routes: &mut Routes<'_>, protocols: Protocols) {
    if protocols.contains(Protocol::Segment) {
        for (path, form) in SEGMENT {
            add(routes, path, Endpoint { protocol: Protocol::Segment, form });
        }
    }
    if protocols.contains(Protocol::Jitsu) {
        for prefix in JITSU {
            for kind in EventType::ALL {
                let form = Form::Message(kind);
                let endpoint = Endpoint { protocol: Protocol::Jitsu, form };
                add(routes, &format!("{prefix}/{kind}"), endpoint);
            }
        }
    }
}

/// Adds a path with and without a slash at its end: no client follows a redirect with its body.
fn add(routes: &mut Routes<'_>, path: &str, endpoint: Endpoint) {
    let write = move |state, request, payload| write(endpoint, state, request, payload);
    let resource = web::resource([path.to_owned(), format!("{path}/")])
        .route(web::post().to(write))
        .route(web::method(Method::OPTIONS).to(options));
    routes.unlisted(resource);
}

/// Lists the methods. The preflight of a browser is answered before, by CORS.
async fn options() -> HttpResponse {
    HttpResponse::NoContent().insert_header((ALLOW, "POST, OPTIONS")).finish()
}

/// Stores the events of a body in a foreign form.
async fn write(
    Endpoint { protocol, form }: Endpoint,
    state: Data<AppState>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ForeignProblem> {
    let arrival = Arrival::now(&state).answered_within(ANSWER_WITHIN);
    // The headers go before the body: only a client without a key in them is read unknown.
    let known = authenticate_headers(&state, &request).await?;
    let headers = WriteHeaders::read(&request)?;
    let mut body = read_body(&state, &request, known.as_ref(), payload).await?;
    // Counted references: the hints must not keep the body from its next payer.
    let bytes = body.bytes.clone();
    let hints = BodyHints::new(expected(form), &bytes);
    let source = parse::source(&bytes).map_err(|error| parse_problem(error, hints))?;
    let max_events = ForeignLimits::new(&state.settings.protocols, known.as_ref()).max_events;
    let ForeignRequest { items, key, library } =
        segment::read(&source, form, max_events).map_err(|error| parse_problem(error, hints))?;
    let principal = match known {
        Some(known) => known,
        None => identify(&state, &request, &key, items.len(), &mut body).await?,
    };
    let verdicts = store(&state, &request, &principal, arrival, &headers, &source, items).await?;
    state.metrics.record_foreign(protocol.as_str(), library, verdicts.len());
    let request_id = request_id();
    let response = BatchResponse::new(&verdicts, arrival.received_at, &request_id);
    // Clients drop a batch for any 4xx. One of several bad events must not cost the others.
    if response.rejected == response.total {
        return Err(invalid(EventErrors::results(&response.results)).into());
    }
    Ok(HttpResponse::Ok().json(Answer::new(response)))
}

fn expected(form: Form) -> Expected {
    match form {
        Form::Batch => Expected::ForeignBatch,
        Form::Message(_) => Expected::ForeignEvent,
    }
}

/// Takes the token of a known client, and reads its body; or reads that of an unknown one, in the
/// room that all of those share.
async fn read_body(
    state: &AppState,
    request: &HttpRequest,
    known: Option<&Principal>,
    payload: Payload,
) -> Result<Body, Problem> {
    let mut limits = BodyLimits {
        payer: Payer::Unknown(client_network(state, request)),
        max_bytes: ForeignLimits::new(&state.settings.protocols, known).max_body_bytes,
        timeout: state.settings.request_timeout,
        headers: BodyHeaders::Any,
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
