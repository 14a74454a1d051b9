//! The problems of requests without a usable event.

use mercurio_domain::request::ParseError;

use super::body_hints::BodyHints;
use crate::problem::{EventErrors, Problem};

/// Returns the problem of a body that is no request.
pub(crate) fn parse_problem(error: ParseError, hints: BodyHints<'_>) -> Problem {
    match error {
        ParseError::Malformed { line, column, message } => {
            let position = hints.position(line, column);
            let detail = hints.of_malformed(position, &message);
            Problem::MalformedJson { line: position.line, column: position.column, detail }
        }
        ParseError::BatchEmpty => Problem::BatchEmpty,
        ParseError::BatchTooLarge { limit, actual } => Problem::BatchTooLarge { limit, actual },
        ParseError::Shape(errors) => {
            invalid(EventErrors::errors(&errors, hints.of_errors(&errors)))
        }
    }
}

/// Returns the problem of events that were all rejected.
pub(crate) fn invalid(errors: serde_json::Result<EventErrors>) -> Problem {
    errors.map_or(Problem::Internal, Problem::InvalidEvent)
}
