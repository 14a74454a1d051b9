//! The version of the schema an event follows.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::limits::MAX_SCHEMA_VERSION_CHARS;
use crate::text::Text;

/// A semantic version (semver.org 2.0.0) of at most [`MAX_SCHEMA_VERSION_CHARS`] characters.
/// Default: `1.0.0`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SchemaVersion(Text);

/// The text is not a [`SchemaVersion`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a semantic version of at most {MAX_SCHEMA_VERSION_CHARS} characters, such as 1.0.0")]
pub struct SchemaVersionError;

impl SchemaVersion {
    /// Reads a semantic version: three numbers, then optional pre-release and build parts.
    ///
    /// # Errors
    /// [`SchemaVersionError`] for any other text, including one with white space around it.
    pub fn parse(text: &str) -> Result<Self, SchemaVersionError> {
        // Valid versions are ASCII, so bytes are characters.
        if text.len() > MAX_SCHEMA_VERSION_CHARS {
            return Err(SchemaVersionError);
        }
        // A version has only one spelling, so the text is kept as sent.
        semver::Version::parse(text).map(|_| Self(text.into())).map_err(|_| SchemaVersionError)
    }

    /// Borrows the version as sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SchemaVersion {
    fn default() -> Self {
        Self("1.0.0".into())
    }
}

impl fmt::Display for SchemaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SchemaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SchemaVersion({})", self.as_str())
    }
}

impl Serialize for SchemaVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semantic_version_is_kept_as_sent() {
        for text in ["1.0.0", "2.1.0", "0.0.1-alpha.1+build.5", "18446744073709551615.0.0"] {
            assert_eq!(SchemaVersion::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(SchemaVersion::default().to_string(), "1.0.0");
    }

    #[test]
    fn other_text_is_refused() {
        let long = format!("1.0.0-{}", "a".repeat(MAX_SCHEMA_VERSION_CHARS));
        for text in [
            "",
            "1",
            "1.0",
            "v1.0.0",
            "1.0.0.0",
            " 1.0.0",
            "01.0.0",
            "1.0.x",
            // One more than a 64-bit number holds.
            "18446744073709551616.0.0",
            &long,
        ] {
            assert_eq!(SchemaVersion::parse(text), Err(SchemaVersionError), "{text}");
        }
    }
}
