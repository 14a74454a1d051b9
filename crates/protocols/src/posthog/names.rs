//! The members of an event by PostHog's names. Several have more than one place in a foreign event.

use mercurio_domain::event::{Member, MemberNames};

/// The members of a foreign event that a person's ids come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Anonymous {
    /// `distinct_id`: nobody is known.
    #[default]
    Distinct,
    /// `$device_id`, next to a known person.
    Device,
    /// `$anon_distinct_id` of an `$identify`.
    AnonDistinct,
}

/// The member with the traits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Traits {
    /// `$set` of the event.
    #[default]
    Set,
    /// `$set` of the properties.
    SetInProperties,
    /// `$group_set`.
    GroupSet,
}

/// The places in which the members of an event were found.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Places {
    /// `$insert_id`, in place of `uuid`.
    pub(super) insert_id: bool,
    /// `distinct_id` of the properties, in place of the event's.
    pub(super) distinct_id_in_properties: bool,
    /// `$session_id` of the properties, in place of `session_id`.
    pub(super) session_id_in_properties: bool,
    pub(super) anonymous: Anonymous,
    pub(super) traits: Traits,
}

/// All combinations of three places with two values, and two with three.
const COMBINATIONS: usize = 2 * 2 * 2 * 3 * 3;

impl Places {
    /// Returns the names for these places.
    pub(super) fn names(self) -> &'static MemberNames {
        let flags = usize::from(self.insert_id)
            | usize::from(self.distinct_id_in_properties) << 1
            | usize::from(self.session_id_in_properties) << 2;
        &NAMES[(flags * 3 + self.anonymous as usize) * 3 + self.traits as usize]
    }
}

/// The names for all places, so that an event refers to its own without a copy.
static NAMES: [MemberNames; COMBINATIONS] = {
    let mut all = [MemberNames::OWN; COMBINATIONS];
    let mut index = 0;
    while index < all.len() {
        all[index] = names(index);
        index += 1;
    }
    all
};

const fn names(index: usize) -> MemberNames {
    let flags = index / 9;
    let [first, second] = if flags & 2 == 0 {
        ["distinct_id", "properties/distinct_id"]
    } else {
        ["properties/distinct_id", "distinct_id"]
    };
    let [anonymous, user] = match index / 3 % 3 {
        // Without any id, the error names both places.
        0 => [first, second],
        1 => ["properties/$device_id", first],
        _ => ["properties/$anon_distinct_id", first],
    };
    let traits = match index % 3 {
        0 => "$set",
        1 => "properties/$set",
        _ => "properties/$group_set",
    };
    let event_id = if flags & 1 == 0 { "uuid" } else { "properties/$insert_id" };
    let session_id = if flags & 4 == 0 { "session_id" } else { "properties/$session_id" };
    MemberNames::OWN
        .with(Member::EventId, event_id)
        .with(Member::Type, "event")
        .with(Member::EventName, "event")
        .with(Member::AnonymousId, anonymous)
        .with(Member::UserId, user)
        .with(Member::SessionId, session_id)
        .with(Member::Traits, traits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_its_own_name() {
        let first = Places::default().names();
        for (member, name) in [
            (Member::EventId, "uuid"),
            (Member::AnonymousId, "distinct_id"),
            (Member::UserId, "properties/distinct_id"),
            (Member::SessionId, "session_id"),
            (Member::Traits, "$set"),
            (Member::Timestamp, "timestamp"),
        ] {
            assert_eq!(first.of(member), name);
        }
        let all = Places {
            insert_id: true,
            distinct_id_in_properties: true,
            session_id_in_properties: true,
            anonymous: Anonymous::AnonDistinct,
            traits: Traits::GroupSet,
        };
        for (member, name) in [
            (Member::EventId, "properties/$insert_id"),
            (Member::AnonymousId, "properties/$anon_distinct_id"),
            (Member::UserId, "properties/distinct_id"),
            (Member::SessionId, "properties/$session_id"),
            (Member::Traits, "properties/$group_set"),
        ] {
            assert_eq!(all.names().of(member), name);
        }
        let device = Places { anonymous: Anonymous::Device, ..Places::default() };
        assert_eq!(device.names().of(Member::UserId), "distinct_id");
        assert_eq!(device.names().of(Member::AnonymousId), "properties/$device_id");
    }
}
