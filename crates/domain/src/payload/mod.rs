//! `properties`, `traits` and `context`: JSON objects that are checked once and then carried as text.
//!
//! A payload is never built into a tree and printed again, so that numbers, the order of members and white space stay as
//! sent. What is checked is that both databases and every reader can hold it: see [`faults_of`].

mod errors;
mod scanner;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::text::{Source, Text};
use crate::verdict::{FieldError, FieldErrorCode};

pub use errors::faults_of;
pub use scanner::Scanner;

/// A JSON value as it was sent: its text, known to be JSON and nothing more.
#[derive(Clone)]
pub struct RawJson<'a> {
    text: Cow<'a, str>,
    /// Whether it is known to have none of the errors that [`faults_of`] tells.
    is_plain: bool,
}

impl<'a> RawJson<'a> {
    /// Reads one JSON value.
    ///
    /// # Errors
    /// Where `text` is anything else.
    pub fn parse(text: impl Into<Cow<'a, str>>) -> serde_json::Result<Self> {
        let text = text.into();
        serde_json::from_str::<&RawValue>(&text)?;
        Ok(Self { is_plain: errors::is_plain(&text), text })
    }

    /// The value at the beginning of `text`, of which a parser has said already that it is JSON; without white space.
    ///
    /// Any other text gives some value without a panic.
    #[must_use]
    pub fn first_of(text: &'a str) -> Self {
        let (end, is_plain) = errors::value(text);
        Self { text: Cow::Borrowed(&text[..end]), is_plain }
    }

    /// The text of the value.
    #[must_use]
    pub fn get(&self) -> &str {
        &self.text
    }
}

impl From<Box<RawValue>> for RawJson<'_> {
    fn from(raw: Box<RawValue>) -> Self {
        let text = String::from(Box::<str>::from(raw));
        Self { is_plain: errors::is_plain(&text), text: Cow::Owned(text) }
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
        let raw: &RawValue = serde_json::from_str(&self.text).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// The text of a JSON object that a store can keep as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonObject(Text);

impl JsonObject {
    /// Reads a JSON object from `text`.
    ///
    /// # Errors
    /// All errors, with pointers from the object's root: [`FieldErrorCode::WrongType`] where it is no object or no JSON at all,
    /// else what [`faults_of`] tells.
    pub fn parse(text: &str) -> Result<Self, Vec<FieldError>> {
        let raw = RawJson::parse(text).map_err(|error| {
            vec![FieldError::new("", FieldErrorCode::WrongType, format!("not JSON: {error}"))]
        })?;
        let mut errors = Vec::new();
        Self::check(&raw, &Source::default(), String::new, &mut errors).ok_or(errors)
    }

    /// The object in `raw`, which shares its text with `source` where it is a part of that; its errors, with pointers that
    /// begin with `pointer`, go to `errors`.
    pub fn check(
        raw: &RawJson<'_>,
        source: &Source,
        pointer: impl FnOnce() -> String,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        let text = raw.get().trim_ascii();
        if !text.starts_with('{') {
            let pointer = pointer();
            let message =
                format!("{} is {}; an object is expected", name_of(&pointer), type_of(text));
            errors.push(FieldError::new(pointer, FieldErrorCode::WrongType, message));
            return None;
        }
        if !raw.is_plain {
            let before = errors.len();
            faults_of(text, &pointer(), errors);
            if errors.len() > before {
                return None;
            }
        }
        Some(Self(source.share(text)))
    }

    /// An object as the store returns it.
    pub fn from_store(text: impl Into<Text>) -> Self {
        Self(text.into())
    }

    /// The text of the object.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, as it is held.
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
            let told = errors
                .first()
                .map_or(Cow::Borrowed("no JSON object"), |fault| fault.message.clone());
            serde::de::Error::custom(told)
        })
    }
}

/// What kind of JSON value `text` is, for messages.
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
    fn an_object_is_kept_byte_for_byte() {
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
    fn what_is_no_object_is_refused() {
        for text in ["[]", "1", "\"{}\"", "null", "", "{", "{} x"] {
            assert_eq!(
                JsonObject::parse(text).unwrap_err()[0].code,
                FieldErrorCode::WrongType,
                "{text}"
            );
        }
    }

    #[test]
    fn debugging_shows_no_content() {
        assert_eq!(
            format!("{:?}", JsonObject::parse(r#"{"secret":1}"#).unwrap()),
            "JsonObject(12 bytes)"
        );
    }
}
