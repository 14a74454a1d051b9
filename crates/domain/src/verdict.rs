//! What became of an event, and why it was rejected.
//!
//! A rejection is a value that is counted and returned, never an error of the program. Codes are stable; messages are for
//! people. Messages may hold lengths and short excerpts of what was sent, and so never go into logs.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use crate::ids::EventId;

/// How many errors of one event are told. What is beyond is left out, so that a hostile body can't make a large answer.
pub const MAX_ERRORS_PER_EVENT: usize = 20;

/// Why a part of an event was refused. The text of each is stable and part of the HTTP contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FieldErrorCode {
    /// A required member is missing or null.
    Required,
    /// A text has fewer characters than its minimum, which is one.
    TooShort,
    /// A text has more characters than its limit.
    TooLong,
    /// A text consists of white space alone.
    Blank,
    /// A text has a control character (Unicode category Cc) where none is allowed.
    ControlCharacter,
    /// A JSON value of another type than the member's.
    WrongType,
    /// A member that the contract does not name.
    UnknownField,
    /// A member that stands twice in its object.
    DuplicateField,
    /// A text that is none of those the member may have.
    InvalidValue,
    /// Not an RFC 3339 date and time with an offset.
    InvalidTimestamp,
    /// A time longer ago than the limit.
    TimestampTooOld,
    /// A time further in the future than the limit.
    TimestampInFuture,
    /// Not a semantic version.
    InvalidSchemaVersion,
    /// The event has more bytes than the limit.
    EventTooLarge,
    /// Objects and arrays are nested deeper than the limit.
    TooDeep,
    /// A text has the character U+0000, which no database keeps in a text.
    NulCharacter,
    /// A text has half a surrogate pair, which is no character and has no UTF-8 form.
    LoneSurrogate,
    /// A number beyond what a double can hold.
    NumberOutOfRange,
}

impl FieldErrorCode {
    /// Every code, in the order in which they are documented.
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

    /// The code as it stands in JSON.
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

    /// The code of that text.
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

/// One thing that is wrong with what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// Where: a JSON pointer (RFC 6901) into the body as sent; empty for the whole body.
    pub pointer: String,
    /// What, for programs.
    pub code: FieldErrorCode,
    /// What, for people: names the member, the limit and what was found.
    pub message: Cow<'static, str>,
}

impl FieldError {
    /// A fault at `pointer`.
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
    let mut longer = String::with_capacity(pointer.len() + token.len() + 1);
    longer.push_str(pointer);
    push_token(&mut longer, token);
    longer
}

/// Appends a reference token to `pointer`, escaped as in RFC 6901, section 3.
pub(crate) fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    for character in token.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// Why an event was not stored: all of its errors, [`MAX_ERRORS_PER_EVENT`] at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The client's id, where it sent one that holds.
    pub event_id: Option<EventId>,
    /// What is wrong; never empty.
    pub errors: Vec<FieldError>,
}

impl Rejection {
    /// A rejection for `errors`, cut at [`MAX_ERRORS_PER_EVENT`].
    #[must_use]
    pub fn new(event_id: Option<EventId>, mut errors: Vec<FieldError>) -> Self {
        errors.truncate(MAX_ERRORS_PER_EVENT);
        Self { event_id, errors }
    }
}

/// What the store did with a valid event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Outcome {
    /// Stored now, for the first time.
    Accepted,
    /// An event of the tenant with this id was there before; nothing was stored.
    Duplicate,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was valid, and the store has it.
    Stored(EventId, Outcome),
    /// It was not valid, and nothing was stored.
    Rejected(Rejection),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_in_json_and_as_text() {
        for code in FieldErrorCode::ALL {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{code}\""));
            assert_eq!(FieldErrorCode::from_text(code.as_str()), Some(code));
        }
    }

    #[test]
    fn a_pointer_escapes_tilde_and_slash() {
        assert_eq!(pointer_to("/events/0", "a/b~c"), "/events/0/a~1b~0c");
        assert_eq!(pointer_to("", ""), "/");
    }
}
