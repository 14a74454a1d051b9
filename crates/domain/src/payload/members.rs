//! The members of JSON objects and the items of arrays, as slices.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{JsonSlice, Scanner};

/// A member of an object.
#[derive(Clone, Copy)]
pub struct JsonMember<'a> {
    /// The name as sent: with quotes and escapes.
    pub name: &'a str,
    /// The value.
    pub value: JsonSlice<'a>,
}

/// The members of an object, in its order. Ends early at a value with too many levels.
pub struct JsonMembers<'a> {
    /// `None` after the last member.
    scanner: Option<Scanner<'a>>,
}

impl<'a> JsonMembers<'a> {
    /// Returns the members of `value`; none for a value other than an object.
    #[must_use]
    pub fn of(value: JsonSlice<'a>) -> Self {
        let mut scanner = Scanner::new(value.text());
        let has_members = scanner.take(b'{').is_some() && scanner.peek() != Some(b'}');
        Self { scanner: has_members.then_some(scanner) }
    }
}

impl<'a> Iterator for JsonMembers<'a> {
    type Item = JsonMember<'a>;

    fn next(&mut self) -> Option<JsonMember<'a>> {
        let mut scanner = self.scanner.take()?;
        let name = scanner.value()?.text();
        scanner.take(b':')?;
        let value = scanner.value()?;
        if scanner.has_next(b'}')? {
            self.scanner = Some(scanner);
        }
        Some(JsonMember { name, value })
    }
}

/// Calls `add` for each member of the object at the scanner, which reads `body`. Returns the text of
/// the object; `None` for a value that the scanner gives up, after some members.
#[inline]
pub fn scan_members<'a>(
    body: &'a str,
    scanner: &mut Scanner<'a>,
    mut add: impl FnMut(&'a str, JsonSlice<'a>),
) -> Option<&'a str> {
    scanner.take(b'{')?;
    let start = scanner.position() - 1;
    let mut has_more = scanner.peek()? != b'}' || scanner.has_next(b'}')?;
    while has_more {
        // A name with an escape may still be a known member, so the slow path decodes it.
        let name = scanner.plain_string()?;
        scanner.take(b':')?;
        add(name, scanner.value()?);
        has_more = scanner.has_next(b'}')?;
    }
    body.get(start..scanner.position())
}

/// Calls `add` for each member of the JSON object `text`, by `serde_json`: the path for a text that
/// the scanner gave up.
///
/// # Errors
/// The parser's. In well-formed JSON it is a lone surrogate in a name, or another value than an
/// object.
pub fn read_members<'a>(
    text: &'a str,
    add: impl FnMut(Cow<'a, str>, JsonSlice<'a>),
) -> serde_json::Result<()> {
    serde_json::Deserializer::from_str(text).deserialize_map(MemberVisitor(add))
}

/// A name: a slice unless it has escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

struct MemberVisitor<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, JsonSlice<'de>)> Visitor<'de> for MemberVisitor<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            self.0(name, value.into());
        }
        Ok(())
    }
}

/// The items of an array.
pub struct JsonItems<'a> {
    /// The first ones.
    pub first: Vec<&'a str>,
    /// The number of all.
    pub count: usize,
}

/// Reads the JSON array `text`. Keeps the first `max` items, and counts all.
///
/// # Errors
/// The parser's.
pub fn read_items(text: &str, max: usize) -> serde_json::Result<JsonItems<'_>> {
    serde_json::Deserializer::from_str(text).deserialize_seq(ItemVisitor { max })
}

struct ItemVisitor {
    max: usize,
}

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = JsonItems<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<JsonItems<'de>, A::Error> {
        let mut items = JsonItems { first: Vec::new(), count: 0 };
        while items.count < self.max {
            let Some(item) = sequence.next_element::<&RawValue>()? else { return Ok(items) };
            items.first.push(item.get());
            items.count += 1;
        }
        // An error reports the count; the loop above bounds the memory.
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            items.count += 1;
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(text: &str) -> Vec<(&str, &str)> {
        let value = Scanner::new(text).value().unwrap();
        JsonMembers::of(value).map(|member| (member.name, member.value.text())).collect()
    }

    #[test]
    fn members_are_slices_in_their_order() {
        let text = r#"{ "a" : [1] , "\u0061b":{ "c": 2 }, "a":null}"#;
        let members = [("\"a\"", "[1]"), ("\"\\u0061b\"", "{ \"c\": 2 }"), ("\"a\"", "null")];
        assert_eq!(scanned(text), members);
        for text in ["{}", "{ }", "[1]", "\"{}\"", "7"] {
            assert_eq!(scanned(text), [], "{text}");
        }
        let mut read = Vec::new();
        read_members(text, |name, value| read.push((name.into_owned(), value.text()))).unwrap();
        let [first, second, third] = &*read else { panic!("{read:?}") };
        assert_eq!((&*first.0, &*second.0, &*third.0), ("a", "ab", "a"));
        assert_eq!(second.1, "{ \"c\": 2 }");
        for text in ["[]", "7", r#"{"\ud800":1}"#, "{"] {
            assert!(read_members(text, |_, _| {}).is_err(), "{text}");
        }
    }

    #[test]
    fn items_beyond_the_maximum_are_counted() {
        let items = read_items("[1, {\"a\": 2} ,[],4]", 2).unwrap();
        assert_eq!((items.first, items.count), (vec!["1", "{\"a\": 2}"], 4));
        assert!(read_items("{}", 2).is_err() && read_items("[1", 2).is_err());
    }
}
