//! The members of an event by Snowplow's names. Some depend on the type of the event.

use mercurio_domain::event::{Member, MemberNames};

/// The kind of an event, by its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `pv`.
    Page,
    /// `se`.
    Structured,
    /// `ue`.
    SelfDescribing,
    /// All others: page pings, transactions.
    Other,
}

impl Kind {
    /// Returns the names of an event's members. `is_true_time`: its time is `ttm`.
    pub(super) fn names(self, is_true_time: bool) -> &'static MemberNames {
        &NAMES[self as usize][usize::from(is_true_time)]
    }
}

/// The names of each kind, without and with a true time, so that an event refers to its own without
/// a copy.
static NAMES: [[MemberNames; 2]; 4] =
    [names("e", "page"), names("se_ac", "se"), names("ue_pr", "ue_pr"), names("e", "properties")];

const fn names(event_name: &'static str, properties: &'static str) -> [MemberNames; 2] {
    let names = MemberNames::OWN
        .with(Member::EventId, "eid")
        .with(Member::Type, "e")
        .with(Member::EventName, event_name)
        .with(Member::Properties, properties)
        .with(Member::UserId, "uid")
        .with(Member::AnonymousId, "duid")
        .with(Member::SessionId, "sid");
    [names.with(Member::Timestamp, "dtm"), names.with(Member::Timestamp, "ttm")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_depend_on_the_kind() {
        for (kind, name) in [
            (Kind::Page, "e"),
            (Kind::Structured, "se_ac"),
            (Kind::SelfDescribing, "ue_pr"),
            (Kind::Other, "e"),
        ] {
            assert_eq!(kind.names(false).of(Member::EventName), name);
            assert_eq!(kind.names(false).of(Member::Timestamp), "dtm");
            assert_eq!(kind.names(true).of(Member::Timestamp), "ttm");
        }
    }
}
