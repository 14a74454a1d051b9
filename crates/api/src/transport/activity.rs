//! What a connection knows about its requests: whether one is in progress, and whether one had a
//! valid API key. And what a response without end must learn: that the client is gone.

use actix_http::Request;
use actix_service::Service;
use actix_web::HttpRequest;
use std::cell::Cell;
use std::rc::Rc;

/// The activity of a connection, shared with its requests. `Rc`: a connection stays on its thread.
#[derive(Clone, Default)]
pub(crate) struct ConnectionActivity(Rc<Activity>);

#[derive(Default)]
struct Activity {
    requests: Cell<u32>,
    has_key: Cell<bool>,
    is_ended: Cell<bool>,
}

/// A request in progress, until this is dropped.
struct InProgress(ConnectionActivity);

impl ConnectionActivity {
    /// Records that a request had a valid API key. Does nothing without a connection, as in a test.
    pub(crate) fn note_key(request: &HttpRequest) {
        if let Some(Self(activity)) = request.conn_data::<Self>() {
            activity.has_key.set(true);
        }
    }

    /// Returns the activity of the request's connection. `None` without one, as in a test.
    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        request.conn_data::<Self>().cloned()
    }

    /// Whether the client has closed the connection, or its half of it. actix polls a response after
    /// each read, so a response without end may look here; otherwise it would last until a write
    /// fails.
    pub(crate) fn is_ended(&self) -> bool {
        self.0.is_ended.get()
    }

    pub(super) fn note_end(&self) {
        self.0.is_ended.set(true);
    }

    /// Whether a request is in progress: its head has arrived, and its response has not begun.
    pub(super) fn is_busy(&self) -> bool {
        self.0.requests.get() > 0
    }

    pub(super) fn has_key(&self) -> bool {
        self.0.has_key.get()
    }

    fn begin(&self) -> InProgress {
        self.0.requests.set(self.0.requests.get() + 1);
        InProgress(self.clone())
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let Self(ConnectionActivity(activity)) = self;
        debug_assert!(activity.requests.get() > 0, "each end has a beginning");
        activity.requests.set(activity.requests.get().saturating_sub(1));
    }
}

/// Calls a service, and marks the request as in progress until its response.
pub(super) fn track<S: Service<Request>>(
    request: Request,
    service: &S,
) -> impl Future<Output = Result<S::Response, S::Error>> + use<S> {
    let in_progress = request.conn_data().map(ConnectionActivity::begin);
    let response = service.call(request);
    async move {
        let response = response.await;
        drop(in_progress);
        response
    }
}
