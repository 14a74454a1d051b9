//! `properties`, `traits` and `context`: JSON objects, checked once and then carried as text.
//!
//! A payload is never parsed into a tree and printed again, so numbers, white space and the order
//! of members stay as sent. [`Scanner`] decides in one pass whether both databases can hold it.
//! Only for a payload that they cannot hold does `serde_json` read it again, to point to each
//! error.

mod errors;
mod extended;
mod members;
mod scanner;
mod strings;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::hints::{ENCODED_TWICE, appended, is_json_in_string};
use crate::text::{Source, Text};
use crate::verdict::{FieldError, FieldErrorCode, MAX_ERRORS_PER_EVENT};

pub use extended::ObjectText;
pub use members::{JsonItems, JsonMember, JsonMembers, read_items, read_members, scan_members};
use scanner::is_storable;
pub use scanner::{JsonSlice, Scanner};
pub use strings::{NotText, text_of};

/// A JSON value as sent: well-formed, but not yet known to be an object or storable.
#[derive(Clone)]
pub struct RawJson<'a> {
    text: Cow<'a, str>,
    is_storable: bool,
}

impl<'a> RawJson<'a> {
    /// Reads one JSON value. White space around it is kept.
    ///
    /// # Errors
    /// The parser's, for any other text.
    pub fn parse(text: impl Into<Cow<'a, str>>) -> serde_json::Result<Self> {
        let text = text.into();
        let is_storable = is_storable(&text);
        // Storable text is JSON. Other text may still be: nested too deep, or with an error to
        // report later.
        if !is_storable {
            // Checks the syntax only, without recursion and without a tree.
            serde_json::from_str::<&RawValue>(&text)?;
        }
        Ok(Self { text, is_storable })
    }

    /// The text of the value.
    #[must_use]
    pub fn get(&self) -> &str {
        &self.text
    }
}

impl<'a> From<JsonSlice<'a>> for RawJson<'a> {
    fn from(slice: JsonSlice<'a>) -> Self {
        Self { text: Cow::Borrowed(slice.text()), is_storable: slice.is_storable() }
    }
}

/// Adds the errors of a well-formed value that a store cannot keep, with pointers that begin with
/// `pointer`.
pub fn add_errors(value: JsonSlice<'_>, pointer: String, errors: &mut Vec<FieldError>) {
    errors::add_errors(value.text(), pointer, errors);
}

impl From<Box<RawValue>> for RawJson<'_> {
    fn from(raw: Box<RawValue>) -> Self {
        let text = String::from(Box::<str>::from(raw));
        Self { is_storable: is_storable(&text), text: Cow::Owned(text) }
    }
}

impl fmt::Debug for RawJson<'_> {
    /// Only the length: payloads stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawJson({} bytes)", self.text.len())
    }
}

impl Serialize for RawJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // `RawValue` writes the text as it is; as a string it would be quoted.
        let raw: &RawValue = serde_json::from_str(&self.text).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// The text of a JSON object that both databases can keep as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonObject(Text);

impl JsonObject {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// All errors, with pointers from the object's root: [`FieldErrorCode::WrongType`] for any
    /// other text, otherwise one for each value that a store cannot keep.
    pub fn parse(text: &str) -> Result<Self, Vec<FieldError>> {
        let raw = RawJson::parse(text).map_err(|error| {
            vec![FieldError::new("", FieldErrorCode::WrongType, format!("not JSON: {error}"))]
        })?;
        let mut errors = Vec::new();
        Self::check(&raw, &Source::default(), String::new, &mut errors).ok_or(errors)
    }

    /// Returns the object in `raw`, or adds its errors to `errors`, with pointers that begin with
    /// `pointer`.
    ///
    /// The object shares the text of `source` if `raw` is a slice of it.
    pub fn check(
        raw: &RawJson<'_>,
        source: &Source,
        pointer: impl FnOnce() -> String,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        // Only `RawJson::parse` keeps white space around the value.
        let text = raw.get().trim_ascii();
        if !text.starts_with('{') {
            let pointer = pointer();
            let (name, actual) = (name_of(&pointer), type_of(text));
            let hint = is_json_in_string(text).then_some(ENCODED_TWICE);
            let message = format!("{name} is {actual}; an object is expected{}", appended(hint));
            errors.push(FieldError::new(pointer, FieldErrorCode::WrongType, message));
            return None;
        }
        if !raw.is_storable {
            // The list may hold errors of other members.
            let before = errors.len();
            errors::add_errors(text, pointer(), errors);
            if errors.len() > before {
                return None;
            }
            debug_assert!(
                before >= MAX_ERRORS_PER_EVENT,
                "the scanner refuses only what the slow path refuses"
            );
        }
        Some(Self(source.share(text)))
    }

    /// Takes an object as the store returns it, unchecked.
    pub fn from_store(text: impl Into<Text>) -> Self {
        Self(text.into())
    }

    /// The text of the object.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn text(&self) -> &Text {
        &self.0
    }
}

impl fmt::Debug for JsonObject {
    /// Only the length: payloads stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonObject({} bytes)", self.0.len())
    }
}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawJson::from(Box::<RawValue>::deserialize(deserializer)?);
        let mut errors = Vec::new();
        Self::check(&raw, &Source::default(), String::new, &mut errors).ok_or_else(|| {
            let message =
                errors.first().map_or("not a JSON object", |error| error.message.as_ref());
            serde::de::Error::custom(message)
        })
    }
}

/// Names the type of the JSON value `text` for a message: "an object", "null".
#[must_use]
pub fn type_of(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Returns the last token of a pointer, for a message.
fn name_of(pointer: &str) -> &str {
    match pointer.rsplit_once('/') {
        Some((_, name)) => name,
        None => "the value",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_is_kept_byte_for_byte() {
        for text in [
            "{}",
            r#"{ "b":1, "a":-0, "n":1234567890123456789012345678901234567890, "z":null,"e":{} }"#,
            r#"{"u":"\ud83d\ude00 \u00e9 \\u0000"}"#,
        ] {
            assert_eq!(JsonObject::parse(text).unwrap().as_str(), text);
            let back = serde_json::to_string(&JsonObject::parse(text).unwrap()).unwrap();
            assert_eq!(back, text);
        }
    }

    #[test]
    fn text_other_than_an_object_is_refused() {
        for text in ["[]", "1", "\"{}\"", "null", "", "{", "{} x"] {
            assert_eq!(
                JsonObject::parse(text).unwrap_err()[0].code,
                FieldErrorCode::WrongType,
                "{text}"
            );
        }
    }

    #[test]
    fn debug_output_hides_the_content() {
        assert_eq!(
            format!("{:?}", JsonObject::parse(r#"{"secret":1}"#).unwrap()),
            "JsonObject(12 bytes)"
        );
    }
}
