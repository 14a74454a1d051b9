//! Tenants, their workspaces, and the names that people give them.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::clock::Timestamp;
use crate::ids::{TenantId, WorkspaceId};
use crate::limits::MAX_NAME_CHARS;

/// The name of a tenant, a workspace or a key: 1 to [`MAX_NAME_CHARS`] characters without the white space around them.
///
/// Control characters and the marks that change the direction of text are refused, since a name is shown beside others
/// and must not look like what it is not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(Box<str>);

/// Why a text is no [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left after the white space around it.
    #[error("a name must have at least one character that is not white space")]
    Blank,
    /// More characters than the limit.
    #[error("the name has {actual} characters; the limit is {MAX_NAME_CHARS}")]
    TooLong {
        /// How many it has.
        actual: usize,
    },
    /// A control character, or one that changes the direction of text.
    #[error("the name has the character U+{code:04X}, which cannot be shown in a name")]
    Unprintable {
        /// The code point.
        code: u32,
    },
}

impl Name {
    /// Reads a name, without the white space around it.
    ///
    /// # Errors
    /// [`NameError`] where a rule of [`Name`] is broken.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NameError::Blank);
        }
        let actual = text.chars().count();
        if actual > MAX_NAME_CHARS {
            return Err(NameError::TooLong { actual });
        }
        match text.chars().find(|character| is_unprintable(*character)) {
            Some(character) => Err(NameError::Unprintable { code: character.into() }),
            None => Ok(Self(text.into())),
        }
    }

    /// A name as the store returns it.
    pub fn from_store(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The name as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which names are compared: two names with the same one are the same name. Made here and not by SQL, so
    /// that both databases fold all letters alike.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

fn is_unprintable(character: char) -> bool {
    let changes_direction = matches!(
        character,
        '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
    );
    character.is_control() || changes_direction
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

/// Whether a tenant is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    /// It is.
    Active,
    /// Every request is refused; its data is kept.
    Suspended,
    /// Every request is refused, and its data goes.
    Deleting,
}

impl TenantStatus {
    /// The status as it stands in SQL, JSON and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleting => "deleting",
        }
    }

    /// The status of that text.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Deleting]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// A customer of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name, unique among tenants in its folded form.
    pub name: Name,
    /// Whether it is served.
    pub status: TenantStatus,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A part of a tenant with events and keys of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Its name, unique within the tenant in its folded form.
    pub name: Name,
    /// When it was made.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_surrounding_space() {
        let folded = |text| Name::parse(text).unwrap().folded();
        assert_eq!(folded(" Acme\t"), folded("aCME"));
        assert_eq!(folded("ÉCLAIR"), folded("éclair"));
        assert_ne!(folded("ac me"), folded("acme"));
        assert_eq!(Name::parse(" Acme ").unwrap().as_str(), "Acme");
    }

    #[test]
    fn a_name_that_cannot_be_shown_is_refused() {
        assert_eq!(Name::parse(""), Err(NameError::Blank));
        assert_eq!(Name::parse(" \u{3000}\n"), Err(NameError::Blank));
        assert_eq!(Name::parse("a\u{7}b"), Err(NameError::Unprintable { code: 7 }));
        assert_eq!(Name::parse("a\u{202E}b"), Err(NameError::Unprintable { code: 0x202E }));
        assert_eq!(Name::parse(&"é".repeat(256)), Err(NameError::TooLong { actual: 256 }));
        assert!(Name::parse(&"é".repeat(255)).is_ok());
    }
}
