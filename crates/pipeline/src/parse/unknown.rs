//! Messages about unknown members. They name the member and, if they can, the one that was meant.

use mercurio_domain::hints::{Meant, meant_in_batch, meant_in_event};
use mercurio_domain::verdict::{FieldError, FieldErrorCode};

/// Maximum characters of a name in a message. A name can be as long as the body.
const MAX_SHOWN_CHARS: usize = 64;

/// Returns the message about an unknown member of an event, in a batch or alone.
pub(super) fn of_event(name: &str, is_in_batch: bool) -> String {
    let way_out = match meant_in_event(name) {
        Some(Meant::Member(member)) => format!("did you mean {member:?}?"),
        Some(Meant::Inside(payload)) => format!("put it into {payload:?}"),
        Some(Meant::SentAt) if is_in_batch => "put \"sent_at\" next to \"events\"".to_owned(),
        Some(Meant::SentAt) => "did you mean \"sent_at\"?".to_owned(),
        Some(Meant::Events) if !is_in_batch => "a single event is expected".to_owned(),
        Some(Meant::ApiKey) => API_KEY.to_owned(),
        Some(Meant::OfServer) => "the server adds it".to_owned(),
        Some(Meant::Events | Meant::EventMember) | None => "put it into \"properties\"".to_owned(),
    };
    format!("{} is not a field of an event; {way_out}", shown(name))
}

/// Returns the message about an unknown member of a batch.
pub(super) fn of_batch(name: &str) -> String {
    let way_out = match meant_in_batch(name) {
        Some(Meant::Events) => "did you mean \"events\"?",
        Some(Meant::SentAt) => "did you mean \"sent_at\"?",
        Some(Meant::ApiKey) => API_KEY,
        Some(Meant::OfServer) => "the server adds it",
        Some(Meant::EventMember) => return of_event_in_batch(name),
        Some(Meant::Member(_) | Meant::Inside(_)) | None => {
            "the fields of a batch are \"events\" and \"sent_at\""
        }
    };
    // Not "of a batch": clients of other tools send a member `batch`.
    format!("{} is not a field of the body; {way_out}", shown(name))
}

/// Returns the message about a member of an event that is not inside `events`.
fn of_event_in_batch(name: &str) -> String {
    let named = match meant_in_event(name) {
        Some(Meant::Member(member)) if member != name => format!(", as {member:?}"),
        _ => String::new(),
    };
    let shown = shown(name);
    format!("{shown} is not a field of the body; put it into an event in \"events\"{named}")
}

/// Returns the name in an error about an unknown member of a batch, if it means `events`.
pub(super) fn instead_of_events(error: &FieldError) -> Option<&str> {
    let name = error.pointer.strip_prefix('/')?;
    let is_meant = error.code == FieldErrorCode::UnknownField
        && meant_in_batch(name) == Some(Meant::Events)
        // Escaped in the pointer.
        && !name.contains('~');
    is_meant.then_some(name)
}

const API_KEY: &str = "the API key belongs in a header, not in the body";

/// Returns the beginning of a name in quotes, with escapes for what does not print.
fn shown(name: &str) -> String {
    let shown: String = name.chars().take(MAX_SHOWN_CHARS).collect();
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_the_member_that_came_and_the_one_meant() {
        for (name, expected) in [
            ("userId", "\"userId\" is not a field of an event; did you mean \"user_id\"?"),
            ("os", "\"os\" is not a field of an event; put it into \"context\""),
            ("sentAt", "\"sentAt\" is not a field of an event; did you mean \"sent_at\"?"),
            ("events", "\"events\" is not a field of an event; a single event is expected"),
            (
                "token",
                "\"token\" is not a field of an event; the API key belongs in a header, not in the body",
            ),
            ("received_at", "\"received_at\" is not a field of an event; the server adds it"),
            ("price", "\"price\" is not a field of an event; put it into \"properties\""),
        ] {
            assert_eq!(of_event(name, false), expected);
        }
        let in_batch = "\"sent_at\" is not a field of an event; put \"sent_at\" next to \"events\"";
        assert_eq!(of_event("sent_at", true), in_batch);
    }

    #[test]
    fn message_about_a_batch_names_its_fields() {
        for (name, expected) in [
            ("batch", "\"batch\" is not a field of the body; did you mean \"events\"?"),
            ("sentAt", "\"sentAt\" is not a field of the body; did you mean \"sent_at\"?"),
            (
                "user_id",
                "\"user_id\" is not a field of the body; put it into an event in \"events\"",
            ),
            (
                "event",
                "\"event\" is not a field of the body; put it into an event in \"events\", as \"event_name\"",
            ),
            (
                "x",
                "\"x\" is not a field of the body; the fields of a batch are \"events\" and \"sent_at\"",
            ),
        ] {
            assert_eq!(of_batch(name), expected);
        }
    }

    #[test]
    fn name_is_cut_and_escaped() {
        let long = "é".repeat(10_000);
        for message in [of_event(&long, true), of_batch(&long)] {
            assert!(message.starts_with(&format!("\"{}\" is", "é".repeat(64))), "{message}");
        }
        assert!(of_event("\u{202E}\n\0\"", false).starts_with(r#""\u{202e}\n\0\"" is"#));
    }
}
