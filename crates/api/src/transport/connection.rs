//! A client connection: counted, limited in time, and with a problem in place of a
//! [`BareResponse`].
//!
//! Not here: responses of the app and their problems (`middleware`).

use super::bare_response::BareResponse;
use super::options::ServerOptions;
use crate::problem::Problem;
use actix_web::http::StatusCode;
use actix_web::rt::net::TcpStream;
use mercurio_domain::ids::IdGenerator;
use mercurio_observability::metrics::OpenConnection;
use mercurio_observability::{Metrics, RequestContext, RequestLine, context};
use mercurio_runtime::refusal_log::{RefusalLine, RefusalLog};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Maximum bytes read from a refused client before the close.
const LINGER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// The state that all connections of a server share.
#[derive(Clone)]
pub(super) struct SharedState {
    metrics: Arc<Metrics>,
    ids: Arc<dyn IdGenerator>,
    refusals: Arc<RefusalLog>,
    linger: Duration,
    answer_timeout: Duration,
}

impl SharedState {
    pub(super) fn new(metrics: Arc<Metrics>, options: &ServerOptions) -> Self {
        Self {
            metrics,
            ids: Arc::clone(&options.ids),
            refusals: Arc::clone(&options.refusals),
            linger: options.linger,
            answer_timeout: options.answer_timeout,
        }
    }

    fn log(&self, status: StatusCode, request_id: &str) {
        let status = status.as_u16();
        let line = RefusalLine::Request { tenant_id: None, class: status / 100 };
        if let Some(not_logged) = self.refusals.admit(line, std::time::Instant::now()) {
            let line = RequestLine { method: "?", status, not_logged, ..RequestLine::default() };
            line.log(&RequestContext::new(request_id, None).logger(&context::current()));
        }
    }

    /// Returns the bytes of the problem in place of `bare`, and logs and counts the request.
    fn response(&self, bare: &BareResponse<'_>) -> Vec<u8> {
        let request_id = self.ids.next_uuid().to_string();
        let problem = match bare.status {
            StatusCode::BAD_REQUEST => {
                Problem::BadRequest { detail: "The request is not valid HTTP/1.1." }
            }
            status => Problem::from_framework(status, None),
        };
        let body = problem.to_json(&request_id);
        // The duration is zero: actix refuses the request as soon as it reads it.
        // The method is unknown: the head was not parsed.
        self.metrics.record_request("?", None, bare.status.as_u16(), Duration::ZERO);
        self.log(bare.status, &request_id);
        format!(
            // With `connection: close`, HTTP/1.0 clients read it as well.
            "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\n\
             connection: close\r\nx-request-id: {request_id}\r\n{date}\r\n{body}",
            status = bare.status,
            length = body.len(),
            date = bare.date.map(|date| format!("date: {date}\r\n")).unwrap_or_default(),
        )
        .into_bytes()
    }
}

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
    shared: SharedState,
    state: WriteState,
    /// Time of the last write; at first, of the connect.
    answered: Instant,
    /// Fires between `answered` and the end of its timeout. Moved only when it fires: cheaper than
    /// at every write.
    alarm: Pin<Box<Sleep>>,
    _open: OpenConnection,
}

impl Connection {
    pub(super) fn new(io: TcpStream, shared: SharedState) -> Self {
        let open = shared.metrics.open_connection();
        let alarm = Box::pin(sleep(shared.answer_timeout));
        Self {
            io,
            shared,
            state: WriteState::Passing,
            answered: Instant::now(),
            alarm,
            _open: open,
        }
    }

    /// Ready if nothing was written for `answer_timeout`.
    fn poll_stuck(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A loop: only the next poll registers the waker after `reset`.
        while self.alarm.as_mut().poll(cx).is_ready() {
            let due = self.answered + self.shared.answer_timeout;
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(due);
        }
        Poll::Pending
    }

    fn poll_write_through(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buffer));
        // Also for a failed write: actix drops the connection then.
        self.answered = Instant::now();
        Poll::Ready(written)
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
        match Pin::new(&mut self.io).poll_read(cx, buffer) {
            // Checked here: actix polls for reads while it waits for a client.
            Poll::Pending if self.poll_stuck(cx).is_ready() => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            read => read,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
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
                    let response = self.shared.response(&bare);
                    self.state = WriteState::Refusing { response, written: 0 };
                }
            }
        }
        // Reported as written only after lingering: actix closes the connection then.
        ready!(self.poll_refuse(cx))?;
        Poll::Ready(Ok(buffer.len()))
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
