//! [`Problem`] and its data.

use actix_web::http::StatusCode;
use mercurio_domain::limits::QuotaExceeded;
use mercurio_domain::verdict::pointer_to;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use utoipa::ToSchema;

/// Maximum length of client text repeated in a problem, in characters.
const MAX_EXCERPT_CHARS: usize = 64;

/// An error response: one variant for each [`ProblemCode`](super::ProblemCode), and [`Problem::Other`] for further statuses of the framework.
#[derive(Debug)]
pub enum Problem {
    /// The body is not well-formed JSON.
    MalformedJson {
        /// Line of the error, from 1.
        line: usize,
        /// Column of the error, from 1. If the body ends early, that of the missing byte.
        column: usize,
        /// The parser's message.
        detail: String,
    },
    /// The compressed body is damaged, or would cost more than a body may.
    MalformedEncoding {
        /// Its `Content-Encoding`.
        coding: &'static str,
        /// The fault and the way out. Completes "The body …".
        reason: String,
    },
    /// A batch without events.
    BatchEmpty,
    /// A batch over the tenant's limit.
    BatchTooLarge {
        /// Maximum number of events.
        limit: usize,
        /// Number of events in the batch.
        actual: usize,
    },
    /// `X-Event-Schema-Version` is not a semantic version.
    InvalidSchemaVersion {
        /// The header's value; the response repeats its first 64 characters.
        actual: String,
    },
    /// Unknown, repeated or invalid parameters in the query string.
    InvalidQuery {
        /// All of its errors.
        errors: Vec<QueryError>,
    },
    /// No valid API key.
    Unauthorized {
        /// The reason given to the client.
        reason: UnauthorizedReason,
        /// The mistake in the form of the key, for people. The same for all well-formed keys.
        detail: Cow<'static, str>,
    },
    /// The key lacks a scope.
    InsufficientScope {
        /// The missing scope.
        required: &'static str,
    },
    /// The key is for pages of other origins.
    OriginNotAllowed {
        /// The page's origin; `None` without a single readable `Origin` header. The response repeats
        /// its first 64 characters.
        origin: Option<String>,
    },
    /// The key's tenant is suspended.
    TenantSuspended,
    /// No such path, event or file.
    NotFound {
        /// What does not exist, for people.
        detail: Cow<'static, str>,
    },
    /// The path does not support the method.
    MethodNotAllowed {
        /// The supported methods, as in the `Allow` header.
        allow: String,
        /// The methods and the way out, for people.
        detail: String,
    },
    /// The request did not arrive in time.
    RequestTimeout,
    /// The body is over the limit.
    PayloadTooLarge {
        /// Maximum size in bytes, after decompression.
        limit: usize,
        /// Size of the body in bytes; `None` if reading stopped before its end.
        actual: Option<u64>,
    },
    /// The body's `Content-Type` is not supported.
    UnsupportedMediaType {
        /// The supported ones.
        accepted: &'static [&'static str],
        /// The type that came, for people.
        detail: String,
    },
    /// The body's `Content-Encoding` is not supported.
    UnsupportedContentEncoding {
        /// The supported ones.
        accepted: &'static [&'static str],
        /// The coding that came, for people.
        detail: String,
    },
    /// An invalid single event, or a batch of invalid events only.
    InvalidEvent(EventErrors),
    /// The tenant is over its rate limit.
    RateLimited {
        /// The limited things: `requests` or `events`.
        bucket: &'static str,
        /// The limit, in these per second.
        per_second: u32,
        /// Seconds until the bucket has enough tokens.
        retry_after_seconds: u64,
    },
    /// The tenant is over a limit of its reads.
    TooManyReads {
        /// The limit.
        limit: ReadLimit,
        /// Seconds to wait.
        retry_after_seconds: u64,
    },
    /// The events do not fit into the tenant's monthly quota.
    QuotaExceeded {
        /// The quota and its usage.
        exceeded: QuotaExceeded,
        /// Seconds until the quota renews.
        retry_after_seconds: u64,
    },
    /// The server failed. The response has no cause: the log has it under the request id.
    Internal,
    /// A queue of the server is full.
    Overloaded {
        /// Seconds to wait.
        retry_after_seconds: u64,
    },
    /// The server is shutting down.
    ShuttingDown {
        /// Seconds to wait.
        retry_after_seconds: u64,
    },
    /// The database does not answer.
    StorageUnavailable {
        /// Seconds to wait.
        retry_after_seconds: u64,
    },
    /// The database took too long for a read.
    QueryTimeout {
        /// The time limit of a read.
        limit_seconds: u64,
    },
    /// Malformed HTTP.
    BadRequest {
        /// The error, for people.
        detail: &'static str,
    },
    /// The request line and headers are over the limit.
    RequestHeaderFieldsTooLarge,
    /// A further error status of the framework. Its code is its reason phrase.
    Other(StatusCode),
}

/// A limit of a tenant's reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadLimit {
    /// Maximum reads in progress at one time.
    Concurrent(u32),
    /// Average reads per second.
    PerSecond(u32),
    /// Maximum live tails at one time, on each server.
    Tails(u32),
}

/// The errors of a request's events.
#[derive(Debug)]
pub enum EventErrors {
    /// Of a single event or of the body itself.
    Errors {
        /// A JSON array.
        errors: Box<RawValue>,
        /// What is wrong with the body as a whole, for people.
        detail: Cow<'static, str>,
    },
    /// The results of a batch, in the order of its events: a JSON array.
    Results(Box<RawValue>),
}

impl EventErrors {
    /// Serialises the errors of a single event or of the body.
    ///
    /// # Errors
    /// If `errors` does not serialise.
    pub fn errors(
        errors: &impl Serialize,
        detail: impl Into<Cow<'static, str>>,
    ) -> serde_json::Result<Self> {
        Ok(Self::Errors { errors: serde_json::value::to_raw_value(errors)?, detail: detail.into() })
    }

    /// Serialises the results of a batch.
    ///
    /// # Errors
    /// If `results` does not serialise.
    pub fn results(results: &impl Serialize) -> serde_json::Result<Self> {
        serde_json::value::to_raw_value(results).map(Self::Results)
    }
}

/// The reason for a refused API key, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnauthorizedReason {
    /// The request has no key.
    Missing,
    /// The text is not a well-formed key.
    Malformed,
    /// Unknown, expired or revoked. Clients do not learn which one, so that nobody can probe for keys.
    Invalid,
}

impl UnauthorizedReason {
    /// Returns the reason as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Invalid => "invalid",
        }
    }
}

/// An unknown, repeated or invalid parameter of the query string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueryError {
    /// JSON pointer to the parameter, as if the query string were an object; empty for all of it.
    pub pointer: String,
    /// The parameter's name, cut at 64 characters; empty for the query string as a whole.
    pub parameter: String,
    /// A stable code, such as `unknown_parameter`.
    pub code: &'static str,
    /// The error, for people.
    pub message: String,
}

impl QueryError {
    /// Creates an error of this parameter. Its name may be any text of a client: it is cut at 64 characters.
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

    /// Creates an error of the query string as a whole.
    #[must_use]
    pub fn of_all(code: &'static str, message: String) -> Self {
        Self { pointer: String::new(), parameter: String::new(), code, message }
    }
}

/// Returns the first 64 characters.
pub(crate) fn excerpt(text: &str) -> &str {
    // By characters: slicing inside one would panic.
    text.char_indices().nth(MAX_EXCERPT_CHARS).map_or(text, |(end, _)| &text[..end])
}

impl Problem {
    /// Returns the problem of a path that leads nowhere.
    #[must_use]
    pub fn no_path() -> Self {
        Self::NotFound { detail: Cow::Borrowed("There is no resource at this path.") }
    }

    /// Returns the problem of an event that the key's workspace does not have.
    #[must_use]
    pub fn no_event() -> Self {
        let detail = "The workspace of the API key has no event with this id.";
        Self::NotFound { detail: Cow::Borrowed(detail) }
    }

    /// Returns the problem for an error status of the framework; `allow` is the `Allow` header of its response.
    #[must_use]
    pub fn from_framework(status: StatusCode, allow: Option<&str>) -> Self {
        match status {
            StatusCode::BAD_REQUEST => Self::BadRequest { detail: "The request is malformed." },
            StatusCode::NOT_FOUND => Self::no_path(),
            // actix lists the methods of a path only in this header.
            StatusCode::METHOD_NOT_ALLOWED => {
                let allow = allow.unwrap_or_default().to_owned();
                let detail = format!("This path supports only {allow}.");
                Self::MethodNotAllowed { allow, detail }
            }
            StatusCode::REQUEST_TIMEOUT => Self::RequestTimeout,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::RequestHeaderFieldsTooLarge,
            StatusCode::INTERNAL_SERVER_ERROR => Self::Internal,
            // 413 and 415 too: the framework gives no limit and no list for their members.
            status => Self::Other(status),
        }
    }
}
