//! The rules of single texts in the form `validator` calls, and its errors as [`FieldError`]s.
//!
//! A rule writes the predicate of a message: the name of the member depends on the body.

use std::borrow::Cow;

use validator::{ValidationError, ValidationErrors, ValidationErrorsKind};

use super::origin::{Member, MemberNames, Origin};
use crate::limits::{MAX_EVENT_ID_CHARS, MAX_EVENT_NAME_CHARS, MAX_PERSON_ID_CHARS};
use crate::text::is_unprintable;
use crate::verdict::{FieldError, FieldErrorCode};

/// The members with a rule, in the order of their errors.
const MEMBERS: [Member; 5] =
    [Member::EventId, Member::EventName, Member::AnonymousId, Member::UserId, Member::SessionId];
/// The key under which `validator` reports errors of the whole struct.
const WHOLE: &str = "__all__";
/// The code of [`no_person`].
const NO_PERSON: &str = "no_person";

pub(super) fn event_id(text: &str) -> Result<(), ValidationError> {
    check(text, MAX_EVENT_ID_CHARS, char::is_control)
}

pub(super) fn event_name(text: &str) -> Result<(), ValidationError> {
    check(text, MAX_EVENT_NAME_CHARS, char::is_control)
}

/// Ids of persons are shown in consoles and logs of others. There, text that changes direction
/// could pass as another id.
pub(super) fn person_id(text: &str) -> Result<(), ValidationError> {
    check(text, MAX_PERSON_ID_CHARS, is_unprintable)
}

pub(super) fn no_person() -> ValidationError {
    ValidationError::new(NO_PERSON)
}

fn check(
    text: &str,
    max_chars: usize,
    is_forbidden: fn(char) -> bool,
) -> Result<(), ValidationError> {
    // The order of the tests decides the code: an empty text is also blank.
    if text.is_empty() {
        let predicate = "is empty; at least 1 character is required";
        return Err(error(FieldErrorCode::TooShort, predicate));
    }
    // A character has at least one byte, so most texts need no count.
    if text.len() > max_chars {
        // Characters, not bytes: otherwise the limit would depend on the language.
        let actual = text.chars().count();
        if actual > max_chars {
            let predicate = format!("has {actual} characters; the limit is {max_chars}");
            return Err(error(FieldErrorCode::TooLong, predicate));
        }
    }
    if text.chars().all(char::is_whitespace) {
        let predicate = "is only white space; at least 1 other character is required";
        return Err(error(FieldErrorCode::Blank, predicate));
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
            let predicate = format!("has the {name} U+{code:04X}; remove it");
            Err(error(FieldErrorCode::ControlCharacter, predicate))
        }
        None => Ok(()),
    }
}

fn kind_of(forbidden: char) -> &'static str {
    if forbidden.is_control() { "control character" } else { "bidirectional formatting character" }
}

fn error(code: FieldErrorCode, predicate: impl Into<Cow<'static, str>>) -> ValidationError {
    ValidationError::new(code.as_str()).with_message(predicate.into())
}

/// Adds the errors of `validator` with the pointers and names of `origin`. Their params, the values
/// sent, are dropped.
pub(super) fn add_errors(
    invalid: &ValidationErrors,
    origin: &Origin,
    errors: &mut Vec<FieldError>,
) {
    let invalid = invalid.errors();
    // `validator` keeps its errors in a hash map, so the order comes from here.
    for member in MEMBERS {
        for error in errors_of(invalid.get(MemberNames::OWN.of(member))) {
            errors.push(field_error(member, origin, error));
        }
    }
    // Last, and with the pointer of the event: no single member is at fault.
    for error in errors_of(invalid.get(WHOLE)) {
        debug_assert!(error.code == NO_PERSON, "{} is a code", error.code);
        let [anonymous, user] =
            [Member::AnonymousId, Member::UserId].map(|member| origin.name_of(member));
        let message = format!("{anonymous} or {user} is required");
        let pointer = origin.pointer.to_string();
        errors.push(FieldError::new(pointer, FieldErrorCode::Required, message));
    }
}

fn errors_of(kind: Option<&ValidationErrorsKind>) -> &[ValidationError] {
    match kind {
        Some(ValidationErrorsKind::Field(errors)) => errors,
        _ => &[],
    }
}

fn field_error(member: Member, origin: &Origin, error: &ValidationError) -> FieldError {
    let code = FieldErrorCode::from_text(&error.code);
    debug_assert!(code.is_some(), "{} is a code", error.code);
    let predicate = error.message.as_ref().unwrap_or(&error.code);
    let message = format!("{} {predicate}", origin.name_of(member));
    let pointer = origin.pointer_to(member);
    FieldError::new(pointer, code.unwrap_or(FieldErrorCode::InvalidValue), message)
}
