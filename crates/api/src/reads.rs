//! Reads of events: admitted by rate and number, run on a thread that may block, and answered from
//! a bounded buffer.
//!
//! [`admit`] returns the permit of a read. The response holds it until its last byte is sent, or its
//! client is gone. Not here: the queries (`routes::read`), the bounds of the server (`runtime`).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::ContentType;
use actix_web::web::Bytes;
use mercurio_domain::store::{Store, StoreError};
use mercurio_observability::{context, keys};
use mercurio_rate_limit::RateLimitExceeded;
use mercurio_runtime::reads::{ReadPermit, ReadRefusal};
use serde::Serialize;
use slog::error;
use tokio::time::{Instant, timeout};

use crate::auth::Principal;
use crate::problem::{Problem, ReadLimit};
use crate::state::{AppState, BUSY_RETRY_AFTER_SECONDS, UNAVAILABLE, store_problem};

/// Maximum time without an answer of the store beyond its time limit, for example if the network to
/// it is cut. Longer than the wait for a connection.
pub(crate) const STORE_GRACE: Duration = Duration::from_secs(5);
/// Maximum time to send a response. A client that reads slowly holds a page of events in memory,
/// and one of its tenant's reads.
pub(crate) const SEND_TIME: Duration = Duration::from_secs(60);
/// Bytes of a response handed over at a time. The connection's own buffer holds little more.
pub(crate) const CHUNK_BYTES: usize = 16 * 1024;

/// Admits a read of the caller's events.
///
/// # Errors
/// [`Problem::TooManyReads`] over the tenant's limits, [`Problem::Overloaded`] over the server's.
pub(crate) fn admit(state: &AppState, principal: &Principal) -> Result<ReadPermit, Problem> {
    let Principal { owner, limits, .. } = principal;
    let concurrent = limits.max_concurrent_reads;
    let permit = state.reads.admit(owner.tenant_id, u64::from(concurrent));
    let permit = permit.map_err(|refusal| match refusal {
        ReadRefusal::Overloaded => state.overloaded(),
        ReadRefusal::TenantLimit => {
            state.metrics.record_rate_limited("concurrent_reads");
            too_many(ReadLimit::Concurrent(concurrent), BUSY_RETRY_AFTER_SECONDS)
        }
    })?;
    // After the permit: a read refused for its number takes no token.
    take_token(state, principal)?;
    Ok(permit)
}

/// Takes a token of the caller's reads.
///
/// # Errors
/// [`Problem::TooManyReads`] without one.
pub(crate) fn take_token(state: &AppState, principal: &Principal) -> Result<(), Problem> {
    let Principal { owner, limits, .. } = principal;
    let taken = state.rate_limits.take_read(owner.tenant_id, limits).result;
    taken.map_err(|RateLimitExceeded { bucket, retry_after_seconds }| {
        state.metrics.record_rate_limited(bucket.as_str());
        too_many(ReadLimit::PerSecond(limits.reads_per_second), retry_after_seconds)
    })
}

fn too_many(limit: ReadLimit, retry_after_seconds: u64) -> Problem {
    Problem::TooManyReads { limit, retry_after_seconds }
}

/// Runs a query of the store, and returns its answer as a JSON response; `None` if it found
/// nothing.
///
/// # Errors
/// The response; the cause is logged.
pub(crate) async fn respond<T: Serialize>(
    state: &AppState,
    permit: ReadPermit,
    query: impl FnOnce(&dyn Store) -> Result<Option<T>, StoreError> + Send + 'static,
) -> Result<Option<HttpResponse>, Problem> {
    let Answer { found, permit } =
        run(state, permit, |store| Ok(query(store)?.map(|found| to_json(&found)))).await?;
    found.map(|json| Ok(json_response(json?, permit))).transpose()
}

/// Returns a response with this JSON. Holds the permit until it is sent.
pub(crate) fn json_response(json: Bytes, permit: ReadPermit) -> HttpResponse {
    let body = PermittedBody { json, ends: Instant::now() + SEND_TIME, _permit: permit };
    HttpResponse::Ok().content_type(ContentType::json()).body(body)
}

/// The answer of the store to a query.
pub(crate) struct Answer<T> {
    pub(crate) found: T,
    /// To be held until the response is sent.
    pub(crate) permit: ReadPermit,
}

/// Runs a query of the store on a thread that may block.
///
/// # Errors
/// The response; the cause is logged.
pub(crate) async fn run<T: Send + 'static>(
    state: &AppState,
    permit: ReadPermit,
    query: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<Answer<T>, Problem> {
    let running = permit.run().await.map_err(|_| state.overloaded())?;
    let store = Arc::clone(&state.store);
    // The store is synchronous (ADR 3). Blocking an HTTP thread would stop all of its connections,
    // and so would the JSON of a large page.
    let answer = tokio::task::spawn_blocking(move || {
        let _running = running;
        let found = query(store.as_ref())?;
        // With the permit: if the request ended meanwhile, both are dropped here.
        Ok(Answer { found, permit })
    });
    let limit = state.settings.read_timeout;
    match timeout(limit + STORE_GRACE, answer).await.map_err(|_| UNAVAILABLE)? {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(StoreError::TimedOut(_))) => {
            Err(Problem::QueryTimeout { limit_seconds: limit.as_secs() })
        }
        Ok(Err(error)) => Err(store_problem(&error)),
        // A defect in the store ends one request.
        Err(panic) => {
            error!(context::current(), "store panicked"; keys::ERROR => panic.to_string());
            Err(Problem::Internal)
        }
    }
}

/// Serialises an answer. Runs on the thread of the query.
pub(crate) fn to_json(found: &impl Serialize) -> Result<Bytes, Problem> {
    let json = serde_json::to_vec(found);
    debug_assert!(json.is_ok(), "events serialise");
    let mut json = json.map_err(|_| Problem::Internal)?;
    // Held until it is sent. It grew by doubling.
    json.shrink_to_fit();
    Ok(json.into())
}

/// The response was not sent in time.
#[derive(Debug, thiserror::Error)]
#[error("the client reads the response too slowly")]
pub(crate) struct SendTimeout;

/// The body of a response that holds the permit of its read.
struct PermittedBody {
    /// The rest, still to be sent.
    json: Bytes,
    ends: Instant,
    _permit: ReadPermit,
}

impl MessageBody for PermittedBody {
    type Error = SendTimeout;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.json.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, SendTimeout>>> {
        if self.json.is_empty() {
            return Poll::Ready(None);
        }
        // actix asks again whenever its buffer has room. A client that reads nothing at all meets
        // the timeout of the transport.
        if Instant::now() >= self.ends {
            return Poll::Ready(Some(Err(SendTimeout)));
        }
        // Without copying. In chunks, because actix would copy a whole body into its buffer at
        // once, and drop the permit.
        let bytes = self.json.len().min(CHUNK_BYTES);
        Poll::Ready(Some(Ok(self.json.split_to(bytes))))
    }
}
