//! A JSON object with one more member: facts that a foreign protocol sends next to its payloads.
//!
//! The new text is put together from values that were scanned before. Nothing is parsed into a
//! tree, and every value keeps its bytes.

use std::borrow::Cow;

use super::scanner::is_storable;
use super::{JsonMembers, JsonSlice, RawJson, Scanner, read_members, text_of};
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

    /// Adds a text. Returns `false`, and adds nothing, as [`ObjectText::add`] does.
    #[must_use]
    pub fn add_text(&mut self, name: &str, text: &str) -> bool {
        let json = serde_json::to_string(text);
        debug_assert!(json.is_ok(), "a text serialises");
        let json = json.unwrap_or_default();
        Scanner::new(&json).value().is_some_and(|value| self.add(name, value))
    }

    /// Returns the members, separated by commas; empty without any.
    #[must_use]
    pub fn members(&self) -> &str {
        // Without the first comma.
        self.members.get(1..).unwrap_or_default()
    }
}

/// Adds a comma and a member. `name` has its quotes.
fn push_member(text: &mut String, name: &str, value: JsonSlice<'_>) {
    for part in [",", name, ":", value.text()] {
        text.push_str(part);
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
    /// Returns `object` without the members whose name `leaves_out` accepts. A value other than an
    /// object, and an object without such members, stay as they are.
    #[must_use]
    pub fn without(object: JsonSlice<'a>, leaves_out: impl Fn(&str) -> bool) -> RawJson<'a> {
        let is_left_out = |name| text_of(name).is_ok_and(|name| leaves_out(&name));
        if !JsonMembers::of(object).any(|member| is_left_out(member.name)) {
            return object.into();
        }
        let mut text = String::with_capacity(object.text().len());
        if object.is_storable() {
            for member in JsonMembers::of(object).filter(|member| !is_left_out(member.name)) {
                push_member(&mut text, member.name, member.value);
            }
        } else {
            // The scanner ends at a value with too many levels.
            let members = read_members(object.text(), |name, value| {
                if !leaves_out(&name) {
                    let name = serde_json::to_string(&name).unwrap_or_default();
                    push_member(&mut text, &name, value);
                }
            });
            // A name that is no text: the rules refuse the whole object.
            if members.is_err() {
                return object.into();
            }
        }
        let text = format!("{{{}}}", text.get(1..).unwrap_or_default());
        // The members left out may be the ones that no store keeps.
        let is_storable = object.is_storable() || is_storable(&text);
        RawJson { text: Cow::Owned(text), is_storable }
    }

    /// Returns an object of one member, whose name is written as it is. `None` if a store cannot keep
    /// the value there.
    #[must_use]
    pub fn wrapped(name: &str, value: JsonSlice<'_>) -> Option<RawJson<'static>> {
        let text = format!("{{\"{name}\":{}}}", value.text());
        is_storable(&text).then_some(RawJson { text: Cow::Owned(text), is_storable: true })
    }

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
    use serde_json::value::RawValue;

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
    fn value_is_wrapped_if_a_store_keeps_it() {
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for (value, expected) in [
            ("7", Some("{\"data\":7}".to_owned())),
            ("\"\\u0000\"", None),
            (&nested(31), Some(format!("{{\"data\":{}}}", nested(31)))),
            (&nested(32), None),
        ] {
            let raw = RawJson::wrapped("data", slice(value));
            assert_eq!(raw.as_ref().map(RawJson::get), expected.as_deref(), "{value}");
        }
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
    fn members_are_left_out_by_their_name() {
        let leaves_out = |name: &str| matches!(name, "token" | "t\u{e9}");
        for (object, expected) in [
            (r#"{"a": 1, "b":[]}"#, r#"{"a": 1, "b":[]}"#),
            (r#"{"token":"k","a": 1 , "b":{"token":2}}"#, r#"{"a":1,"b":{"token":2}}"#),
            (r#"{"a":1,"t\u006fken":"k","t\u00e9":3,"token":4}"#, r#"{"a":1}"#),
            (r#"{"token":"\u0000"}"#, "{}"),
            ("[1]", "[1]"),
        ] {
            let raw = RawJson::without(slice(object), leaves_out);
            assert_eq!(raw.get(), expected);
            assert!(raw.is_storable, "{object}");
        }
        let raw = RawJson::without(slice(r#"{"token":1,"a":"\u0000"}"#), leaves_out);
        assert!(!raw.is_storable);
        // Members after a value with too many levels do not get lost.
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        let object = format!(r#"{{"token":1,"deep":{deep},"z\n":2}}"#);
        let value: &RawValue = serde_json::from_str(&object).unwrap();
        let raw = RawJson::without(value.into(), leaves_out);
        assert_eq!((raw.get(), raw.is_storable), (&*object.replace("\"token\":1,", ""), false));
    }

    #[test]
    fn text_is_added_with_its_characters_escaped() {
        let mut member = ObjectText::default();
        assert!(member.add_text("x", "a\"\n\u{e9}"));
        assert_eq!(member.members(), "\"x\":\"a\\\"\\n\u{e9}\"");
        assert!(!member.add_text("x", "\0"));
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
