//! The members of an event by Amplitude's names. Some have several places.

use mercurio_domain::event::{Member, MemberNames};

/// The place of the traits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Traits {
    #[default]
    User,
    UserSet,
    Group,
    GroupSet,
}

/// The places of members that have several.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Places {
    pub(super) traits: Traits,
    /// Whether the id of a group stands for that of a person.
    pub(super) group: bool,
}

impl Places {
    /// Returns the names for these places.
    pub(super) fn names(self) -> &'static MemberNames {
        &NAMES[usize::from(self.group)][self.traits as usize]
    }
}

/// The names for all places, so that an event refers to its own without a copy.
static NAMES: [[MemberNames; 4]; 2] = [names_of_traits("device_id"), names_of_traits("groups")];

const fn names_of_traits(anonymous_id: &'static str) -> [MemberNames; 4] {
    [
        names(anonymous_id, "user_properties"),
        names(anonymous_id, "user_properties/$set"),
        names(anonymous_id, "group_properties"),
        names(anonymous_id, "group_properties/$set"),
    ]
}

const fn names(anonymous_id: &'static str, traits: &'static str) -> MemberNames {
    MemberNames::OWN
        .with(Member::EventId, "insert_id")
        .with(Member::EventName, "event_type")
        .with(Member::Timestamp, "time")
        .with(Member::AnonymousId, anonymous_id)
        .with(Member::Properties, "event_properties")
        .with(Member::Traits, traits)
}
