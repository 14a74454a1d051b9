//! Every problem once at least, as a client may meet it: what the OpenAPI document shows as examples.

use crate::body::{CODINGS, MEDIA_TYPES};
use crate::problem::{EventErrors, Problem, QueryError, UnauthorizedReason};
use actix_web::http::StatusCode;
use mercurio_domain::Timestamp;
use mercurio_domain::limits::{Month, QuotaExceeded};
use mercurio_domain::verdict::{FieldError, FieldErrorCode};
use serde_json::json;

impl Problem {
    /// A problem for each variant, and for each set of members that a variant may have.
    #[must_use]
    pub(crate) fn catalogue() -> Vec<Self> {
        let query =
            QueryError::new("limt", "unknown_parameter", "there is no parameter of this name");
        let (limit, used) = (1_000_000, 999_990);
        let mut problems = vec![
            Self::MalformedJson { line: 1, column: 15, detail: "expected `,` or `}`".to_owned() },
            Self::BatchEmpty,
            Self::BatchTooLarge { limit: 50, actual: 51 },
            Self::InvalidSchemaVersion { actual: "v2".to_owned() },
            Self::InvalidQuery { errors: vec![query] },
            Self::InsufficientScope { required: "events:read" },
            Self::TenantSuspended,
            Self::NotFound,
            Self::MethodNotAllowed { allow: "GET, HEAD".to_owned() },
            Self::RequestTimeout,
            Self::PayloadTooLarge { limit: 262_144, actual: Some(300_123) },
            Self::PayloadTooLarge { limit: 262_144, actual: None },
            Self::UnsupportedMediaType { accepted: MEDIA_TYPES },
            Self::UnsupportedContentEncoding { accepted: CODINGS },
            Self::RateLimited { retry_after_seconds: 3 },
            Self::Internal,
            Self::Overloaded { retry_after_seconds: 1 },
            Self::StorageUnavailable { retry_after_seconds: 2 },
            Self::BadRequest { detail: "The request is not sound HTTP/1.1." },
            Self::RequestHeaderFieldsTooLarge,
            Self::Other(StatusCode::EXPECTATION_FAILED),
        ];
        let reasons = [
            UnauthorizedReason::Missing,
            UnauthorizedReason::Malformed,
            UnauthorizedReason::Invalid,
        ];
        problems.extend(reasons.map(|reason| Self::Unauthorized { reason }));
        // The twenty-second of a month, at ten o'clock.
        let month = Timestamp::from_micros(1_795_341_600_000_000).map(Month::of);
        problems.extend(month.map(|month| Self::QuotaExceeded {
            exceeded: QuotaExceeded { limit, used, month },
            retry_after_seconds: 741_600,
        }));
        problems.extend(errors().into_iter().flatten().map(Self::InvalidEvent));
        problems
    }
}

/// What is wrong with a single event, and with a batch.
fn errors() -> [Option<EventErrors>; 2] {
    let fault = |pointer: &str| {
        FieldError::new(
            pointer,
            FieldErrorCode::Required,
            "event_name is required for an event of type track",
        )
    };
    let result = json!({"index": 0, "event_id": "a", "status": "rejected", "errors": [fault("/events/0/event_name")]});
    [EventErrors::errors(&[fault("/event_name")]).ok(), EventErrors::results(&[result]).ok()]
}
