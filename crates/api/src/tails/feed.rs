//! Reads of the feed for tails, on threads that may block.

use std::sync::Arc;

use actix_web::web::Data;
use mercurio_domain::Owner;
use mercurio_domain::store::{
    FeedCursor, FeedCursorError, FeedError, FeedPage, FeedQuery, FeedStart, Store, StoreError,
};
use mercurio_observability::{chain, context, keys};
use mercurio_runtime::reads::RunningRead;
use slog::{debug, error};
use tokio::time::timeout;

use super::filter::TailFilter;
use super::sse::SseText;
use crate::problem::Problem;
use crate::reads::STORE_GRACE;
use crate::state::{AppState, UNAVAILABLE, store_problem};

/// Maximum events read at a time. A page also ends at 1 MiB.
const PAGE_EVENTS: usize = 100;

/// Why the feed could not be read.
pub(super) enum FeedProblem {
    /// The cursor does not belong to the feed.
    Cursor(FeedCursorError),
    /// The store failed.
    Store(Problem),
}

/// A part of the feed, as messages.
pub(super) struct FeedPart {
    pub(super) text: SseText,
    /// Where to read on.
    pub(super) next: FeedCursor,
    /// The last cursor among the messages.
    pub(super) sent: Option<FeedCursor>,
    pub(super) is_newest: bool,
}

/// Reads a part of the feed when other reads leave room.
pub(super) async fn read_in_background(
    state: Data<AppState>,
    owner: Owner,
    start: FeedStart,
    filter: TailFilter,
) -> Result<FeedPart, FeedProblem> {
    let running = state.reads.run_in_background().await;
    let running = running.map_err(|_| FeedProblem::Store(state.overloaded()))?;
    read(&state, running, owner, start, filter).await
}

/// Reads a part of the feed.
async fn read(
    state: &AppState,
    running: RunningRead,
    owner: Owner,
    start: FeedStart,
    filter: TailFilter,
) -> Result<FeedPart, FeedProblem> {
    let store = Arc::clone(&state.store);
    let read = tokio::task::spawn_blocking(move || {
        // Held until the read ends, which may outlast the tail.
        let _running = running;
        read_part(store.as_ref(), owner, start, &filter)
    });
    let limit = state.settings.read_timeout;
    let read = timeout(limit + STORE_GRACE, read).await;
    match read.map_err(|_| FeedProblem::Store(UNAVAILABLE))? {
        Ok(Ok(part)) => Ok(part),
        Ok(Err(FeedError::Cursor(error))) => Err(FeedProblem::Cursor(error)),
        Ok(Err(FeedError::Store(StoreError::TimedOut(_)))) => {
            let limit_seconds = limit.as_secs();
            Err(FeedProblem::Store(Problem::QueryTimeout { limit_seconds }))
        }
        Ok(Err(FeedError::Store(error))) if error.is_unavailable() => {
            // Each tail tries again every second, and the probe reports the outage.
            debug!(context::current(), "feed not read"; keys::ERROR => chain(&error));
            Err(FeedProblem::Store(UNAVAILABLE))
        }
        Ok(Err(FeedError::Store(error))) => Err(FeedProblem::Store(store_problem(&error))),
        // A defect in the store ends one tail.
        Err(panic) => {
            error!(context::current(), "store panicked"; keys::ERROR => panic.to_string());
            Err(FeedProblem::Store(Problem::Internal))
        }
    }
}

fn read_part(
    store: &dyn Store,
    owner: Owner,
    start: FeedStart,
    filter: &TailFilter,
) -> Result<FeedPart, FeedError> {
    let page = store.feed(owner, &FeedQuery { start, limit: PAGE_EVENTS })?;
    let FeedPage { events, cursors, next, is_newest } = page;
    debug_assert_eq!(events.len(), cursors.len(), "each event has its cursor");
    let (mut text, mut sent) = (SseText::default(), None);
    for (event, cursor) in events.iter().zip(cursors) {
        if filter.wants_event(event) {
            text.message("accepted", Some(&cursor.to_text()), event);
            sent = Some(cursor);
        }
    }
    // Held until it is sent. It grew by doubling.
    text.0.shrink_to_fit();
    Ok(FeedPart { text, next, sent, is_newest })
}
