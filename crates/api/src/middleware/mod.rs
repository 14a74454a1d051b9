//! What stands around every request: its id, its logger, its closing line, and a problem where the answer is an error.
//!
//! [`RequestMiddleware`] is the outermost middleware of an app. Inside it, [`mercurio_observability::context`] has the request's
//! logger and ids, and handlers tell what they learn about the request to [`RequestFacts`]. Not here: limits, keys,
//! routes; what is refused before there is a request (`transport`).

use crate::problem::{PROBLEM_JSON, Problem};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::error::InternalError;
use actix_web::http::Method;
use actix_web::http::header::{
    ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    TRANSFER_ENCODING,
};
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse};
use mercurio_domain::ids::{ApiKeyId, IdGenerator, Owner};
use mercurio_observability::logging::request_line::EventCounts;
use mercurio_observability::{
    Metrics, RequestContext, RequestLine, RequestSpan, Stage, Stages, TraceParent, Traces, context,
};
use mercurio_rate_limit::RateLimitState;
use slog::{Logger, error};
use std::cell::RefCell;
use std::future::{Future, Ready, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// The header that carries a request's id both ways.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// (draft-ietf-httpapi-ratelimit-headers)
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest id that is taken over from a caller, in characters.
const MAX_REQUEST_ID_CHARS: usize = 128;

/// The status in the log of a request whose client went away before there was an answer: nginx's.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// What a handler learns about its request, for the closing line and the metrics.
#[derive(Clone, Debug, Default)]
pub struct RequestFacts {
    /// Whose the request is, once it is authenticated.
    pub owner: Option<Owner>,
    /// The public id of its API key.
    pub key_id: Option<ApiKeyId>,
    /// What became of its events.
    pub events: Option<EventCounts>,
    /// The size of its body in bytes, after decompression.
    pub body_bytes: Option<u64>,
    /// What is left of its tenant's buckets, once one was asked.
    pub rate_limit: Option<RateLimitState>,
    /// Where its time went.
    pub stages: Stages,
    /// When the last stage ended; at first, when the request came.
    since: Option<Instant>,
}

/// Put into a response's extensions: its body stays as it is, although its status is an error's.
#[derive(Clone, Copy, Debug)]
pub struct KeepBody;

#[derive(Clone, Default)]
struct SharedFacts(Rc<RefCell<RequestFacts>>);

impl RequestFacts {
    /// Tells something about the request. Does nothing where no [`RequestMiddleware`] stands around it.
    pub fn tell(request: &HttpRequest, tell: impl FnOnce(&mut Self)) {
        if let Some(SharedFacts(facts)) = request.extensions().get::<SharedFacts>() {
            tell(&mut facts.borrow_mut());
        }
    }

    /// Notes a stage that began where the one before it ended, and ends now.
    pub fn end_stage(request: &HttpRequest, stage: Stage) {
        Self::tell(request, |facts| {
            let now = Instant::now();
            facts.stages.note(stage, facts.since.replace(now).unwrap_or(now), now);
        });
    }
}

/// The middleware. Cloned into every worker.
#[derive(Clone)]
pub struct RequestMiddleware {
    logger: Logger,
    metrics: Arc<Metrics>,
    ids: Arc<dyn IdGenerator>,
    traces: Option<Arc<Traces>>,
    slow: Option<Duration>,
}

impl RequestMiddleware {
    /// An middleware that logs to children of `logger`, counts into `metrics` and takes new request ids from `ids`.
    #[must_use]
    pub fn new(logger: Logger, metrics: Arc<Metrics>, ids: Arc<dyn IdGenerator>) -> Self {
        Self { logger, metrics, ids, traces: None, slow: None }
    }

    /// The same, which also sends the spans of requests that are sampled.
    #[must_use]
    pub fn with_traces(self, traces: Option<Arc<Traces>>) -> Self {
        Self { traces, ..self }
    }

    /// The same, which also logs where the time of a request went that took as long as `slow`; `None`: of none.
    #[must_use]
    pub fn with_slow(self, slow: Option<Duration>) -> Self {
        Self { slow, ..self }
    }

    /// The span of a request, if it is sampled. Those of operators, such as probes, are not.
    fn span(&self, request: &ServiceRequest, parent: Option<&TraceParent>) -> Option<RequestSpan> {
        let traces = self.traces.as_ref().filter(|_| request.path().starts_with("/v1/"))?;
        traces.begin(parent)
    }

    /// The caller's id of a request, or a new one.
    fn request_id(&self, headers: &HeaderMap) -> String {
        let given = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
        match given.filter(|id| is_request_id(id)) {
            Some(id) => id.to_owned(),
            None => self.ids.next_uuid().to_string(),
        }
    }
}

/// A request under way. Dropping it writes the closing line and counts: also where the client went away and nothing
/// was answered.
struct Open {
    middleware: Rc<RequestMiddleware>,
    facts: SharedFacts,
    method: Method,
    start: Instant,
    route: Option<String>,
    status: u16,
    span: Option<RequestSpan>,
}

impl Drop for Open {
    fn drop(&mut self) {
        let duration = self.start.elapsed();
        let facts = self.facts.0.take();
        self.middleware.metrics.record_request(
            self.method.as_str(),
            self.route.as_deref(),
            self.status,
            duration,
        );
        if let Some(events) = facts.events {
            self.middleware
                .metrics
                .record_events(facts.owner.map(|owner| owner.tenant_id.0), events);
        }
        let owner =
            facts.owner.map(|owner| (owner.tenant_id.to_string(), owner.workspace_id.to_string()));
        let line = RequestLine {
            tenant_id: owner.as_ref().map(|(tenant, _)| tenant.as_str()),
            workspace_id: owner.as_ref().map(|(_, workspace)| workspace.as_str()),
            key_id: facts.key_id.as_ref().map(ApiKeyId::as_str),
            method: self.method.as_str(),
            route: self.route.as_deref(),
            status: self.status,
            events: facts.events,
            body_bytes: facts.body_bytes,
            duration,
        };
        let logger = context::without_caller();
        if self.middleware.slow.is_some_and(|slow| duration >= slow) {
            line.log_slow(&logger, &facts.stages);
        }
        line.log(&logger);
        if let Some(span) = self.span.take() {
            span.stages(&facts.stages);
            span.end(self.method.as_str(), self.route.as_deref(), self.status, facts.events);
        }
    }
}

/// True for an id that may go into logs and headers as it is.
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

/// [`RequestMiddleware`] around a service.
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
        let start = Instant::now();
        let request_id = self.middleware.request_id(request.headers());
        let trace_parent = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
        let trace_parent = trace_parent.and_then(TraceParent::parse);
        let span = self.middleware.span(&request, trace_parent.as_ref());
        let scope = match &span {
            Some(span) => RequestContext::traced(request_id.clone(), span.trace_id()),
            None => RequestContext::new(request_id.clone(), trace_parent.as_ref()),
        };
        let facts = RequestFacts { since: Some(start), ..RequestFacts::default() };
        let facts = SharedFacts(Rc::new(RefCell::new(facts)));
        request.extensions_mut().insert(facts.clone());
        let (middleware, service) = (Rc::clone(&self.middleware), Rc::clone(&self.service));
        let method = request.method().clone();
        Box::pin(async move {
            let logger = middleware.logger.clone();
            let open = Open {
                middleware,
                facts,
                method,
                start,
                route: None,
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
    mut open: Open,
) -> Result<ServiceResponse<BoxBody>, Error>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    let failed = match catch_panic(async move { service.call(request).await }).await {
        Ok(Ok(response)) => {
            let (request, response) = response.into_parts();
            let mut response = finish(response, &request_id);
            let rate_limit = open.facts.0.borrow().rate_limit;
            add_rate_limit(response.headers_mut(), rate_limit);
            open.route = request.match_pattern();
            open.status = response.status().as_u16();
            return Ok(ServiceResponse::new(request, response));
        }
        Ok(Err(error)) => finish(error.error_response(), &request_id),
        Err(Panicked) => {
            // The panic hook logs the place; this line says whose request it was.
            error!(context::current(), "a handler panicked");
            finish(Problem::Internal.response(&request_id), &request_id)
        }
    };
    open.status = failed.status().as_u16();
    Err(InternalError::from_response("answered at the middleware", failed).into())
}

struct Panicked;

/// Runs `work` to its end, or to its panic: a bug in one handler is the end of one request, not of its connection.
///
/// What the handler left half done is dropped with it. Whoever shares state with other requests must leave it whole
/// when it panics, as the locks of `std` see to by poisoning.
async fn catch_panic<F: Future>(work: F) -> Result<F::Output, Panicked> {
    let mut work = pin!(work);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}

/// Tells what is left of the tenant's buckets.
fn add_rate_limit(headers: &mut HeaderMap, rate_limit: Option<RateLimitState>) {
    let Some(state) = rate_limit else {
        return;
    };
    for (name, value) in [(RATE_LIMIT_POLICY, state.policy()), (RATE_LIMIT, state.level())] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
}

/// The response as the client gets it: with the request's id, and with a problem as its body if it is an error.
fn finish<B: MessageBody + 'static>(response: HttpResponse<B>, request_id: &str) -> HttpResponse {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let keeps_body = response.extensions().contains::<KeepBody>();
    let mut response =
        if is_error && !keeps_body && response.headers().get(CONTENT_TYPE) != Some(&PROBLEM_JSON) {
            let mut response = response.map_into_boxed_body();
            let headers = response.headers_mut();
            let allow = headers.get(ALLOW).and_then(|value| value.to_str().ok());
            let problem = Problem::from_framework(status, allow);
            for of_the_old_body in [CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING] {
                headers.remove(of_the_old_body);
            }
            problem.add_headers(headers);
            response.set_body(BoxBody::new(problem.to_json(request_id)))
        } else {
            response.map_into_boxed_body()
        };
    // An id is made of characters that may stand in a header.
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}

#[cfg(test)]
mod tests;
