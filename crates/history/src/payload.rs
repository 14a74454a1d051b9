//! The content of an event, reduced to a number.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use mercurio_domain::event::EventParts;

/// The members of an event that a client sends and the store keeps byte for byte.
///
/// Times are left out: the server may correct them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are those of `EventParts`")]
pub struct Payload<'a> {
    pub event_name: &'a str,
    pub user_id: Option<&'a str>,
    pub anonymous_id: Option<&'a str>,
    pub session_id: Option<&'a str>,
    pub properties: Option<&'a str>,
    pub traits: Option<&'a str>,
    pub context: Option<&'a str>,
}

impl<'a> From<&'a EventParts> for Payload<'a> {
    fn from(parts: &'a EventParts) -> Self {
        Self {
            event_name: &parts.event_name,
            user_id: parts.user_id.as_deref(),
            anonymous_id: parts.anonymous_id.as_deref(),
            session_id: parts.session_id.as_deref(),
            properties: parts.properties.as_ref().map(|object| object.as_str()),
            traits: parts.traits.as_ref().map(|object| object.as_str()),
            context: parts.context.as_ref().map(|object| object.as_str()),
        }
    }
}

/// A hash of a [`Payload`]. Tells two payloads apart, except with a chance of 2⁻⁶⁴.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(u64);

impl Digest {
    /// Hashes a payload. Equal payloads have equal digests within one build of the program.
    #[must_use]
    pub fn of(payload: &Payload<'_>) -> Self {
        // Without a random seed, unlike the hasher of a map.
        let mut hasher = DefaultHasher::new();
        payload.hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
