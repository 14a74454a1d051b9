//! The middleware around every request: request id, logger, `request` log line, metrics, and a
//! problem for every error.
//!
//! [`RequestMiddleware`] is the outermost middleware of an app. Inside it,
//! [`mercurio_observability::context`] has the request's logger and ids, and handlers add
//! [`RequestFacts`]. Not here: limits, keys, routes; connections refused before they are a request
//! (`transport`).

mod facts;
pub use facts::{KeepBody, RequestFacts};

use crate::problem::{PROBLEM_JSON, Problem};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::error::InternalError;
use actix_web::http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse};
use facts::SharedFacts;
use mercurio_domain::ids::{ApiKeyId, IdGenerator};
use mercurio_observability::{
    Metrics, RequestContext, RequestLine, RequestSpan, TraceParent, Traces, context,
};
use mercurio_rate_limit::RateLimitState;
use mercurio_runtime::refusal_log::{RefusalLine, RefusalLog};
use slog::{Logger, error};
use std::cell::RefCell;
use std::future::{Future, Ready, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// The header with the request id, in requests and responses.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// From draft-ietf-httpapi-ratelimit-headers, like the next one.
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Maximum length of a client's own request id.
const MAX_REQUEST_ID_CHARS: usize = 128;

/// Maximum length of a method in the log and in traces. A client's own method may be as long as a
/// head.
const MAX_METHOD_CHARS: usize = 32;

/// The logged status of a request whose client closed the connection before the response. nginx
/// uses the same one.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The detail of a preflight request that CORS refuses.
const REFUSED_PREFLIGHT: &str = "The origin, method or headers of this preflight request are not allowed. \
                                 MERCURIO_CORS_ORIGINS lists the origins.";

/// The middleware. Each HTTP thread has a clone.
#[derive(Clone)]
pub struct RequestMiddleware {
    logger: Logger,
    metrics: Arc<Metrics>,
    ids: Arc<dyn IdGenerator>,
    traces: Option<Arc<Traces>>,
    slow: Option<Duration>,
    refusals: Arc<RefusalLog>,
}

impl RequestMiddleware {
    /// Creates a middleware that logs every request, without traces and without a log of slow
    /// requests.
    #[must_use]
    pub fn new(logger: Logger, metrics: Arc<Metrics>, ids: Arc<dyn IdGenerator>) -> Self {
        let refusals = Arc::new(RefusalLog::new(u32::MAX));
        Self { logger, metrics, ids, traces: None, slow: None, refusals }
    }

    /// Exports the spans of sampled requests.
    #[must_use]
    pub fn with_traces(self, traces: Option<Arc<Traces>>) -> Self {
        Self { traces, ..self }
    }

    /// Logs the stages of requests that take at least `slow`; `None` disables it.
    #[must_use]
    pub fn with_slow(self, slow: Option<Duration>) -> Self {
        Self { slow, ..self }
    }

    /// Limits the log lines of requests without a valid API key, and of refused requests.
    #[must_use]
    pub fn with_refusals(self, refusals: Arc<RefusalLog>) -> Self {
        Self { refusals, ..self }
    }

    /// Begins the span of a sampled request. Requests of operators, such as probes, are never
    /// sampled.
    fn span(&self, request: &ServiceRequest, parent: Option<&TraceParent>) -> Option<RequestSpan> {
        // Probes and scrapes would crowd out the traces of events.
        let traces = self.traces.as_ref().filter(|_| request.path().starts_with("/v1/"))?;
        traces.begin(parent)
    }

    /// Returns the client's request id if it is valid, otherwise a new UUIDv7.
    fn request_id(&self, headers: &HeaderMap) -> String {
        let given = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
        match given.filter(|id| is_request_id(id)) {
            Some(id) => id.to_owned(),
            None => self.ids.next_uuid().to_string(),
        }
    }
}

/// A request in progress. Its drop logs and counts it, even after the client closed the connection.
struct OpenRequest {
    middleware: Rc<RequestMiddleware>,
    facts: SharedFacts,
    method: Method,
    start: Instant,
    route: Option<String>,
    status: u16,
    span: Option<RequestSpan>,
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let duration = self.start.elapsed();
        // No handler is left to update them.
        let facts = self.facts.0.take();
        // The matched pattern, never the path: each id would create a series.
        self.middleware.metrics.record_request(
            self.method.as_str(),
            self.route.as_deref(),
            self.status,
            duration,
        );
        // Only here, once per request: a handler cannot count twice.
        if let Some(events) = facts.events {
            self.middleware
                .metrics
                .record_events(facts.owner.map(|owner| owner.tenant_id.0), events);
        }
        self.log(&facts, duration);
        if let Some(span) = self.span.take() {
            span.stages(&facts.stages);
            span.end(shown_method(&self.method), self.route.as_deref(), self.status, facts.events);
        }
    }
}

impl OpenRequest {
    /// Logs the request, unless too many similar ones were logged within the last second.
    fn log(&self, facts: &RequestFacts, duration: Duration) {
        let tenant_id = facts.owner.map(|owner| owner.tenant_id);
        let not_logged = match RefusalLine::of_request(tenant_id, self.status) {
            None => Some(0),
            Some(line) => self.middleware.refusals.admit(line, Instant::now()),
        };
        let Some(not_logged) = not_logged else { return };
        let tenant_id = tenant_id.map(|tenant_id| tenant_id.to_string());
        let workspace_id = facts.owner.map(|owner| owner.workspace_id.to_string());
        let line = RequestLine {
            tenant_id: tenant_id.as_deref(),
            workspace_id: workspace_id.as_deref(),
            key_id: facts.key_id.as_ref().map(ApiKeyId::as_str),
            method: shown_method(&self.method),
            route: self.route.as_deref(),
            status: self.status,
            events: facts.events,
            body_bytes: facts.body_bytes,
            duration,
            not_logged,
        };
        // Without the context's tenant and API key: the line has its own, and a name may appear
        // only once.
        let logger = context::without_caller();
        // Before the request line, which ends everything about a request.
        if self.middleware.slow.is_some_and(|slow| duration >= slow) {
            line.log_slow(&logger, &facts.stages);
        }
        line.log(&logger);
    }
}

/// Returns the beginning of the method.
fn shown_method(method: &Method) -> &str {
    // ASCII (RFC 9110, section 9.1), so every position is the end of a character.
    method.as_str().get(..MAX_METHOD_CHARS).unwrap_or(method.as_str())
}

/// Only characters that need no escaping in logs and headers.
fn is_request_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_REQUEST_ID_CHARS).contains(&id.len()) && id.bytes().all(allowed)
}

impl<S, B> Transform<S, ServiceRequest> for RequestMiddleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = RequestService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, Self::InitError>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(RequestService { middleware: Rc::new(self.clone()), service: Rc::new(service) }))
    }
}

/// A service wrapped in [`RequestMiddleware`].
pub struct RequestService<S> {
    middleware: Rc<RequestMiddleware>,
    service: Rc<S>,
}

impl<S, B> Service<ServiceRequest> for RequestService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        // First: the time in this middleware counts too.
        let start = Instant::now();
        let request_id = self.middleware.request_id(request.headers());
        let trace_parent = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
        // A malformed `traceparent` is ignored, as W3C Trace Context requires.
        let trace_parent = trace_parent.and_then(TraceParent::parse);
        let span = self.middleware.span(&request, trace_parent.as_ref());
        let scope = match &span {
            Some(span) => RequestContext::traced(request_id.clone(), span.trace_id()),
            None => RequestContext::new(request_id.clone(), trace_parent.as_ref()),
        };
        let facts = RequestFacts { last_stage_end: Some(start), ..RequestFacts::default() };
        let facts = SharedFacts(Rc::new(RefCell::new(facts)));
        // The handler and this middleware share the facts through the clone.
        request.extensions_mut().insert(facts.clone());
        let (middleware, service) = (Rc::clone(&self.middleware), Rc::clone(&self.service));
        let method = request.method().clone();
        Box::pin(async move {
            let logger = middleware.logger.clone();
            let open = OpenRequest {
                middleware,
                facts,
                method,
                start,
                route: None,
                // Stays if the future is dropped before its response.
                status: CLIENT_CLOSED_REQUEST,
                span,
            };
            context::with_request(scope, &logger, serve(service, request, request_id, open)).await
        })
    }
}

async fn serve<S, B>(
    service: Rc<S>,
    request: ServiceRequest,
    request_id: String,
    mut open: OpenRequest,
) -> Result<ServiceResponse<BoxBody>, Error>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    let failed = match catch_panic(async move { service.call(request).await }).await {
        Ok(Ok(response)) => {
            let (request, response) = response.into_parts();
            let mut response = finish(response, Some(&request), &request_id);
            let rate_limit = open.facts.0.borrow().rate_limit;
            add_rate_limit(response.headers_mut(), rate_limit);
            // Read after the call: the service inside matches the route.
            open.route = request.match_pattern();
            open.status = response.status().as_u16();
            return Ok(ServiceResponse::new(request, response));
        }
        Ok(Err(error)) => finish(error.error_response(), None, &request_id),
        Err(Panicked) => {
            // The panic hook logs the location, this line the request.
            error!(context::current(), "handler panicked");
            finish(Problem::Internal.response(&request_id), None, &request_id)
        }
    };
    // No route: a failed service returns the error without its request.
    open.status = failed.status().as_u16();
    // actix turns it into exactly this response.
    Err(InternalError::from_response("response of the middleware", failed).into())
}

struct Panicked;

/// Runs `work` and catches its panic: a defect in a handler ends one request and keeps its
/// connection and its thread.
///
/// A panic drops the handler's own state. State shared with other requests must stay consistent
/// through a panic; the locks of `std` ensure this by poisoning.
async fn catch_panic<F: Future>(work: F) -> Result<F::Output, Panicked> {
    let mut work = pin!(work);
    // `AssertUnwindSafe` holds: after a panic, `work` is dropped and never polled again.
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}

/// Adds the state of the tenant's buckets.
fn add_rate_limit(headers: &mut HeaderMap, rate_limit: Option<RateLimitState>) {
    // Requests without a tenant have no buckets.
    let Some(state) = rate_limit else {
        return;
    };
    for (name, value) in [(RATE_LIMIT_POLICY, state.policy()), (RATE_LIMIT, state.level())] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
}

/// Adds the request id, and replaces the body of an error by a problem.
fn finish<B: MessageBody + 'static>(
    response: HttpResponse<B>,
    request: Option<&HttpRequest>,
    request_id: &str,
) -> HttpResponse {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let keeps_body = response.extensions().contains::<KeepBody>();
    let mut response =
        // A problem of a handler is complete already.
        if is_error && !keeps_body && response.headers().get(CONTENT_TYPE) != Some(&PROBLEM_JSON) {
            let mut response = response.map_into_boxed_body();
            let headers = response.headers_mut();
            let allow = headers.get(ALLOW).and_then(|value| value.to_str().ok());
            let problem = match request {
                Some(request) if is_refused_preflight(request, status) => {
                    Problem::BadRequest { detail: REFUSED_PREFLIGHT }
                }
                _ => Problem::from_framework(status, allow),
            };
            // These describe the replaced body.
            for header in [CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING] {
                headers.remove(header);
            }
            // All other headers stay: CORS headers let a page read the problem.
            problem.add_headers(headers);
            response.set_body(BoxBody::new(problem.to_json(request_id)))
        } else {
            response.map_into_boxed_body()
        };
    let id = HeaderValue::from_str(request_id);
    debug_assert!(id.is_ok(), "a request id has only characters of headers");
    if let Ok(id) = id {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    response
}

/// Whether CORS has refused a preflight request: it answers them before any route.
fn is_refused_preflight(request: &HttpRequest, status: StatusCode) -> bool {
    status == StatusCode::BAD_REQUEST
        && *request.method() == Method::OPTIONS
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
mod tests;
