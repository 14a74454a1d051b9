//! Typed ids. Those of tenants, workspaces and keys are strings in JSON, so that no client rounds them to a float.

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
    /// A tenant: who pays, and the border that no data crosses.
    TenantId
}
numbered_id! {
    /// A workspace of a tenant, such as its production or its staging.
    WorkspaceId
}

/// Whose something is: a workspace and its tenant. Every read and every write names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The tenant.
    pub tenant_id: TenantId,
    /// One of the tenant's workspaces.
    pub workspace_id: WorkspaceId,
}

/// The public part of an API key: it finds the row, and may be logged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApiKeyId(Box<str>);

impl ApiKeyId {
    /// Takes `text` as it is; whether such a key exists is the store's to say.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The id as text.
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

/// The client's id of an event, unique within its tenant, byte for byte: nothing is trimmed or folded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Text);

impl EventId {
    /// An id that has passed the rules of [`crate::event`], or comes back from the store.
    pub(crate) fn checked(text: impl Into<Text>) -> Self {
        Self(text.into())
    }

    /// An id as the store returns it, or one to look for. It is not checked: one that breaks the rules finds nothing.
    pub fn lookup(text: impl Into<Text>) -> Self {
        Self(text.into())
    }

    /// The id that the server gives an event that came without one.
    #[must_use]
    pub fn generated(uuid: Uuid) -> Self {
        Self(uuid.hyphenated().to_string().into())
    }

    /// The id of an event that came without one under an `Idempotency-Key`: the same request sent again gives the same
    /// ids, and another request under the same key gives others.
    ///
    /// A UUIDv8 (RFC 9562, section 5.8) from SHA-256 over the tenant, the key, the event's place in the request and its
    /// bytes as sent. Lengths go before the parts that have no fixed one, so that no two inputs run together.
    #[must_use]
    pub fn derived(tenant_id: TenantId, idempotency_key: &str, index: usize, event: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"mercurio/idempotency-key/1\0");
        hasher.update(tenant_id.0.to_be_bytes());
        hasher.update((idempotency_key.len() as u64).to_be_bytes());
        hasher.update(idempotency_key.as_bytes());
        hasher.update((index as u64).to_be_bytes());
        hasher.update(event);
        Self::generated(uuid_v8(&hasher.finalize()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The bytes that live as long as this id does: see [`Text::source_bytes`].
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

/// The 16 bytes that stand for an [`EventId`] in the database's unique key.
///
/// An id that is a UUID in its canonical form (RFC 9562, section 4: lower-case, hyphenated) and of a version other than 8
/// is its own key, so that ids ordered in time stay ordered in the index. Any other text gets a UUIDv8 from SHA-256. The two
/// sets can't meet, since every hashed key has version 8 and no key taken as it is does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey(pub Uuid);

impl EventKey {
    /// The key of an id. The same id always has the same key; that two ids share one has a chance of 2^-122 a pair.
    #[must_use]
    pub fn of(event_id: &EventId) -> Self {
        let text = event_id.as_str();
        if let Some(uuid) = canonical_uuid(text) {
            return Self(uuid);
        }
        let mut hasher = Sha256::new();
        hasher.update(b"mercurio/event-id/1\0");
        hasher.update(text.as_bytes());
        Self(uuid_v8(&hasher.finalize()))
    }
}

fn canonical_uuid(text: &str) -> Option<Uuid> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 || bytes.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let uuid = Uuid::try_parse_ascii(bytes).ok()?;
    (uuid.get_version_num() != 8).then_some(uuid)
}

fn uuid_v8(digest: &[u8]) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Where the ids of events without one come from.
pub trait IdGenerator: Send + Sync {
    /// A new UUID, unlike any before; ordered in time where it can be.
    fn next_uuid(&self) -> Uuid;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_tenants_are_strings_in_json() {
        assert_eq!(serde_json::to_string(&TenantId(42)).unwrap(), "\"42\"");
        assert_eq!(serde_json::from_str::<WorkspaceId>("\"7\"").unwrap(), WorkspaceId(7));
        assert!(serde_json::from_str::<WorkspaceId>("7").is_err());
    }

    #[test]
    fn a_canonical_uuid_is_its_own_key() {
        for id in ["0193a5a0-7c5c-7e3b-9f6d-0123456789ab", "00000000-0000-0000-0000-000000000000"] {
            assert_eq!(EventKey::of(&EventId::checked(id)).0.to_string(), id);
        }
    }

    #[test]
    fn ids_that_differ_only_in_case_blanks_or_form_have_keys_of_their_own() {
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
        let keys: std::collections::BTreeSet<_> =
            forms.iter().map(|id| EventKey::of(&EventId::checked(*id))).collect();
        assert_eq!(keys.len(), forms.len());
    }

    #[test]
    fn nobody_can_choose_an_id_that_takes_the_key_of_a_hashed_one() {
        let hashed = EventKey::of(&EventId::checked("quake-1"));
        assert_eq!(hashed.0.get_version_num(), 8);
        let imitation = EventId::checked(hashed.0.to_string());
        assert_ne!(EventKey::of(&imitation), hashed);
    }

    #[test]
    fn a_derived_id_depends_on_the_tenant_the_key_the_place_and_the_bytes() {
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
