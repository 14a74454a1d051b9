//! Values and attributes of OTLP's JSON, written as plain JSON while they are read.

use std::borrow::Cow;
use std::fmt;

use mercurio_domain::limits::MAX_NESTING;
use mercurio_domain::payload::text_of;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::text::{
    Attributes, PROPERTY_LEVEL, Problem, push_base64, push_double, push_int, push_text,
};
use crate::encoded;

/// Returns attributes: a list of `{"key": …, "value": …}` at this level.
pub(super) fn attributes(json: &str, level: usize) -> Result<Attributes, Problem> {
    let mut sink = Sink::default();
    read(json, &mut sink, Kind::Items(List::Pairs), level)?;
    // Without the braces.
    sink.out.pop();
    let members = sink.out.get(1..).unwrap_or_default().to_vec();
    Ok(Attributes { members, has_body: sink.has_body })
}

/// Returns a body; empty for a value without content.
pub(super) fn body(json: &str) -> Result<Vec<u8>, Problem> {
    let mut sink = Sink::default();
    read(json, &mut sink, Kind::Value, PROPERTY_LEVEL)?;
    if sink.out == b"null" {
        sink.out.clear();
    }
    Ok(sink.out)
}

fn read(json: &str, sink: &mut Sink, kind: Kind, level: usize) -> Result<(), Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let read = Node { sink, kind, level }.deserialize(&mut deserializer);
    read.map_err(|error| {
        // The syntax is known to be right: only the parser's own limit of levels is left.
        let is_too_deep = sink.is_too_deep || error.is_syntax();
        if is_too_deep { Problem::TooDeep } else { Problem::Malformed }
    })
}

/// The JSON written so far.
#[derive(Default)]
struct Sink {
    out: Vec<u8>,
    has_body: bool,
    is_too_deep: bool,
}

#[derive(Clone, Copy)]
enum List {
    /// `AnyValue`s.
    Values,
    /// `KeyValue`s.
    Pairs,
}

#[derive(Clone, Copy)]
enum Kind {
    /// `AnyValue`: an object of one member, such as `{"intValue": "1"}`.
    Value,
    /// `ArrayValue` or `KeyValueList`: `{"values": [ … ]}`.
    Holder(List),
    /// The list itself.
    Items(List),
}

/// The next node of a value. `level` is that of the objects and arrays around it.
struct Node<'o> {
    sink: &'o mut Sink,
    kind: Kind,
    level: usize,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of OTLP")
    }

    /// null counts as left out.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        match self.kind {
            Kind::Value => self.sink.out.extend_from_slice(b"null"),
            Kind::Holder(_) => {}
            Kind::Items(list) => self.sink.out.extend_from_slice(empty(list)),
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.kind {
            Kind::Value => self.value(map),
            Kind::Holder(list) => self.holder(list, map),
            Kind::Items(_) => Err(A::Error::custom("an object in place of a list")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        match self.kind {
            Kind::Items(List::Values) => self.values(seq),
            Kind::Items(List::Pairs) => self.pairs(seq),
            Kind::Value | Kind::Holder(_) => Err(A::Error::custom("a list in place of an object")),
        }
    }
}

fn empty(list: List) -> &'static [u8] {
    match list {
        List::Values => b"[]",
        List::Pairs => b"{}",
    }
}

impl Node<'_> {
    /// Reads an `AnyValue`, whose last member counts.
    fn value<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { sink, level, .. } = self;
        let start = sink.out.len();
        while let Some(Text(name)) = map.next_key()? {
            let list = match &*name {
                "arrayValue" | "array_value" => Some(List::Values),
                "kvlistValue" | "kvlist_value" => Some(List::Pairs),
                _ => None,
            };
            if let Some(list) = list {
                sink.out.truncate(start);
                map.next_value_seed(Node { sink, kind: Kind::Holder(list), level })?;
                continue;
            }
            if !is_scalar(&name) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            sink.out.truncate(start);
            let Some(json) = map.next_value::<Option<&RawValue>>()? else { continue };
            let written = push_scalar(&mut sink.out, &name, json.get());
            written.ok_or_else(|| A::Error::custom("a value of another type"))?;
        }
        if sink.out.len() == start {
            sink.out.extend_from_slice(b"null");
        }
        Ok(())
    }

    fn holder<'de, A: MapAccess<'de>>(self, list: List, mut map: A) -> Result<(), A::Error> {
        let Self { sink, level, .. } = self;
        if level >= MAX_NESTING {
            sink.is_too_deep = true;
            return Err(A::Error::custom("too many levels"));
        }
        let start = sink.out.len();
        while let Some(Text(name)) = map.next_key()? {
            if name == "values" {
                sink.out.truncate(start);
                let kind = Kind::Items(list);
                map.next_value_seed(Node { sink, kind, level: level + 1 })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if sink.out.len() == start {
            sink.out.extend_from_slice(empty(list));
        }
        Ok(())
    }

    fn values<'de, A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { sink, level, .. } = self;
        sink.out.push(b'[');
        while seq.next_element_seed(Node { sink, kind: Kind::Value, level })?.is_some() {
            sink.out.push(b',');
        }
        close(&mut sink.out, b']');
        Ok(())
    }

    fn pairs<'de, A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { sink, level, .. } = self;
        sink.out.push(b'{');
        while seq.next_element_seed(Pair { sink, level })?.is_some() {
            sink.out.push(b',');
        }
        close(&mut sink.out, b'}');
        Ok(())
    }
}

/// Ends a list: in place of the comma after its last item.
fn close(out: &mut Vec<u8>, bracket: u8) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(bracket);
}

/// A `KeyValue`, written as a member of an object.
struct Pair<'o> {
    sink: &'o mut Sink,
    level: usize,
}

impl<'de> DeserializeSeed<'de> for Pair<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pair<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key and a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { sink, level } = self;
        let start = sink.out.len();
        let mut key = Cow::Borrowed("");
        while let Some(Text(name)) = map.next_key()? {
            match &*name {
                "key" => key = map.next_value::<Option<Text<'_>>>()?.unwrap_or_default().0,
                "value" => {
                    sink.out.truncate(start);
                    map.next_value_seed(Node { sink, kind: Kind::Value, level })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if sink.out.len() == start {
            sink.out.extend_from_slice(b"null");
        }
        // The key may come after the value.
        let mut name = Vec::with_capacity(key.len() + 3);
        push_text(&mut name, &key);
        name.push(b':');
        sink.out.splice(start..start, name);
        sink.has_body |= level == PROPERTY_LEVEL && key == "body";
        Ok(())
    }
}

/// A text: a slice unless it has escapes.
#[derive(Deserialize, Default)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn is_scalar(name: &str) -> bool {
    matches!(
        name,
        "stringValue"
            | "string_value"
            | "boolValue"
            | "bool_value"
            | "intValue"
            | "int_value"
            | "doubleValue"
            | "double_value"
            | "bytesValue"
            | "bytes_value"
    )
}

/// Writes a value; `None` for one of another type.
fn push_scalar(out: &mut Vec<u8>, name: &str, json: &str) -> Option<()> {
    // Integers of 64 bits, NaN and infinities are texts.
    let number = json.trim_matches('"');
    match name {
        "stringValue" | "string_value" => {
            push_text(out, &text_of(json).ok()?);
        }
        "boolValue" | "bool_value" => match json {
            "true" | "false" => out.extend_from_slice(json.as_bytes()),
            _ => return None,
        },
        "intValue" | "int_value" => push_int(out, number.parse().ok()?),
        "doubleValue" | "double_value" => {
            let double: f64 = number.parse().ok()?;
            // A number beyond the range of a double, rather than the text of an infinity.
            if !double.is_finite() && number.bytes().any(|byte| byte.is_ascii_digit()) {
                return None;
            }
            push_double(out, double);
        }
        _ => push_base64(out, &encoded::base64(text_of(json).ok()?.as_bytes()).ok()?),
    }
    Some(())
}
