//! The request's logger and ids, available to code that does not receive them as arguments.
//!
//! The task that serves a request runs inside [`with_request`]. Everything it awaits logs through [`current`] with
//! `request_id` and `trace_id`. A spawned task or thread is outside: pass it a logger, or wrap it in [`with_logger`].

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
    /// No borrow lasts across an await, so it cannot overlap another.
    caller: RefCell<Option<Caller>>,
}

/// The sender of a request, in each of its lines after authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The tenant.
    pub tenant_id: i64,
    /// The workspace.
    pub workspace_id: i64,
    /// Public id of the API key, never the key.
    pub key_id: String,
}

/// The ids in every line of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestContext {
    /// The `X-Request-Id` of the response.
    pub request_id: String,
    /// Trace id of the caller's valid `traceparent`, or of the request's own sampled trace.
    pub trace_id: Option<String>,
}

impl RequestContext {
    /// Returns the context of a request in the caller's trace, if any.
    #[must_use]
    pub fn new(request_id: impl Into<String>, trace_parent: Option<&TraceParent>) -> Self {
        let trace_id = trace_parent.map(TraceParent::trace_id);
        Self { request_id: request_id.into(), trace_id }
    }

    /// Returns the context of a request in a known trace.
    #[must_use]
    pub fn traced(request_id: impl Into<String>, trace_id: impl Into<String>) -> Self {
        Self { request_id: request_id.into(), trace_id: Some(trace_id.into()) }
    }

    /// Returns a child of `parent` with the request's ids.
    pub fn logger(&self, parent: &Logger) -> Logger {
        parent.new(o!(keys::REQUEST_ID => self.request_id.clone(), keys::TRACE_ID => self.trace_id.clone()))
    }
}

/// Sets the logger for code outside of requests. Only the first call in a process has an effect and returns true.
pub fn set_root(logger: Logger) -> bool {
    ROOT.set(logger).is_ok()
}

/// Runs `future` as the work of a request: inside it, [`current`] returns `parent` with the request's ids.
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

/// Runs `future` with `logger` as [`current`]. An enclosing request stays current.
pub async fn with_logger<F: Future>(logger: Logger, future: F) -> F::Output {
    // A copy: a caller identified inside belongs to the inner scope only.
    let caller = CURRENT.try_with(|scope| scope.caller.clone()).unwrap_or_default();
    CURRENT.scope(Scope { logger, request: current_request(), caller }, future).await
}

/// Returns the logger of the current request, otherwise the root logger, otherwise one that discards.
pub fn current() -> Logger {
    scoped().or_else(|| ROOT.get().cloned()).unwrap_or_else(|| Logger::root(Discard, o!()))
}

/// Adds the sender to the current request. [`current`] builds a logger from it on demand, so this is cheap.
pub fn identify(caller: Caller) {
    // Outside a request there is no scope, and the call has no effect.
    CURRENT.try_with(|scope| scope.caller.replace(Some(caller))).ok();
}

/// Like [`current`], without the keys of the caller: for a line that adds them itself.
pub fn without_caller() -> Logger {
    CURRENT.try_with(|scope| scope.logger.clone()).unwrap_or_else(|_| current())
}

/// Returns the ids of the current request.
#[must_use]
pub fn current_request() -> Option<RequestContext> {
    CURRENT.try_with(|scope| scope.request.clone()).ok().flatten()
}

/// Returns the logger of the innermost scope.
pub(crate) fn scoped() -> Option<Logger> {
    CURRENT.try_with(Scope::caller_logger).ok()
}

impl Scope {
    fn caller_logger(&self) -> Logger {
        match &*self.caller.borrow() {
            None => self.logger.clone(),
            // Built on demand, because most requests log a single line.
            Some(Caller { tenant_id, workspace_id, key_id }) => self.logger.new(o!(
                // slog serializes the last key first, so the tenant leads.
                keys::KEY_ID => key_id.clone(),
                keys::WORKSPACE_ID => workspace_id.to_string(),
                keys::TENANT_ID => tenant_id.to_string()
            )),
        }
    }
}
