//! String members, read from their JSON text.

use std::borrow::Cow;

use mercurio_domain::Timestamp;
use mercurio_domain::hints::{appended, time_hint, unix_time_unit};
use mercurio_domain::payload::{NotText, text_of, type_of};
use mercurio_domain::verdict::{FieldError, FieldErrorCode};

/// Reads a string member: borrowed from the body unless it has escapes. `None` for null.
pub(super) fn string<'a>(
    text: &'a str,
    name: &str,
    pointer: impl Fn() -> String,
) -> Result<Option<Cow<'a, str>>, FieldError> {
    if text == "null" {
        return Ok(None);
    }
    text_of(text).map(Some).map_err(|error| match error {
        NotText::WrongType => {
            FieldError::new(pointer(), FieldErrorCode::WrongType, wrong_type(name, text))
        }
        NotText::LoneSurrogate => {
            let message = format!("{name} contains a lone surrogate, which is not a character");
            FieldError::new(pointer(), FieldErrorCode::LoneSurrogate, message)
        }
    })
}

/// Returns the message about a value other than a string.
#[cold]
fn wrong_type(name: &str, json: &str) -> String {
    let actual = type_of(json);
    if actual != "a number" {
        return format!("{name} is {actual}; a string is expected");
    }
    if !matches!(name, "timestamp" | "sent_at") {
        return format!("{name} is a number; a string is expected: put it into quotes");
    }
    let guess = match unix_time_unit(json) {
        Some(unit) => format!(" and looks like Unix time in {unit}"),
        None => String::new(),
    };
    format!(
        "{name} is a number{guess}; a string in RFC 3339 is expected, such as \
         \"2026-11-22T10:00:00.123Z\""
    )
}

/// Reads a `sent_at`. `None` for null.
pub(super) fn sent_at(raw: &str) -> Result<Option<Timestamp>, FieldError> {
    let pointer = || "/sent_at".to_owned();
    let Some(text) = string(raw, "sent_at", pointer)? else {
        return Ok(None);
    };
    Timestamp::parse(&text).map(Some).map_err(|error| {
        let shown: String = text.chars().take(64).collect();
        let hint = appended(time_hint(&text));
        let message = format!("sent_at is {shown:?}: {error}{hint}");
        FieldError::new(pointer(), FieldErrorCode::InvalidTimestamp, message)
    })
}
