//! The only JSON scanner of the write path: one look at each byte, and any doubt is left to
//! `serde_json`.
//!
//! A [`Scanner`] answers only if it is sure that the text is JSON (RFC 8259). On an error, nesting beyond the limit or a name
//! with an escape it gives up. `serde_json` then reports the error and its position, or reads the text after all. So the two
//! have to agree in one direction only, and a property test compares them.

use serde_json::value::RawValue;

use crate::limits::MAX_NESTING;

/// A number of at most this many bytes without an exponent is below 10^300, and so within a double.
const SURELY_FINITE_BYTES: usize = 300;

/// A position in text that is probably JSON. `None` from any method means: ask `serde_json`
/// instead.
#[derive(Clone)]
pub struct Scanner<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Scanner<'a> {
    /// Starts at the beginning of `text`.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    /// Skips white space and returns the next byte without consuming it.
    pub fn peek(&mut self) -> Option<u8> {
        self.position = skip_blanks(self.text.as_bytes(), self.position);
        self.text.as_bytes().get(self.position).copied()
    }

    /// Skips white space and consumes `byte`.
    pub fn take(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.position += 1;
        Some(())
    }

    /// Consumes a comma or `end`; returns `true` for the comma, so if another member or item
    /// follows.
    pub fn has_next(&mut self, end: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.position += 1;
        if byte == b',' { Some(true) } else { (byte == end).then_some(false) }
    }

    /// Reads a string without escapes and returns it without its quotes.
    pub fn plain_string(&mut self) -> Option<&'a str> {
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.position + 1;
        let end = find_special(self.text.as_bytes(), start)?;
        // A backslash or a control character: the slow path unescapes or refuses the name.
        if self.text.as_bytes()[end] != b'"' {
            return None;
        }
        self.position = end + 1;
        self.text.get(start..end)
    }

    /// Reads a value.
    pub fn value(&mut self) -> Option<JsonSlice<'a>> {
        let start = skip_blanks(self.text.as_bytes(), self.position);
        let Scanned { end, is_storable } = scan_value(self.text, start)?;
        self.position = end;
        Some(JsonSlice { text: self.text.get(start..end)?, is_storable })
    }

    /// Returns the offset in bytes.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Returns whether only white space is left.
    pub fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }
}

/// A well-formed JSON value as a slice of the text around it, without white space at its ends.
#[derive(Clone, Copy)]
pub struct JsonSlice<'a> {
    text: &'a str,
    is_storable: bool,
}

impl<'a> JsonSlice<'a> {
    /// Returns the text of the value.
    #[must_use]
    pub fn text(self) -> &'a str {
        self.text
    }

    /// Returns whether a store can keep the value.
    pub(super) fn is_storable(self) -> bool {
        self.is_storable
    }
}

impl<'a> From<&'a RawValue> for JsonSlice<'a> {
    /// For values that `serde_json` has read, on the slow path.
    fn from(raw: &'a RawValue) -> Self {
        Self { text: raw.get(), is_storable: is_storable(raw.get()) }
    }
}

/// Returns whether `text` is one JSON value that a store can keep.
pub(super) fn is_storable(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.value().is_some_and(JsonSlice::is_storable) && scanner.is_at_end()
}

/// Returns whether `number`, well-formed in JSON, is within the range of a double.
pub(super) fn is_finite(number: &str) -> bool {
    let has_exponent = number.bytes().any(|byte| matches!(byte, b'e' | b'E'));
    // Parsing a double costs more than scanning its digits, and nearly no number needs it.
    (number.len() <= SURELY_FINITE_BYTES && !has_exponent)
        || number.parse::<f64>().is_ok_and(f64::is_finite)
}

/// A value or string whose syntax is right.
struct Scanned {
    end: usize,
    /// `false` if and only if the slow path finds an error in it.
    is_storable: bool,
}

/// Scans the value at `at`. Without recursion: the depth of a body costs no stack.
fn scan_value(text: &str, mut at: usize) -> Option<Scanned> {
    let bytes = text.as_bytes();
    let (mut is_storable, mut depth) = (true, 0_usize);
    // A bit for each level, the innermost last: 1 for an object. `MAX_NESTING` bits fit.
    let mut objects = 0_u64;
    loop {
        match *bytes.get(at)? {
            b'"' => {
                // A bad string is noted and the scan goes on: the syntax of the rest still matters.
                let string = scan_string(bytes, at)?;
                is_storable &= string.is_storable;
                at = string.end;
            }
            opening @ (b'{' | b'[') => {
                let is_object = opening == b'{';
                // An error for a payload, but any depth is JSON: the slow path decides.
                if depth == MAX_NESTING {
                    return None;
                }
                at = skip_blanks(bytes, at + 1);
                // In ASCII, a closing bracket is two after its opening one.
                if *bytes.get(at)? == opening + 2 {
                    at += 1;
                } else {
                    depth += 1;
                    objects = (objects << 1) | u64::from(is_object);
                    if is_object {
                        at = scan_name(bytes, at, &mut is_storable)?;
                    }
                    // The first value inside comes next.
                    continue;
                }
            }
            b'-' | b'0'..=b'9' => {
                let end = scan_number(bytes, at)?;
                is_storable &= is_finite(&text[at..end]);
                at = end;
            }
            b't' => at = scan_word(bytes, at, b"true")?,
            b'f' => at = scan_word(bytes, at, b"false")?,
            b'n' => at = scan_word(bytes, at, b"null")?,
            _ => return None,
        }
        // After a value: the next one, or the end of one or more objects and arrays around it.
        loop {
            if depth == 0 {
                return Some(Scanned { end: at, is_storable });
            }
            at = skip_blanks(bytes, at);
            let is_object = objects & 1 == 1;
            match *bytes.get(at)? {
                b',' => {
                    at = skip_blanks(bytes, at + 1);
                    if is_object {
                        at = scan_name(bytes, at, &mut is_storable)?;
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

/// Scans a member's name and colon; returns the start of its value.
fn scan_name(bytes: &[u8], at: usize, is_storable: &mut bool) -> Option<usize> {
    if *bytes.get(at)? != b'"' {
        return None;
    }
    let name = scan_string(bytes, at)?;
    *is_storable &= name.is_storable;
    // White space is allowed on either side of the colon (RFC 8259, section 2).
    let colon = skip_blanks(bytes, name.end);
    (*bytes.get(colon)? == b':').then(|| skip_blanks(bytes, colon + 1))
}

/// Scans the string that opens at `at`. It is storable without U+0000 and lone surrogates.
fn scan_string(bytes: &[u8], at: usize) -> Option<Scanned> {
    let (mut at, mut is_storable) = (at + 1, true);
    loop {
        at = find_special(bytes, at)?;
        match bytes[at] {
            b'"' => return Some(Scanned { end: at + 1, is_storable }),
            b'\\' => match *bytes.get(at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                b'u' => {
                    let unit = code_unit(bytes, at)?;
                    // The length of `\uXXXX`.
                    at += 6;
                    // A leading unit needs a trailing one right after it. Alone, either has no
                    // UTF-8 form.
                    match unit {
                        0 | 0xDC00..=0xDFFF => is_storable = false,
                        0xD800..=0xDBFF => match code_unit(bytes, at) {
                            Some(0xDC00..=0xDFFF) => at += 6,
                            _ => is_storable = false,
                        },
                        _ => {}
                    }
                }
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// Reads the UTF-16 code unit of the escape `\uXXXX` at `at`.
fn code_unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let mut unit = 0;
    for digit in digits {
        unit = unit * 16 + char::from(*digit).to_digit(16)?;
    }
    Some(unit)
}

/// Returns the position of the next quote, backslash or control character.
///
/// Eight bytes at once: names and texts are too short for wider steps to pay. Each test sets the
/// high bit of the bytes it is true for, and of none before the first of them ("Bit Twiddling
/// Hacks", S. E. Anderson, "Determine if a word has a zero byte").
fn find_special(bytes: &[u8], mut at: usize) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    while let Some(eight) = bytes.get(at..at + 8) {
        // Little-endian: the first byte is the lowest, so trailing zeros count bytes from the
        // front.
        let word = u64::from_le_bytes(eight.try_into().ok()?);
        let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let found = (is_zero(word ^ (ONES * u64::from(b'"')))
            | is_zero(word ^ (ONES * u64::from(b'\\')))
            // Bytes below 0x20, the control characters forbidden in a string (RFC 8259, section 7).
            | (word.wrapping_sub(ONES * 0x20) & !word))
            & HIGH;
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    // Fewer than eight bytes are left.
    let rest = bytes.get(at..)?;
    rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).map(|found| at + found)
}

/// Returns the end of the number at `at` (RFC 8259, section 6).
fn scan_number(bytes: &[u8], mut at: usize) -> Option<usize> {
    at += usize::from(bytes[at] == b'-');
    at = match *bytes.get(at)? {
        // No leading zeros: in `01` the caller finds a digit in place of a comma.
        b'0' => at + 1,
        b'1'..=b'9' => skip_digits(bytes, at),
        _ => return None,
    };
    if bytes.get(at) == Some(&b'.') {
        let end = skip_digits(bytes, at + 1);
        if end == at + 1 {
            return None;
        }
        at = end;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        // The sign of an exponent is optional.
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let end = skip_digits(bytes, at);
        if end == at {
            return None;
        }
        at = end;
    }
    Some(at)
}

fn skip_digits(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b'0'..=b'9') = bytes.get(at) {
        at += 1;
    }
    at
}

fn scan_word(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    // In `truex` the caller finds a letter in place of a comma.
    bytes.get(at..)?.starts_with(word).then_some(at + word.len())
}

fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    // Not `is_ascii_whitespace`, which includes the form feed.
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests;
