//! The codes of problems. Each has one status and one title, and a page about its meaning and its remedy.
//!
//! A code is stable: clients compare it. Not here: the `detail` and the members of one occurrence (`parts`).

use actix_web::http::StatusCode;
use utoipa::ToSchema;

/// The stable code of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(missing_docs, reason = "`description` describes each of them")]
pub enum ProblemCode {
    MalformedJson,
    MalformedEncoding,
    BatchEmpty,
    BatchTooLarge,
    InvalidSchemaVersion,
    InvalidQuery,
    BadRequest,
    Unauthorized,
    InsufficientScope,
    OriginNotAllowed,
    TenantSuspended,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    PayloadTooLarge,
    UnsupportedMediaType,
    UnsupportedContentEncoding,
    InvalidEvent,
    QuotaExceeded,
    RateLimited,
    TooManyReads,
    RequestHeaderFieldsTooLarge,
    Internal,
    Overloaded,
    ShuttingDown,
    StorageUnavailable,
    QueryTimeout,
}

/// The parts of a problem that are the same in every occurrence.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The code in JSON and in the `type`.
    pub code: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// The code in words.
    pub title: &'static str,
    /// The cause, for the problem's page.
    pub meaning: &'static str,
    /// The way out, for the problem's page.
    pub remedy: &'static str,
}

impl ProblemCode {
    /// Every code, in the order of the table in `docs/API.md`.
    pub const ALL: [Self; 27] = [
        Self::MalformedJson,
        Self::MalformedEncoding,
        Self::BatchEmpty,
        Self::BatchTooLarge,
        Self::InvalidSchemaVersion,
        Self::InvalidQuery,
        Self::BadRequest,
        Self::Unauthorized,
        Self::InsufficientScope,
        Self::OriginNotAllowed,
        Self::TenantSuspended,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::UnsupportedContentEncoding,
        Self::InvalidEvent,
        Self::QuotaExceeded,
        Self::RateLimited,
        Self::TooManyReads,
        Self::RequestHeaderFieldsTooLarge,
        Self::Internal,
        Self::Overloaded,
        Self::ShuttingDown,
        Self::StorageUnavailable,
        Self::QueryTimeout,
    ];

    /// Returns the code with this text, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// Returns the code as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.description().code
    }

    /// Returns the parts that every occurrence shares.
    #[must_use]
    pub fn description(self) -> Description {
        match self {
            Self::MalformedJson => Description {
                code: "malformed_json",
                status: StatusCode::BAD_REQUEST,
                title: "Malformed JSON",
                meaning: "The body is not well-formed JSON in UTF-8.",
                remedy: "Correct the body at the given line and column. Nothing was stored.",
            },
            Self::MalformedEncoding => Description {
                code: "malformed_encoding",
                status: StatusCode::BAD_REQUEST,
                title: "Malformed encoding",
                meaning: "The body cannot be decompressed with the coding in its Content-Encoding header, or only at \
                          an unreasonable cost.",
                remedy: "Compress the whole body with that coding, or omit the header and send plain JSON. Nothing was stored.",
            },
            Self::BatchEmpty => Description {
                code: "batch_empty",
                status: StatusCode::BAD_REQUEST,
                title: "Empty batch",
                meaning: "The batch contains no events.",
                remedy: "Send at least one event.",
            },
            Self::BatchTooLarge => Description {
                code: "batch_too_large",
                status: StatusCode::BAD_REQUEST,
                title: "Batch too large",
                meaning: "The batch contains more events than the tenant may send in one request.",
                remedy: "Split the batch. GET /v1/limits returns the limit as max_batch_events. Nothing was stored.",
            },
            Self::InvalidSchemaVersion => Description {
                code: "invalid_schema_version",
                status: StatusCode::BAD_REQUEST,
                title: "Invalid schema version",
                meaning: "The X-Event-Schema-Version header is not a semantic version.",
                remedy: "Send the header once, with a version such as 2.1.0, or omit it. Nothing was stored.",
            },
            Self::InvalidQuery => Description {
                code: "invalid_query",
                status: StatusCode::BAD_REQUEST,
                title: "Invalid query",
                meaning: "The query string has unknown, repeated or invalid parameters.",
                remedy: "Correct every parameter listed in errors.",
            },
            Self::BadRequest => Description {
                code: "bad_request",
                status: StatusCode::BAD_REQUEST,
                title: "Bad request",
                meaning: "The request is malformed: invalid HTTP, an incomplete body, or an invalid header.",
                remedy: "Correct the request as its detail says. Nothing was stored.",
            },
            Self::Unauthorized => Description {
                code: "unauthorized",
                status: StatusCode::UNAUTHORIZED,
                title: "Unauthorized",
                meaning: "The request has no valid API key. Its reason is missing, malformed (a typing error) or \
                          invalid (unknown, expired or revoked).",
                remedy: "Send a valid key, for example in the header Authorization: Bearer mk_….",
            },
            Self::InsufficientScope => Description {
                code: "insufficient_scope",
                status: StatusCode::FORBIDDEN,
                title: "Insufficient scope",
                meaning: "The API key is valid, but lacks the scope for this request.",
                remedy: "Use a key with the scope given as required.",
            },
            Self::OriginNotAllowed => Description {
                code: "origin_not_allowed",
                status: StatusCode::FORBIDDEN,
                title: "Origin not allowed",
                meaning: "The API key is for the pages of certain origins alone. The Origin header of this request is \
                          missing or names another one.",
                remedy: "Use a key for the origin of the page, or outside of browsers one without origins. \
                         Nothing was stored.",
            },
            Self::TenantSuspended => Description {
                code: "tenant_suspended",
                status: StatusCode::FORBIDDEN,
                title: "Tenant suspended",
                meaning: "The operators have suspended the tenant of this API key.",
                remedy: "Contact the operators of this server. Nothing was stored.",
            },
            Self::NotFound => Description {
                code: "not_found",
                status: StatusCode::NOT_FOUND,
                title: "Not found",
                meaning: "No resource exists at this path, or the workspace of the API key does not contain it.",
                remedy: "Check the path and the id. Percent-encode special characters in ids.",
            },
            Self::MethodNotAllowed => Description {
                code: "method_not_allowed",
                status: StatusCode::METHOD_NOT_ALLOWED,
                title: "Method not allowed",
                meaning: "The path exists, but does not support this HTTP method.",
                remedy: "Use one of the methods in the Allow header.",
            },
            Self::RequestTimeout => Description {
                code: "request_timeout",
                status: StatusCode::REQUEST_TIMEOUT,
                title: "Request timeout",
                meaning: "The request did not arrive completely in time.",
                remedy: "Send it again, with the same event ids. Send less in one request over a slow connection.",
            },
            Self::PayloadTooLarge => Description {
                code: "payload_too_large",
                status: StatusCode::PAYLOAD_TOO_LARGE,
                title: "Payload too large",
                meaning: "The body is larger than the tenant's limit. The limit applies after decompression.",
                remedy: "Send fewer events in one request. GET /v1/limits returns the limit as max_body_bytes. \
                         Nothing was stored.",
            },
            Self::UnsupportedMediaType => Description {
                code: "unsupported_media_type",
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                title: "Unsupported media type",
                meaning: "The Content-Type of the body is not JSON in UTF-8.",
                remedy: "Send the header Content-Type: application/json. Nothing was stored.",
            },
            Self::UnsupportedContentEncoding => Description {
                code: "unsupported_content_encoding",
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                title: "Unsupported content encoding",
                meaning: "The server cannot decompress this Content-Encoding, or the body is compressed more than once.",
                remedy: "Use one of the codings listed in accepted. Nothing was stored.",
            },
            Self::InvalidEvent => Description {
                code: "invalid_event",
                status: StatusCode::UNPROCESSABLE_ENTITY,
                title: "Invalid event",
                meaning: "The event is invalid, every event of the batch is, or the body is not an event or a batch.",
                remedy: "Correct every error: errors lists those of the body, results those of each event. \
                         Nothing was stored.",
            },
            Self::QuotaExceeded => Description {
                code: "quota_exceeded",
                status: StatusCode::TOO_MANY_REQUESTS,
                title: "Quota exceeded",
                meaning: "The events of this request do not fit into the tenant's monthly quota.",
                remedy: "Send fewer events, wait until renews_at, or ask the operators for a higher quota. \
                         GET /v1/limits returns the remainder. Nothing was stored.",
            },
            Self::RateLimited => Description {
                code: "rate_limited",
                status: StatusCode::TOO_MANY_REQUESTS,
                title: "Rate limited",
                meaning: "The tenant sends more requests or events per second than its limit.",
                remedy: "Wait for the seconds in Retry-After, then send the same events again. Nothing was stored.",
            },
            Self::TooManyReads => Description {
                code: "too_many_reads",
                status: StatusCode::TOO_MANY_REQUESTS,
                title: "Too many reads",
                meaning: "The tenant reads more often per second, or has more reads or live tails in progress at one time, than its limit.",
                remedy: "Wait for the seconds in Retry-After, then repeat the request. Read the next page only after the \
                         last one has arrived. GET /v1/limits returns the limits as reads_per_second and \
                         max_concurrent_reads.",
            },
            Self::RequestHeaderFieldsTooLarge => Description {
                code: "request_header_fields_too_large",
                status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                title: "Request header fields too large",
                meaning: "The request line and headers are too large, or there are more than 96 headers.",
                remedy: "Send fewer or shorter headers.",
            },
            Self::Internal => Description {
                code: "internal",
                status: StatusCode::INTERNAL_SERVER_ERROR,
                title: "Internal error",
                meaning: "The server has a defect, or its database failed on this request.",
                remedy: "Report the request_id to the operators of this server: its log contains the cause. \
                         You may send the same event ids again.",
            },
            Self::Overloaded => Description {
                code: "overloaded",
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "Overloaded",
                meaning: "A queue of the server is full: the database commits, reads or finds keys more slowly than requests \
                          arrive, or more bodies are in flight than the server, the tenant or the client's address has room for.",
                remedy: "Wait for the seconds in Retry-After, then send the same request again. Nothing was stored.",
            },
            Self::ShuttingDown => Description {
                code: "shutting_down",
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "Shutting down",
                meaning: "This server is shutting down and stores no more events.",
                remedy: "Wait for the seconds in Retry-After, then send the same events again, to another server or \
                         to this one after its restart. Nothing was stored.",
            },
            Self::StorageUnavailable => Description {
                code: "storage_unavailable",
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "Storage unavailable",
                meaning: "The database did not answer in time. The events of this request may or may not be stored.",
                remedy: "Wait for the seconds in Retry-After, then send the same events with the same ids. \
                         No event is stored twice.",
            },
            Self::QueryTimeout => Description {
                code: "query_timeout",
                status: StatusCode::GATEWAY_TIMEOUT,
                title: "Query timeout",
                meaning: "The database did not find the events within the server's time limit for reads. Filters other than \
                          from and to examine every event in that span of time.",
                remedy: "Set from and to to a shorter span of time, or a smaller limit.",
            },
        }
    }
}

/// Returns the code of a status without a [`ProblemCode`]: its reason phrase in snake case, such as `expectation_failed`.
pub(super) fn code_of_status(status: StatusCode) -> String {
    reason_phrase(status)
        .chars()
        // `I'm a teapot` becomes `im_a_teapot`.
        .filter(|char| *char != '\'')
        .map(|char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { '_' })
        .collect()
}

pub(super) fn reason_phrase(status: StatusCode) -> &'static str {
    // A status outside the IANA registry has no phrase.
    status.canonical_reason().unwrap_or("Error")
}
