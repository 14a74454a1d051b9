//! The events of a request as read from its body, before any rule.
//!
//! Parsers of this server's own API and of foreign protocols return the same items.

use crate::event::{EventDraft, Origin};
use crate::payload::read_items;
use crate::verdict::FieldError;

/// One event of a request.
#[derive(Debug)]
pub struct Item<'a> {
    /// Index in the request, from 0.
    pub index: usize,
    /// Position in the body, names of the members there, and time of sending.
    pub origin: Origin,
    /// The event as sent, without surrounding white space.
    pub text: &'a str,
    /// The members read so far.
    pub draft: EventDraft<'a>,
    /// Members of the wrong type, unknown members and repeated ones.
    pub errors: Vec<FieldError>,
}

/// Why no event of a request can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The body is not JSON in UTF-8.
    #[error("{message} at line {line}, column {column}")]
    Malformed {
        /// Line, from 1.
        line: usize,
        /// Byte in the line, from 1: if the body ends early, the missing one. 0 is the line break
        /// before.
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

/// Returns the events in the text of a JSON array, if it has 1 to `max`.
///
/// # Errors
/// [`ParseError`] for another number of events.
pub fn events_of(array: &str, max: usize) -> Result<Vec<&str>, ParseError> {
    let events = read_items(array, max)?;
    match events.count {
        0 => Err(ParseError::BatchEmpty),
        actual if actual > max => Err(ParseError::BatchTooLarge { limit: max, actual }),
        _ => Ok(events.first),
    }
}

impl From<serde_json::Error> for ParseError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        // serde_json appends the position to its text; here it has its own fields.
        let position = format!(" at line {line} column {column}");
        let message = message.strip_suffix(&position).unwrap_or(&message);
        if error.is_eof() {
            // serde_json reports the last byte.
            let message = message.replacen("EOF", "the body ends early", 1);
            return Self::Malformed { line, column: column + 1, message };
        }
        Self::Malformed { line, column, message: message.to_owned() }
    }
}
