//! What is wrong with the form of a text sent as an API key.
//!
//! Decided by the text alone, so that the answer says nothing about existing keys. No message
//! repeats any part of the text.

use super::form::{ID_CHARS, KEY_CHARS, PREFIX};

/// The difference between a text and an API key. Completes the sentence "The API key …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedKey {
    /// No text, as from a variable without a value.
    #[error("is empty; check the variable with the key")]
    Empty,
    /// A quotation mark at the beginning or end.
    #[error("has quotes around it; send it without them")]
    Quoted,
    /// A variable that nothing replaced by its value.
    #[error(
        "is the name of a variable, not its value; a shell replaces variables in double quotes only"
    )]
    Variable,
    /// An ellipsis or angle brackets, as in documentation.
    #[error("is a placeholder from an example; put your own key there")]
    Placeholder,
    /// A scheme of `Authorization` before the key.
    #[error("begins with a scheme; write Bearer once")]
    RepeatedScheme,
    /// White space inside.
    #[error("contains white space")]
    WhiteSpace,
    /// A key of another service.
    #[error("does not begin with mk_, as every key of this server does")]
    Prefix,
    /// The public part of a key.
    #[error("is only the id of a key; send the whole key, as shown when it was made")]
    IdOnly,
    /// Upper-case letters.
    #[error("has upper-case letters; a key has none")]
    UpperCase,
    /// Another length than a key.
    #[error("has {actual} characters; a key has {KEY_CHARS}")]
    Length {
        /// Characters of the text.
        actual: usize,
    },
    /// Characters outside the alphabet, or `_` at another position.
    #[error("has characters that are not part of a key")]
    Characters,
    /// The right form, but not the characters of any key.
    #[error("has a wrong checksum; a character is missing, added or mistyped")]
    Checksum,
}

impl MalformedKey {
    /// Describes a text that is no well-formed key.
    pub(super) fn of(text: &str) -> Self {
        // From the outside to the inside: the first mistake usually causes the later ones.
        if text.is_empty() {
            return Self::Empty;
        }
        if text.starts_with(is_quote) || text.ends_with(is_quote) {
            return Self::Quoted;
        }
        if text.starts_with(['$', '%', '{']) || text.contains("${") || text.contains("{{") {
            return Self::Variable;
        }
        if text.contains(['…', '<', '>']) || text.contains("...") {
            return Self::Placeholder;
        }
        if text.split_once(' ').is_some_and(|(scheme, _)| is_scheme(scheme)) {
            return Self::RepeatedScheme;
        }
        if text.contains(char::is_whitespace) {
            return Self::WhiteSpace;
        }
        let Some(rest) = text.strip_prefix(PREFIX) else {
            return if is_id(text) { Self::IdOnly } else { prefix_error(text) };
        };
        if is_id(rest.strip_suffix('_').unwrap_or(rest)) {
            return Self::IdOnly;
        }
        if text.contains(char::is_uppercase) {
            return Self::UpperCase;
        }
        let actual = text.chars().count();
        if actual != KEY_CHARS {
            return Self::Length { actual };
        }
        let has_alphabet = |part: &str| part.chars().all(is_base32);
        match rest.split_once('_') {
            Some((id, secret))
                if id.len() == ID_CHARS && has_alphabet(id) && has_alphabet(secret) =>
            {
                Self::Checksum
            }
            _ => Self::Characters,
        }
    }
}

fn prefix_error(text: &str) -> MalformedKey {
    let prefix = text.get(..PREFIX.len());
    if prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX)) {
        return MalformedKey::UpperCase;
    }
    MalformedKey::Prefix
}

fn is_quote(character: char) -> bool {
    matches!(character, '"' | '\'' | '`' | '“' | '”' | '‘' | '’')
}

fn is_scheme(text: &str) -> bool {
    text.eq_ignore_ascii_case("bearer") || text.eq_ignore_ascii_case("basic")
}

fn is_id(text: &str) -> bool {
    text.len() == ID_CHARS && text.chars().all(is_base32)
}

fn is_base32(character: char) -> bool {
    matches!(character, 'a'..='z' | '2'..='7')
}

#[cfg(test)]
mod tests {
    use super::super::tests::new_key;
    use super::super::{NewApiKey, PresentedKey};
    use super::*;

    #[test]
    fn form_of_a_malformed_key_is_described() {
        let NewApiKey { key, id, .. } = new_key();
        let key = key.expose();
        let last = if key.ends_with('a') { "b" } else { "a" };
        let [cut, changed] = ["", last].map(|last| format!("{}{last}", &key[..key.len() - 1]));
        for (text, expected) in [
            (String::new(), MalformedKey::Empty),
            (format!("\"{key}\""), MalformedKey::Quoted),
            (format!("{key}'"), MalformedKey::Quoted),
            ("$MERCURIO_API_KEY".to_owned(), MalformedKey::Variable),
            ("${KEY}".to_owned(), MalformedKey::Variable),
            ("%KEY%".to_owned(), MalformedKey::Variable),
            ("{{ key }}".to_owned(), MalformedKey::Variable),
            ("mk_${SECRET}".to_owned(), MalformedKey::Variable),
            ("mk_…".to_owned(), MalformedKey::Placeholder),
            ("mk_...".to_owned(), MalformedKey::Placeholder),
            ("<key>".to_owned(), MalformedKey::Placeholder),
            (format!("Bearer {key}"), MalformedKey::RepeatedScheme),
            (format!(" {key}"), MalformedKey::WhiteSpace),
            (key.replacen('_', " ", 2), MalformedKey::WhiteSpace),
            ("phc_abc".to_owned(), MalformedKey::Prefix),
            ("mk".to_owned(), MalformedKey::Prefix),
            ("é".to_owned(), MalformedKey::Prefix),
            (id.as_str().to_owned(), MalformedKey::IdOnly),
            (format!("mk_{id}"), MalformedKey::IdOnly),
            (format!("mk_{id}_"), MalformedKey::IdOnly),
            (key.to_uppercase(), MalformedKey::UpperCase),
            (key.replacen("mk_", "Mk_", 1), MalformedKey::UpperCase),
            (cut, MalformedKey::Length { actual: KEY_CHARS - 1 }),
            (format!("{key}a"), MalformedKey::Length { actual: KEY_CHARS + 1 }),
            (key.replacen("mk_", "mk_0", 1)[..KEY_CHARS].to_owned(), MalformedKey::Characters),
            (key.replacen(id.as_str(), "0123456789012345", 1), MalformedKey::Characters),
            (changed, MalformedKey::Checksum),
        ] {
            assert_eq!(PresentedKey::parse(&text).err(), Some(expected), "{text}");
        }
    }

    #[test]
    fn message_has_no_part_of_the_key() {
        let NewApiKey { key, id, .. } = new_key();
        let secret = key.expose().rsplit_once('_').unwrap().1;
        for text in [
            id.as_str().to_owned(),
            format!("'{}'", key.expose()),
            format!("{}x", key.expose()),
            secret.to_owned(),
            format!("$({secret})"),
        ] {
            let message = PresentedKey::parse(&text).unwrap_err().to_string();
            assert!(!message.contains(id.as_str()) && !message.contains(&secret[..8]), "{message}");
        }
    }
}
