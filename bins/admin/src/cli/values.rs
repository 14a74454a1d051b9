//! Readers of single values on the command line, shared by the commands.
//!
//! Each reader adds its error to `invalid` and returns `None`, so that all errors are reported at once.

use std::time::Duration;

use mercurio_domain::Timestamp;
use mercurio_domain::api_key::{Scope, Scopes, ScopesError};
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;

use crate::suggest::closest;

/// Workspace name of `provision`, `seed` and `key create` if none is given.
pub(crate) const DEFAULT_WORKSPACE: &str = "Default";

const DAY_SECONDS: u64 = 86_400;

/// Reads a name from `source`, an option or a setting.
pub(crate) fn name(source: &str, text: &str, invalid: &mut Vec<String>) -> Option<Name> {
    Name::parse(text).map_err(|error| invalid.push(format!("{source}: {error}"))).ok()
}

/// Derives a key's name from its workspace. A long workspace name can make it too long.
pub(crate) fn default_key_name(workspace: &Name, invalid: &mut Vec<String>) -> Option<Name> {
    name("the key's name", &format!("{workspace} API key"), invalid)
}

/// Reads an optional value with `read`: `Some(None)` if it is absent, `None` if it is invalid.
pub(super) fn optional<T>(
    text: Option<&str>,
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<Option<T>> {
    match text {
        None => Some(None),
        Some(text) => read(text).map(Some),
    }
}

/// Reads a tenant from `source`: a name, or an id such as `id:42`.
pub(super) fn tenant_ref(source: &str, text: &str, invalid: &mut Vec<String>) -> Option<TenantRef> {
    // Unambiguous: no name begins with `id:`.
    let Some(id) = text.strip_prefix("id:") else {
        return name(source, text, invalid).map(TenantRef::Name);
    };
    match id.parse() {
        Ok(id) => Some(TenantRef::Id(id)),
        Err(_) => {
            invalid.push(format!("{source}: {text:?} is not an id: use a number, as in id:42"));
            None
        }
    }
}

pub(super) fn workspace_name(text: Option<&str>, invalid: &mut Vec<String>) -> Option<Name> {
    name("--workspace", text.unwrap_or(DEFAULT_WORKSPACE), invalid)
}

pub(super) fn scopes(text: Option<&str>, invalid: &mut Vec<String>) -> Option<Scopes> {
    let error = match text.map_or(Ok(Scopes::all()), Scopes::parse) {
        Ok(scopes) => return Some(scopes),
        Err(error) => error,
    };
    let meant = match &error {
        ScopesError::Unknown(word) => closest(word, Scope::ALL.map(Scope::as_str)),
        _ => None,
    };
    invalid.push(format!("--scopes: {error}{}", did_you_mean(meant)));
    None
}

/// Reads one of a few words.
pub(super) fn choice(
    source: &str,
    text: &str,
    choices: &[&'static str],
    invalid: &mut Vec<String>,
) -> Option<&'static str> {
    let choice = choices.iter().copied().find(|choice| *choice == text);
    if choice.is_none() {
        let meant = did_you_mean(closest(text, choices.iter().copied()));
        invalid.push(format!("{source}: {text:?} is not one of {}{meant}", choices.join(", ")));
    }
    choice
}

/// The end of a message about an unknown word.
pub(super) fn did_you_mean(meant: Option<&str>) -> String {
    meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default()
}

pub(super) fn time(option: &str, text: &str, invalid: &mut Vec<String>) -> Option<Timestamp> {
    Timestamp::parse(text)
        .map_err(|error| invalid.push(format!("{option}: {text:?}: {error}")))
        .ok()
}

/// Reads a whole number from 1 to `max`.
pub(super) fn number(
    option: &str,
    text: &str,
    max: usize,
    invalid: &mut Vec<String>,
) -> Option<usize> {
    let number = text.parse().ok().filter(|number| (1..=max).contains(number));
    if number.is_none() {
        invalid.push(format!("{option}: {text:?} is not a whole number from 1 to {max}"));
    }
    number
}

/// Reads a duration such as `90d`, up to 100 years.
pub(super) fn duration(option: &str, text: &str, invalid: &mut Vec<String>) -> Option<Duration> {
    let duration = parse_duration(text.trim());
    if duration.is_none() {
        invalid.push(format!(
            "{option}: {text:?} is not a duration: use a number followed by s, m, h or d, \
             up to 100 years"
        ));
    }
    duration
}

fn parse_duration(text: &str) -> Option<Duration> {
    // Leap days rounded up: every hundred years fit.
    const MAX_SECONDS: u64 = 100 * 366 * DAY_SECONDS;
    // By characters: the last one of `5é` has two bytes.
    let (unit_at, unit) = text.char_indices().next_back()?;
    let unit_seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => DAY_SECONDS,
        _ => return None,
    };
    let number: u64 = text[..unit_at].parse().ok()?;
    let seconds = number.checked_mul(unit_seconds)?;
    // Bounded, so that adding it to a time stays before the year 10000.
    (seconds <= MAX_SECONDS).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_needs_a_unit_and_has_a_limit() {
        let read = |text| duration("--overlap", text, &mut Vec::new());
        assert_eq!(read("0s"), Some(Duration::ZERO));
        assert_eq!(read(" 90d "), Some(Duration::from_secs(90 * 86_400)));
        assert_eq!(read("36h"), Some(Duration::from_secs(36 * 3_600)));
        for text in ["", "d", "5", "-1d", "1.5h", "1w", "99999999999999999999d", "1000000d", "5é"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
