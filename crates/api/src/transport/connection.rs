//! A connection that speaks problem+json where actix's HTTP layer would refuse a request without a word.
//!
//! What that layer can't read never reaches the app. It answers by itself, with an empty 400, 408 or 431, and closes:
//! `send_error_response` in <https://docs.rs/crate/actix-http/3.20.0/source/src/h1/dispatcher.rs>. Such an answer is
//! always the last of its connection, comes whole and at the end of one write, and has no header but the length, the date
//! and `connection`, while every answer of the app has `X-Request-Id`. So [`Connection`] looks at the end of what is
//! written, and puts a problem in the place of such an answer.
//!
//! It also ends connections on which nothing is answered for too long. Not here: what the app answers (`edge`).

use super::Options;
use crate::problem::Problem;
use actix_web::http::StatusCode;
use actix_web::rt::net::TcpStream;
use mercurio_domain::ids::IdGenerator;
use mercurio_observability::metrics::OpenConnection;
use mercurio_observability::{Metrics, RequestContext, RequestLine, context};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// The longest head that actix writes by itself has about 120 bytes.
const MAX_HEAD_BYTES: usize = 192;

/// The most that is still read from a client that was refused.
const LINGER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// What all connections of a server share.
#[derive(Clone)]
pub struct Shared {
    metrics: Arc<Metrics>,
    ids: Arc<dyn IdGenerator>,
    linger: Duration,
    answer_timeout: Duration,
}

impl Shared {
    /// Counts into `metrics`, and treats connections as `options` say.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, options: &Options) -> Self {
        let (linger, answer_timeout) = (options.linger, options.answer_timeout);
        Self { metrics, ids: Arc::clone(&options.ids), linger, answer_timeout }
    }

    /// The whole response in the place of a bare one; leaves the request's line in the log.
    fn response(&self, bare: &BareHead<'_>) -> Vec<u8> {
        let request_id = self.ids.next_uuid().to_string();
        let problem = match bare.status {
            StatusCode::BAD_REQUEST => {
                Problem::BadRequest { detail: "The request is not sound HTTP/1.1." }
            }
            status => Problem::from_framework(status, None),
        };
        let body = problem.to_json(&request_id);
        // What came in has no time of its own: it is refused as soon as it is read.
        self.metrics.record_request("?", None, bare.status.as_u16(), Duration::ZERO);
        let line =
            RequestLine { method: "?", status: bare.status.as_u16(), ..RequestLine::default() };
        line.log(&RequestContext::new(&*request_id, None).logger(&context::current()));
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\n\
             connection: close\r\nx-request-id: {request_id}\r\n{date}\r\n{body}",
            status = bare.status,
            length = body.len(),
            date = bare.date.map(|date| format!("date: {date}\r\n")).unwrap_or_default(),
        )
        .into_bytes()
    }
}

/// A head that actix wrote by itself.
#[derive(Debug, PartialEq, Eq)]
struct BareHead<'a> {
    /// Where it begins in what is written.
    start: usize,
    status: StatusCode,
    date: Option<&'a str>,
}

impl<'a> BareHead<'a> {
    /// Finds such a head at the end of `written`. Looks at four bytes of nearly every other write.
    fn find(written: &'a [u8]) -> Option<Self> {
        if !written.ends_with(b"\r\n\r\n") {
            return None;
        }
        let tail_start = written.len().saturating_sub(MAX_HEAD_BYTES);
        let in_tail = written[tail_start..].windows(7).rposition(|window| window == b"HTTP/1.")?;
        let start = tail_start + in_tail;
        let mut lines =
            std::str::from_utf8(&written[start..]).ok()?.strip_suffix("\r\n\r\n")?.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let status = StatusCode::from_u16(status).ok().filter(|status| status.as_u16() >= 400)?;
        let (mut empty, mut date) = (false, None);
        for line in lines {
            match line.split_once(": ")? {
                ("content-length", "0") => empty = true,
                ("connection", _) => {}
                ("date", value) => date = Some(value),
                _ => return None,
            }
        }
        empty.then_some(Self { start, status, date })
    }
}

enum State {
    /// What is written goes out as it is.
    Passing,
    /// A problem goes out in the place of a bare head.
    Refusing { response: Vec<u8>, written: usize },
    /// It is out. What the client still sends is read and thrown away, or the answer would be lost to a reset.
    Lingering { until: Pin<Box<Sleep>>, read: usize },
    /// Nothing more is read or written.
    Done,
}

/// A counted connection of a client.
pub struct Connection {
    io: TcpStream,
    shared: Shared,
    state: State,
    /// When a byte was last written, or the connection made.
    answered: Instant,
    /// Not earlier than `answered`, nor later than its timeout: moved only when it fires, which is cheaper than at every
    /// write.
    alarm: Pin<Box<Sleep>>,
    _open: OpenConnection,
}

impl Connection {
    /// The connection over `io`, which counts as open while it lives.
    #[must_use]
    pub fn new(io: TcpStream, shared: Shared) -> Self {
        let open = shared.metrics.open_connection();
        let alarm = Box::pin(sleep(shared.answer_timeout));
        Self { io, shared, state: State::Passing, answered: Instant::now(), alarm, _open: open }
    }

    /// Ready when nothing was written for too long.
    fn poll_stuck(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
        self.answered = Instant::now();
        Poll::Ready(written)
    }

    /// Sends the problem and lets the client read it.
    fn poll_refuse(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::Refusing { response, written } if *written < response.len() => {
                    match ready!(Pin::new(&mut self.io).poll_write(cx, &response[*written..]))? {
                        0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                        bytes => *written += bytes,
                    }
                }
                State::Refusing { .. } => {
                    ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
                    self.state =
                        State::Lingering { until: Box::pin(sleep(self.shared.linger)), read: 0 };
                }
                State::Lingering { until, read } => {
                    let mut buffer = [0; 4096];
                    let mut buffer = ReadBuf::new(&mut buffer);
                    let over = until.as_mut().poll(cx).is_ready() || *read > LINGER_MAX_BYTES;
                    let closed = over || {
                        let result = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer));
                        *read += buffer.filled().len();
                        result.is_err() || buffer.filled().is_empty()
                    };
                    if closed {
                        self.state = State::Done;
                    }
                }
                State::Passing | State::Done => return Poll::Ready(Ok(())),
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
        if matches!(self.state, State::Passing) {
            match BareHead::find(buffer) {
                None => return self.poll_write_through(cx, buffer),
                Some(head) if head.start > 0 => {
                    return self.poll_write_through(cx, &buffer[..head.start]);
                }
                Some(head) => {
                    let response = self.shared.response(&head);
                    self.state = State::Refusing { response, written: 0 };
                }
            }
        }
        // The head counts as written once the client has had its time to read: then actix lets go of the connection.
        ready!(self.poll_refuse(cx))?;
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.state {
            State::Passing => Pin::new(&mut self.io).poll_shutdown(cx),
            _ => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_head_at_the_end_of_a_write_is_found() {
        let check = |written: &str, expected: Option<(usize, u16)>| {
            let found =
                BareHead::find(written.as_bytes()).map(|head| (head.start, head.status.as_u16()));
            assert_eq!(found, expected, "{written:?}");
        };
        let date = "date: Sun, 22 Nov 2026 10:00:00 GMT";
        let bare = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n{date}\r\n\r\n"
        );
        check(&bare, Some((0, 400)));
        check(
            &bare.replace("400 Bad Request", "431 Request Header Fields Too Large"),
            Some((0, 431)),
        );
        check(&bare.replace("HTTP/1.1", "HTTP/1.0"), Some((0, 400)));
        let before = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-request-id: a\r\n\r\n{}";
        check(&format!("{before}{bare}"), Some((before.len(), 400)));
        check(&format!("{}{bare}", "x".repeat(100_000)), Some((100_000, 400)));

        check(before, None);
        check(&format!("{bare}{before}"), None);
        check(&bare.replace("400 Bad Request", "200 OK"), None);
        check(&bare.replace("date", "x-request-id: a\r\ndate"), None);
        check(&bare.replace("content-length: 0", "content-length: 5"), None);
        check(&bare.replace("content-length: 0\r\n", ""), None);
        check(&bare[1..], None);
        check(&bare[..bare.len() - 1], None);
        check("\r\n\r\n", None);
        check("", None);
    }
}
