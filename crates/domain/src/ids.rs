//! Typed ids. Those of tenants and workspaces are strings in JSON, so that no client rounds them to
//! a float.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::text::Text;

macro_rules! numbered_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                // JavaScript and many JSON readers round integers beyond 2^53.
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

numbered_id! {
    /// The id of a tenant, a customer. No data crosses the border between two tenants.
    TenantId
}
numbered_id! {
    /// The id of a workspace of a tenant, such as production or staging.
    WorkspaceId
}

/// The owner of events and keys: a workspace and its tenant. Every read and write names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The tenant.
    pub tenant_id: TenantId,
    /// One of the tenant's workspaces.
    pub workspace_id: WorkspaceId,
}

/// The public part of an API key. It finds the row of the key and may be logged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApiKeyId(Box<str>);

impl ApiKeyId {
    /// Takes any text: an id without a key finds nothing.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Borrows the text of the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of an event, unique within its tenant. Compared byte for byte: nothing is trimmed or
/// folded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Text);

impl EventId {
    /// Takes an id that passed the rules of [`crate::event`].
    pub(crate) fn checked(text: impl Into<Text>) -> Self {
        Self(text.into())
    }

    /// Takes an id to look for, or from the store, unchecked: one that breaks the rules finds
    /// nothing.
    pub fn lookup(text: impl Into<Text>) -> Self {
        Self(text.into())
    }

    /// Makes the id of an event without one.
    #[must_use]
    pub fn generated(uuid: Uuid) -> Self {
        Self(uuid.hyphenated().to_string().into())
    }

    /// Derives the id of an event without one from an `Idempotency-Key`. The same request sent
    /// again gets the same ids; another request under the same key gets others.
    ///
    /// The id is a UUIDv8 (RFC 9562, section 5.8) from SHA-256 over the tenant, the key, the
    /// event's index in the request and its bytes as sent.
    #[must_use]
    pub fn derived(tenant_id: TenantId, idempotency_key: &str, index: usize, event: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        // The prefix separates these hashes from those of event ids, and numbers the scheme.
        hasher.update(b"mercurio/idempotency-key/1\0");
        // Two tenants with the same key and event must not share an id.
        hasher.update(tenant_id.0.to_be_bytes());
        // The length separates the key from the index, so that no two inputs hash the same bytes.
        hasher.update((idempotency_key.len() as u64).to_be_bytes());
        hasher.update(idempotency_key.as_bytes());
        hasher.update((index as u64).to_be_bytes());
        // Last, so it needs no length: the hash ends here.
        hasher.update(event);
        Self::generated(uuid_v8(&hasher.finalize()))
    }

    /// Derives an id from the content of an event, for a protocol without ids: the same `parts` in
    /// the same `scheme` get the same id.
    ///
    /// The id is a UUIDv8 (RFC 9562, section 5.8) from SHA-256 over the parts.
    #[must_use]
    pub fn of_content(scheme: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"mercurio/content/1\0");
        // Each part with its length, so that no two lists hash the same bytes.
        for part in [scheme.as_bytes()].iter().chain(parts) {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self::generated(uuid_v8(&hasher.finalize()))
    }

    /// Borrows the text of the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn source_bytes(&self) -> usize {
        self.0.source_bytes()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({:?})", self.as_str())
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The 16 bytes of an [`EventId`] in the database's unique key.
///
/// A UUID in canonical form (RFC 9562, section 4: lower case, hyphens) of any version but 8 is its
/// own key, so that ids ordered in time stay ordered in the index. Any other text becomes a UUIDv8
/// from SHA-256. The two sets cannot meet: every hashed key has version 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey(pub Uuid);

impl EventKey {
    /// Returns the key of an id, always the same. Two ids share a key with a probability of 2^-122.
    #[must_use]
    pub fn of(event_id: &EventId) -> Self {
        let text = event_id.as_str();
        // Without hashing: a UUIDv7 keeps its order in time, so inserts hit few index pages.
        if let Some(uuid) = canonical_uuid(text) {
            return Self(uuid);
        }
        let mut hasher = Sha256::new();
        // Stored keys depend on this prefix; changing it would make every old event new.
        hasher.update(b"mercurio/event-id/1\0");
        hasher.update(text.as_bytes());
        Self(uuid_v8(&hasher.finalize()))
    }
}

fn canonical_uuid(text: &str) -> Option<Uuid> {
    let bytes = text.as_bytes();
    // The parser also accepts braces, URNs, upper case and no hyphens. Those are other ids and need
    // other keys.
    if bytes.len() != 36 || bytes.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let uuid = Uuid::try_parse_ascii(bytes).ok()?;
    // Otherwise a client could choose the key of another id.
    (uuid.get_version_num() != 8).then_some(uuid)
}

fn uuid_v8(digest: &[u8]) -> Uuid {
    let mut bytes = [0; 16];
    // `from_custom_bytes` overwrites 6 bits with version and variant; 122 bits of the hash remain.
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// The source of ids for events without one, so that tests can choose them.
pub trait IdGenerator: Send + Sync {
    /// Returns a new, unique UUID, preferably ordered in time.
    fn next_uuid(&self) -> Uuid;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_and_workspace_ids_are_strings_in_json() {
        assert_eq!(serde_json::to_string(&TenantId(42)).unwrap(), "\"42\"");
        assert_eq!(serde_json::from_str::<WorkspaceId>("\"7\"").unwrap(), WorkspaceId(7));
        assert!(serde_json::from_str::<WorkspaceId>("7").is_err());
    }

    #[test]
    fn canonical_uuid_is_its_own_key() {
        // The canonical form of a UUID; other spellings of it follow.
        for id in ["0193a5a0-7c5c-7e3b-9f6d-0123456789ab", "00000000-0000-0000-0000-000000000000"] {
            assert_eq!(EventKey::of(&EventId::checked(id)).0.to_string(), id);
        }
    }

    #[test]
    fn ids_that_differ_in_case_blanks_or_form_have_different_keys() {
        let forms = [
            "0193a5a0-7c5c-7e3b-9f6d-0123456789ab",
            "0193A5A0-7C5C-7E3B-9F6D-0123456789AB",
            "0193a5a0-7c5c-7e3b-9f6d-0123456789aB",
            "0193a5a07c5c7e3b9f6d0123456789ab",
            "{0193a5a0-7c5c-7e3b-9f6d-0123456789ab}",
            "urn:uuid:0193a5a0-7c5c-7e3b-9f6d-0123456789ab",
            " 0193a5a0-7c5c-7e3b-9f6d-0123456789ab",
            "0193a5a0-7c5c-7e3b-9f6d-0123456789ab ",
            "a",
            "A",
            "a ",
            " a",
            "á",
            "a\u{301}",
        ];
        // One key each: nothing is trimmed, folded or normalized.
        let keys: std::collections::BTreeSet<_> =
            forms.iter().map(|id| EventKey::of(&EventId::checked(*id))).collect();
        assert_eq!(keys.len(), forms.len());
    }

    #[test]
    fn id_that_imitates_a_hashed_key_has_another_key() {
        let hashed = EventKey::of(&EventId::checked("quake-1"));
        assert_eq!(hashed.0.get_version_num(), 8);
        // The text of a hashed key is a canonical UUID of version 8, which is hashed again.
        let imitation = EventId::checked(hashed.0.to_string());
        assert_ne!(EventKey::of(&imitation), hashed);
    }

    #[test]
    fn id_of_content_depends_on_scheme_and_borders_of_parts() {
        let base = EventId::of_content("s", &[b"a/b", b"c"]);
        assert_eq!(base, EventId::of_content("s", &[b"a/b", b"c"]));
        for other in [
            EventId::of_content("t", &[b"a/b", b"c"]),
            EventId::of_content("s", &[b"a", b"b/c"]),
            EventId::of_content("s", &[b"a/bc"]),
            EventId::of_content("s", &[b"a/b", b"c", b""]),
        ] {
            assert_ne!(base, other);
        }
        assert_eq!(Uuid::parse_str(base.as_str()).unwrap().get_version_num(), 8);
    }

    #[test]
    fn derived_id_depends_on_tenant_key_index_and_bytes() {
        let base = EventId::derived(TenantId(1), "k", 0, b"{}");
        assert_eq!(base, EventId::derived(TenantId(1), "k", 0, b"{}"));
        for other in [
            EventId::derived(TenantId(2), "k", 0, b"{}"),
            EventId::derived(TenantId(1), "l", 0, b"{}"),
            EventId::derived(TenantId(1), "k", 1, b"{}"),
            EventId::derived(TenantId(1), "k", 0, b"{ }"),
        ] {
            assert_ne!(base, other);
        }
        assert_eq!(Uuid::parse_str(base.as_str()).unwrap().get_version_num(), 8);
    }
}
