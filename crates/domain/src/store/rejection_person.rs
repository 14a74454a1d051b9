//! Finds the person of a rejected event in the event as sent.
//!
//! The event may be too broken to read its person, so every string and number of its JSON is
//! compared. Escapes are decoded, since `"\\u00e9"` and `"é"` are the same id. So are strings that
//! hold JSON: a client that encodes twice sends `"{\"user_id\":…}"`.

use super::{Person, RejectedEvent};

impl RejectedEvent {
    /// Whether an erasure of the person must remove this event: its `user_id` or `anonymous_id` is
    /// the id, or a string or number anywhere in the event is. White space around an id is ignored.
    /// If the event is cut, the beginning of an id at its end counts too.
    #[must_use]
    pub fn concerns(&self, person: &Person) -> bool {
        let id = person.id();
        let is_read = |read: &Option<String>| read.as_deref() == Some(id);
        is_read(&self.user_id)
            || is_read(&self.anonymous_id)
            || mentions(&self.event, self.is_cut, id)
    }
}

/// How deep JSON in strings of JSON is searched. Each level doubles the backslashes and adds one, so
/// deeper ones hardly occur. The work is at most that of the text's length for each level.
const ENCODINGS: usize = 4;

/// Whether a string or number of `json`, which may be cut, is `id`. Escapes are decoded, and white
/// space around ids is ignored. Strings that hold JSON in turn are searched too, four levels deep.
#[must_use]
pub fn mentions(json: &str, is_cut: bool, id: &str) -> bool {
    is_in(json, is_cut, id, ENCODINGS)
}

/// [`mentions`], with JSON in strings searched `encodings` levels deep.
fn is_in(json: &str, is_cut: bool, id: &str, encodings: usize) -> bool {
    let mut rest = json;
    while let Some(start) = rest.find(is_of_token) {
        rest = &rest[start..];
        let Token { text: whole, after, is_open } = match rest.strip_prefix('"') {
            Some(inside) => string(inside),
            None => bare(rest),
        };
        let (text, trimmed) = (whole.trim(), id.trim());
        // An id of white space alone must not match every empty text.
        let is_equal = text == trimmed && (!text.is_empty() || whole == id);
        // A cut id is the beginning of one; an empty beginning shows nothing.
        if is_equal || (is_cut && is_open && !text.is_empty() && trimmed.starts_with(text)) {
            return true;
        }
        // Not parsed first: it may be as broken as the event around it.
        let holds_json = text.starts_with(['{', '[', '"']);
        if encodings > 0 && holds_json && is_in(text, is_cut && is_open, id, encodings - 1) {
            return true;
        }
        rest = after;
    }
    false
}

/// A string or a bare word of JSON.
struct Token<'a> {
    text: String,
    after: &'a str,
    /// Whether the text may go on after the end.
    is_open: bool,
}

/// Whether a token begins with the character.
fn is_of_token(character: char) -> bool {
    character == '"' || is_of_word(character)
}

/// Whether the character belongs to a number, or to a word such as `null`.
fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '+' | '.')
}

fn bare(text: &str) -> Token<'_> {
    let end = text.find(|character| !is_of_word(character));
    let (word, after) = text.split_at(end.unwrap_or(text.len()));
    Token { text: word.to_owned(), after, is_open: end.is_none() }
}

/// Reads a string after its opening quotation mark. Wrong escapes stay as they are.
fn string(inside: &str) -> Token<'_> {
    let mut text = String::new();
    let mut rest = inside;
    while let Some(special) = rest.find(['"', '\\']) {
        text.push_str(&rest[..special]);
        if rest[special..].starts_with('"') {
            return Token { text, after: &rest[special + 1..], is_open: false };
        }
        rest = &rest[special + 1..];
        let Some(escaped) = rest.chars().next() else {
            // Cut within an escape.
            return Token { text, after: "", is_open: true };
        };
        if escaped == 'u' {
            match unicode_escape(rest) {
                Some(Decoded { character, after }) => {
                    text.push(character);
                    rest = after;
                }
                None if is_cut_escape(rest) => return Token { text, after: "", is_open: true },
                // A wrong escape is read as text.
                None => {}
            }
            continue;
        }
        text.push(match escaped {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            other => other,
        });
        rest = &rest[escaped.len_utf8()..];
    }
    text.push_str(rest);
    Token { text, after: "", is_open: true }
}

/// The longest escape without its first backslash: a pair of surrogates.
const LONGEST_ESCAPE: usize = r"uD83D\uDE00".len();

/// Whether an escape that cannot be read may be the beginning of one.
fn is_cut_escape(text: &str) -> bool {
    text.len() < LONGEST_ESCAPE && !text.contains('"')
}

/// The character of an escape, and the text after it.
struct Decoded<'a> {
    character: char,
    after: &'a str,
}

/// Reads `uXXXX`, and a second one for the other half of a surrogate pair.
fn unicode_escape(text: &str) -> Option<Decoded<'_>> {
    let first = code_unit(text)?;
    let after = &text[5..];
    if let Some(character) = char::from_u32(first.into()) {
        return Some(Decoded { character, after });
    }
    let second = after.strip_prefix('\\').and_then(code_unit);
    let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
    match pair {
        Some(character) => Some(Decoded { character, after: &after[6..] }),
        None if is_cut_escape(after) => None,
        None => Some(Decoded { character: char::REPLACEMENT_CHARACTER, after }),
    }
}

fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix('u')?.get(..4)?;
    // `from_str_radix` takes a sign too.
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_found_in_any_spelling() {
        for (json, id) in [
            (r#"{"user_id":"u1"}"#, "u1"),
            (r#"{"userId":" u1 "}"#, "u1"),
            (r#"{"user_id":["a",{"b":"u1"}]}"#, "u1"),
            (r#"{"user_id":"a\"b\\c\/d"}"#, r#"a"b\c/d"#),
            (r#"{"user_id":"a/b"}"#, "a/b"),
            (r#"{"user_id":"\u0061\u00E9\u00e9"}"#, "aéé"),
            (r#"{"user_id":"é😀"}"#, "é😀"),
            (r#"{"user_id":"\ud83D\uDe00!"}"#, "😀!"),
            (r#"{"user_id":"\n\t\b"}"#, "\n\t\u{8}"),
            (r#"{"user_id":4711}"#, "4711"),
            (r#"{"user_id":-1.5e3,"a":"b"}"#, "-1.5e3"),
            (r#"{"x":"\ud800","user_id":"u1"}"#, "u1"),
            (r#"{"x":"\uZZ","user_id":"u1"}"#, "u1"),
            (r#"{"x":"\u12","y":7}"#, "7"),
            // JSON in strings.
            (r#""{\"user_id\":\"u1\"}""#, "u1"),
            (r#"{"properties":"{\"user_id\":\"pérson-77\"}"}"#, "pérson-77"),
            (r#"{"properties":" {\"user_id\":\"p\\u00e9rson-77\"}"}"#, "pérson-77"),
            (r#"{"properties":"{\u0022user_id\u0022:4711}"}"#, "4711"),
            (r#"{"properties":"[4711]"}"#, "4711"),
            (r#"{"properties":"\"u1\""}"#, "u1"),
            (r#"{"properties":"{\"user_id\":\"u1"}"#, "u1"),
            (r#"{"a":"{\"x\":\"{}\"}","b":"[\"[\\\"u1\\\"]\"]"}"#, "u1"),
            // A quotation mark is missing.
            (r#"{"user_id":"u1"#, "u1"),
            (r#"{user_id:u1}"#, "u1"),
        ] {
            assert!(mentions(json, false, id), "{json} {id}");
        }
    }

    #[test]
    fn other_ids_are_not_found() {
        for (json, id) in [
            (r#"{"user_id":"u12"}"#, "u1"),
            (r#"{"user_id":"au1"}"#, "u1"),
            (r#"{"user_id":"the u1 of"}"#, "u1"),
            (r#"{"user_id":47110}"#, "4711"),
            (r#"{"user_id":"u1"#, "u12"),
            (r#"{"user_id":"\u00e9"}"#, "e9"),
            (r#"{"user_id":"a\"u1"}"#, "u1"),
            (r#"{"user_id":"a[\"u1\"]"}"#, "u1"),
            (r#"{"a":"{\"user_id\":\"u12\"}"}"#, "u1"),
            (r#"{"a":"{\"user_id\":\"u1"}"#, "u12"),
            (r#"{"user_id":""}"#, " "),
            ("", "u1"),
            ("{\"\\", "u1"),
        ] {
            assert!(!mentions(json, false, id), "{json} {id}");
        }
    }

    #[test]
    fn beginning_of_an_id_at_the_end_of_a_cut_event_is_found() {
        let whole = r#"{"user_id":"u\u00e9\ud83d\ude00z"#;
        let from = whole.find(":\"").unwrap() + 3;
        for end in from..whole.len() {
            let json = &whole[..end];
            assert!(mentions(json, true, "ué😀z!"), "{json}");
            assert!(!mentions(json, false, "ué😀z!"), "{json}");
            assert!(!mentions(json, true, "other"), "{json}");
        }
        assert!(mentions(r#"{"user_id":47"#, true, "4711"));
        assert!(!mentions(r#"{"user_id":""#, true, "4711"));
        assert!(!mentions(r#"{"user_id":"4", "#, true, "4711"));
    }

    /// Encodes JSON as a string of JSON so many times.
    fn encode(json: String, times: usize) -> String {
        (0..times).fold(json, |json, _| serde_json::Value::String(json).to_string())
    }

    #[test]
    fn encodings_are_bounded() {
        let json = r#"{"user_id":"u1"}"#.to_owned();
        for times in 0..=ENCODINGS {
            assert!(mentions(&encode(json.clone(), times), false, "u1"), "{times}");
        }
        assert!(!mentions(&encode(json, ENCODINGS + 1), false, "u1"));
    }

    #[test]
    fn cut_json_in_a_cut_string_shows_the_beginning_of_an_id() {
        let whole = encode(r#"{"user_id":"u\u00e9\ud83d\ude00z"}"#.to_owned(), 2);
        let from = whole.find(":").unwrap() + r#"\\\"u"#.len();
        let to = whole.find("z").unwrap();
        for end in from + 1..=to {
            let json = &whole[..end];
            assert!(mentions(json, true, "ué😀z!"), "{json}");
            assert!(!mentions(json, false, "ué😀z!"), "{json}");
            assert!(!mentions(json, true, "other"), "{json}");
        }
        // A whole string in a cut event is not cut.
        assert!(!mentions(r#"{"a":"[\"u1","b":"#, true, "u12"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(json in r#"["\\u{}\[a0-9dDeE:😀é]{0,40}"#, id in ".{0,5}") {
            // Every token is read, so the result is that of an empty id or none.
            let _ = mentions(&json, true, &id);
        }

        #[test]
        fn id_written_as_json_is_found(id in ".{1,20}") {
            let json = serde_json::json!({ "a": [&id] }).to_string();
            proptest::prop_assert!(mentions(&json, false, &id));
        }

        #[test]
        fn id_encoded_again_is_found(id in ".{1,20}", times in 0..=ENCODINGS, is_member: bool) {
            let json = encode(serde_json::json!({ "a": [&id] }).to_string(), times);
            let json = if is_member { format!("{{\"a\":{json}}}") } else { json };
            proptest::prop_assert!(mentions(&json, false, &id), "{json}");
        }
    }
}
