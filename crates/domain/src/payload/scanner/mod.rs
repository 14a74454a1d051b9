//! Reads JSON that is sound, at one look a byte, and leaves all other to a real parser.
//!
//! A [`Scanner`] answers only where it is sure that the text is JSON (RFC 8259). Where it is not (an error, nesting beyond
//! the limit, a name with an escape), it gives up, and `serde_json` says what is wrong, and where, or that nothing is. So
//! the two must agree only in one direction, and a test holds them to it.

use super::RawJson;
use crate::limits::MAX_NESTING;

/// A number of this many bytes without an exponent is below 10^300, and so within a double.
pub(super) const SURELY_FINITE_BYTES: usize = 300;

/// A place in a text that is probably JSON. Each method gives `None` where the caller should ask a real parser instead.
#[derive(Debug, Clone)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// At the beginning of `text`.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Passes over white space. The byte that follows.
    pub fn peek(&mut self) -> Option<u8> {
        self.at = blanks(self.text.as_bytes(), self.at);
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes over white space and this byte.
    pub fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Passes over white space, and over the comma before another member or the `end` after the last; whether it was the
    /// comma.
    pub fn goes_on(&mut self, end: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == b',' { Some(true) } else { (byte == end).then_some(false) }
    }

    /// Reads a string that has no escapes, without its quotes.
    pub fn plain_string(&mut self) -> Option<&'a str> {
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.at + 1;
        let end = special(self.text.as_bytes(), start)?;
        if self.text.as_bytes()[end] != b'"' {
            return None;
        }
        self.at = end + 1;
        self.text.get(start..end)
    }

    /// Reads a value, and gives it as it stands.
    pub fn value(&mut self) -> Option<(&'a str, RawJson<'a>)> {
        let start = blanks(self.text.as_bytes(), self.at);
        let (end, is_plain) = value(self.text.as_bytes(), start)?;
        self.at = end;
        let text = self.text.get(start..end)?;
        Some((text, RawJson { text: text.into(), is_plain }))
    }

    /// Where the scanner is, in bytes from the beginning.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Whether only white space is left.
    pub fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }
}

/// The value that begins at `at`: where it ends, and whether it certainly has no fault of those that `faults_of` tells.
fn value(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let (mut plain, mut depth) = (true, 0_usize);
    // A bit for each level, the innermost last: whether it is an object.
    let mut objects = 0_u64;
    loop {
        match *bytes.get(at)? {
            b'"' => {
                let (end, plain_string) = string(bytes, at)?;
                plain &= plain_string;
                at = end;
            }
            opening @ (b'{' | b'[') => {
                let is_object = opening == b'{';
                if depth == MAX_NESTING {
                    return None;
                }
                at = blanks(bytes, at + 1);
                // In ASCII, what closes stands two after what opens.
                if *bytes.get(at)? == opening + 2 {
                    at += 1;
                } else {
                    depth += 1;
                    objects = (objects << 1) | u64::from(is_object);
                    if is_object {
                        at = name(bytes, at, &mut plain)?;
                    }
                    continue;
                }
            }
            b'-' | b'0'..=b'9' => {
                let end = number(bytes, at)?;
                plain &= end - at <= SURELY_FINITE_BYTES && !has_exponent(&bytes[at..end]);
                at = end;
            }
            b't' => at = word(bytes, at, b"true")?,
            b'f' => at = word(bytes, at, b"false")?,
            b'n' => at = word(bytes, at, b"null")?,
            _ => return None,
        }
        // Behind a value: the next one, or the end of one or more of those that it is in.
        loop {
            if depth == 0 {
                return Some((at, plain));
            }
            at = blanks(bytes, at);
            let is_object = objects & 1 == 1;
            match *bytes.get(at)? {
                b',' => {
                    at = blanks(bytes, at + 1);
                    if is_object {
                        at = name(bytes, at, &mut plain)?;
                    }
                    break;
                }
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return None,
            }
            at += 1;
            depth -= 1;
            objects >>= 1;
        }
    }
}

/// Passes over a member's name and colon, to its value.
fn name(bytes: &[u8], at: usize, plain: &mut bool) -> Option<usize> {
    if *bytes.get(at)? != b'"' {
        return None;
    }
    let (end, plain_name) = string(bytes, at)?;
    *plain &= plain_name;
    let colon = blanks(bytes, end);
    (*bytes.get(colon)? == b':').then(|| blanks(bytes, colon + 1))
}

/// The string that opens at `at`: where it ends, and whether none of its escapes might be a NUL or half a surrogate pair.
fn string(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    let (mut at, mut plain) = (at + 1, true);
    loop {
        at = special(bytes, at)?;
        match bytes[at] {
            b'"' => return Some((at + 1, plain)),
            b'\\' => match *bytes.get(at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                b'u' => {
                    let digits = bytes.get(at + 2..at + 6)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    plain &= !matches!(digits, [b'0', b'0', ..] | [b'd' | b'D', ..]);
                    at += 6;
                }
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// The place of the next quote, backslash or control character from `at` on.
///
/// Eight bytes at once: names and texts are too short for more to pay. (Each test sets the high bit of the bytes that it is
/// true for, and of none before the first of them: "Bit Twiddling Hacks", S. E. Anderson, "Determine if a word has a zero
/// byte".)
fn special(bytes: &[u8], mut at: usize) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    while let Some(eight) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(eight.try_into().ok()?);
        let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let found = (is_zero(word ^ (ONES * u64::from(b'"')))
            | is_zero(word ^ (ONES * u64::from(b'\\')))
            | (word.wrapping_sub(ONES * 0x20) & !word))
            & HIGH;
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).map(|found| at + found)
}

/// Where the number that begins at `at` ends. (RFC 8259, section 6)
fn number(bytes: &[u8], mut at: usize) -> Option<usize> {
    let digits =
        |at: usize| at + bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    at += usize::from(bytes[at] == b'-');
    at = match *bytes.get(at)? {
        b'0' => at + 1,
        b'1'..=b'9' => digits(at),
        _ => return None,
    };
    if bytes.get(at) == Some(&b'.') {
        let end = digits(at + 1);
        if end == at + 1 {
            return None;
        }
        at = end;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let end = digits(at.min(bytes.len()));
        if end == at {
            return None;
        }
        at = end;
    }
    Some(at)
}

fn has_exponent(number: &[u8]) -> bool {
    number.iter().any(|byte| matches!(byte, b'e' | b'E'))
}

fn word(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    bytes.get(at..)?.starts_with(word).then(|| at + word.len())
}

fn blanks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    /// What the scanner says of a whole text: whether it is plain, if it is sure.
    fn scanned(text: &str) -> Option<bool> {
        let mut scanner = Scanner::new(text);
        let (_, raw) = scanner.value()?;
        scanner.is_at_end().then_some(raw.is_plain)
    }

    fn check(text: &str) {
        let parsed = serde_json::from_str::<&RawValue>(text);
        match scanned(text) {
            Some(plain) => {
                assert!(parsed.is_ok(), "{text:?} is no JSON");
                let mut errors = Vec::new();
                super::super::faults_of(text, "", &mut errors);
                assert!(!plain || errors.is_empty(), "{text:?} {errors:?}");
            }
            None => assert!(parsed.is_err() || text.contains("[[["), "{text:?} is JSON"),
        }
    }

    #[test]
    fn what_is_json_is_passed_over_and_what_is_not_is_left() {
        for text in [
            "{}",
            "[]",
            " { } ",
            "[ ]",
            "0",
            "-0",
            "12.50",
            "1e5",
            "-1.0E-7",
            "true",
            "false",
            "null",
            "\"\"",
            "\"a\"",
            r#"{"a":1,"b":[true,{"c":null}],"d":{"e":"f"}}"#,
            r#"[1,2, 3 ,[],{},""]"#,
            "{\"long name that needs several words\":\"and a long text, with ümläuts and 漢字\"}",
            r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#,
            "\"\\u0000\"",
            "\"\\ud800\"",
            "\t[\n1\r]\n",
        ] {
            assert!(scanned(text).is_some(), "{text:?}");
            check(text);
        }
        for text in [
            "",
            " ",
            "{",
            "}",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1]",
            "[1}",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "0x1",
            "nul",
            "tru",
            "truex",
            "\"",
            "\"a",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "\"\u{1}\"",
            "1 2",
            "{}{}",
            "[1 2]",
            "{\"a\" 1}",
            "NaN",
            "'a'",
            "//",
            "\u{FEFF}1",
        ] {
            assert_eq!(scanned(text), None, "{text:?}");
            check(text);
        }
    }

    #[test]
    fn a_control_character_is_found_wherever_it_stands() {
        for length in 0..40 {
            for place in 0..length {
                for special in ["\"", "\\", "\u{1f}", "\0", "\n"] {
                    let mut text = "xé".repeat(length)[..length * 3].to_owned();
                    let at = text.char_indices().nth(place).map_or(0, |(at, _)| at);
                    text.insert_str(at, special);
                    assert_eq!(super::special(text.as_bytes(), 0), Some(at), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn nesting_beyond_the_limit_is_left() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(scanned(&nested(MAX_NESTING)), Some(true));
        assert_eq!(scanned(&nested(MAX_NESTING + 2)), None);
    }

    #[test]
    fn what_a_double_might_not_hold_is_not_plain() {
        assert_eq!(scanned("[1e5]"), Some(false));
        assert_eq!(scanned(&"9".repeat(SURELY_FINITE_BYTES + 1)), Some(false));
        assert_eq!(scanned(&"9".repeat(SURELY_FINITE_BYTES)), Some(true));
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_parser_on_nearly_right_texts(
            text in r#"[\[\]{}",:\\ue0d8 a\n\t.0-9+-Etruefalsn]{0,24}"#
        ) {
            check(&text);
        }

        #[test]
        fn it_agrees_with_the_parser_on_right_texts_with_one_byte_changed(
            place in 0_usize..200, byte in 0_u8..128
        ) {
            let mut bytes = br#"{"a":"text \u00e9 \\ \"","n":[-1.5e+3,0,12],"o":{"t":true,"f":false,"z":null,"e":{},"l":[[]]}}"#.to_vec();
            let place = place % bytes.len();
            bytes[place] = byte;
            check(std::str::from_utf8(&bytes).unwrap());
        }
    }
}
