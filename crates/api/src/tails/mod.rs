//! Live tails: a response without end, in server-sent events.
//!
//! A tail subscribes to the hub, then reads its place in the feed, so that nothing falls between. Then
//! it reads the feed whenever the hub wakes it, and now and then without: the feed is the truth, a
//! wake-up only makes it fast. All work happens when actix asks for more of the response, so a client
//! that does not read costs no reads, and a client that is gone leaves nothing behind.
//!
//! Not here: the hub (`runtime::tail`), the query string (`routes::tail`).

mod feed;
mod filter;
mod sse;
mod stream;

use actix_web::HttpRequest;
use mercurio_domain::store::{FeedCursor, FeedStart};
use mercurio_runtime::tail::TailRefusal;

use feed::FeedProblem;
pub(crate) use filter::{TailFilter, Verdicts};
use stream::Tail;
pub(crate) use stream::TailBody;

use crate::auth::{KeySources, KeyWatch, Principal};
use crate::feed_stream;
use crate::problem::{Problem, ReadLimit};
use crate::reads;
use crate::state::{AppState, BUSY_RETRY_AFTER_SECONDS};
use actix_web::web::Data;

/// `Retry-After` over a limit of tails, which last.
const RETRY_AFTER_SECONDS: u64 = 5;

/// Where a tail begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TailStart {
    /// With what happens from now on.
    Now,
    /// After a cursor, sent in the header or parameter of this name.
    After(FeedCursor, &'static str),
}

/// Begins a tail.
///
/// # Errors
/// The rate of reads, as [`reads::take_token`]. The limits of tails, and
/// [`Problem::InvalidQuery`] for a cursor that does not belong to the feed.
pub(crate) async fn open(
    state: &Data<AppState>,
    request: &HttpRequest,
    principal: &Principal,
    start: TailStart,
    filter: TailFilter,
) -> Result<TailBody, Problem> {
    // Before the tail takes its place: clients that connect again and again are slowed down as those
    // that read.
    reads::take_token(state, principal)?;
    let subscription = state.tails.subscribe(principal.owner);
    let subscription = subscription.map_err(|refusal| refused(state, refusal))?;
    let key = KeyWatch::of(state, request, KeySources::Headers)?;
    let (start, name) = match start {
        TailStart::Now => (FeedStart::Now, ""),
        TailStart::After(cursor, name) => (FeedStart::After(cursor), name),
    };
    let owner = principal.owner;
    // Not among the reads of the tenant: after a restart, all of its tails begin at once.
    let read = feed::read_in_background(state.clone(), owner, start, filter.clone()).await;
    let first = read.map_err(|problem| match problem {
        FeedProblem::Cursor(error) => feed_stream::refused_in(name, error),
        FeedProblem::Store(problem) => problem,
    })?;
    let (tail, text) = Tail::new(state.clone(), owner, subscription, key, filter, first);
    Ok(TailBody::new(tail, text, request))
}

fn refused(state: &AppState, refusal: TailRefusal) -> Problem {
    match refusal {
        TailRefusal::TenantLimit(limit) => {
            state.metrics.record_rate_limited("tails");
            let limit = ReadLimit::Tails(u32::try_from(limit).unwrap_or(u32::MAX));
            Problem::TooManyReads { limit, retry_after_seconds: RETRY_AFTER_SECONDS }
        }
        TailRefusal::ServerLimit => {
            Problem::Overloaded { retry_after_seconds: RETRY_AFTER_SECONDS }
        }
        TailRefusal::Closed => {
            Problem::ShuttingDown { retry_after_seconds: BUSY_RETRY_AFTER_SECONDS }
        }
    }
}
