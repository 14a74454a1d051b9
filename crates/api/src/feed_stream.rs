//! Pages of the feed, and the feed as lines of JSON: page after page, up to the newest event.
//!
//! A task reads pages and hands them to the response, one ahead of the client. It ends with the response:
//! a client that reads nothing is cut by the transport.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::{Bytes, Data};
use mercurio_domain::Owner;
use mercurio_domain::store::{
    FeedCursorError, FeedError, FeedPage, FeedQuery, FeedStart, Store, StoreError,
};
use mercurio_runtime::reads::ReadPermit;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::auth::KeyWatch;
use crate::problem::{Problem, QueryError};
use crate::reads::{self, Answer};
use crate::routes::wire::read::FeedNextLine;
use crate::state::AppState;

/// Maximum time of a response. A client that cannot keep up goes on in another one.
const STREAM_TIME: Duration = Duration::from_secs(300);
/// Bytes handed over at a time. The connection's own buffer holds little more.
const CHUNK_BYTES: usize = 16 * 1024;

/// Reads a page. A cursor of another feed is no failure of the store.
pub(crate) fn page(
    store: &dyn Store,
    owner: Owner,
    query: &FeedQuery,
) -> Result<Result<FeedPage, FeedCursorError>, StoreError> {
    match store.feed(owner, query) {
        Ok(page) => Ok(Ok(page)),
        Err(FeedError::Cursor(error)) => Ok(Err(error)),
        Err(FeedError::Store(error)) => Err(error),
    }
}

/// Returns the problem of a cursor of another feed.
pub(crate) fn refused(error: FeedCursorError) -> Problem {
    refused_in("after", error)
}

/// Returns the problem of a cursor of another feed, sent in the parameter or header `name`.
pub(crate) fn refused_in(name: &str, error: FeedCursorError) -> Problem {
    let code = match error {
        FeedCursorError::Malformed | FeedCursorError::OtherWorkspace => "invalid_value",
        // A consumer has to decide what to do about it, and cannot by the text.
        FeedCursorError::Replaced => "cursor_replaced",
    };
    let errors = vec![QueryError::new(name, code, format!("{name} is {error}"))];
    Problem::InvalidQuery { errors }
}

/// Reads the first page, and returns the body of all pages from there on.
///
/// # Errors
/// The response, if the first page cannot be read. Later on, the body ends early.
pub(crate) async fn open(
    state: Data<AppState>,
    permit: ReadPermit,
    key: KeyWatch,
    owner: Owner,
    query: FeedQuery,
) -> Result<FeedBody, Problem> {
    let ends = Instant::now() + STREAM_TIME;
    let mut reader = PageReader { state, key, owner, query, ends };
    let first = reader.next(permit).await?;
    let (sender, pages) = mpsc::channel(1);
    actix_web::rt::spawn(async move { reader.run(first, &sender).await });
    Ok(FeedBody { pages, current: Bytes::new() })
}

struct PageReader {
    state: Data<AppState>,
    key: KeyWatch,
    owner: Owner,
    query: FeedQuery,
    ends: Instant,
}

/// The lines of a page.
struct PageLines {
    lines: Bytes,
    is_last: bool,
    permit: ReadPermit,
}

impl PageReader {
    /// Hands over pages until the newest event, or until the client is gone.
    async fn run(mut self, first: PageLines, sender: &mpsc::Sender<Result<Bytes, StreamError>>) {
        let mut next = Ok(first);
        loop {
            match next {
                Ok(PageLines { lines, is_last, permit }) => {
                    let is_gone = sender.send(Ok(lines)).await.is_err();
                    if is_last || is_gone {
                        return;
                    }
                    // Mostly from the cache. A revoked key ends the stream.
                    next = match self.key.check(&self.state).await {
                        Ok(()) => self.next(permit).await,
                        Err(problem) => Err(problem),
                    };
                }
                Err(_) => {
                    // Its cause is logged. The client goes on after the last line with a cursor.
                    sender.send(Err(StreamError)).await.ok();
                    return;
                }
            }
        }
    }

    async fn next(&mut self, permit: ReadPermit) -> Result<PageLines, Problem> {
        let (owner, query) = (self.owner, self.query.clone());
        let read = reads::run(&self.state, permit, move |store| {
            Ok(page(store, owner, &query)?.map(|page| (lines(&page), page.next, page.is_newest)))
        });
        let Answer { found, permit } = read.await?;
        let (lines, next, is_newest) = found.map_err(refused)?;
        self.query.start = FeedStart::After(next);
        // Also at a shutdown: the client goes on with another server.
        let is_over = Instant::now() >= self.ends || self.state.lifecycle.is_draining();
        Ok(PageLines { lines, is_last: is_newest || is_over, permit })
    }
}

/// Returns the events of a page, and its cursor.
fn lines(page: &FeedPage) -> Bytes {
    let mut lines = Vec::new();
    for event in &page.events {
        push_line(&mut lines, event);
    }
    push_line(&mut lines, &FeedNextLine { next: page.next.to_text() });
    lines.into()
}

fn push_line(lines: &mut Vec<u8>, value: &impl serde::Serialize) {
    let written = serde_json::to_writer(&mut *lines, value);
    debug_assert!(written.is_ok(), "events serialise into memory");
    lines.push(b'\n');
}

/// A page could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the feed ends early")]
pub(crate) struct StreamError;

/// The body of a response with pages of the feed.
pub(crate) struct FeedBody {
    pages: mpsc::Receiver<Result<Bytes, StreamError>>,
    /// The rest of a page, still to be sent.
    current: Bytes,
}

impl MessageBody for FeedBody {
    type Error = StreamError;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, StreamError>>> {
        if self.current.is_empty() {
            match self.pages.poll_recv(cx) {
                Poll::Ready(Some(Ok(lines))) => self.current = lines,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
        let bytes = self.current.len().min(CHUNK_BYTES);
        Poll::Ready(Some(Ok(self.current.split_to(bytes))))
    }
}
