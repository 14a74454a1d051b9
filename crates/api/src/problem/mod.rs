//! What a client is told when something is wrong: `application/problem+json` (RFC 9457), one [`Problem`] for each code
//! of the contract.
//!
//! Handlers return `Result<_, Problem>`; the edge turns what the framework answers into one with
//! [`Problem::from_framework`]. [`Problem::answer`] is the one place where a code meets its status, title, members and
//! headers. Not here: causes (they are logged where they are known), what is wrong with a single event.

mod parts;
mod response;
#[cfg(test)]
mod tests;

pub use parts::{Answer, Member};
pub(crate) use response::PROBLEM_JSON;

use actix_web::http::StatusCode;
use mercurio_domain::limits::QuotaExceeded;
use mercurio_domain::verdict::pointer_to;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// The longest excerpt of what was sent that a problem repeats, in characters.
const MAX_EXCERPT_CHARS: usize = 64;

/// Why a request was not served. One variant for each code of the contract, and three for what the framework refuses.
#[derive(Debug)]
pub enum Problem {
    /// The body is not JSON of the shape that the endpoint takes.
    MalformedJson {
        /// Where it breaks; the first line is 1.
        line: usize,
        /// Where it breaks in that line; the first column is 1.
        column: usize,
        /// What is wrong, for people.
        detail: String,
    },
    /// A batch without events.
    BatchEmpty,
    /// A batch with too many events.
    BatchTooLarge {
        /// The most events allowed.
        limit: usize,
        /// The events sent.
        actual: usize,
    },
    /// `X-Event-Schema-Version` is no semantic version.
    InvalidSchemaVersion {
        /// What was sent; the answer has its first 64 characters.
        actual: String,
    },
    /// Parameters of the query that are unknown or wrong.
    InvalidQuery {
        /// All of them.
        errors: Vec<QueryError>,
    },
    /// No API key, or none that opens anything.
    Unauthorized {
        /// How much the client is told about it.
        reason: UnauthorizedReason,
    },
    /// The key has not got the scope.
    InsufficientScope {
        /// The scope it lacks.
        required: &'static str,
    },
    /// The key's tenant is suspended.
    TenantSuspended,
    /// No such path, or no such thing.
    NotFound,
    /// The path has no such method.
    MethodNotAllowed {
        /// The methods it has, as the `Allow` header lists them.
        allow: String,
    },
    /// The request did not arrive in time.
    RequestTimeout,
    /// The body is larger than the limit.
    PayloadTooLarge {
        /// The most bytes allowed, after decompression.
        limit: usize,
        /// The bytes of the body; `None` where it was cut off before its size was known.
        actual: Option<u64>,
    },
    /// The body's `Content-Type` is none that the endpoint reads.
    UnsupportedMediaType {
        /// Those it reads.
        accepted: &'static [&'static str],
    },
    /// The body's `Content-Encoding` is none that the server decodes.
    UnsupportedContentEncoding {
        /// Those it decodes.
        accepted: &'static [&'static str],
    },
    /// A single event that breaks rules, or a batch of which every event does.
    InvalidEvent(EventErrors),
    /// Over the tenant's rate limit.
    RateLimited {
        /// When to come back.
        retry_after_seconds: u64,
    },
    /// The events do not all fit into the tenant's quota of the month.
    QuotaExceeded {
        /// The quota.
        exceeded: QuotaExceeded,
        /// Until the quota is renewed.
        retry_after_seconds: u64,
    },
    /// The server failed. Nothing of the cause is told: it is in the log, under the request's id.
    Internal,
    /// The server has more work waiting than it can do in time.
    Overloaded {
        /// When to come back.
        retry_after_seconds: u64,
    },
    /// The database is away.
    StorageUnavailable {
        /// When to come back.
        retry_after_seconds: u64,
    },
    /// The request is not sound HTTP.
    BadRequest {
        /// What is wrong, for people.
        detail: &'static str,
    },
    /// The request's head is larger than the server reads.
    RequestHeaderFieldsTooLarge,
    /// Another status of 400 and above that the framework came to; its code is made of the status's name.
    Other(StatusCode),
}

/// What is wrong with the events of a request.
#[derive(Debug)]
pub enum EventErrors {
    /// The errors of a single event: a JSON array.
    Errors(Box<RawValue>),
    /// The results of a batch, in the order of its events: a JSON array.
    Results(Box<RawValue>),
}

impl EventErrors {
    /// The errors of a single event.
    ///
    /// # Errors
    /// Where `errors` does not serialise.
    pub fn errors(errors: &impl Serialize) -> serde_json::Result<Self> {
        serde_json::value::to_raw_value(errors).map(Self::Errors)
    }

    /// The results of a batch.
    ///
    /// # Errors
    /// Where `results` do not serialise.
    pub fn results(results: &impl Serialize) -> serde_json::Result<Self> {
        serde_json::value::to_raw_value(results).map(Self::Results)
    }
}

/// How much a client is told of why its key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnauthorizedReason {
    /// There is no key in the request.
    Missing,
    /// What stands for one does not have a key's form.
    Malformed,
    /// Unknown, expired or revoked: which of them is not told.
    Invalid,
}

impl UnauthorizedReason {
    /// The reason as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Invalid => "invalid",
        }
    }
}

/// A parameter of the query that is unknown or wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueryError {
    /// Where: the query taken as an object, as a JSON pointer has it for bodies.
    pub pointer: String,
    /// The parameter's name, cut at 64 characters.
    pub parameter: String,
    /// A stable code, such as `unknown_parameter`.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

impl QueryError {
    /// An error of the parameter of that name, which may be anything a client sent.
    #[must_use]
    pub fn new(parameter: &str, code: &'static str, message: impl Into<String>) -> Self {
        let parameter = excerpt(parameter);
        Self {
            pointer: pointer_to("", parameter),
            parameter: parameter.to_owned(),
            code,
            message: message.into(),
        }
    }
}

/// The first 64 characters of what a client sent.
pub(crate) fn excerpt(text: &str) -> &str {
    text.char_indices().nth(MAX_EXCERPT_CHARS).map_or(text, |(end, _)| &text[..end])
}

impl Problem {
    /// The problem for an answer of the framework that is none yet; `allow` is its `Allow` header.
    #[must_use]
    pub fn from_framework(status: StatusCode, allow: Option<&str>) -> Self {
        match status {
            StatusCode::BAD_REQUEST => {
                Self::BadRequest { detail: "The request could not be understood." }
            }
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => {
                Self::MethodNotAllowed { allow: allow.unwrap_or_default().to_owned() }
            }
            StatusCode::REQUEST_TIMEOUT => Self::RequestTimeout,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::RequestHeaderFieldsTooLarge,
            StatusCode::INTERNAL_SERVER_ERROR => Self::Internal,
            status => Self::Other(status),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.answer().status
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> String {
        self.answer().code.into_owned()
    }
}
