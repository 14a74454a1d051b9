//! API keys inside events: clients and their plugins copy the configuration of a page into an event.
//!
//! Members that hold a key by their name never reach an event. This finds keys by their form, in
//! any place.

use std::borrow::Cow;

use mercurio_domain::api_key::{ID_CHARS, KEY_CHARS};
use mercurio_domain::payload::RawJson;
use mercurio_domain::request::Item;

const PREFIX: &str = "mk_";
/// The prefix, the id, and the character after it.
const BEFORE_SECRET: usize = PREFIX.len() + ID_CHARS + 1;
const MASK: &str = "***";

/// Replaces the secret of every key in an event and in the pointers of its errors. The id of the key
/// stays: it may be logged.
pub(crate) fn mask_keys(item: &mut Item<'_>) {
    for error in &mut item.errors {
        if let Some(masked) = masked(&error.pointer) {
            error.pointer = masked;
        }
    }
    let draft = &mut item.draft;
    let texts = [
        &mut draft.event_id,
        &mut draft.kind,
        &mut draft.event_name,
        &mut draft.timestamp,
        &mut draft.anonymous_id,
        &mut draft.user_id,
        &mut draft.session_id,
        &mut draft.schema_version,
    ];
    for text in texts.into_iter().flatten() {
        if let Some(masked) = masked(text) {
            *text = Cow::Owned(masked);
        }
    }
    for json in [&mut draft.properties, &mut draft.traits, &mut draft.context] {
        let masked = json.as_ref().and_then(|json| masked(json.get()));
        if let Some(masked) = masked {
            let parsed = RawJson::parse(masked);
            debug_assert!(parsed.is_ok(), "a mask leaves JSON well-formed");
            *json = parsed.ok();
        }
    }
}

/// Returns a text without the secrets of its keys. The ids of the keys stay.
#[must_use]
pub fn without_keys(text: &str) -> Cow<'_, str> {
    masked(text).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Returns a text without the secrets of its keys; `None` if it has none.
fn masked(text: &str) -> Option<String> {
    let mut masked = String::new();
    let (mut rest, mut has_key) = (text, false);
    while let Some(start) = rest.find(PREFIX) {
        let from_key = &rest[start..];
        let taken = if is_key(from_key.as_bytes()) {
            has_key = true;
            masked.push_str(&rest[..start + BEFORE_SECRET]);
            masked.push_str(MASK);
            KEY_CHARS
        } else {
            masked.push_str(&rest[..start + PREFIX.len()]);
            PREFIX.len()
        };
        rest = &from_key[taken..];
    }
    // Nearly every text: without a copy.
    if !has_key {
        return None;
    }
    masked.push_str(rest);
    Some(masked)
}

/// Returns whether a text begins with a key, also with a colon before its secret.
fn is_key(text: &[u8]) -> bool {
    let Some(key) = text.get(..KEY_CHARS) else { return false };
    let (id, secret) = key.split_at(BEFORE_SECRET);
    let Some((separator, id)) = id[PREFIX.len()..].split_last() else { return false };
    let is_word = |text: &[u8]| text.iter().all(u8::is_ascii_alphanumeric);
    matches!(separator, b'_' | b':') && is_word(id) && is_word(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mercurio_domain::event::EventDraft;
    use mercurio_domain::verdict::{FieldError, FieldErrorCode};

    fn key(separator: char) -> String {
        let secret = "z".repeat(KEY_CHARS - BEFORE_SECRET);
        format!("mk_{}{separator}{secret}", "i".repeat(ID_CHARS))
    }

    #[test]
    fn secret_of_a_key_is_masked_in_any_place() {
        let (own, jitsu) = (key('_'), key(':'));
        let id = "i".repeat(ID_CHARS);
        for (text, expected) in [
            (own.clone(), Some(format!("mk_{id}_***"))),
            (format!("?a={jitsu}&b"), Some(format!("?a=mk_{id}:***&b"))),
            (format!("mk_é{own}{own}"), Some(format!("mk_émk_{id}_***mk_{id}_***"))),
            (own[..KEY_CHARS - 1].to_owned(), None),
            (own.replace("zz", "z-"), None),
            ("mk_".repeat(20), None),
            (String::new(), None),
        ] {
            assert_eq!(masked(&text), expected, "{text}");
        }
    }

    #[test]
    fn every_member_of_an_event_is_masked() {
        let key = key('_');
        let json = format!(r#"{{"a":{{"{key}":["{key}", 1.50]}}}}"#);
        let text = || Some(Cow::Owned(format!("x{key}")));
        let payload = || RawJson::parse(json.clone()).ok();
        let draft = EventDraft {
            event_id: text(),
            kind: text(),
            event_name: text(),
            timestamp: text(),
            anonymous_id: text(),
            user_id: text(),
            session_id: text(),
            schema_version: text(),
            properties: payload(),
            traits: payload(),
            context: payload(),
        };
        let error = FieldError::new(format!("/{key}/x"), FieldErrorCode::NulCharacter, "m");
        let mut item = Item { index: 0, origin: "".into(), text: "", draft, errors: vec![error] };
        mask_keys(&mut item);
        let shown = serde_json::to_string(&item.draft).unwrap() + &item.errors[0].pointer;
        assert!(!shown.contains("zz") && shown.contains("1.50"), "{shown}");
        assert_eq!(shown.matches(MASK).count(), 8 + 3 * 2 + 1);
    }
}
