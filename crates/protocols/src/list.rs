//! A body of objects alone: an array of them, one, or, for some protocols, one a line.
//!
//! A well-formed body is read in one pass. Any other goes to `serde_json`, for every error and its
//! position.

use mercurio_domain::event::Pointer;
use mercurio_domain::payload::{Scanner, type_of};
use mercurio_domain::request::{ParseError, events_of};
use mercurio_domain::verdict::FieldErrorCode;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::envelope::shape;
use crate::object::{Object, Part};

/// What a protocol allows in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// An array of objects, or one object.
    Array,
    /// Also one object a line.
    Lines,
}

/// Size of a typical object: the list of a typical body need not grow.
const TYPICAL_BYTES: usize = 400;

/// Reads a body. `what` names an object in a message. `finish` turns each object into an item; it
/// may be called again from the first object on.
///
/// # Errors
/// [`ParseError`]. Errors in single objects are not among them.
pub(crate) fn read<'a, P: Part, T>(
    text: &'a str,
    layout: Layout,
    what: &str,
    max_events: usize,
    mut finish: impl FnMut(Object<'a, P>) -> T,
) -> Result<Vec<T>, ParseError> {
    match scan(text, layout, max_events, &mut finish) {
        Some(items) => Ok(items),
        None => read_slowly(text, layout, what, max_events, &mut finish),
    }
}

/// The place of an object: an item of the body, or the body itself if it is alone.
fn object<'a, P: Part>(index: usize, is_alone: bool) -> Object<'a, P> {
    let item = Pointer::Item { array: "", index };
    Object::new(index, if is_alone { Pointer::At("") } else { item })
}

/// Reads a well-formed body in one pass. `None`: use [`read_slowly`].
pub(crate) fn scan<'a, P: Part, T>(
    text: &'a str,
    layout: Layout,
    max_events: usize,
    finish: &mut impl FnMut(Object<'a, P>) -> T,
) -> Option<Vec<T>> {
    let mut scanner = Scanner::new(text);
    let is_array = scanner.peek()? == b'[';
    let mut items = Vec::new();
    if is_array {
        scanner.take(b'[')?;
        items.reserve((text.len() / TYPICAL_BYTES + 1).min(max_events));
    }
    loop {
        // The slow path counts all objects for the error.
        if items.len() == max_events {
            return None;
        }
        let mut object = object(items.len(), false);
        object.scan(text, &mut scanner)?;
        if !is_array && items.is_empty() && scanner.is_at_end() {
            // Its errors have the pointer of an item.
            if !object.errors.is_empty() {
                return None;
            }
            object.pointer = Pointer::At("");
        }
        items.push(finish(object));
        let has_next = match (is_array, layout) {
            (true, _) => scanner.has_next(b']')?,
            (false, Layout::Lines) => !scanner.is_at_end(),
            (false, Layout::Array) => false,
        };
        if !has_next {
            break;
        }
    }
    scanner.is_at_end().then_some(items)
}

pub(crate) fn read_slowly<'a, P: Part, T>(
    text: &'a str,
    layout: Layout,
    what: &str,
    max_events: usize,
    finish: &mut impl FnMut(Object<'a, P>) -> T,
) -> Result<Vec<T>, ParseError> {
    let texts = if text.trim_ascii_start().starts_with('[') {
        // The whole syntax first: an error in it is the only one.
        let body: &RawValue = serde_json::from_str(text)?;
        events_of(body.get(), max_events)?
    } else if layout == Layout::Lines {
        values_of(text, max_events)?
    } else {
        vec![serde_json::from_str::<&RawValue>(text)?.get()]
    };
    if let [only] = *texts
        && !text.trim_ascii_start().starts_with(['[', '{'])
    {
        let message = format!("the body is {}; an object or an array is expected", type_of(only));
        return Err(shape("", FieldErrorCode::WrongType, message));
    }
    let is_alone = texts.len() == 1 && text.trim_ascii_start().starts_with('{');
    let mut items = Vec::with_capacity(texts.len());
    for (index, text) in texts.into_iter().enumerate() {
        let mut object = object(index, is_alone);
        object.read(text, what);
        items.push(finish(object));
    }
    Ok(items)
}

/// Returns the JSON values in a text, if it has 1 to `max`.
fn values_of(text: &str, max: usize) -> Result<Vec<&str>, ParseError> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut first = Vec::new();
    while first.len() < max {
        match values.next() {
            Some(value) => first.push(value?.get()),
            // Its error has the position, and the hint for an empty body.
            None if first.is_empty() => {
                serde_json::from_str::<IgnoredAny>(text)?;
                return Err(ParseError::BatchEmpty);
            }
            None => return Ok(first),
        }
    }
    let rest = text.get(values.byte_offset()..).unwrap_or_default();
    let mut actual = max;
    for value in serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>() {
        value?;
        actual += 1;
    }
    if actual > max { Err(ParseError::BatchTooLarge { limit: max, actual }) } else { Ok(first) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Name;

    impl Part for Name {
        const ALL: &'static [Self] = &[Self];

        fn name(self) -> &'static str {
            "name"
        }

        fn index(self) -> usize {
            0
        }

        fn is_key(name: &str) -> bool {
            name == "key"
        }
    }

    const MAX: usize = 3;

    fn shown(mut object: Object<'_, Name>) -> String {
        let name = object.text(Name);
        let Object { index, pointer, text, key, rest, errors, .. } = object;
        format!(
            "{index} {pointer:?} {text} {name:?} {} {rest:?} {errors:?}",
            key == crate::BodyKey::Missing
        )
    }

    fn pointers(text: &str) -> Result<Vec<String>, ParseError> {
        read(text, Layout::Lines, "the event", MAX, |object: Object<'_, Name>| {
            object.pointer.to_string()
        })
    }

    #[test]
    fn body_is_an_array_or_one_object_or_one_a_line() {
        for (text, expected) in [
            ("[{}]", &["/0"][..]),
            (" [ {} , {\"name\":\"n\"} ] ", &["/0", "/1"]),
            ("{}", &[""]),
            ("{}\n{}\n", &["/0", "/1"]),
            ("{}\r\n{} {}", &["/0", "/1", "/2"]),
            ("[{},5,[]]", &["/0", "/1", "/2"]),
            ("{} 5", &["/0", "/1"]),
            // An error before the end of a line shows that it is alone.
            ("{\"name\":1,\"name\":2}", &[""]),
        ] {
            assert_eq!(pointers(text).unwrap(), expected, "{text}");
        }
        let four = ParseError::BatchTooLarge { limit: MAX, actual: 4 };
        for text in ["[{},{},{},{}]", "{}{}{}{}"] {
            assert_eq!(pointers(text).unwrap_err(), four, "{text}");
        }
        assert_eq!(pointers("[]").unwrap_err(), ParseError::BatchEmpty);
        for text in ["", "  ", "[{}", "{}{", "{} x", "[{}] {}", "{}{}{}{}x", "data=1"] {
            let error = pointers(text).unwrap_err();
            assert!(matches!(error, ParseError::Malformed { .. }), "{text}: {error:?}");
        }
        for text in ["{}\n{}", "{} 5", "5{}"] {
            let finish = |object: Object<'_, Name>| object.index;
            let read = read(text, Layout::Array, "the event", MAX, finish);
            assert!(matches!(read, Err(ParseError::Malformed { .. })), "{text}");
        }
        for text in ["5", "\"{}\"", "null"] {
            assert!(matches!(pointers(text), Err(ParseError::Shape(_))), "{text}");
        }
    }

    const BODY: &str = "[{\"name\":\"a\",\"x\":[1]}, {\"key\":\"k\"},{}]";
    const LINES: &str = "{\"name\":\"a\",\"x\":[1]}\n{\"key\":\"k\"}\n{}\n";

    #[track_caller]
    fn check(text: &str) -> bool {
        let scanned = scan(text, Layout::Lines, MAX, &mut shown);
        if let Some(scanned) = &scanned {
            let read = read_slowly(text, Layout::Lines, "the event", MAX, &mut shown);
            assert_eq!(&read.unwrap_or_else(|error| panic!("{text}: {error}")), scanned);
        }
        scanned.is_some()
    }

    proptest! {
        #[test]
        fn one_pass_equals_the_slow_path(index in 0..BODY.len(), byte in 0_u8..128, cut in 0..BODY.len()) {
            for body in [BODY, LINES] {
                let mut bytes = body.as_bytes().to_vec();
                let (index, cut) = (index.min(bytes.len() - 1), cut.min(bytes.len() - 1));
                bytes[index] = byte;
                let text = String::from_utf8(bytes).unwrap();
                check(&text);
                check(&text[..cut]);
                prop_assert!(check(body));
            }
        }

        #[test]
        fn reader_never_panics(text in r#"[\[\]{}",:\\ue0d8 "name"key"null1\n-]{0,60}"#) {
            check(&text);
            pointers(&text).ok();
        }
    }
}
