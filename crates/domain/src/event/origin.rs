//! The origin of an event: its position in the body of a request, the names of its members there,
//! and the client's clock.
//!
//! Only an error reads position and names. Neither costs a valid event a string.

use std::borrow::Cow;
use std::fmt;

use crate::clock::Timestamp;
use crate::hints::EVENT_MEMBERS;

/// A member of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// `event_id`
    EventId,
    /// `type`
    Type,
    /// `event_name`
    EventName,
    /// `timestamp`
    Timestamp,
    /// `anonymous_id`
    AnonymousId,
    /// `user_id`
    UserId,
    /// `session_id`
    SessionId,
    /// `schema_version`
    SchemaVersion,
    /// `properties`
    Properties,
    /// `traits`
    Traits,
    /// `context`
    Context,
}

/// The names of the members of an event in a body. The name of a nested one is a path, such as
/// `context/sessionId`; none has a character to escape in a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberNames([&'static str; EVENT_MEMBERS.len()]);

impl MemberNames {
    /// The names in this server's own API.
    pub const OWN: Self = Self(EVENT_MEMBERS);

    /// Replaces the name of a member.
    #[must_use]
    pub const fn with(mut self, member: Member, name: &'static str) -> Self {
        self.0[member as usize] = name;
        self
    }

    /// Returns the name of a member.
    #[must_use]
    pub const fn of(&self, member: Member) -> &'static str {
        self.0[member as usize]
    }
}

/// Position of an event in a body. `Display` writes it as a JSON pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pointer {
    /// The value at this pointer; empty for the body itself.
    At(&'static str),
    /// An item of an array.
    Item {
        /// Pointer of the array.
        array: &'static str,
        /// Index, from 0.
        index: usize,
    },
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(pointer) => f.write_str(pointer),
            Self::Item { array, index } => write!(f, "{array}/{index}"),
        }
    }
}

/// The origin of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Position in the body.
    pub pointer: Pointer,
    /// Names of the members in the body.
    pub names: &'static MemberNames,
    /// Time of sending, by the client's clock.
    pub sent_at: Option<Timestamp>,
}

impl From<Pointer> for Origin {
    /// An event in this server's own form.
    fn from(pointer: Pointer) -> Self {
        Self { pointer, names: &MemberNames::OWN, sent_at: None }
    }
}

impl From<&'static str> for Origin {
    /// An event in this server's own form, at a JSON pointer.
    fn from(pointer: &'static str) -> Self {
        Pointer::At(pointer).into()
    }
}

impl Origin {
    /// Returns the JSON pointer of a member.
    #[must_use]
    pub fn pointer_to(&self, member: Member) -> String {
        format!("{}/{}", self.pointer, self.names.of(member))
    }

    /// Returns the name of a member for a message.
    #[must_use]
    pub fn name_of(&self, member: Member) -> Cow<'static, str> {
        let name = self.names.of(member);
        if name.contains('/') { name.replace('/', ".").into() } else { name.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_foreign_body_are_in_pointers_and_messages() {
        const NAMES: MemberNames = MemberNames::OWN
            .with(Member::UserId, "userId")
            .with(Member::SessionId, "context/sessionId");
        let pointer = Pointer::Item { array: "/batch", index: 3 };
        let origin = Origin { names: &NAMES, ..pointer.into() };
        assert_eq!(origin.pointer.to_string(), "/batch/3");
        assert_eq!(origin.pointer_to(Member::UserId), "/batch/3/userId");
        assert_eq!(origin.pointer_to(Member::SessionId), "/batch/3/context/sessionId");
        assert_eq!(origin.name_of(Member::SessionId), "context.sessionId");
        // The others keep their own names.
        assert_eq!(origin.pointer_to(Member::Context), "/batch/3/context");
        assert_eq!(Origin::from("").pointer_to(Member::EventId), "/event_id");
    }
}
