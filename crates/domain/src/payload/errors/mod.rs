//! The walk over the text of a JSON value that finds what a store or a reader cannot hold.
//!
//! The text must be JSON already (`serde_json` has seen it). Two ways give the same answer: [`is_plain`] passes over the
//! bytes once and answers for nearly every payload; only where it is in doubt does [`faults_of`] walk again, and tells
//! what is wrong and where. What is not looked for here: the syntax, and names that stand twice in an inner object, which
//! `json` columns keep as sent.

use super::scanner::SURELY_FINITE_BYTES;
use crate::limits::MAX_NESTING;
use crate::verdict::{FieldError, FieldErrorCode, MAX_ERRORS_PER_EVENT, pointer_to};

/// Whether the JSON value `text` certainly has no fault. `false` means: look again.
pub(super) fn is_plain(text: &str) -> bool {
    value(text.trim_ascii_start()).1
}

/// What a byte of JSON can mean to one that passes over it.
const OTHER: u8 = 0;
const QUOTE: u8 = 1;
const BACKSLASH: u8 = 2;
const OPENING: u8 = 3;
const CLOSING: u8 = 4;
/// Where a number begins, inside a value.
const DIGIT: u8 = 5;
/// What ends a number or a word, white space included.
const BETWEEN: u8 = 6;

const MEANINGS: [u8; 256] = {
    let mut meanings = [OTHER; 256];
    meanings[b'"' as usize] = QUOTE;
    meanings[b'\\' as usize] = BACKSLASH;
    meanings[b'{' as usize] = OPENING;
    meanings[b'[' as usize] = OPENING;
    meanings[b'}' as usize] = CLOSING;
    meanings[b']' as usize] = CLOSING;
    meanings[b'-' as usize] = DIGIT;
    let mut digit = b'0';
    while digit <= b'9' {
        meanings[digit as usize] = DIGIT;
        digit += 1;
    }
    let between = [b',', b':', b' ', b'\t', b'\n', b'\r'];
    let mut at = 0;
    while at < between.len() {
        meanings[between[at] as usize] = BETWEEN;
        at += 1;
    }
    meanings
};

/// Passes over the JSON value at the beginning of `text`. Where it ends, and whether it certainly has no fault.
///
/// One look at each byte: inner texts are mostly too short for a vectorised search to pay.
pub(super) fn value(text: &str) -> (usize, bool) {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut plain) = (0, 0_usize, true);
    while let Some(&byte) = bytes.get(at) {
        match MEANINGS[byte as usize] {
            QUOTE => {
                let (end, plain_string) = string(bytes, at);
                plain &= plain_string;
                at = end;
            }
            OPENING => {
                depth += 1;
                plain &= depth <= MAX_NESTING;
                at += 1;
                continue;
            }
            CLOSING => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            DIGIT => {
                let length = number_length(&bytes[at..]);
                let number = &bytes[at..at + length];
                plain &= length <= SURELY_FINITE_BYTES
                    && !number.iter().any(|byte| matches!(byte, b'e' | b'E'));
                at += length;
            }
            BETWEEN => {
                at += 1;
                continue;
            }
            // true, false, null.
            _ => {
                at += 1 + bytes[at + 1..]
                    .iter()
                    .take_while(|byte| MEANINGS[**byte as usize] == OTHER)
                    .count()
            }
        }
        if depth == 0 {
            break;
        }
    }
    (at, plain)
}

/// Passes over the string that opens at `at`. Where it ends, and whether none of its escapes might be a NUL or half a
/// surrogate pair.
fn string(bytes: &[u8], at: usize) -> (usize, bool) {
    let (mut at, mut plain) = (at + 1, true);
    while let Some(byte) = bytes.get(at) {
        match MEANINGS[*byte as usize] {
            QUOTE => return (at + 1, plain),
            BACKSLASH => {
                let escape = bytes.get(at + 1..at + 4);
                plain &= !matches!(escape, Some([b'u', b'0', b'0'] | [b'u', b'd' | b'D', _]));
                at += 2;
            }
            _ => at += 1,
        }
    }
    (at.min(bytes.len()), plain)
}

fn number_length(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
        .count()
}

/// Adds every fault of the JSON value `text` to `errors`, until there are [`MAX_ERRORS_PER_EVENT`]: nesting beyond
/// [`MAX_NESTING`] levels, U+0000, halves of surrogate pairs, numbers beyond a double. Pointers begin with `pointer`.
///
/// `text` must be valid JSON; any other text gives some answer without a panic.
pub fn faults_of(text: &str, pointer: &str, errors: &mut Vec<FieldError>) {
    let mut walk = Walk { text, at: 0, errors };
    walk.value(pointer, 0);
}

struct Walk<'a> {
    text: &'a str,
    at: usize,
    errors: &'a mut Vec<FieldError>,
}

impl Walk<'_> {
    fn value(&mut self, pointer: &str, depth: usize) {
        self.skip_blanks();
        match self.peek() {
            Some(b'{') => self.members(pointer, depth + 1),
            Some(b'[') => self.items(pointer, depth + 1),
            Some(b'"') => {
                if let Err(fault) = self.string() {
                    self.fault(pointer, fault);
                }
            }
            Some(b'-' | b'0'..=b'9') => self.number(pointer),
            _ => self.at += self.rest().bytes().take_while(u8::is_ascii_alphabetic).count().max(1),
        }
    }

    fn members(&mut self, pointer: &str, depth: usize) {
        if self.is_too_deep(pointer, depth) {
            return;
        }
        self.at += 1;
        while self.continues(b'}') {
            let inner = match self.string() {
                Ok(name) => pointer_to(pointer, &name),
                Err(StringFault::Nul(name)) => {
                    let inner = pointer_to(pointer, &name);
                    self.fault(&inner, StringFault::Nul(String::new()));
                    inner
                }
                // A name with half a surrogate pair cannot be written into a pointer: the object that holds it is told.
                Err(StringFault::LoneSurrogate) => {
                    self.fault(pointer, StringFault::LoneSurrogate);
                    pointer.to_owned()
                }
            };
            self.skip_blanks();
            self.at += 1; // the colon
            self.value(&inner, depth);
        }
    }

    fn items(&mut self, pointer: &str, depth: usize) {
        if self.is_too_deep(pointer, depth) {
            return;
        }
        self.at += 1;
        let mut index = 0_usize;
        while self.continues(b']') {
            self.value(&format!("{pointer}/{index}"), depth);
            index += 1;
        }
    }

    /// Goes to the next member or item; `false` at the end of the object or array, and where enough is known.
    fn continues(&mut self, end: u8) -> bool {
        self.skip_blanks();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.skip_blanks();
        }
        match self.peek() {
            None => false,
            Some(byte) if byte == end => {
                self.at += 1;
                false
            }
            Some(_) => self.errors.len() < MAX_ERRORS_PER_EVENT,
        }
    }

    fn is_too_deep(&mut self, pointer: &str, depth: usize) -> bool {
        let too_deep = depth > MAX_NESTING;
        if too_deep {
            let message = format!(
                "objects and arrays are nested deeper than the limit of {MAX_NESTING} levels"
            );
            self.errors.push(FieldError::new(pointer, FieldErrorCode::TooDeep, message));
            self.skip_nested();
        }
        too_deep
    }

    /// Passes over an object or array without recursion, however deep it is.
    fn skip_nested(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.string().ok();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    /// Reads the string that begins here and goes behind it.
    fn string(&mut self) -> Result<String, StringFault> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        self.at += 1;
        while let Some(found) =
            bytes.get(self.at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
        {
            self.at += found;
            if bytes[self.at] == b'"' {
                self.at += 1;
                break;
            }
            self.at += 2;
        }
        self.at = self.at.min(self.text.len());
        let raw = self.text.get(start..self.at).unwrap_or_default();
        // serde_json refuses nothing else in a string that it has passed over before.
        let name: String = serde_json::from_str(raw).map_err(|_| StringFault::LoneSurrogate)?;
        if name.contains('\0') { Err(StringFault::Nul(name)) } else { Ok(name) }
    }

    fn number(&mut self, pointer: &str) {
        let length = number_length(self.rest().as_bytes());
        let number = &self.rest()[..length];
        if !number.parse::<f64>().is_ok_and(f64::is_finite) {
            let shown: String = number.chars().take(32).collect();
            let message =
                format!("the number {shown} is beyond what a double can hold (about 1.8e308)");
            self.errors.push(FieldError::new(pointer, FieldErrorCode::NumberOutOfRange, message));
        }
        self.at += length;
    }

    fn fault(&mut self, pointer: &str, fault: StringFault) {
        let (code, message) = match fault {
            StringFault::Nul(_) => {
                (FieldErrorCode::NulCharacter, "the character U+0000 cannot be stored")
            }
            StringFault::LoneSurrogate => {
                (FieldErrorCode::LoneSurrogate, "half a surrogate pair is not a character")
            }
        };
        self.errors.push(FieldError::new(pointer, code, message));
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().bytes().take_while(u8::is_ascii_whitespace).count();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }
}

enum StringFault {
    /// The text, which has a NUL.
    Nul(String),
    LoneSurrogate,
}

#[cfg(test)]
mod tests;
