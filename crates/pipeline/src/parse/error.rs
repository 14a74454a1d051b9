//! Errors that make a whole request unusable.

use mercurio_domain::verdict::FieldError;

/// Why no event of a request can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The body is not JSON in UTF-8.
    #[error("{message} at line {line}, column {column}")]
    Malformed {
        /// Line, from 1.
        line: usize,
        /// Byte in the line, from 1; 0 if the body ends before it.
        column: usize,
        /// What was expected or found.
        message: String,
    },
    /// A batch without events.
    #[error("the batch has no events; at least 1 is required")]
    BatchEmpty,
    /// A batch with more events than the limit.
    #[error("the batch has {actual} events; the limit is {limit}")]
    BatchTooLarge {
        /// Maximum events.
        limit: usize,
        /// Events in the batch.
        actual: usize,
    },
    /// The body is JSON, but not a request.
    #[error("the body is not a valid request")]
    Shape(Vec<FieldError>),
}

pub(super) fn malformed(error: serde_json::Error) -> ParseError {
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    // serde_json appends the position to its text; here it has its own fields.
    let position = format!(" at line {line} column {column}");
    ParseError::Malformed {
        line,
        column,
        message: message.strip_suffix(&position).unwrap_or(&message).to_owned(),
    }
}
