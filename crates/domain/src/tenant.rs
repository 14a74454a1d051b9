//! Tenants, their workspaces, and the names that people give them.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::clock::Timestamp;
use crate::ids::{TenantId, WorkspaceId};
use crate::limits::MAX_NAME_CHARS;
use crate::text::is_unprintable;

/// The name of a tenant, a workspace or a key: 1 to [`MAX_NAME_CHARS`] characters without the white
/// space around them.
///
/// Control and bidirectional formatting characters are refused, because a name in a list must not
/// look like another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(Box<str>);

/// The rule of [`Name`] that a text breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, or only white space.
    #[error("a name must have at least one character that is not white space")]
    Blank,
    /// More characters than the limit.
    #[error("the name has {actual} characters; the limit is {MAX_NAME_CHARS}")]
    TooLong {
        /// Characters of the text.
        actual: usize,
    },
    /// A control or bidirectional formatting character.
    #[error("the name has the character U+{code:04X}, which cannot be shown in a name")]
    Unprintable {
        /// Its code point.
        code: u32,
    },
}

impl Name {
    /// Reads a name, without the white space around it.
    ///
    /// # Errors
    /// [`NameError`] if the text breaks a rule of [`Name`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NameError::Blank);
        }
        // Characters, not bytes: people count them in an error message.
        let actual = text.chars().count();
        if actual > MAX_NAME_CHARS {
            return Err(NameError::TooLong { actual });
        }
        match text.chars().find(|character| is_unprintable(*character)) {
            Some(character) => Err(NameError::Unprintable { code: character.into() }),
            None => Ok(Self(text.into())),
        }
    }

    /// Takes a name as the store returns it, unchecked.
    pub fn from_store(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Borrows the name, without the white space around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which names are compared. Not computed in SQL, because the two databases fold
    /// letters differently.
    #[must_use]
    pub fn folded(&self) -> String {
        // By Unicode's default mapping, without regard to the server's locale.
        self.0.to_lowercase()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Whether a tenant may use the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    /// Requests are served.
    Active,
    /// Every request is refused; data is kept.
    Suspended,
    /// Every request is refused; data is being erased.
    Deleting,
}

impl TenantStatus {
    /// The status in SQL, JSON and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleting => "deleting",
        }
    }

    /// The reverse of [`TenantStatus::as_str`].
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        // Databases store `deleting` as a time in another column, never as a text.
        [Self::Active, Self::Suspended, Self::Deleting]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// A customer of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tenant {
    /// Given by the database.
    pub id: TenantId,
    /// Unique among tenants in its folded form.
    pub name: Name,
    /// Whether it may use the service.
    pub status: TenantStatus,
    /// Time of its creation.
    pub created_at: Timestamp,
}

/// A part of a tenant with its own events and keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Workspace {
    /// Given by the database.
    pub id: WorkspaceId,
    /// The tenant it belongs to.
    pub tenant_id: TenantId,
    /// Unique within the tenant in its folded form.
    pub name: Name,
    /// Time of its creation.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case_and_surrounding_space() {
        let folded = |text| Name::parse(text).unwrap().folded();
        assert_eq!(folded(" Acme\t"), folded("aCME"));
        assert_eq!(folded("ÉCLAIR"), folded("éclair"));
        // Only the white space around a name is ignored.
        assert_ne!(folded("ac me"), folded("acme"));
        assert_eq!(Name::parse(" Acme ").unwrap().as_str(), "Acme");
    }

    #[test]
    fn name_that_cannot_be_shown_is_refused() {
        assert_eq!(Name::parse(""), Err(NameError::Blank));
        assert_eq!(Name::parse(" \u{3000}\n"), Err(NameError::Blank));
        assert_eq!(Name::parse("a\u{7}b"), Err(NameError::Unprintable { code: 7 }));
        assert_eq!(Name::parse("a\u{202E}b"), Err(NameError::Unprintable { code: 0x202E }));
        assert_eq!(Name::parse(&"é".repeat(256)), Err(NameError::TooLong { actual: 256 }));
        assert!(Name::parse(&"é".repeat(255)).is_ok());
    }
}
