//! The result for each event: accepted, duplicate, or rejected with its errors.
//!
//! A rejection is a value to count and return, never an error of the program. Codes are stable;
//! messages are for people. A message may quote the event, so it never goes into a log.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use crate::ids::{EventId, WorkspaceId};

/// Maximum errors reported for one event. It bounds the response to a hostile body.
pub const MAX_ERRORS_PER_EVENT: usize = 20;

/// The kind of an error in an event. Its text is stable and part of the HTTP contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FieldErrorCode {
    /// A required member is missing or null.
    Required,
    /// A text is empty.
    TooShort,
    /// A text has more characters than its limit.
    TooLong,
    /// A text is only white space.
    Blank,
    /// A text has a control character (Unicode category Cc) or, in the id of a person, a
    /// bidirectional formatting character.
    ControlCharacter,
    /// A JSON value of the wrong type.
    WrongType,
    /// An unknown member.
    UnknownField,
    /// A repeated member.
    DuplicateField,
    /// A text outside the allowed values.
    InvalidValue,
    /// Not an RFC 3339 date and time with an offset.
    InvalidTimestamp,
    /// A time further in the past than the limit.
    TimestampTooOld,
    /// A time further in the future than the limit.
    TimestampInFuture,
    /// Not a semantic version.
    InvalidSchemaVersion,
    /// The event has more bytes than the limit.
    EventTooLarge,
    /// Objects and arrays are nested deeper than the limit.
    TooDeep,
    /// U+0000 in a payload: PostgreSQL cannot store it.
    NulCharacter,
    /// Half a surrogate pair: it has no UTF-8 form.
    LoneSurrogate,
    /// A number beyond the range of a double.
    NumberOutOfRange,
}

impl FieldErrorCode {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 18] = [
        Self::Required,
        Self::TooShort,
        Self::TooLong,
        Self::Blank,
        Self::ControlCharacter,
        Self::WrongType,
        Self::UnknownField,
        Self::DuplicateField,
        Self::InvalidValue,
        Self::InvalidTimestamp,
        Self::TimestampTooOld,
        Self::TimestampInFuture,
        Self::InvalidSchemaVersion,
        Self::EventTooLarge,
        Self::TooDeep,
        Self::NulCharacter,
        Self::LoneSurrogate,
        Self::NumberOutOfRange,
    ];

    /// The code in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::Blank => "blank",
            Self::ControlCharacter => "control_character",
            Self::WrongType => "wrong_type",
            Self::UnknownField => "unknown_field",
            Self::DuplicateField => "duplicate_field",
            Self::InvalidValue => "invalid_value",
            Self::InvalidTimestamp => "invalid_timestamp",
            Self::TimestampTooOld => "timestamp_too_old",
            Self::TimestampInFuture => "timestamp_in_future",
            Self::InvalidSchemaVersion => "invalid_schema_version",
            Self::EventTooLarge => "event_too_large",
            Self::TooDeep => "too_deep",
            Self::NulCharacter => "nul_character",
            Self::LoneSurrogate => "lone_surrogate",
            Self::NumberOutOfRange => "number_out_of_range",
        }
    }

    /// The reverse of [`FieldErrorCode::as_str`].
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }
}

impl fmt::Display for FieldErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error in a client's event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body as sent; empty for the whole body.
    pub pointer: String,
    /// The kind of error, for programs.
    pub code: FieldErrorCode,
    /// The error, for people: names the member, the value and the limit.
    pub message: Cow<'static, str>,
}

impl FieldError {
    /// An error at `pointer`.
    pub fn new(
        pointer: impl Into<String>,
        code: FieldErrorCode,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { pointer: pointer.into(), code, message: message.into() }
    }
}

/// Returns `pointer` with one more reference token.
#[must_use]
pub fn pointer_to(pointer: &str, token: &str) -> String {
    // Exact unless the token has characters to escape.
    let mut longer = String::with_capacity(pointer.len() + token.len() + 1);
    longer.push_str(pointer);
    push_token(&mut longer, token);
    longer
}

/// Appends a reference token to `pointer`, escaped as in RFC 6901, section 3.
pub(crate) fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    for character in token.chars() {
        // Both escapes in one pass: in two, the order would matter.
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// A rejected event with all of its errors, [`MAX_ERRORS_PER_EVENT`] at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The client's id, if it is valid.
    pub event_id: Option<EventId>,
    /// Never empty.
    pub errors: Vec<FieldError>,
}

impl Rejection {
    /// Keeps the first [`MAX_ERRORS_PER_EVENT`] of `errors`.
    #[must_use]
    pub fn new(event_id: Option<EventId>, mut errors: Vec<FieldError>) -> Self {
        debug_assert!(!errors.is_empty(), "a rejection has a reason");
        errors.truncate(MAX_ERRORS_PER_EVENT);
        Self { event_id, errors }
    }
}

/// The store's part of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Committed now.
    Accepted,
    /// The workspace already has an event with this id; nothing was stored.
    Duplicate,
    /// Another workspace of the tenant, this one, has an event with this id; nothing was stored.
    DuplicateIn(WorkspaceId),
}

impl Outcome {
    /// The outcome for an event sent to a workspace, if `holder` has its id.
    #[must_use]
    pub fn duplicate(sent_to: WorkspaceId, holder: WorkspaceId) -> Self {
        if sent_to == holder { Self::Duplicate } else { Self::DuplicateIn(holder) }
    }
}

/// The result for one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Valid, and in the store.
    Stored(EventId, Outcome),
    /// Invalid; nothing was stored.
    Rejected(Rejection),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_the_same_in_json_and_as_text() {
        for code in FieldErrorCode::ALL {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{code}\""));
            assert_eq!(FieldErrorCode::from_text(code.as_str()), Some(code));
        }
    }

    #[test]
    fn pointer_escapes_tilde_and_slash() {
        assert_eq!(pointer_to("/events/0", "a/b~c"), "/events/0/a~1b~0c");
        // A member with an empty name is valid JSON.
        assert_eq!(pointer_to("", ""), "/");
    }
}
