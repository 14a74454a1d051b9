//! Readers of single values on the command line, shared by the commands.
//!
//! Each reader adds its error to `invalid` and returns `None`, so that all errors are reported at once.

use mercurio_domain::api_key::{Scope, Scopes, ScopesError};
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;

use crate::suggest::closest;

/// Workspace name of `provision`, `seed` and `key create` if none is given.
pub(crate) const DEFAULT_WORKSPACE: &str = "Default";

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
pub(crate) fn tenant_ref(source: &str, text: &str, invalid: &mut Vec<String>) -> Option<TenantRef> {
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
fn did_you_mean(meant: Option<&str>) -> String {
    meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default()
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
