//! The `detail`, the members and the headers of each problem.
//!
//! Not here: status and title (`code`), JSON and HTTP (`response`).

use super::code::{ProblemCode, code_of_status, reason_phrase};
use super::types::{EventErrors, Problem, QueryError, ReadLimit, excerpt};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use mercurio_domain::Timestamp;
use mercurio_domain::limits::QuotaExceeded;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A `type` is relative: it resolves on whichever server answered, and no domain has to exist for
/// it.
const TYPE_BASE: &str = "/problems/";

/// The parts of the response to a problem.
#[derive(Debug)]
pub struct ResponseParts<'a> {
    /// The HTTP status.
    pub status: StatusCode,
    /// The stable code; `type` ends in it.
    pub code: Cow<'static, str>,
    /// The code in words, the same in every occurrence.
    pub title: &'static str,
    /// This occurrence, for people.
    pub detail: Cow<'a, str>,
    /// Members of the JSON in addition to the standard ones.
    pub members: Vec<ProblemMember<'a>>,
    /// Headers in addition to `Content-Type`.
    pub headers: Vec<Header<'a>>,
}

/// An additional member of a problem's JSON.
#[derive(Debug)]
pub struct ProblemMember<'a> {
    /// The name in the JSON.
    pub name: &'static str,
    /// The value.
    pub value: MemberValue<'a>,
}

/// The value of an additional member.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum MemberValue<'a> {
    /// A number; null if it is unknown.
    Number(Option<u64>),
    /// A text.
    Text(&'a str),
    /// An instant.
    Time(Timestamp),
    /// A list of texts.
    Texts(&'a [&'static str]),
    /// The errors of a query string.
    Query(&'a [QueryError]),
    /// Serialised JSON.
    Json(&'a RawValue),
}

/// A header of the response to a problem.
#[derive(Debug)]
pub struct Header<'a> {
    /// The name.
    pub name: HeaderName,
    /// The value.
    pub value: Cow<'a, str>,
}

impl<'a> ResponseParts<'a> {
    /// Returns the additional member `name`, if it is serialised JSON.
    pub(crate) fn json(&self, name: &str) -> Option<&'a RawValue> {
        let member = self.members.iter().find(|member| member.name == name)?;
        if let MemberValue::Json(json) = member.value { Some(json) } else { None }
    }

    fn new(code: ProblemCode, detail: impl Into<Cow<'a, str>>) -> Self {
        let description = code.description();
        Self {
            status: description.status,
            code: Cow::Borrowed(description.code),
            title: description.title,
            detail: detail.into(),
            members: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Returns the parts for a status without a code of its own: title and code are its reason
    /// phrase.
    fn of_status(status: StatusCode) -> Self {
        Self {
            status,
            code: Cow::Owned(code_of_status(status)),
            title: reason_phrase(status),
            detail: Cow::Borrowed("The server cannot answer this request."),
            members: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Returns the seconds after which a client should send the request again.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        let retry_after = self.headers.iter().find(|header| header.name == header::RETRY_AFTER)?;
        retry_after.value.parse().ok()
    }

    /// Returns the relative reference that identifies the code.
    pub(crate) fn type_reference(&self) -> String {
        format!("{TYPE_BASE}{}", self.code)
    }

    fn with(mut self, name: &'static str, value: MemberValue<'a>) -> Self {
        self.members.push(ProblemMember { name, value });
        self
    }

    fn number(self, name: &'static str, value: usize) -> Self {
        self.with(name, MemberValue::Number(Some(value as u64)))
    }

    fn header(mut self, name: HeaderName, value: impl Into<Cow<'a, str>>) -> Self {
        self.headers.push(Header { name, value: value.into() });
        self
    }

    fn retry_after(self, seconds: u64) -> Self {
        self.with("retry_after_seconds", MemberValue::Number(Some(seconds)))
            .header(header::RETRY_AFTER, seconds.to_string())
    }
}

impl Problem {
    /// Returns the HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.parts().status
    }

    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> String {
        self.parts().code.into_owned()
    }

    /// Returns the parts of the response. The one place that decides them, by an exhaustive match.
    #[must_use]
    pub fn parts(&self) -> ResponseParts<'_> {
        match self {
            Self::MalformedJson { line, column, detail } => {
                ResponseParts::new(ProblemCode::MalformedJson, detail.as_str())
                    .number("line", *line)
                    .number("column", *column)
            }
            Self::MalformedEncoding { coding, reason } => {
                let detail = format!("The {coding} data of the body {reason}.");
                ResponseParts::new(ProblemCode::MalformedEncoding, detail)
            }
            Self::BatchEmpty => {
                let detail = "The batch has no events; at least 1 is required.";
                ResponseParts::new(ProblemCode::BatchEmpty, detail)
            }
            Self::BatchTooLarge { limit, actual } => {
                let detail = format!("The batch has {actual} events; the limit is {limit}.");
                ResponseParts::new(ProblemCode::BatchTooLarge, detail)
                    .number("limit", *limit)
                    .number("actual", *actual)
            }
            Self::InvalidSchemaVersion { actual } => {
                let detail = "X-Event-Schema-Version is not a semantic version, such as 2.1.0.";
                ResponseParts::new(ProblemCode::InvalidSchemaVersion, detail)
                    // Cut: a header may have kilobytes.
                    .with("actual", MemberValue::Text(excerpt(actual)))
            }
            Self::InvalidQuery { errors } => {
                let detail = "The query has unknown or invalid parameters; see errors.";
                ResponseParts::new(ProblemCode::InvalidQuery, detail)
                    .with("errors", MemberValue::Query(errors))
            }
            Self::Unauthorized { reason, detail } => {
                ResponseParts::new(ProblemCode::Unauthorized, detail.as_ref())
                    .with("reason", MemberValue::Text(reason.as_str()))
                    // Required with a 401 (RFC 9110, 15.5.2).
                    .header(header::WWW_AUTHENTICATE, "Bearer realm=\"mercurio\"")
            }
            Self::InsufficientScope { required } => {
                let detail = format!(
                    "The API key does not have the scope {required}; use a key that has it. The operators of \
                     this server make one with mercurio-admin key create."
                );
                ResponseParts::new(ProblemCode::InsufficientScope, detail)
                    .with("required", MemberValue::Text(required))
            }
            Self::OriginNotAllowed { origin } => origin_not_allowed(origin.as_deref()),
            Self::TenantSuspended => {
                let detail = "The tenant of this API key is suspended; contact the operators of this server.";
                ResponseParts::new(ProblemCode::TenantSuspended, detail)
            }
            Self::NotFound { detail } => ResponseParts::new(ProblemCode::NotFound, detail.as_ref()),
            Self::MethodNotAllowed { allow, detail } => {
                ResponseParts::new(ProblemCode::MethodNotAllowed, detail.as_str())
                    // Required with a 405 (RFC 9110, 15.5.6).
                    .header(header::ALLOW, allow.as_str())
            }
            Self::RequestTimeout => {
                let detail = "The request did not arrive in time.";
                ResponseParts::new(ProblemCode::RequestTimeout, detail)
            }
            Self::PayloadTooLarge { limit, actual } => payload_too_large(*limit, *actual),
            Self::UnsupportedMediaType { accepted, detail } => {
                ResponseParts::new(ProblemCode::UnsupportedMediaType, detail.as_str())
                    .with("accepted", MemberValue::Texts(accepted))
                    // Lists the supported types after a 415 (RFC 9110, 15.5.16).
                    .header(header::ACCEPT, accepted.join(", "))
            }
            Self::UnsupportedContentEncoding { accepted, detail } => {
                ResponseParts::new(ProblemCode::UnsupportedContentEncoding, detail.as_str())
                    .with("accepted", MemberValue::Texts(accepted))
                    // Expected with a 415 for a content coding (RFC 9110, 12.5.3).
                    .header(header::ACCEPT_ENCODING, accepted.join(", "))
            }
            Self::InvalidEvent(errors) => invalid_event(errors),
            Self::RateLimited { bucket, per_second, retry_after_seconds } => {
                let detail = format!(
                    "The tenant is over its rate limit of {per_second} {bucket} per second. Nothing was stored; \
                     send the same events again in {retry_after_seconds} s."
                );
                ResponseParts::new(ProblemCode::RateLimited, detail)
                    .retry_after(*retry_after_seconds)
            }
            Self::TooManyReads { limit, retry_after_seconds } => {
                too_many_reads(*limit, *retry_after_seconds)
            }
            Self::QuotaExceeded { exceeded, retry_after_seconds } => {
                quota_exceeded(*exceeded, *retry_after_seconds)
            }
            Self::Internal => {
                let detail = "The server failed. Report the request_id to its operators: \
                              the log has the cause under it.";
                ResponseParts::new(ProblemCode::Internal, detail)
            }
            Self::Overloaded { retry_after_seconds } => {
                let detail = "The server has too much work at the moment; nothing was stored.";
                ResponseParts::new(ProblemCode::Overloaded, detail)
                    .retry_after(*retry_after_seconds)
            }
            Self::ShuttingDown { retry_after_seconds } => {
                let detail = "The server is shutting down; nothing was stored.";
                ResponseParts::new(ProblemCode::ShuttingDown, detail)
                    .retry_after(*retry_after_seconds)
            }
            Self::StorageUnavailable { retry_after_seconds } => {
                let detail = "The database does not answer. Send the request again, with the same event ids.";
                ResponseParts::new(ProblemCode::StorageUnavailable, detail)
                    .retry_after(*retry_after_seconds)
            }
            Self::QueryTimeout { limit_seconds } => {
                let detail = format!(
                    "The database took longer than {limit_seconds} s. Set from and to to a shorter span of time, \
                     or a smaller limit."
                );
                ResponseParts::new(ProblemCode::QueryTimeout, detail)
            }
            Self::BadRequest { detail } => ResponseParts::new(ProblemCode::BadRequest, *detail),
            Self::RequestHeaderFieldsTooLarge => {
                let detail = "The request line and headers are larger than the server accepts.";
                ResponseParts::new(ProblemCode::RequestHeaderFieldsTooLarge, detail)
            }
            Self::Other(status) => ResponseParts::of_status(*status),
        }
    }
}

fn origin_not_allowed(origin: Option<&str>) -> ResponseParts<'_> {
    let detail = match origin.map(excerpt) {
        None => "The API key is for the pages of its origins alone, and the request has no Origin header. Use a \
                 key without origins outside of browsers."
            .to_owned(),
        Some("null") => "The API key is for the pages of its origins alone, and the origin of this page is null. \
                         Sandboxed frames and local files have no other; in some browsers Referrer-Policy \
                         no-referrer or same-origin hides it from beacons."
            .to_owned(),
        Some(origin) => format!(
            "The API key is not for pages of {origin}; use a key for that origin. The operators of this server \
             make one with mercurio-admin key create --origins."
        ),
    };
    let parts = ResponseParts::new(ProblemCode::OriginNotAllowed, detail);
    match origin {
        // Cut: a header may have kilobytes.
        Some(origin) => parts.with("origin", MemberValue::Text(excerpt(origin))),
        None => parts,
    }
}

fn payload_too_large(limit: usize, actual: Option<u64>) -> ResponseParts<'static> {
    let detail = match actual {
        Some(actual) => format!("The request body is {actual} bytes; the limit is {limit} bytes."),
        None => format!("The request body is larger than the limit of {limit} bytes."),
    };
    let detail = detail + " Send fewer events in one request.";
    ResponseParts::new(ProblemCode::PayloadTooLarge, detail)
        .number("limit", limit)
        .with("actual", MemberValue::Number(actual))
}

fn too_many_reads(limit: ReadLimit, retry_after_seconds: u64) -> ResponseParts<'static> {
    let detail = match limit {
        ReadLimit::Concurrent(limit) => format!(
            "The tenant has {limit} reads in progress, its limit. A read ends when its response has arrived."
        ),
        ReadLimit::PerSecond(limit) => {
            format!("The tenant reads more often than {limit} times a second, its limit.")
        }
        ReadLimit::Tails(limit) => format!(
            "The tenant has {limit} live tails on this server, its limit. A tail ends when its client closes the \
             connection."
        ),
    };
    ResponseParts::new(ProblemCode::TooManyReads, detail).retry_after(retry_after_seconds)
}

fn quota_exceeded(exceeded: QuotaExceeded, retry_after_seconds: u64) -> ResponseParts<'static> {
    let QuotaExceeded { limit, used, month } = exceeded;
    let detail = format!(
        "The tenant has used {used} of the {limit} events of its monthly quota. The events of this request do not \
         fit; nothing was stored."
    );
    ResponseParts::new(ProblemCode::QuotaExceeded, detail)
        .with("limit", MemberValue::Number(Some(limit)))
        .with("actual", MemberValue::Number(Some(used)))
        .with("renews_at", MemberValue::Time(month.renews_at()))
        .retry_after(retry_after_seconds)
}

fn invalid_event(errors: &EventErrors) -> ResponseParts<'_> {
    match errors {
        EventErrors::Errors { errors, detail } => {
            ResponseParts::new(ProblemCode::InvalidEvent, detail.as_ref())
                .with("errors", MemberValue::Json(errors))
        }
        EventErrors::Results(json) => {
            let detail = "Every event of the batch is invalid; see results.";
            ResponseParts::new(ProblemCode::InvalidEvent, detail)
                .with("results", MemberValue::Json(json))
        }
    }
}
