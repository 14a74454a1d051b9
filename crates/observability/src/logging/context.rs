//! A request's logger and ids, within reach of code that is not handed them.
//!
//! The task that serves a request runs inside [`with_request`]; anything it awaits logs through [`current`], and its
//! lines carry `request_id` and `trace_id`. A spawned task or a thread is outside: hand it a logger, or wrap it in
//! [`with_logger`]. Not here: making ids, reading headers.

use crate::logging::keys;
use crate::tracing::trace_parent::TraceParent;
use slog::{Discard, Logger, o};
use std::cell::RefCell;
use std::future::Future;
use std::sync::OnceLock;

static ROOT: OnceLock<Logger> = OnceLock::new();

tokio::task_local! {
    static CURRENT: Scope;
}

struct Scope {
    logger: Logger,
    request: Option<RequestContext>,
    caller: RefCell<Option<Caller>>,
}

/// Who sent a request, once that is known: in every line about it from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The tenant.
    pub tenant_id: i64,
    /// The workspace.
    pub workspace_id: i64,
    /// The public id of the API key, never the key.
    pub key_id: String,
}

/// What names a request in every line about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestContext {
    /// The id the response carries in `X-Request-Id`.
    pub request_id: String,
    /// The trace id of the caller's `traceparent`, if it sent a valid one, else that of the request's own trace, if it has one.
    pub trace_id: Option<String>,
}

impl RequestContext {
    /// The context of a request.
    #[must_use]
    pub fn new(request_id: impl Into<String>, trace_parent: Option<&TraceParent>) -> Self {
        let trace_id = trace_parent.map(|parent| parent.trace_id().to_owned());
        Self { request_id: request_id.into(), trace_id }
    }

    /// The context of a request that is traced under `trace_id`, whoever began the trace.
    #[must_use]
    pub fn traced(request_id: impl Into<String>, trace_id: impl Into<String>) -> Self {
        Self { request_id: request_id.into(), trace_id: Some(trace_id.into()) }
    }

    /// A child of `parent` whose lines carry the request's ids.
    pub fn logger(&self, parent: &Logger) -> Logger {
        parent.new(o!(keys::REQUEST_ID => self.request_id.clone(), keys::TRACE_ID => self.trace_id.clone()))
    }
}

/// Sets the logger that [`current`] falls back to; the first call of the process wins, and only it returns true.
pub fn set_root(logger: Logger) -> bool {
    ROOT.set(logger).is_ok()
}

/// Runs `future` as the work of a request: inside it, [`current`] is `parent` with the request's ids.
pub async fn with_request<F: Future>(
    request: RequestContext,
    parent: &Logger,
    future: F,
) -> F::Output {
    let logger = request.logger(parent);
    CURRENT
        .scope(Scope { logger, request: Some(request), caller: RefCell::default() }, future)
        .await
}

/// Runs `future` with `logger` as [`current`]. The request around it, if any, stays the current one.
pub async fn with_logger<F: Future>(logger: Logger, future: F) -> F::Output {
    let caller = CURRENT.try_with(|scope| scope.caller.clone()).unwrap_or_default();
    CURRENT.scope(Scope { logger, request: current_request(), caller }, future).await
}

/// The logger of the request this code works for; outside of one the root logger, and without that one that discards.
pub fn current() -> Logger {
    scoped().or_else(|| ROOT.get().cloned()).unwrap_or_else(|| Logger::root(Discard, o!()))
}

/// Tells who sent the request this code works for. Costs nothing but the note: a logger is made of it when one is asked for.
pub fn identify(caller: Caller) {
    CURRENT.try_with(|scope| scope.caller.replace(Some(caller))).ok();
}

/// As [`current`], without the caller: for a line that tells of it by itself.
pub fn without_caller() -> Logger {
    CURRENT.try_with(|scope| scope.logger.clone()).unwrap_or_else(|_| current())
}

/// The request this code works for.
#[must_use]
pub fn current_request() -> Option<RequestContext> {
    CURRENT.try_with(|scope| scope.request.clone()).ok().flatten()
}

/// The logger set by the nearest scope.
pub(crate) fn scoped() -> Option<Logger> {
    let logger = |scope: &Scope| match &*scope.caller.borrow() {
        None => scope.logger.clone(),
        Some(Caller { tenant_id, workspace_id, key_id }) => scope.logger.new(o!(
            keys::KEY_ID => key_id.clone(),
            keys::WORKSPACE_ID => workspace_id.to_string(),
            keys::TENANT_ID => tenant_id.to_string()
        )),
    };
    CURRENT.try_with(logger).ok()
}
