//! The table of problems: which status, title, text, members and headers go with which code.
//!
//! Not here: how an answer is written to the wire.

use super::{EventErrors, Problem, QueryError, excerpt};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use mercurio_domain::Timestamp;
use mercurio_domain::limits::QuotaExceeded;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What the `type` of every problem begins with.
const TYPE_BASE: &str = "https://mercurio.dev/problems/";

/// What a problem tells: the parts of the response.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: StatusCode,
    /// The stable code; the `type` is a URL that ends in it.
    pub code: Cow<'static, str>,
    /// The code in words, the same for every occurrence.
    pub title: Cow<'static, str>,
    /// What happened this time, for people.
    pub detail: Cow<'a, str>,
    /// Members beside the standard ones.
    pub members: Vec<(&'static str, Member<'a>)>,
    /// Headers beside the content's.
    pub headers: Vec<(HeaderName, Cow<'a, str>)>,
}

/// The value of a member.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Member<'a> {
    /// A number, or null where it is not known.
    Number(Option<u64>),
    /// A text.
    Text(&'a str),
    /// An instant.
    Time(Timestamp),
    /// A list of texts.
    Texts(&'a [&'static str]),
    /// The errors of a query.
    Query(&'a [QueryError]),
    /// JSON made elsewhere.
    Json(&'a RawValue),
}

impl<'a> Answer<'a> {
    fn new(
        status: u16,
        code: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'a, str>>,
    ) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: Cow::Borrowed(code),
            title: Cow::Borrowed(title),
            detail: detail.into(),
            members: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// The answer for a status the contract has no code for: both texts are the status's own.
    fn other(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        let letters = title.chars().filter(|char| *char != '\'');
        let code = letters
            .map(|char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { '_' });
        Self {
            status,
            code: code.collect(),
            ..Self::new(500, "", title, "The request could not be served.")
        }
    }

    /// The URI that names the code.
    pub(crate) fn type_url(&self) -> String {
        format!("{TYPE_BASE}{}", self.code)
    }

    fn with(mut self, name: &'static str, value: Member<'a>) -> Self {
        self.members.push((name, value));
        self
    }

    fn number(self, name: &'static str, value: usize) -> Self {
        self.with(name, Member::Number(Some(value as u64)))
    }

    fn header(mut self, name: HeaderName, value: impl Into<Cow<'a, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn retry_after(self, seconds: u64) -> Self {
        self.with("retry_after_seconds", Member::Number(Some(seconds)))
            .header(header::RETRY_AFTER, seconds.to_string())
    }
}

impl Problem {
    /// What the problem tells. The contract's table of errors, in code.
    #[must_use]
    pub fn answer(&self) -> Answer<'_> {
        match self {
            Self::MalformedJson { line, column, detail } => {
                Answer::new(400, "malformed_json", "Malformed JSON", detail.as_str())
                    .number("line", *line)
                    .number("column", *column)
            }
            Self::BatchEmpty => {
                Answer::new(400, "batch_empty", "Empty batch", "The batch has no events.")
            }
            Self::BatchTooLarge { limit, actual } => {
                let detail = format!("The batch has {actual} events; the limit is {limit}.");
                Answer::new(400, "batch_too_large", "Batch too large", detail)
                    .number("limit", *limit)
                    .number("actual", *actual)
            }
            Self::InvalidSchemaVersion { actual } => {
                let detail = "X-Event-Schema-Version is not a semantic version, such as 2.1.0.";
                Answer::new(400, "invalid_schema_version", "Invalid schema version", detail)
                    .with("actual", Member::Text(excerpt(actual)))
            }
            Self::InvalidQuery { errors } => {
                let detail = "Parameters of the query are unknown or wrong; see errors.";
                Answer::new(400, "invalid_query", "Invalid query", detail)
                    .with("errors", Member::Query(errors))
            }
            Self::Unauthorized { reason } => {
                let detail = "This needs a valid API key, such as in the header Authorization: Bearer <key>.";
                Answer::new(401, "unauthorized", "Unauthorized", detail)
                    .with("reason", Member::Text(reason.as_str()))
                    .header(header::WWW_AUTHENTICATE, "Bearer realm=\"mercurio\"")
            }
            Self::InsufficientScope { required } => {
                let detail = format!("The API key does not have the scope {required}.");
                Answer::new(403, "insufficient_scope", "Insufficient scope", detail)
                    .with("required", Member::Text(required))
            }
            Self::TenantSuspended => Answer::new(
                403,
                "tenant_suspended",
                "Tenant suspended",
                "The tenant of this API key is suspended.",
            ),
            Self::NotFound => {
                Answer::new(404, "not_found", "Not found", "There is nothing here by that name.")
            }
            Self::MethodNotAllowed { allow } => method_not_allowed(allow),
            Self::RequestTimeout => Answer::new(
                408,
                "request_timeout",
                "Request timeout",
                "The request did not arrive in time.",
            ),
            Self::PayloadTooLarge { limit, actual } => payload_too_large(*limit, *actual),
            Self::UnsupportedMediaType { accepted } => {
                let detail = "The body's Content-Type is not one that is read here; send application/json in UTF-8.";
                Answer::new(415, "unsupported_media_type", "Unsupported media type", detail)
                    .with("accepted", Member::Texts(accepted))
                    .header(header::ACCEPT, accepted.join(", "))
            }
            Self::UnsupportedContentEncoding { accepted } => {
                let detail =
                    "The body's Content-Encoding is not one of those that are decoded here.";
                Answer::new(
                    415,
                    "unsupported_content_encoding",
                    "Unsupported content encoding",
                    detail,
                )
                .with("accepted", Member::Texts(accepted))
                .header(header::ACCEPT_ENCODING, accepted.join(", "))
            }
            Self::InvalidEvent(errors) => invalid_event(errors),
            Self::RateLimited { retry_after_seconds } => Answer::new(
                429,
                "rate_limited",
                "Rate limited",
                "The tenant is over its rate limit; nothing was stored.",
            )
            .retry_after(*retry_after_seconds),
            Self::QuotaExceeded { exceeded, retry_after_seconds } => {
                quota_exceeded(*exceeded, *retry_after_seconds)
            }
            Self::Internal => Answer::new(
                500,
                "internal",
                "Internal error",
                "The server failed. Tell its operators the request_id: the cause is in the log under it.",
            ),
            Self::Overloaded { retry_after_seconds } => {
                let detail =
                    "The server has more waiting than it can store in time; nothing was stored.";
                Answer::new(503, "overloaded", "Overloaded", detail)
                    .retry_after(*retry_after_seconds)
            }
            Self::StorageUnavailable { retry_after_seconds } => {
                let detail = "The database does not answer. Send the request again, with the same event ids.";
                Answer::new(503, "storage_unavailable", "Storage unavailable", detail)
                    .retry_after(*retry_after_seconds)
            }
            Self::BadRequest { detail } => Answer::new(400, "bad_request", "Bad request", *detail),
            Self::RequestHeaderFieldsTooLarge => {
                let detail = "The request's line and headers are larger than the server reads.";
                Answer::new(
                    431,
                    "request_header_fields_too_large",
                    "Request header fields too large",
                    detail,
                )
            }
            Self::Other(status) => Answer::other(*status),
        }
    }
}

fn method_not_allowed(allow: &str) -> Answer<'_> {
    let detail = format!("This path has only the methods {allow}.");
    Answer::new(405, "method_not_allowed", "Method not allowed", detail)
        .header(header::ALLOW, allow)
}

fn payload_too_large(limit: usize, actual: Option<u64>) -> Answer<'static> {
    let detail = match actual {
        Some(actual) => format!("The request body is {actual} bytes; the limit is {limit} bytes."),
        None => format!("The request body is larger than the limit of {limit} bytes."),
    };
    Answer::new(413, "payload_too_large", "Payload too large", detail)
        .number("limit", limit)
        .with("actual", Member::Number(actual))
}

fn quota_exceeded(exceeded: QuotaExceeded, retry_after_seconds: u64) -> Answer<'static> {
    let QuotaExceeded { limit, used, month } = exceeded;
    let detail = format!(
        "The tenant has stored {used} of its {limit} events of the month, and these do not all fit; nothing was stored."
    );
    Answer::new(429, "quota_exceeded", "Quota exceeded", detail)
        .with("limit", Member::Number(Some(limit)))
        .with("actual", Member::Number(Some(used)))
        .with("renews_at", Member::Time(month.renews_at()))
        .retry_after(retry_after_seconds)
}

fn invalid_event(errors: &EventErrors) -> Answer<'_> {
    let (detail, name, json) = match errors {
        EventErrors::Errors(json) => ("The event breaks rules; see errors.", "errors", json),
        EventErrors::Results(json) => {
            ("Every event of the batch breaks rules; see results.", "results", json)
        }
    };
    Answer::new(422, "invalid_event", "Invalid event", detail).with(name, Member::Json(json))
}
