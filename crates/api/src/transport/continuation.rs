//! `100 Continue`, sent only when the app reads the body: a client that asks first learns of a bad
//! key before it has sent anything (<https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1>).
//!
//! actix-http puts it into its buffer before it calls the app, in one piece, and has no way to
//! decide later. So the connection holds the piece back, until the app reads the body or answers.

use actix_web::HttpRequest;
use std::cell::Cell;
use std::rc::Rc;

/// The bytes actix-http writes.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Whether the app wants the body of the current request. Shared by a connection and its requests,
/// which are on one thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Continuation(Rc<Cell<bool>>);

/// What to do with a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Interim<'a> {
    /// The write does not begin with a `100 Continue`.
    Absent,
    /// Write only this.
    Send(&'a [u8]),
    /// Write nothing yet: the app has neither read the body nor answered.
    Hold,
    /// Leave out so many bytes: the app has answered without the body.
    Skip(usize),
}

impl Continuation {
    /// Asks the client of a request for its body.
    pub(crate) fn request_body(request: &HttpRequest) {
        // None in a test without a socket.
        if let Some(Self(is_wanted)) = request.conn_data::<Self>() {
            is_wanted.set(true);
        }
    }

    /// Decides on a write of actix-http. Responses before it in the same write let it pass: only
    /// pipelined requests have them.
    pub(super) fn decide<'a>(&self, write: &'a [u8]) -> Interim<'a> {
        let Some(rest) = write.strip_prefix(CONTINUE) else { return Interim::Absent };
        match (self.0.take(), rest.is_empty()) {
            (true, _) => Interim::Send(CONTINUE),
            (false, true) => Interim::Hold,
            (false, false) => Interim::Skip(CONTINUE.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continue_is_sent_once_and_only_if_wanted() {
        let continuation = Continuation::default();
        let both = [CONTINUE, b"HTTP/1.1 401 Unauthorized\r\n"].concat();
        assert_eq!(continuation.decide(b"HTTP/1.1 200 OK\r\n"), Interim::Absent);
        assert_eq!(continuation.decide(CONTINUE), Interim::Hold);
        assert_eq!(continuation.decide(&both), Interim::Skip(25));
        continuation.0.set(true);
        assert_eq!(continuation.decide(&both), Interim::Send(CONTINUE));
        assert_eq!(continuation.decide(CONTINUE), Interim::Hold, "the next request");
    }
}
