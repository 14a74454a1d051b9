//! Guesses at what a client meant, for the messages of errors.
//!
//! Nothing is accepted because of a guess. Each takes a name or the form of a value, and no hint
//! repeats a value. They allocate, so only the path of an error may call them.

mod members;
mod nearest;
mod times;

pub use members::{EVENT_MEMBERS, Meant, meant_in_batch, meant_in_event};
pub use nearest::{folded, nearest};
pub use times::{time_hint, unix_time_unit};

/// The hint about JSON inside a string.
pub const ENCODED_TWICE: &str = "it holds JSON that was encoded twice: send the value itself";

/// Returns a hint in the form in which it follows a message; empty without one.
#[must_use]
pub fn appended(hint: Option<&str>) -> String {
    hint.map(|hint| format!("; {hint}")).unwrap_or_default()
}

/// Returns whether a JSON value is a string that holds an object or array: JSON encoded twice.
#[must_use]
pub fn is_json_in_string(json: &str) -> bool {
    // Escapes for white space are rare, so only plain white space is skipped.
    json.strip_prefix('"').is_some_and(|text| text.trim_start().starts_with(['{', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_a_string_is_recognised() {
        for (json, expected) in [
            (r#""{\"a\":1}""#, true),
            (r#"" [1]""#, true),
            (r#""x{""#, false),
            (r#"{"a":1}"#, false),
            (r#""""#, false),
            ("", false),
        ] {
            assert_eq!(is_json_in_string(json), expected, "{json}");
        }
    }
}
