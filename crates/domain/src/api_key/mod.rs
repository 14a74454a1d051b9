//! API keys: text, scopes, origins and validity.
//!
//! A key has the form `mk_<id>_<secret>`. The id finds its row and may be logged. The secret has 32
//! random bytes and a CRC-32 over id and bytes, in lower-case base 32: the checksum reveals a
//! mistyped key without the database. Only the SHA-256 of the secret is stored. Randomness is an
//! argument.

mod form;
mod malformed;
mod origins;

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clock::Timestamp;
use crate::ids::{ApiKeyId, Owner};
use crate::limits::LimitOverrides;
use crate::tenant::{Name, TenantStatus};

use form::{CHECKSUM_BYTES, ID_BYTES, PREFIX, SECRET_BYTES, base32, checksum};
pub use form::{ID_CHARS, KEY_CHARS};
pub use malformed::MalformedKey;
pub use origins::{InvalidOrigin, MAX_ORIGIN_CHARS, MAX_ORIGINS, Origins, OriginsError};

/// Random bytes for [`NewApiKey::generate`].
pub const ENTROPY_BYTES: usize = ID_BYTES + SECRET_BYTES;

/// A permission of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Send events.
    #[serde(rename = "events:write")]
    EventsWrite,
    /// Read stored events.
    #[serde(rename = "events:read")]
    EventsRead,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 2] = [Self::EventsWrite, Self::EventsRead];

    /// The scope in SQL, JSON and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventsWrite => "events:write",
            Self::EventsRead => "events:read",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of scopes, in the order of [`Scope::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scopes {
    write: bool,
    read: bool,
}

/// The reason a text is not a list of scopes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopesError {
    /// No scope has this name.
    #[error("there is no scope {0:?}; the scopes are events:write and events:read")]
    Unknown(String),
    /// The list is empty: a key without a scope is useless.
    #[error("at least one scope is needed; the scopes are events:write and events:read")]
    Empty,
}

impl Scopes {
    /// The only scopes of a key with origins: everyone who opens a page can read it.
    pub const WITH_ORIGINS: Self = Self { write: true, read: false };

    /// Every scope.
    #[must_use]
    pub fn all() -> Self {
        Self { write: true, read: true }
    }

    /// Reads a list of scopes, separated by commas or white space.
    ///
    /// # Errors
    /// [`ScopesError`] for an unknown name or an empty list.
    pub fn parse(text: &str) -> Result<Self, ScopesError> {
        let mut scopes = Self::default();
        // A scope given twice counts once.
        for word in text.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty()) {
            let scope = Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
            // A word can be as long as the header or argument, so the error quotes its beginning.
            match scope.ok_or_else(|| ScopesError::Unknown(word.chars().take(64).collect()))? {
                Scope::EventsWrite => scopes.write = true,
                Scope::EventsRead => scopes.read = true,
            }
        }
        if scopes == Self::default() { Err(ScopesError::Empty) } else { Ok(scopes) }
    }

    /// Returns whether the set has `scope`.
    #[must_use]
    pub fn contains(self, scope: Scope) -> bool {
        match scope {
            Scope::EventsWrite => self.write,
            Scope::EventsRead => self.read,
        }
    }

    /// Iterates over the scopes of the set.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl fmt::Display for Scopes {
    /// Separated by commas, the form [`Scopes::parse`] reads and SQL stores.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            write!(f, "{}{scope}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// The SHA-256 of a key's secret, the only trace of it in the database.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Takes a hash as the store returns it.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the hash for the store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn of(secret: &str) -> Self {
        // A plain hash is enough: 256 random bits cannot be guessed, so salt and iterations would
        // add only cost.
        Self(Sha256::digest(secret.as_bytes()).into())
    }
}

impl PartialEq for SecretHash {
    /// In constant time, so that its duration reveals nothing.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A whole key, shown once to its creator. Prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(String);

impl SecretKey {
    /// Returns the key itself. Every call is a possible leak.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A new key: the parts to store, and the key to show once.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The public id.
    pub id: ApiKeyId,
    /// The hash of its secret, for the store.
    pub secret_hash: SecretHash,
    /// The whole key, to show once.
    pub key: SecretKey,
}

impl NewApiKey {
    /// Makes a key. `entropy` must come from the operating system's random generator.
    #[must_use]
    pub fn generate(entropy: &[u8; ENTROPY_BYTES]) -> Self {
        // One block of entropy: a caller cannot pass the id's bytes and the secret's in the wrong
        // order.
        let (id, random) = entropy.split_at(ID_BYTES);
        let id = base32().encode(id);
        // The checksum covers the id too: a typo in either part is found.
        let mut secret = random.to_vec();
        secret.extend_from_slice(&checksum(&id, random));
        let secret = base32().encode(&secret);
        Self {
            secret_hash: SecretHash::of(&secret),
            key: SecretKey(format!("{PREFIX}{id}_{secret}")),
            id: ApiKeyId::new(id),
        }
    }
}

/// A well-formed key with the right checksum, from a request, not yet compared with a stored one.
#[derive(Clone)]
pub struct PresentedKey {
    id: ApiKeyId,
    secret_hash: SecretHash,
}

impl PresentedKey {
    /// Reads a key.
    ///
    /// # Errors
    /// [`MalformedKey`] for a wrong form or checksum, so for any mistyped character.
    pub fn parse(text: &str) -> Result<Self, MalformedKey> {
        Self::well_formed(text).ok_or_else(|| MalformedKey::of(text))
    }

    fn well_formed(text: &str) -> Option<Self> {
        // The base 32 alphabet has no `_`, so the first one ends the id.
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        // The exact length keeps junk out of logs and out of the cache of keys.
        if id.len() != ID_CHARS {
            return None;
        }
        // Only the alphabet is checked; the id stays text, as in the database.
        base32().decode(id.as_bytes()).ok()?;
        let bytes = base32().decode(secret.as_bytes()).ok()?;
        if bytes.len() != SECRET_BYTES + CHECKSUM_BYTES {
            return None;
        }
        let (random, sum) = bytes.split_at(SECRET_BYTES);
        // Not in constant time: anyone can compute the checksum.
        let is_intact = checksum(id, random) == sum;
        is_intact.then(|| Self { id: ApiKeyId::new(id), secret_hash: SecretHash::of(secret) })
    }

    /// Returns the id that finds the key's row.
    #[must_use]
    pub fn id(&self) -> &ApiKeyId {
        &self.id
    }

    /// Returns whether this is the stored key. Compares in constant time.
    #[must_use]
    pub fn matches(&self, stored: &SecretHash) -> bool {
        self.secret_hash == *stored
    }
}

impl fmt::Debug for PresentedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresentedKey({}, ***)", self.id)
    }
}

/// A use of an API key. Ordered by key: transactions that update rows in this order cannot
/// deadlock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyUse {
    /// The key used.
    pub key_id: ApiKeyId,
    /// Time of the use.
    pub used_at: Timestamp,
}

/// An API key in the store, with the facts about its tenant that a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The public id.
    pub id: ApiKeyId,
    /// The workspace it gives access to.
    pub owner: Owner,
    /// Its name for people.
    pub name: Name,
    /// Its permissions.
    pub scopes: Scopes,
    /// The pages that may use it; `None`: it works from anywhere.
    pub origins: Option<Origins>,
    /// The hash of its secret.
    pub secret_hash: SecretHash,
    /// Time of its creation.
    pub created_at: Timestamp,
    /// End of its validity, exclusive.
    pub expires_at: Option<Timestamp>,
    /// Time of its revocation.
    pub revoked_at: Option<Timestamp>,
    /// Time of its last use, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// Whether its tenant may use the service.
    pub tenant_status: TenantStatus,
    /// The limits of its tenant, in place of the server's.
    pub tenant_limits: LimitOverrides,
}

impl ApiKey {
    /// Returns whether the key is neither revoked nor expired. Ignores the tenant's status.
    #[must_use]
    pub fn is_usable_at(&self, now: Timestamp) -> bool {
        // Any revocation counts, even one ahead of this server's clock.
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

#[cfg(test)]
mod tests;
