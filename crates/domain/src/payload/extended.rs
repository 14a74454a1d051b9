//! A JSON object with one more member: facts that a foreign protocol sends next to its payloads.
//!
//! The new text is put together from values that were scanned before. Nothing is parsed into a
//! tree, and every value keeps its bytes.

use std::borrow::Cow;

use super::scanner::is_storable;
use super::{JsonSlice, RawJson};
use crate::limits::MAX_NESTING;

/// Levels around a value of the new member: the object and the member.
const LEVELS: usize = 2;

/// The members of a new object.
#[derive(Debug, Default)]
pub struct ObjectText {
    /// The members, each after a comma.
    members: String,
}

impl ObjectText {
    /// Adds a member. Returns `false`, and adds nothing, if the name has characters that JSON
    /// escapes, or if a store cannot keep the value at its new place.
    #[must_use]
    pub fn add(&mut self, name: &str, value: JsonSlice<'_>) -> bool {
        let is_plain = !name.bytes().any(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'));
        if !is_plain || !value.is_storable() || !fits_deeper(value.text()) {
            return false;
        }
        self.members.reserve(name.len() + value.text().len() + 4);
        for part in [",\"", name, "\":", value.text()] {
            self.members.push_str(part);
        }
        true
    }

    /// Returns the members, separated by commas; empty without any.
    #[must_use]
    pub fn members(&self) -> &str {
        // Without the first comma.
        self.members.get(1..).unwrap_or_default()
    }
}

/// Returns whether a storable value stays within the limit of levels inside the new member.
fn fits_deeper(value: &str) -> bool {
    // Each level has an opening bracket. Values have few of them, so counting answers nearly always.
    let brackets = value.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count();
    brackets <= MAX_NESTING - LEVELS
        || is_storable(&format!("{}{value}{}", "[".repeat(LEVELS), "]".repeat(LEVELS)))
}

impl<'a> RawJson<'a> {
    /// Returns `object` with the additional member `name`, or an object of that member alone. A
    /// value other than an object, and an empty member, leave `object` as it is.
    ///
    /// `name` is written as it is. A member of that name in `object` stays.
    #[must_use]
    pub fn extended(
        object: Option<JsonSlice<'a>>,
        name: &str,
        member: &ObjectText,
    ) -> Option<RawJson<'a>> {
        let members = member.members();
        if members.is_empty() {
            return object.map(RawJson::from);
        }
        let Some(object) = object else {
            let text = format!("{{\"{name}\":{{{members}}}}}");
            return Some(RawJson { text: Cow::Owned(text), is_storable: true });
        };
        let Some(open) = object.text().strip_suffix('}') else {
            return Some(object.into());
        };
        // A slice has no white space at its ends, but an empty object may have some inside.
        let comma = if open.trim_ascii_end().len() == 1 { "" } else { "," };
        let text = format!("{open}{comma}\"{name}\":{{{members}}}}}");
        Some(RawJson { text: Cow::Owned(text), is_storable: object.is_storable() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{JsonObject, Scanner};

    fn slice(text: &str) -> JsonSlice<'_> {
        Scanner::new(text).value().unwrap()
    }

    fn extended(object: Option<&str>, members: &[(&str, &str)]) -> Option<String> {
        let mut member = ObjectText::default();
        for (name, value) in members {
            assert!(member.add(name, slice(value)), "{name}");
        }
        let raw = RawJson::extended(object.map(slice), "segment", &member)?;
        let text = raw.get().to_owned();
        assert_eq!(raw.is_storable, is_storable(&text), "{text}");
        Some(text)
    }

    #[test]
    fn member_is_added_to_the_text_of_an_object() {
        let one = &[("groupId", "\"g\"")][..];
        for (object, members, expected) in [
            (None, &[][..], None),
            (Some(r#"{"a": 1}"#), &[], Some(r#"{"a": 1}"#)),
            (None, one, Some(r#"{"segment":{"groupId":"g"}}"#)),
            (Some("{}"), one, Some(r#"{"segment":{"groupId":"g"}}"#)),
            (Some("{ \n}"), one, Some("{ \n\"segment\":{\"groupId\":\"g\"}}")),
            (
                Some(r#"{"a": {} }"#),
                &[("x", "[1]"), ("y", "{}")],
                Some(r#"{"a": {} ,"segment":{"x":[1],"y":{}}}"#),
            ),
            // Left for the rules to refuse.
            (Some("[1]"), one, Some("[1]")),
            (Some("\"}\""), one, Some("\"}\"")),
        ] {
            assert_eq!(extended(object, members).as_deref(), expected);
        }
    }

    #[test]
    fn value_that_a_store_cannot_keep_is_not_added() {
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        // Brackets in a text are no levels.
        let text = format!("\"{}\"", "[".repeat(100));
        for (value, expected) in [
            (nested(30), true),
            (nested(31), false),
            (text, true),
            ("\"\\u0000\"".to_owned(), false),
            ("1e999".to_owned(), false),
        ] {
            let mut member = ObjectText::default();
            assert_eq!(member.add("x", slice(&value)), expected, "{value}");
            assert_eq!(member.members().is_empty(), !expected);
        }
        assert!(!ObjectText::default().add("a\"b", slice("1")));
        // At the limit, the whole is still an object that a store keeps.
        let whole = extended(None, &[("x", &nested(30))]).unwrap();
        assert!(JsonObject::parse(&whole).is_ok());
    }
}
