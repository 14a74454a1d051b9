//! The rules of single texts in the form `validator` calls, and its errors as [`FieldError`]s.

use std::borrow::Cow;

use validator::{ValidationError, ValidationErrors, ValidationErrorsKind};

use crate::limits::{MAX_EVENT_ID_CHARS, MAX_EVENT_NAME_CHARS, MAX_PERSON_ID_CHARS};
use crate::text::is_unprintable;
use crate::verdict::{FieldError, FieldErrorCode, pointer_to};

/// The members with a rule, in the order of their errors.
const MEMBERS: [&str; 5] = ["event_id", "event_name", "anonymous_id", "user_id", "session_id"];
/// The key under which `validator` reports errors of the whole struct.
const WHOLE: &str = "__all__";
/// A code of our own: `required`, but with a pointer to the event and not to one of the two
/// members.
const NO_PERSON: &str = "no_person";

pub(super) fn event_id(text: &str) -> Result<(), ValidationError> {
    text_of("event_id", text, MAX_EVENT_ID_CHARS, char::is_control)
}

pub(super) fn event_name(text: &str) -> Result<(), ValidationError> {
    text_of("event_name", text, MAX_EVENT_NAME_CHARS, char::is_control)
}

pub(super) fn anonymous_id(text: &str) -> Result<(), ValidationError> {
    person("anonymous_id", text)
}

pub(super) fn user_id(text: &str) -> Result<(), ValidationError> {
    person("user_id", text)
}

pub(super) fn session_id(text: &str) -> Result<(), ValidationError> {
    person("session_id", text)
}

pub(super) fn no_person() -> ValidationError {
    ValidationError::new(NO_PERSON)
        .with_message(Cow::Borrowed("anonymous_id or user_id is required"))
}

/// Ids of persons are shown in consoles and logs of others. There, text that changes direction
/// could pass as another id.
fn person(member: &str, text: &str) -> Result<(), ValidationError> {
    text_of(member, text, MAX_PERSON_ID_CHARS, is_unprintable)
}

fn text_of(
    member: &str,
    text: &str,
    max_chars: usize,
    is_forbidden: fn(char) -> bool,
) -> Result<(), ValidationError> {
    // The order of the tests decides the code: an empty text is also blank.
    if text.is_empty() {
        let message = format!("{member} is empty; at least 1 character is required");
        return Err(error(FieldErrorCode::TooShort, message));
    }
    // A character has at least one byte, so most texts need no count.
    if text.len() > max_chars {
        // Characters, not bytes: otherwise the limit would depend on the language.
        let actual = text.chars().count();
        if actual > max_chars {
            let message = format!("{member} has {actual} characters; the limit is {max_chars}");
            return Err(error(FieldErrorCode::TooLong, message));
        }
    }
    if text.chars().all(char::is_whitespace) {
        let message =
            format!("{member} is only white space; at least 1 other character is required");
        return Err(error(FieldErrorCode::Blank, message));
    }
    // A fold without an early exit, because the compiler then checks several bytes at once.
    // Printable ASCII breaks no rule, and most ids are just that.
    if text.bytes().fold(true, |printable, byte| printable & (b' '..0x7f).contains(&byte)) {
        return Ok(());
    }
    match text.chars().find(|character| is_forbidden(*character)) {
        Some(character) => {
            // The code point, because the character itself cannot be seen in a message.
            let (code, name) = (u32::from(character), kind_of(character));
            let message = format!("{member} has the {name} U+{code:04X}; remove it");
            Err(error(FieldErrorCode::ControlCharacter, message))
        }
        None => Ok(()),
    }
}

fn kind_of(forbidden: char) -> &'static str {
    if forbidden.is_control() { "control character" } else { "bidirectional formatting character" }
}

fn error(code: FieldErrorCode, message: String) -> ValidationError {
    ValidationError::new(code.as_str()).with_message(Cow::Owned(message))
}

/// Adds the errors of `validator` with pointers that begin with `pointer`. Their params, the values
/// sent, are dropped.
pub(super) fn add_errors(invalid: &ValidationErrors, pointer: &str, errors: &mut Vec<FieldError>) {
    let invalid = invalid.errors();
    // `validator` keeps its errors in a hash map, so the order comes from here.
    for member in MEMBERS {
        for error in errors_of(invalid.get(member)) {
            errors.push(field_error(pointer_to(pointer, member), error));
        }
    }
    // Last, and with the pointer of the event: no single member is at fault.
    for error in errors_of(invalid.get(WHOLE)) {
        errors.push(field_error(pointer.to_owned(), error));
    }
}

fn errors_of(kind: Option<&ValidationErrorsKind>) -> &[ValidationError] {
    match kind {
        Some(ValidationErrorsKind::Field(errors)) => errors,
        _ => &[],
    }
}

fn field_error(pointer: String, error: &ValidationError) -> FieldError {
    let code = FieldErrorCode::from_text(&error.code);
    debug_assert!(code.is_some() || error.code == NO_PERSON, "{} is a code", error.code);
    let message = error.message.clone().unwrap_or_else(|| error.code.clone());
    // `NO_PERSON` is the only code without a counterpart.
    FieldError::new(pointer, code.unwrap_or(FieldErrorCode::Required), message)
}
