//! Texts that share their bytes: the members of an event are slices of the body that they came in, as long as they live.
//!
//! A request's body is copied once into a [`Source`]; what its events keep of it are a count of references and two numbers.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A text that [`Text`]s are slices of, such as the body of a request. Lives until the last of them is gone.
#[derive(Clone, Default)]
pub struct Source(Arc<str>);

impl Source {
    /// The part of this source that `part` is, without a copy; a copy of its own where `part` lies elsewhere.
    #[must_use]
    pub fn share(&self, part: &str) -> Text {
        let offset = (part.as_ptr() as usize).wrapping_sub(self.0.as_ptr() as usize);
        let is_inside = offset.checked_add(part.len()).is_some_and(|end| end <= self.0.len());
        // Both are borrowed now, so the same addresses are the same bytes.
        if is_inside && !part.is_empty() {
            return Text { source: self.clone(), start: offset, end: offset + part.len() };
        }
        Text::from(part)
    }
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Deref for Source {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Source {
    /// Only the length: what was sent stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({} bytes)", self.0.len())
    }
}

/// A text, cheap to clone: a slice of a [`Source`]. Compares, orders and hashes as its `str`.
#[derive(Clone)]
pub struct Text {
    source: Source,
    start: usize,
    end: usize,
}

impl Text {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // The bounds are those of a `str` that lay there.
        self.source.get(self.start..self.end).unwrap_or_default()
    }

    /// The bytes that live as long as this text does, be they its own or not.
    #[must_use]
    pub fn source_bytes(&self) -> usize {
        self.source.len()
    }
}

impl<T: Into<Source>> From<T> for Text {
    fn from(text: T) -> Self {
        let source = text.into();
        Self { start: 0, end: source.len(), source }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Text {
    /// Only the length: what was sent stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.end - self.start)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_source_is_shared_and_anything_else_copied() {
        let source = Source::from("größe und mehr");
        let part = source.share(&source[0..7]);
        assert_eq!((part.as_str(), part.source_bytes()), ("größe", source.len()));
        assert_eq!(source.share(&source), Text::from("größe und mehr"));
        let elsewhere = String::from("größe");
        assert_eq!(source.share(&elsewhere).source_bytes(), elsewhere.len());
        assert_eq!(source.share("").source_bytes(), 0, "nothing holds nothing");
        let other = Source::from("größe und mehr");
        assert_eq!(source.share(&other[0..7]).source_bytes(), other[0..7].len());
    }

    #[test]
    fn texts_compare_by_what_they_say() {
        let source = Source::from("abab");
        assert_eq!(source.share(&source[0..2]), source.share(&source[2..4]));
        assert!(Text::from("a") < Text::from("b"));
        assert_eq!(format!("{:?}", Text::from("secret")), "Text(6 bytes)");
    }
}
