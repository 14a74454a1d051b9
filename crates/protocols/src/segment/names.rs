//! The members of an event by Segment's names. Some have two places in a message.

use mercurio_domain::event::{Member, MemberNames};

/// The members of a message that were read from their second place.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Places {
    /// `event_name` from `name`, in place of `event`.
    pub(super) name: bool,
    /// `timestamp` from `originalTimestamp`.
    pub(super) original_timestamp: bool,
    /// `anonymous_id` from `previousId`.
    pub(super) previous_id: bool,
    /// `traits` from `context.traits`.
    pub(super) context_traits: bool,
}

impl Places {
    /// Returns the names for these places.
    pub(super) fn names(self) -> &'static MemberNames {
        let index = usize::from(self.name)
            | usize::from(self.original_timestamp) << 1
            | usize::from(self.previous_id) << 2
            | usize::from(self.context_traits) << 3;
        &NAMES[index]
    }
}

/// The names for all places, so that an event refers to its own without a copy.
static NAMES: [MemberNames; 16] = {
    let mut all = [MemberNames::OWN; 16];
    let mut index = 0;
    while index < all.len() {
        all[index] = names(index);
        index += 1;
    }
    all
};

const fn names(index: usize) -> MemberNames {
    MemberNames::OWN
        .with(Member::EventId, "messageId")
        .with(Member::EventName, place(index & 1, "event", "name"))
        .with(Member::Timestamp, place(index & 2, "timestamp", "originalTimestamp"))
        .with(Member::AnonymousId, place(index & 4, "anonymousId", "previousId"))
        .with(Member::UserId, "userId")
        .with(Member::SessionId, "context/sessionId")
        .with(Member::Traits, place(index & 8, "traits", "context/traits"))
}

const fn place(bit: usize, first: &'static str, second: &'static str) -> &'static str {
    if bit == 0 { first } else { second }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_places_have_their_own_names() {
        let first = Places::default().names();
        assert_eq!(first.of(Member::EventName), "event");
        assert_eq!(first.of(Member::Timestamp), "timestamp");
        assert_eq!(first.of(Member::AnonymousId), "anonymousId");
        assert_eq!(first.of(Member::Traits), "traits");
        let places = Places { name: true, context_traits: true, ..Places::default() };
        assert_eq!(places.names().of(Member::EventName), "name");
        assert_eq!(places.names().of(Member::Timestamp), "timestamp");
        assert_eq!(places.names().of(Member::Traits), "context/traits");
        let places = Places { original_timestamp: true, previous_id: true, ..Places::default() };
        assert_eq!(places.names().of(Member::Timestamp), "originalTimestamp");
        assert_eq!(places.names().of(Member::AnonymousId), "previousId");
        assert_eq!(places.names().of(Member::UserId), "userId");
    }
}
