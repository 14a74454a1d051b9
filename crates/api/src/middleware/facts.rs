//! Facts about a request that its handler learns, for the `request` log line, the metrics and the
//! response headers.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use actix_web::{HttpMessage, HttpRequest};
use mercurio_domain::ids::{ApiKeyId, Owner};
use mercurio_observability::logging::request_line::EventCounts;
use mercurio_observability::{Stage, Stages};
use mercurio_rate_limit::RateLimitState;

/// The facts about one request. A handler adds to them with [`RequestFacts::update`].
#[derive(Clone, Debug, Default)]
pub struct RequestFacts {
    /// Tenant and workspace, after authentication.
    pub owner: Option<Owner>,
    /// Public id of the API key, after authentication.
    pub key_id: Option<ApiKeyId>,
    /// Verdicts on the events of a write.
    pub events: Option<EventCounts>,
    /// Size of the body in bytes, after decompression.
    pub body_bytes: Option<u64>,
    /// State of the tenant's buckets, for the `RateLimit` headers.
    pub rate_limit: Option<RateLimitState>,
    /// Duration of each stage.
    pub stages: Stages,
    /// End of the last stage; at first, the arrival of the request.
    pub(super) last_stage_end: Option<Instant>,
}

/// The facts, in the extensions of their request. `Rc`: a request stays on its thread.
#[derive(Clone, Default)]
pub(super) struct SharedFacts(pub(super) Rc<RefCell<RequestFacts>>);

impl RequestFacts {
    /// Updates the facts about `request`. Does nothing outside the middleware.
    pub fn update(request: &HttpRequest, change: impl FnOnce(&mut Self)) {
        // Absent in unit tests of handlers.
        if let Some(SharedFacts(facts)) = request.extensions().get::<SharedFacts>() {
            change(&mut facts.borrow_mut());
        }
    }

    /// Records a stage: it began at the end of the previous stage, and ends now.
    pub fn end_stage(request: &HttpRequest, stage: Stage) {
        Self::update(request, |facts| {
            let now = Instant::now();
            facts.stages.note(stage, facts.last_stage_end.replace(now).unwrap_or(now), now);
        });
    }
}

/// An extension of a response: its body stays as it is despite its error status.
#[derive(Clone, Copy, Debug)]
pub struct KeepBody;
