//! A client connection: counted, limited in time, and with a problem in place of a
//! [`BareResponse`].
//!
//! Not here: responses of the app and their problems (`middleware`).

use super::activity::ConnectionActivity;
use super::bare_response::BareResponse;
use super::continuation::{Continuation, Interim};
use super::shared::SharedState;
use super::tls_hello::is_tls;
use actix_web::http::StatusCode;
use actix_web::http::header::HttpDate;
use actix_web::rt::net::TcpStream;
use mercurio_observability::metrics::OpenConnection;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Maximum bytes read from a refused client before the close.
const LINGER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Maximum bytes read in one turn. actix reads into its buffer as long as there is something, up to
/// 128 KiB, and keeps a buffer of that size until the connection closes.
const TURN_MAX_BYTES: usize = 16 * 1024;

enum WriteState {
    /// Writes pass through.
    Passing,
    /// Writing a problem in place of a bare response.
    Refusing { response: Vec<u8>, written: usize },
    /// The problem is written. Reading and discarding: a close with unread input resets the
    /// connection, and the client could lose the problem.
    Lingering { until: Pin<Box<Sleep>>, read: usize },
    /// Closed for reads and writes.
    Done,
}

/// A client's connection. Open connections are counted.
pub(super) struct Connection {
    io: TcpStream,
    peer: Option<SocketAddr>,
    shared: SharedState,
    state: WriteState,
    /// Whether the client began with TLS; `None` before its first byte.
    is_tls: Option<bool>,
    activity: ConnectionActivity,
    is_trusted: bool,
    continuation: Continuation,
    /// Bytes read in this turn.
    read: usize,
    /// Time of the last write; at first, of the connect.
    answered: Instant,
    /// Time of the first byte since then, unless a request was in progress.
    head_began: Option<Instant>,
    /// The client does not read: the time since the last write is not finished.
    stalled: Option<Instant>,
    /// Fires no later than any timeout. Moved only when it fires: cheaper than at every write.
    alarm: Pin<Box<Sleep>>,
    _open: OpenConnection,
}

/// The reason to end a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expiry {
    /// No byte of a response was written in time.
    Stuck,
    /// A head did not arrive in time.
    SlowHead,
    /// No request arrived in time.
    Idle,
}

/// An [`Expiry`] and its time, unless something happens before.
struct Deadline {
    expiry: Expiry,
    due: Instant,
}

impl Connection {
    pub(super) fn new(io: TcpStream, peer: Option<SocketAddr>, shared: SharedState) -> Self {
        let open = shared.metrics.open_connection();
        let alarm = Box::pin(sleep(shared.check_interval()));
        let is_trusted = peer.is_some_and(|peer| shared.trusted_proxies.contains(peer.ip()));
        Self {
            io,
            peer,
            shared,
            state: WriteState::Passing,
            is_tls: None,
            activity: ConnectionActivity::default(),
            is_trusted,
            continuation: Continuation::default(),
            read: 0,
            answered: Instant::now(),
            head_began: None,
            stalled: None,
            alarm,
            _open: open,
        }
    }

    /// Returns the part to be shared with the requests.
    pub(super) fn continuation(&self) -> Continuation {
        self.continuation.clone()
    }

    /// The activity, to be shared with the requests.
    pub(super) fn activity(&self) -> ConnectionActivity {
        self.activity.clone()
    }

    fn deadline(&self) -> Deadline {
        let shared = &self.shared;
        if let Some(stalled) = self.stalled {
            return Deadline { expiry: Expiry::Stuck, due: stalled + shared.write_timeout };
        }
        if self.activity.is_busy() {
            let due = self.answered + shared.answer_timeout;
            return Deadline { expiry: Expiry::Stuck, due };
        }
        if let Some(began) = self.head_began {
            return Deadline { expiry: Expiry::SlowHead, due: began + shared.head_timeout };
        }
        let is_known = self.is_trusted || self.activity.has_key();
        let idle = if is_known { shared.keep_alive } else { shared.stranger_keep_alive };
        Deadline { expiry: Expiry::Idle, due: self.answered + idle }
    }

    /// Ready if the connection must end.
    fn poll_expiry(&mut self, cx: &mut Context<'_>) -> Poll<Expiry> {
        // A loop: only the next poll registers the waker after `reset`.
        while self.alarm.as_mut().poll(cx).is_ready() {
            let (now, Deadline { expiry, due }) = (Instant::now(), self.deadline());
            if due <= now {
                return Poll::Ready(expiry);
            }
            // Until then, an event may bring a shorter timeout into force.
            self.alarm.as_mut().reset(due.min(now + self.shared.check_interval()));
        }
        Poll::Pending
    }

    /// Ends the connection: with a problem if the client waits for a response to its head.
    fn poll_expire(&mut self, cx: &mut Context<'_>, expiry: Expiry) -> Poll<io::Error> {
        if expiry == Expiry::SlowHead {
            let date = HttpDate::from(SystemTime::now()).to_string();
            let status = StatusCode::REQUEST_TIMEOUT;
            let bare = BareResponse { start: 0, status, date: Some(&date) };
            let response = self.shared.response(&bare);
            self.state = WriteState::Refusing { response, written: 0 };
        }
        self.poll_end(cx)
    }

    /// Writes what is left of a problem. Ready if the connection can close.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let ended = self.poll_refuse(cx);
        match (ended, &self.state) {
            (Poll::Pending, WriteState::Lingering { .. }) => Poll::Pending,
            // Also if the problem does not fit into the socket: nobody reads it.
            _ => Poll::Ready(io::ErrorKind::TimedOut.into()),
        }
    }

    fn poll_write_through(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(written) = Pin::new(&mut self.io).poll_write(cx, buffer) else {
            self.stalled.get_or_insert_with(Instant::now);
            // Checked here too: actix does not read while requests without a response fill its
            // buffer.
            return self.poll_expiry(cx).map(|_| Err(io::ErrorKind::TimedOut.into()));
        };
        self.stalled = None;
        // Also for a failed write: actix drops the connection then.
        self.answered = Instant::now();
        self.head_began = None;
        Poll::Ready(written)
    }

    fn poll_write_response(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        // After a refusal actix writes nothing new: the same buffer comes again until it counts as
        // written.
        if matches!(self.state, WriteState::Passing) {
            match BareResponse::find(buffer) {
                None => return self.poll_write_through(cx, buffer),
                Some(bare) if bare.start > 0 => {
                    // First the complete responses before it. actix then offers the rest again.
                    return self.poll_write_through(cx, &buffer[..bare.start]);
                }
                Some(bare) => {
                    let response = if self.is_tls == Some(true) {
                        self.shared.response_to_tls(&bare, self.peer)
                    } else {
                        self.shared.response(&bare)
                    };
                    self.state = WriteState::Refusing { response, written: 0 };
                }
            }
        }
        // Reported as written only after lingering: actix closes the connection then.
        ready!(self.poll_refuse(cx))?;
        Poll::Ready(Ok(buffer.len()))
    }

    /// Writes the problem, then lingers.
    fn poll_refuse(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                WriteState::Refusing { response, written } if *written < response.len() => {
                    match ready!(Pin::new(&mut self.io).poll_write(cx, &response[*written..]))? {
                        // A socket that takes no bytes never will.
                        0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                        bytes => *written += bytes,
                    }
                }
                WriteState::Refusing { .. } => {
                    // The half-close marks the end of the response.
                    ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
                    self.state = WriteState::Lingering {
                        until: Box::pin(sleep(self.shared.linger)),
                        read: 0,
                    };
                }
                WriteState::Lingering { until, read } => {
                    let mut buffer = [0; 4096];
                    let mut buffer = ReadBuf::new(&mut buffer);
                    // Both bounds: a client that keeps sending must not hold the connection.
                    if until.as_mut().poll(cx).is_ready() || *read > LINGER_MAX_BYTES {
                        self.state = WriteState::Done;
                        continue;
                    }
                    let result = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer));
                    *read += buffer.filled().len();
                    if result.is_err() || buffer.filled().is_empty() {
                        self.state = WriteState::Done;
                    }
                }
                WriteState::Passing | WriteState::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The state changes here only after an expiry: a refusal during a write ends there.
        if !matches!(self.state, WriteState::Passing) {
            return self.poll_end(cx).map(Err);
        }
        if self.read >= TURN_MAX_BYTES {
            self.read = 0;
            // actix handles what it has, and comes back at once.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let filled = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.read += buffer.filled().len() - filled;
        if read.is_pending() {
            self.read = 0;
            // Checked here: actix polls for reads while it waits for a client.
            return match self.poll_expiry(cx) {
                Poll::Ready(expiry) => self.poll_expire(cx, expiry).map(Err),
                Poll::Pending => Poll::Pending,
            };
        }
        let received = &buffer.filled()[filled..];
        if received.is_empty() {
            self.activity.note_end();
        } else {
            self.is_tls.get_or_insert_with(|| is_tls(received));
            if self.head_began.is_none() && !self.activity.is_busy() {
                self.head_began = Some(Instant::now());
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        if matches!(self.state, WriteState::Passing) {
            match self.continuation.decide(buffer) {
                Interim::Absent => {}
                Interim::Send(interim) => return self.poll_write_through(cx, interim),
                // Needs no waker: the app runs on this task, and actix writes again after each of
                // its steps.
                Interim::Hold => return Poll::Pending,
                Interim::Skip(bytes) => {
                    let written = ready!(self.poll_write_response(cx, &buffer[bytes..]))?;
                    return Poll::Ready(Ok(bytes + written));
                }
            }
        }
        self.poll_write_response(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.state {
            WriteState::Passing => Pin::new(&mut self.io).poll_shutdown(cx),
            // A refused connection has shut down already.
            _ => Poll::Ready(Ok(())),
        }
    }
}
