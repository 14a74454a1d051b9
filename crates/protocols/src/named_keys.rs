//! API keys in members of an event's text that hold one by their name, such as `writeKey`. They may
//! be those of another service.

use std::borrow::Cow;

use crate::secrets::without_keys;
use crate::{Form, Protocol};

const MASK: &str = "***";

impl Form {
    /// Returns the text of an event without the keys in it.
    #[must_use]
    pub fn without_keys(self, text: &str) -> Cow<'_, str> {
        match without_named(text, names_of(self.protocol())) {
            Cow::Borrowed(text) => without_keys(text),
            Cow::Owned(text) => without_keys(&text).into_owned().into(),
        }
    }
}

/// Returns the names of members that hold a key, in lower case.
fn names_of(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Segment | Protocol::Jitsu => &["writekey", "write_key", "apikey", "api_key"],
        Protocol::Posthog | Protocol::Mixpanel => &["api_key", "token", "$token"],
        Protocol::Amplitude => &["api_key"],
        Protocol::CloudEvents | Protocol::OpenMeter | Protocol::Snowplow | Protocol::Otlp => &[],
    }
}

/// Replaces the texts in members with one of `names`. `json` may lack its end.
fn without_named<'a>(json: &'a str, names: &[&str]) -> Cow<'a, str> {
    let (mut masked, mut copied, mut rest) = (String::new(), 0, 0);
    while let Some(name) = next_string(json, rest) {
        // The next string begins after this one's closing quote.
        rest = (name.end + 1).min(json.len());
        let text = &json[name];
        if !names.iter().any(|known| known.eq_ignore_ascii_case(text)) {
            continue;
        }
        let after = json[rest..].trim_start();
        let Some(value) = after.strip_prefix(':').map(str::trim_start) else { continue };
        if !value.starts_with('"') {
            continue;
        }
        let Some(value) = next_string(json, json.len() - value.len()) else { break };
        masked.push_str(&json[copied..value.start]);
        masked.push_str(MASK);
        copied = value.end;
        rest = (value.end + 1).min(json.len());
    }
    if copied == 0 {
        return json.into();
    }
    masked.push_str(&json[copied..]);
    masked.into()
}

/// Returns the range of the next string from an offset, without its quotes.
fn next_string(json: &str, from: usize) -> Option<std::ops::Range<usize>> {
    let bytes = json.as_bytes();
    let start = from + bytes.get(from..)?.iter().position(|byte| *byte == b'"')? + 1;
    let mut end = start;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'"' => break,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    Some(start..end.min(json.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_with_the_name_of_a_key_is_masked() {
        let names = &["writekey", "token"];
        for (json, expected) in [
            (r#"{"writeKey":"secret","a":1}"#, r#"{"writeKey":"***","a":1}"#),
            (
                r#"{"p":{"TOKEN" : "s\"x\\"},"token":"y"}"#,
                r#"{"p":{"TOKEN" : "***"},"token":"***"}"#,
            ),
            // A value, a number, another name, an escaped quote.
            (r#"{"a":"token","b":"c"}"#, r#"{"a":"token","b":"c"}"#),
            (r#"{"token":5,"tokens":"x"}"#, r#"{"token":5,"tokens":"x"}"#),
            (r#"{"a\"token":"x"}"#, r#"{"a\"token":"x"}"#),
            // Cut within the key, its name or an escape.
            (r#"{"token":"sec"#, r#"{"token":"***"#),
            (r#"{"token"#, r#"{"token"#),
            (r#"{"token":"#, r#"{"token":"#),
            (r#"{"a\"#, r#"{"a\"#),
            ("", ""),
        ] {
            assert_eq!(without_named(json, names), expected, "{json}");
        }
    }
}
