//! The person of an event, of three ids that clients send.

use std::borrow::Cow;

use super::names::{Anonymous, User};

/// The ids in an event or a profile.
#[derive(Default)]
pub(super) struct Ids<'a> {
    pub(super) user: Option<Cow<'a, str>>,
    pub(super) device: Option<Cow<'a, str>>,
    /// That of a device until the person is known, and then that of the person.
    pub(super) distinct: Option<Cow<'a, str>>,
}

/// The person of an event, and the places of its ids.
pub(super) struct Person<'a> {
    pub(super) user_id: Option<Cow<'a, str>>,
    pub(super) anonymous_id: Option<Cow<'a, str>>,
    pub(super) user: User,
    pub(super) anonymous: Anonymous,
    /// Whether `distinct_id` is a third id, without a place in the event.
    pub(super) has_other_id: bool,
}

impl<'a> Person<'a> {
    pub(super) fn of(ids: Ids<'a>) -> Self {
        let mut person = Self {
            user: if ids.user.is_some() { User::Own } else { User::Distinct },
            user_id: ids.user,
            anonymous: Anonymous::Device,
            anonymous_id: ids.device,
            has_other_id: false,
        };
        let Some(id) = ids.distinct else { return person };
        if id.starts_with("$device:") || person.anonymous_id.as_deref() == Some(&*id) {
            if person.anonymous_id.is_none() {
                (person.anonymous_id, person.anonymous) = (Some(id), Anonymous::Distinct);
            }
        } else if person.user_id.is_none() {
            person.user_id = Some(id);
        } else {
            person.has_other_id = person.user_id.as_deref() != Some(&*id);
        }
        person
    }

    pub(super) fn is_nobody(&self) -> bool {
        self.user_id.is_none() && self.anonymous_id.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_id_is_a_device_or_a_user() {
        for (ids, expected, has_other_id) in [
            (["", "", ""], ["", ""], false),
            (["", "", "u"], ["u", ""], false),
            (["u", "", "u"], ["u", ""], false),
            (["u", "d", "u"], ["u", "d"], false),
            (["", "d", "u"], ["u", "d"], false),
            (["u", "d", "x"], ["u", "d"], true),
            (["", "d", "d"], ["", "d"], false),
            (["", "d", "$device:d"], ["", "d"], false),
            (["", "", "$device:d"], ["", "$device:d"], false),
            (["u", "", "$device:d"], ["u", "$device:d"], false),
        ] {
            let [user, device, distinct] = ids.map(|id| Some(id.into()).filter(|_| !id.is_empty()));
            let person = Person::of(Ids { user, device, distinct });
            let found = [person.user_id, person.anonymous_id].map(Option::unwrap_or_default);
            assert_eq!(
                (found, person.has_other_id),
                (expected.map(Cow::from), has_other_id),
                "{ids:?}"
            );
        }
    }
}
