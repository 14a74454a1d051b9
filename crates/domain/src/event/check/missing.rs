//! Connects a missing member with the unknown one that the client sent in its place.

use crate::hints::{Meant, meant_in_event};
use crate::verdict::{FieldError, FieldErrorCode};

/// Names, in each error about a missing member, the unknown member that was probably meant.
///
/// `event` is the pointer of the event. The unknown members are among `errors`, from the parser.
#[cold]
pub(super) fn explain(event: &str, errors: &mut [FieldError]) {
    let is_missing = |error: &FieldError| error.code == FieldErrorCode::Required;
    if !errors.iter().any(is_missing) {
        return;
    }
    let unknown: Vec<_> = errors.iter().filter_map(|error| Unknown::of(event, error)).collect();
    for error in errors.iter_mut().filter(|error| is_missing(error)) {
        let wanted: &[&str] = match error.pointer.strip_prefix(event) {
            Some("") => &["user_id", "anonymous_id"],
            Some("/event_name") => &["event_name"],
            _ => continue,
        };
        if let Some(Unknown { name, meant }) = unknown.iter().find(|unknown| unknown.is_in(wanted))
        {
            let message = &error.message;
            let message = format!("{message}; did you mean {meant:?} instead of {name:?}?");
            error.message = message.into();
        }
    }
}

/// An unknown member with a likely meaning. Such names are short.
struct Unknown {
    name: String,
    meant: &'static str,
}

impl Unknown {
    fn of(event: &str, error: &FieldError) -> Option<Self> {
        if error.code != FieldErrorCode::UnknownField {
            return None;
        }
        let name = error.pointer.strip_prefix(event)?.strip_prefix('/')?;
        match meant_in_event(name) {
            // A name with escapes in the pointer is another one than the client sent.
            Some(Meant::Member(meant)) if !name.contains('~') => {
                Some(Self { name: name.to_owned(), meant })
            }
            _ => None,
        }
    }

    fn is_in(&self, wanted: &[&str]) -> bool {
        wanted.contains(&self.meant)
    }
}
