//! The members of an event by Mixpanel's names. The ids of a person have several places.

use mercurio_domain::event::{Member, MemberNames};

/// The place of a user id.
#[derive(Debug, Clone, Copy)]
pub(super) enum User {
    Distinct,
    /// `$user_id`
    Own,
    Identified,
    /// The first of `$distinct_ids`.
    First,
}

/// The place of an anonymous id.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anonymous {
    Device,
    Distinct,
    Anon,
}

/// Returns the names for the places of an event.
pub(super) fn of_event(user: User, anonymous: Anonymous) -> &'static MemberNames {
    &EVENT[user as usize][anonymous as usize]
}

/// Returns the names for the places of a user's profile.
pub(super) fn of_profile(user: User, anonymous: Anonymous) -> &'static MemberNames {
    let user = usize::from(matches!(user, User::Own));
    &PROFILE[user][usize::from(matches!(anonymous, Anonymous::Distinct))]
}

/// Returns the names of a group's profile.
pub(super) fn of_group() -> &'static MemberNames {
    &GROUP
}

/// The names for all places, so that an event refers to its own without a copy.
static EVENT: [[MemberNames; 3]; 4] = [
    event("properties/distinct_id"),
    event("properties/$user_id"),
    event("properties/$identified_id"),
    event("properties/$distinct_ids/0"),
];

const fn event(user_id: &'static str) -> [MemberNames; 3] {
    let names = MemberNames::OWN
        .with(Member::EventId, "properties/$insert_id")
        .with(Member::EventName, "event")
        .with(Member::Timestamp, "properties/time")
        .with(Member::UserId, user_id);
    [
        names.with(Member::AnonymousId, "properties/$device_id"),
        names.with(Member::AnonymousId, "properties/distinct_id"),
        names.with(Member::AnonymousId, "properties/$anon_id"),
    ]
}

static PROFILE: [[MemberNames; 2]; 2] = [profile("$distinct_id"), profile("$user_id")];

const fn profile(user_id: &'static str) -> [MemberNames; 2] {
    let names = MemberNames::OWN
        .with(Member::Timestamp, "$time")
        .with(Member::Traits, "$set")
        .with(Member::UserId, user_id);
    [names.with(Member::AnonymousId, "$device_id"), names.with(Member::AnonymousId, "$distinct_id")]
}

static GROUP: MemberNames = MemberNames::OWN
    .with(Member::Timestamp, "$time")
    .with(Member::Traits, "$set")
    .with(Member::AnonymousId, "$group_id")
    .with(Member::UserId, "$group_id");
