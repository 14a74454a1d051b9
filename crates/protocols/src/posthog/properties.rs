//! The members of `properties` with a place in an event.

use mercurio_domain::payload::{JsonMembers, JsonSlice, RawJson, text_of};

use crate::BodyKey;

/// The beginning of every API key.
const KEY_PREFIX: &str = "mk_";

/// What an event needs of its properties. A value of null counts as left out.
#[derive(Default)]
pub(super) struct Properties<'a> {
    pub(super) distinct_id: Option<JsonSlice<'a>>,
    pub(super) device_id: Option<JsonSlice<'a>>,
    /// The id before `$identify`.
    pub(super) anon_distinct_id: Option<JsonSlice<'a>>,
    /// Browsers say whether the person is known.
    pub(super) is_identified: Option<bool>,
    /// Servers say so by whether there is a profile.
    pub(super) has_profile: Option<bool>,
    pub(super) ignores_sent_at: Option<bool>,
    pub(super) insert_id: Option<JsonSlice<'a>>,
    pub(super) session_id: Option<JsonSlice<'a>>,
    pub(super) set: Option<JsonSlice<'a>>,
    pub(super) group_set: Option<JsonSlice<'a>>,
    pub(super) group_type: Option<JsonSlice<'a>>,
    pub(super) group_key: Option<JsonSlice<'a>>,
    pub(super) library: Option<JsonSlice<'a>>,
    /// The key of the project.
    pub(super) key: BodyKey<'a>,
    has_token: bool,
    has_api_key: bool,
}

impl<'a> Properties<'a> {
    pub(super) fn of(object: Option<JsonSlice<'a>>) -> Self {
        let mut found = Self::default();
        for member in object.into_iter().flat_map(JsonMembers::of) {
            if member.value.text() != "null" {
                found.add(member.name, member.value);
            }
        }
        found
    }

    /// Adds a member. `name` has its quotes.
    fn add(&mut self, name: &'a str, value: JsonSlice<'a>) {
        // Names with escapes are rare, and only the key must not get lost.
        if name.contains('\\') {
            return match text_of(name).as_deref() {
                Ok("token") => self.add_token(value),
                Ok("api_key") => self.add_api_key(value),
                _ => {}
            };
        }
        match name {
            "\"distinct_id\"" => self.distinct_id = Some(value),
            "\"$device_id\"" => self.device_id = Some(value),
            "\"$anon_distinct_id\"" => self.anon_distinct_id = Some(value),
            "\"$is_identified\"" => self.is_identified = bool_of(value),
            "\"$process_person_profile\"" => self.has_profile = bool_of(value),
            "\"$ignore_sent_at\"" => self.ignores_sent_at = bool_of(value),
            "\"$insert_id\"" => self.insert_id = Some(value),
            "\"$session_id\"" => self.session_id = Some(value),
            "\"$set\"" => self.set = Some(value),
            "\"$group_set\"" => self.group_set = Some(value),
            "\"$group_type\"" => self.group_type = Some(value),
            "\"$group_key\"" => self.group_key = Some(value),
            "\"$lib\"" => self.library = Some(value),
            "\"token\"" => self.add_token(value),
            "\"api_key\"" => self.add_api_key(value),
            _ => {}
        }
    }

    fn add_token(&mut self, value: JsonSlice<'a>) {
        self.has_token |= self.add_key(value);
    }

    fn add_api_key(&mut self, value: JsonSlice<'a>) {
        self.has_api_key |= self.add_key(value);
    }

    /// Adds a value that may be the key. Servers send properties of these names for facts of their
    /// own, which are neither keys nor lost.
    fn add_key(&mut self, value: JsonSlice<'a>) -> bool {
        let is_key = text_of(value.text()).is_ok_and(|text| text.starts_with(KEY_PREFIX));
        if is_key {
            self.key.add(value.text());
        }
        is_key
    }

    /// Returns `object` without the key.
    pub(super) fn without_key(&self, object: JsonSlice<'a>) -> RawJson<'a> {
        if !self.has_token && !self.has_api_key {
            return object.into();
        }
        RawJson::without(object, |name| {
            (self.has_token && name == "token") || (self.has_api_key && name == "api_key")
        })
    }
}

/// Reads a boolean. Any other value counts as left out.
pub(super) fn bool_of(value: JsonSlice<'_>) -> Option<bool> {
    match value.text() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}
