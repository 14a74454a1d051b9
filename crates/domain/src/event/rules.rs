//! The rules of single members, as `validator` calls them, and its findings as errors.

use std::borrow::Cow;

use validator::{ValidationError, ValidationErrors, ValidationErrorsKind};

use super::draft::EventDraft;
use crate::limits::{MAX_EVENT_ID_CHARS, MAX_EVENT_NAME_CHARS, MAX_PERSON_ID_CHARS};
use crate::verdict::{FieldError, FieldErrorCode, pointer_to};

/// The members that `validator` looks at, as Rust names them and as JSON does, in the order in which errors are told.
const MEMBERS: [(&str, &str); 5] = [
    ("event_id", "event_id"),
    ("event_name", "event_name"),
    ("anonymous_id", "anonymous_id"),
    ("user_id", "user_id"),
    ("session_id", "session_id"),
];
/// Where `validator` puts what concerns the whole struct.
const WHOLE: &str = "__all__";
/// The name of the rule that an event names a person; it stands for the event and not for one of the two members.
const NO_PERSON: &str = "no_person";

pub(super) fn event_id(text: &str) -> Result<(), ValidationError> {
    name_like("event_id", text, MAX_EVENT_ID_CHARS)
}

pub(super) fn event_name(text: &str) -> Result<(), ValidationError> {
    name_like("event_name", text, MAX_EVENT_NAME_CHARS)
}

pub(super) fn anonymous_id(text: &str) -> Result<(), ValidationError> {
    person_like("anonymous_id", text)
}

pub(super) fn user_id(text: &str) -> Result<(), ValidationError> {
    person_like("user_id", text)
}

pub(super) fn session_id(text: &str) -> Result<(), ValidationError> {
    person_like("session_id", text)
}

/// The rules that look at more than one member.
pub(super) fn whole(draft: &EventDraft<'_>) -> Result<(), ValidationError> {
    if draft.anonymous_id.is_none() && draft.user_id.is_none() {
        let mut error =
            broken(FieldErrorCode::Required, "anonymous_id or user_id is required".into());
        error.code = NO_PERSON.into();
        return Err(error);
    }
    Ok(())
}

fn name_like(member: &str, text: &str, max_chars: usize) -> Result<(), ValidationError> {
    length(member, text, max_chars)?;
    // Looks at all bytes, without a way out: so it is done several at once.
    if text.bytes().fold(true, |printable, byte| printable & (b' '..0x7f).contains(&byte)) {
        return Ok(());
    }
    match text.chars().find(|character| character.is_control()) {
        Some(character) => Err(broken(
            FieldErrorCode::ControlCharacter,
            format!(
                "{member} has the control character U+{:04X}; none is allowed",
                u32::from(character)
            ),
        )),
        None => Ok(()),
    }
}

fn person_like(member: &str, text: &str) -> Result<(), ValidationError> {
    length(member, text, MAX_PERSON_ID_CHARS)?;
    match memchr::memchr(0, text.as_bytes()) {
        Some(_) => {
            Err(broken(FieldErrorCode::NulCharacter, format!("{member} has the character U+0000")))
        }
        None => Ok(()),
    }
}

fn length(member: &str, text: &str, max_chars: usize) -> Result<(), ValidationError> {
    if text.is_empty() {
        return Err(broken(
            FieldErrorCode::TooShort,
            format!("{member} is empty; at least 1 character is required"),
        ));
    }
    // A character has at least one byte: most texts need not be counted.
    if text.len() > max_chars {
        let actual = text.chars().count();
        if actual > max_chars {
            let message = format!("{member} has {actual} characters; the limit is {max_chars}");
            return Err(broken(FieldErrorCode::TooLong, message));
        }
    }
    if text.chars().all(char::is_whitespace) {
        return Err(broken(
            FieldErrorCode::Blank,
            format!("{member} consists of white space alone"),
        ));
    }
    Ok(())
}

fn broken(code: FieldErrorCode, message: String) -> ValidationError {
    ValidationError::new(code.as_str()).with_message(Cow::Owned(message))
}

/// What `validator` found, as errors with pointers that begin with `pointer`. Its params hold the values that were sent and
/// are dropped.
pub(super) fn field_errors(
    invalid: &ValidationErrors,
    pointer: &str,
    errors: &mut Vec<FieldError>,
) {
    let invalid = invalid.errors();
    for (field, member) in MEMBERS {
        for error in found(invalid.get(field)) {
            errors.push(field_error(pointer_to(pointer, member), error));
        }
    }
    for error in found(invalid.get(WHOLE)) {
        errors.push(field_error(pointer.to_owned(), error));
    }
}

fn found(kind: Option<&ValidationErrorsKind>) -> &[ValidationError] {
    match kind {
        Some(ValidationErrorsKind::Field(errors)) => errors,
        _ => &[],
    }
}

fn field_error(pointer: String, error: &ValidationError) -> FieldError {
    let code = FieldErrorCode::from_text(&error.code).unwrap_or(FieldErrorCode::Required);
    let message = error.message.clone().unwrap_or_else(|| error.code.clone());
    FieldError::new(pointer, code, message)
}
