//! API keys: their text, their scopes, and whether one may be used now.
//!
//! A key reads `mk_<id>_<secret>`. The id finds its row and may be logged. The secret is 32 random bytes and a CRC-32 over
//! the id and them, in lower-case base 32, so that a mistyped key is known without asking the database. Only the SHA-256
//! of the secret is stored. Not here: randomness, which is an argument, and the cache of keys.

use std::fmt;

use data_encoding::{BASE32_NOPAD_NOCASE, Encoding, Specification};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clock::Timestamp;
use crate::ids::{ApiKeyId, Owner};
use crate::limits::LimitOverrides;
use crate::tenant::{Name, TenantStatus};

const PREFIX: &str = "mk_";
/// Random bytes of an id: 80 bits, so that ids don't meet.
const ID_BYTES: usize = 10;
const SECRET_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 4;
/// How much randomness [`NewApiKey::generate`] takes.
pub const ENTROPY_BYTES: usize = ID_BYTES + SECRET_BYTES;
/// Characters of the id of a key.
pub const ID_CHARS: usize = 16;

/// What a key may do.
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

    /// The scope as it stands in SQL, JSON and on the command line.
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

/// A set of scopes, each once, in the order of [`Scope::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scopes {
    write: bool,
    read: bool,
}

/// A text that names no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopesError {
    /// This is none.
    #[error("there is no scope {0:?}; the scopes are events:write and events:read")]
    Unknown(String),
    /// A key without a scope could do nothing.
    #[error("at least one scope is needed; the scopes are events:write and events:read")]
    Empty,
}

impl Scopes {
    /// Every scope.
    #[must_use]
    pub fn all() -> Self {
        Self { write: true, read: true }
    }

    /// Reads a list of scopes divided by commas or white space.
    ///
    /// # Errors
    /// [`ScopesError`] where one of them is none, or there is none at all.
    pub fn parse(text: &str) -> Result<Self, ScopesError> {
        let mut scopes = Self::default();
        for word in text.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty()) {
            let scope = Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
            match scope.ok_or_else(|| ScopesError::Unknown(word.chars().take(64).collect()))? {
                Scope::EventsWrite => scopes.write = true,
                Scope::EventsRead => scopes.read = true,
            }
        }
        if scopes == Self::default() { Err(ScopesError::Empty) } else { Ok(scopes) }
    }

    /// Whether `scope` is among them.
    #[must_use]
    pub fn contains(self, scope: Scope) -> bool {
        match scope {
            Scope::EventsWrite => self.write,
            Scope::EventsRead => self.read,
        }
    }

    /// The scopes that are among them.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl fmt::Display for Scopes {
    /// Divided by commas, as [`Scopes::parse`] reads them and SQL keeps them.
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

/// The SHA-256 of a key's secret: all that is kept of it.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// A hash as the store returns it.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash for the store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }
}

impl PartialEq for SecretHash {
    /// In constant time.
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

/// A key as it is shown once, to the one who made it. Prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(String);

impl SecretKey {
    /// The key itself. Every call is a place from which it could leak.
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

/// A key that was just made: what to store of it, and what to show once.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What the store keeps of the secret.
    pub secret_hash: SecretHash,
    /// The key, to be shown once.
    pub key: SecretKey,
}

impl NewApiKey {
    /// Makes a key from `entropy`, which must come from the operating system's generator.
    #[must_use]
    pub fn generate(entropy: &[u8; ENTROPY_BYTES]) -> Self {
        let (id, random) = entropy.split_at(ID_BYTES);
        let id = base32().encode(id);
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

/// A key that a request presents: well formed, its checksum right, not yet compared with anything.
#[derive(Clone)]
pub struct PresentedKey {
    id: ApiKeyId,
    secret_hash: SecretHash,
}

/// A text is no API key: it has another form, or its checksum is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API key")]
pub struct MalformedKey;

impl PresentedKey {
    /// Reads a key.
    ///
    /// # Errors
    /// [`MalformedKey`] where the form or the checksum is wrong, as it is after any mistyped character.
    pub fn parse(text: &str) -> Result<Self, MalformedKey> {
        let (id, secret) =
            text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(MalformedKey)?;
        if id.len() != ID_CHARS {
            return Err(MalformedKey);
        }
        base32().decode(id.as_bytes()).map_err(|_| MalformedKey)?;
        let bytes = base32().decode(secret.as_bytes()).map_err(|_| MalformedKey)?;
        if bytes.len() != SECRET_BYTES + CHECKSUM_BYTES {
            return Err(MalformedKey);
        }
        let (random, sum) = bytes.split_at(SECRET_BYTES);
        if checksum(id, random) != sum {
            return Err(MalformedKey);
        }
        Ok(Self { id: ApiKeyId::new(id), secret_hash: SecretHash::of(secret) })
    }

    /// The id by which the key's row is found.
    #[must_use]
    pub fn id(&self) -> &ApiKeyId {
        &self.id
    }

    /// Whether this is the key of which `stored` was kept, compared in constant time.
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

fn checksum(id: &str, random: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(id.as_bytes());
    hasher.update(random);
    hasher.finalize().to_be_bytes()
}

/// RFC 4648, section 6, in small letters and without padding; anything else is refused.
fn base32() -> &'static Encoding {
    static BASE32: std::sync::OnceLock<Encoding> = std::sync::OnceLock::new();
    BASE32.get_or_init(|| {
        let mut specification = Specification::new();
        specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
        specification.encoding().unwrap_or(BASE32_NOPAD_NOCASE)
    })
}

/// An API key as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The public id.
    pub id: ApiKeyId,
    /// The workspace that it opens, and its tenant.
    pub owner: Owner,
    /// What people call it.
    pub name: Name,
    /// What it may do.
    pub scopes: Scopes,
    /// What is kept of its secret.
    pub secret_hash: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused, if ever.
    pub expires_at: Option<Timestamp>,
    /// Since when it is refused, if it is.
    pub revoked_at: Option<Timestamp>,
    /// When it was used last, if ever; to the minute.
    pub last_used_at: Option<Timestamp>,
    /// Whether its tenant is served.
    pub tenant_status: TenantStatus,
    /// The limits that its tenant has in place of the server's.
    pub tenant_limits: LimitOverrides,
}

impl ApiKey {
    /// Whether the key may be used at `now`: neither revoked nor expired. The tenant's status is another question.
    #[must_use]
    pub fn is_usable_at(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

#[cfg(test)]
mod tests;
