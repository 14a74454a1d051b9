//! A tail and its response: what to send next, and when to look.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::body::{BodySize, MessageBody};
use actix_web::web::{Bytes, Data};
use mercurio_domain::Owner;
use mercurio_domain::store::{FeedCursor, FeedStart};
use mercurio_runtime::tail::{Delivery, Subscription};
use tokio::time::{Instant, sleep_until};

use super::feed::{FeedPart, FeedProblem, read_in_background};
use super::filter::TailFilter;
use super::sse::SseText;
use crate::auth::KeyWatch;
use crate::problem::Problem;
use crate::reads::{CHUNK_BYTES, SEND_TIME, SendTimeout};
use crate::state::AppState;
use crate::transport::ConnectionActivity;

/// Minimum interval of reads of the feed: those of a busy workspace find several events.
const READ_EVERY: Duration = Duration::from_millis(200);
/// Interval of reads without a wake-up. Texts between servers may be lost, and other programs that
/// store events send none.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Pause after a failed read.
const RETRY_READ: Duration = Duration::from_secs(1);
/// Interval of checks of the key. A revoked one leaves the cache within a second.
const CHECK_KEY_EVERY: Duration = Duration::from_secs(2);
/// Maximum time without a message. Proxies close connections that are silent for a minute.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// Time that clients should wait before they connect again.
const RECONNECT_AFTER: Duration = Duration::from_secs(2);

/// Work that goes on while the tail waits for something more.
struct Pending<T>(Option<Pin<Box<dyn Future<Output = T>>>>);

impl<T> Pending<T> {
    fn begin(&mut self, work: impl Future<Output = T> + 'static) {
        self.0 = Some(Box::pin(work));
    }

    /// Waits for the result; for ever if nothing has begun. Safe to cancel: the work stays.
    async fn finish(&mut self) -> T {
        let Some(work) = &mut self.0 else { return std::future::pending().await };
        let result = work.await;
        self.0 = None;
        result
    }
}

/// A tail in progress.
pub(super) struct Tail {
    state: Data<AppState>,
    owner: Owner,
    subscription: Subscription,
    key: Rc<KeyWatch>,
    filter: TailFilter,
    /// Where to read on.
    cursor: FeedCursor,
    /// The last cursor that the client got.
    sent_cursor: Option<FeedCursor>,
    reading: Pending<Result<FeedPart, FeedProblem>>,
    began_read: Instant,
    /// Events may have been accepted since then.
    is_woken: bool,
    /// `None`: no accepted event is wanted, so the feed is not read.
    read_at: Option<Instant>,
    checking: Pending<Result<(), Problem>>,
    check_key_at: Instant,
    heartbeat_at: Instant,
    is_ended: bool,
}

impl Tail {
    /// Returns a tail that goes on after the first part of the feed, and the text to begin with.
    pub(super) fn new(
        state: Data<AppState>,
        owner: Owner,
        subscription: Subscription,
        key: KeyWatch,
        filter: TailFilter,
        first: FeedPart,
    ) -> (Self, SseText) {
        let now = Instant::now();
        let mut tail = Self {
            state,
            owner,
            subscription,
            key: Rc::new(key),
            cursor: first.next.clone(),
            sent_cursor: None,
            reading: Pending(None),
            began_read: now,
            is_woken: false,
            read_at: filter.verdicts.accepted.then_some(now),
            checking: Pending(None),
            check_key_at: now + CHECK_KEY_EVERY,
            heartbeat_at: now + HEARTBEAT_EVERY,
            is_ended: false,
            filter,
        };
        let mut text = SseText::default();
        text.retry(RECONNECT_AFTER);
        tail.take_part(first, &mut text);
        // A client that loses its connection before the first event finds its place too.
        tail.send_cursor(&mut text);
        (tail, text)
    }

    /// Waits for the next messages. `None` after the end.
    async fn next(mut self) -> Option<(SseText, Self)> {
        let mut text = SseText::default();
        while text.0.is_empty() {
            if self.is_ended {
                return None;
            }
            self.wait(&mut text).await;
            let delivery = self.subscription.take();
            if !self.is_ended {
                self.deliver(delivery, &mut text);
            }
        }
        self.heartbeat_at = Instant::now() + HEARTBEAT_EVERY;
        Some((text, self))
    }

    /// Waits until something may be to be sent.
    async fn wait(&mut self, text: &mut SseText) {
        let now = Instant::now();
        if self.reading.0.is_none() && self.read_at.is_some_and(|due| due <= now) {
            (self.began_read, self.is_woken) = (now, false);
            let start = FeedStart::After(self.cursor.clone());
            let (state, filter) = (self.state.clone(), self.filter.clone());
            self.reading.begin(read_in_background(state, self.owner, start, filter));
        }
        if self.checking.0.is_none() && self.check_key_at <= now {
            let (state, key) = (self.state.clone(), Rc::clone(&self.key));
            self.checking.begin(async move { key.check(&state).await });
        }
        let due = self.due();
        tokio::select! {
            () = self.subscription.changed() => {}
            part = self.reading.finish() => self.take_read(part, text),
            checked = self.checking.finish() => self.take_check(checked, text),
            () = sleep_until(due) => {}
        }
    }

    /// When to look again, if nothing happens before.
    fn due(&self) -> Instant {
        let check = Some(self.check_key_at).filter(|_| self.checking.0.is_none());
        let read = self.read_at.filter(|_| self.reading.0.is_none());
        [check, read].into_iter().flatten().fold(self.heartbeat_at, Instant::min)
    }

    fn deliver(&mut self, delivery: Delivery, text: &mut SseText) {
        let Delivery { is_woken, notices, missed, is_closed } = delivery;
        for notice in notices.iter().filter(|notice| self.filter.wants_notice(notice)) {
            text.message(notice.status.as_str(), None, &**notice);
        }
        let missed = self.filter.wanted_missed(missed);
        if !missed.is_none() {
            text.message("missed", None, &missed);
        }
        if is_woken {
            // A read in progress may have begun before the commit, so another one follows it.
            self.is_woken = true;
            let soon = self.began_read + READ_EVERY;
            self.read_at = self.read_at.map(|read_at| read_at.min(soon));
        }
        if is_closed {
            self.end("the server is shutting down: connect again", text);
        } else if text.0.is_empty() && Instant::now() >= self.heartbeat_at {
            text.comment("heartbeat");
            self.send_cursor(text);
        }
    }

    fn take_read(&mut self, read: Result<FeedPart, FeedProblem>, text: &mut SseText) {
        match read {
            Ok(part) => self.take_part(part, text),
            Err(FeedProblem::Cursor(error)) => self.end(&error.to_string(), text),
            // A defect would fail again.
            Err(FeedProblem::Store(Problem::Internal)) => self.end("the server failed", text),
            Err(FeedProblem::Store(_)) => {
                self.read_at = self.read_at.map(|_| Instant::now() + RETRY_READ);
            }
        }
    }

    fn take_part(&mut self, part: FeedPart, text: &mut SseText) {
        let FeedPart { text: messages, next, sent, is_newest } = part;
        text.0.extend(messages.0);
        self.cursor = next;
        if sent.is_some() {
            self.sent_cursor = sent;
        }
        let wait = match is_newest {
            false => Duration::ZERO,
            true if self.is_woken => READ_EVERY,
            true => LOOK_EVERY,
        };
        self.read_at = self.read_at.map(|_| self.began_read + wait);
    }

    /// Sends the cursor, if the client has another one: those of events that the filter withholds
    /// are read once only.
    fn send_cursor(&mut self, text: &mut SseText) {
        if self.sent_cursor.as_ref() != Some(&self.cursor) {
            text.cursor(&self.cursor);
            self.sent_cursor = Some(self.cursor.clone());
        }
    }

    fn take_check(&mut self, checked: Result<(), Problem>, text: &mut SseText) {
        self.check_key_at = Instant::now() + CHECK_KEY_EVERY;
        match checked {
            Err(Problem::Unauthorized { .. }) => self.end("the API key is no longer valid", text),
            Err(Problem::TenantSuspended) => self.end("the tenant is suspended", text),
            // While the database is away, nothing is stored either.
            Ok(()) | Err(_) => {}
        }
    }

    fn end(&mut self, reason: &str, text: &mut SseText) {
        text.comment(reason);
        self.is_ended = true;
    }
}

/// The next messages, and the tail after them.
type NextMessages = Pin<Box<dyn Future<Output = Option<(SseText, Tail)>>>>;

/// The response: the tail, and what is still to be sent.
pub(crate) struct TailBody {
    rest: Bytes,
    send_by: Instant,
    /// `None` without a connection, as in a test.
    connection: Option<ConnectionActivity>,
    /// `None` after the end.
    next: Option<NextMessages>,
}

impl TailBody {
    pub(super) fn new(tail: Tail, text: SseText, request: &HttpRequest) -> Self {
        Self {
            rest: text.0.into(),
            send_by: Instant::now() + SEND_TIME,
            connection: ConnectionActivity::of(request),
            next: Some(Box::pin(tail.next())),
        }
    }
}

impl MessageBody for TailBody {
    type Error = SendTimeout;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, SendTimeout>>> {
        if self.connection.as_ref().is_some_and(ConnectionActivity::is_ended) {
            // At once: the client may be connecting again, and a tenant has few tails.
            self.next = None;
            return Poll::Ready(None);
        }
        while self.rest.is_empty() {
            let Some(next) = &mut self.next else { return Poll::Ready(None) };
            let Some((text, tail)) = ready!(next.as_mut().poll(cx)) else {
                self.next = None;
                return Poll::Ready(None);
            };
            self.rest = text.0.into();
            self.send_by = Instant::now() + SEND_TIME;
            self.next = Some(Box::pin(tail.next()));
        }
        // A client that reads nothing at all meets the timeout of the transport.
        if Instant::now() >= self.send_by {
            return Poll::Ready(Some(Err(SendTimeout)));
        }
        let bytes = self.rest.len().min(CHUNK_BYTES);
        Poll::Ready(Some(Ok(self.rest.split_to(bytes))))
    }
}
