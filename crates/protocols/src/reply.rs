//! Answers in a protocol's own form.

use std::borrow::Cow;

use mercurio_domain::Timestamp;
use serde_json::value::RawValue;

/// An answer in a protocol's own form, in place of the common one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The media type; empty without a body.
    pub content_type: &'static str,
    /// The body.
    pub body: Cow<'static, [u8]>,
}

impl Reply {
    /// An answer in JSON.
    #[must_use]
    pub fn json(status: u16, body: impl Into<Cow<'static, str>>) -> Self {
        let body = match body.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self { status, content_type: "application/json", body }
    }

    /// An answer without a body.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, content_type: "", body: Cow::Borrowed(&[]) }
    }
}

/// A request whose events are stored, but for rejected ones.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The decompressed body.
    pub body: &'a [u8],
    /// The time of receipt.
    pub at: Timestamp,
}

/// A request that failed as a whole, as this server's own API would answer it.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The code of the problem, such as `unauthorized`.
    pub code: &'a str,
    /// The detail of the problem, for people.
    pub detail: &'a str,
    /// The errors of the body, an array in JSON.
    pub errors: Option<&'a RawValue>,
    /// Seconds after which the client should send the request again.
    pub retry_after_seconds: Option<u64>,
}

/// A failure in the terms of a protocol. Headers of the problem, such as `Retry-After`, stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureReply {
    /// A problem with this status.
    Problem(u16),
    /// An answer of the protocol's own.
    Own(Reply),
}
