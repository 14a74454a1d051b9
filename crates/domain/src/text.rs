//! Texts sharing their bytes, and the characters forbidden in a shown text or a name.
//!
//! A body is copied once into a [`Source`]. Its events keep slices of it: a reference count and two
//! offsets.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A shared text, such as the body of a request. It lives as long as its last slice, a [`Text`].
#[derive(Clone, Default)]
pub struct Source(Arc<str>);

impl Source {
    /// Returns `part` as a slice of this source, or as a copy if `part` lies elsewhere in memory.
    #[must_use]
    pub fn share(&self, part: &str) -> Text {
        // `serde_json` and the scanner return plain slices, so their address is the only link to
        // the source.
        // A part in front of the source wraps to a huge offset, and the next line refuses it.
        let offset = (part.as_ptr() as usize).wrapping_sub(self.0.as_ptr() as usize);
        let is_inside = offset.checked_add(part.len()).is_some_and(|end| end <= self.0.len());
        // Both are borrowed now, so equal addresses mean equal bytes.
        // An empty text would keep the whole body in memory for nothing.
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
    /// Only the length: content stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({} bytes)", self.0.len())
    }
}

/// A slice of a [`Source`], cheap to clone. Compares, orders and hashes like its `str`.
#[derive(Clone)]
pub struct Text {
    source: Source,
    start: usize,
    end: usize,
}

impl Text {
    /// Borrows the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // `Source::share` took the bounds from a `str`, so they are inside and between characters.
        &self.source[self.start..self.end]
    }

    /// Bytes of the whole source: this text keeps them all in memory.
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
    /// Only the length: content stays out of logs.
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

/// Returns whether a character must not appear in a text shown to people: a control character (C0,
/// DEL, C1) or a bidirectional formatting character (Unicode Standard Annex #9). The latter can
/// make one text look like another.
#[must_use]
pub fn is_unprintable(character: char) -> bool {
    let changes_direction = matches!(
        character,
        '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
    );
    character.is_control() || changes_direction
}

/// Returns whether a character shows nothing, or breaks a line: the default-ignorable characters of
/// Unicode (DerivedCoreProperties.txt), the line and paragraph separators, and the blank of Braille.
///
/// Emoji and some scripts join letters by them, so texts of clients may have them.
#[must_use]
pub fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_of_a_source_is_shared_and_other_text_copied() {
        let source = Source::from("größe und mehr");
        let part = source.share(&source[0..7]);
        // ö and ß have two bytes each.
        assert_eq!((part.as_str(), part.source_bytes()), ("größe", source.len()));
        assert_eq!(source.share(&source), Text::from("größe und mehr"));
        let elsewhere = String::from("größe");
        assert_eq!(source.share(&elsewhere).source_bytes(), elsewhere.len());
        assert_eq!(source.share("").source_bytes(), 0, "an empty text keeps nothing in memory");
        // Equal characters in another source are not shared.
        let other = Source::from("größe und mehr");
        assert_eq!(source.share(&other[0..7]).source_bytes(), other[0..7].len());
    }

    #[test]
    fn texts_compare_by_their_characters() {
        let source = Source::from("abab");
        assert_eq!(source.share(&source[0..2]), source.share(&source[2..4]));
        assert!(Text::from("a") < Text::from("b"));
        assert_eq!(format!("{:?}", Text::from("secret")), "Text(6 bytes)");
    }
}
