//! String members, read from their JSON text.

use std::borrow::Cow;

use mercurio_domain::Timestamp;
use mercurio_domain::payload::type_of;
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
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        let message = format!("{name} is {}; a string is expected", type_of(text));
        return Err(FieldError::new(pointer(), FieldErrorCode::WrongType, message));
    };
    if !inner.contains('\\') {
        return Ok(Some(inner.into()));
    }
    // The syntax is valid already, so only a lone surrogate can fail.
    serde_json::from_str::<String>(text).map(|text| Some(text.into())).map_err(|_| {
        let message = format!("{name} contains a lone surrogate, which is not a character");
        FieldError::new(pointer(), FieldErrorCode::LoneSurrogate, message)
    })
}

/// Reads a `sent_at`. `None` for null.
pub(super) fn sent_at(raw: &str) -> Result<Option<Timestamp>, FieldError> {
    let pointer = || "/sent_at".to_owned();
    let Some(text) = string(raw, "sent_at", pointer)? else {
        return Ok(None);
    };
    Timestamp::parse(&text).map(Some).map_err(|error| {
        let shown: String = text.chars().take(64).collect();
        let message = format!("sent_at is {shown:?}: {error}");
        FieldError::new(pointer(), FieldErrorCode::InvalidTimestamp, message)
    })
}
