//! The slow path of payloads: reports every value that a store cannot keep, with a pointer to it.
//!
//! It runs only after the scanner refused a payload, so nearly always on the way to a rejection.
//! `serde_json` reads the syntax and returns each value as a slice, because as a number or string
//! it would stop at the first error. Repeated names are no error: both databases keep the text as
//! sent, and readers disagree about the value they pick (ADR 5).

use std::borrow::Cow;
use std::fmt::{self, Write};

use serde::Deserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::scanner::is_finite;
use super::strings::text_of;
use crate::limits::MAX_NESTING;
use crate::verdict::{FieldError, FieldErrorCode, MAX_ERRORS_PER_EVENT, push_token};

/// Adds the errors of the JSON value `text` to `errors`, until there are [`MAX_ERRORS_PER_EVENT`]:
/// nesting beyond [`MAX_NESTING`] levels, U+0000, lone surrogates, numbers beyond a double.
/// Pointers begin with `pointer`, and end before a name that makes them too long.
///
/// Text other than JSON is read up to the error, without a panic.
pub(super) fn add_errors(text: &str, pointer: String, errors: &mut Vec<FieldError>) {
    ErrorFinder { pointer, depth: 0, errors }.value(text.trim_ascii());
}

/// Maximum bytes of a pointer. A client chooses the names in it, and each error repeats them: a
/// small body with long names must not become a response of many times its size.
const MAX_POINTER_BYTES: usize = 256;

/// Returns `pointer`, or the nearest object or array around it with a pointer of acceptable length.
fn bounded(pointer: &str) -> &str {
    let mut shown = pointer;
    while shown.len() > MAX_POINTER_BYTES {
        // A slash in a name is escaped, so the last one begins the last name.
        shown = shown.rfind('/').map_or("", |last| &shown[..last]);
    }
    shown
}

struct ErrorFinder<'a> {
    /// Points to the current value.
    pointer: String,
    /// Objects and arrays around the current value.
    depth: usize,
    errors: &'a mut Vec<FieldError>,
}

impl ErrorFinder<'_> {
    fn value(&mut self, text: &str) {
        match text.as_bytes().first() {
            // The value is not entered, so recursion ends at `MAX_NESTING` levels.
            Some(b'{' | b'[') if self.depth == MAX_NESTING => {
                let message = format!(
                    "objects and arrays are nested deeper than the limit of {MAX_NESTING} levels"
                );
                self.add(FieldErrorCode::TooDeep, message);
            }
            Some(b'{' | b'[') => {
                self.depth += 1;
                // Fails only after the visitor stopped early: `serde_json` has read this text
                // before.
                serde_json::Deserializer::from_str(text).deserialize_any(&mut *self).ok();
                self.depth -= 1;
            }
            Some(b'"') => match text_of(text) {
                Err(_) => self.add_lone_surrogate(),
                Ok(text) if text.contains('\0') => self.add_nul(),
                Ok(_) => {}
            },
            Some(b'-' | b'0'..=b'9') if !is_finite(text) => {
                // Without the number: payloads stay out of messages.
                let message = "the number is beyond what a double can hold (about 1.8e308)";
                self.add(FieldErrorCode::NumberOutOfRange, message);
            }
            _ => {}
        }
    }

    fn member(&mut self, name: &str, value: &str) {
        let object_length = self.pointer.len();
        // An error in the name does not hide errors in the value.
        match text_of(name) {
            // A lone surrogate cannot be written into a pointer, so both errors point to the
            // object.
            Err(_) => self.add_lone_surrogate(),
            Ok(name) => {
                // One buffer grows and shrinks: a pointer is copied only for an error.
                push_token(&mut self.pointer, &name);
                if name.contains('\0') {
                    self.add_nul();
                }
            }
        }
        self.value(value);
        self.pointer.truncate(object_length);
    }

    fn item(&mut self, index: usize, value: &str) {
        let array_length = self.pointer.len();
        // Writing to a string cannot fail.
        write!(self.pointer, "/{index}").ok();
        self.value(value);
        self.pointer.truncate(array_length);
    }

    fn is_full(&self) -> bool {
        self.errors.len() >= MAX_ERRORS_PER_EVENT
    }

    fn add_nul(&mut self) {
        self.add(FieldErrorCode::NulCharacter, "the character U+0000 cannot be stored");
    }

    fn add_lone_surrogate(&mut self) {
        self.add(FieldErrorCode::LoneSurrogate, "a lone surrogate is not a character");
    }

    fn add(&mut self, code: FieldErrorCode, message: impl Into<Cow<'static, str>>) {
        if !self.is_full() {
            self.errors.push(FieldError::new(bounded(&self.pointer), code, message));
        }
    }
}

impl<'de> Visitor<'de> for &mut ErrorFinder<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while !self.is_full()
            && let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()?
        {
            self.member(name.get(), value.get());
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut index = 0;
        while !self.is_full()
            && let Some(item) = items.next_element::<&RawValue>()?
        {
            self.item(index, item.get());
            index += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
