//! The lines of an export, read one by one within a bound of memory.

use std::io::{self, BufRead, Read};

use mercurio_domain::limits::LimitName;

/// Memory kept for the next line after a long one.
const USUAL_BYTES: usize = 1 << 20;

/// The lines of an input. Empty ones are skipped, but counted.
pub(super) struct Lines<R> {
    input: R,
    bytes: Vec<u8>,
    number: u64,
    max_bytes: usize,
}

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: u64,
    pub(super) content: Content<'a>,
}

/// The content of a line, without its line break.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Text(&'a str),
    /// More bytes than [`max_line_bytes`].
    TooLong,
    NotUtf8,
}

/// Maximum bytes of a line. The largest event that a server can be set to take fits, with some
/// characters escaped.
pub(super) fn max_line_bytes() -> usize {
    usize::try_from(LimitName::MaxEventBytes.range().end() * 2).unwrap_or(usize::MAX)
}

/// Another format that an input begins with.
struct ForeignFormat {
    start: &'static [u8],
    advice: &'static str,
}

const FOREIGN_FORMATS: [ForeignFormat; 6] = [
    ForeignFormat {
        start: &[0x1f, 0x8b],
        advice: "compressed by gzip: pipe it through `gzip -dc`",
    },
    ForeignFormat {
        start: &[0x28, 0xb5, 0x2f, 0xfd],
        advice: "compressed by zstd: pipe it through `zstd -dc`",
    },
    // Windows PowerShell writes it with `>`.
    ForeignFormat { start: &[0xff, 0xfe], advice: "UTF-16: convert it to UTF-8" },
    ForeignFormat { start: &[0xfe, 0xff], advice: "UTF-16: convert it to UTF-8" },
    ForeignFormat { start: b"event_id,", advice: "CSV: export with --format ndjson" },
    ForeignFormat { start: b"SQLite format 3", advice: "a database: export its events first" },
];

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self::with_max_bytes(input, max_line_bytes())
    }

    fn with_max_bytes(input: R, max_bytes: usize) -> Self {
        Self { input, bytes: Vec::new(), number: 0, max_bytes }
    }

    /// Returns the next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            self.bytes.clear();
            self.bytes.shrink_to(USUAL_BYTES);
            let room = self.max_bytes as u64 + 1;
            if self.input.by_ref().take(room).read_until(b'\n', &mut self.bytes)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.bytes.last() == Some(&b'\n') {
                self.bytes.pop();
            } else if self.bytes.len() > self.max_bytes {
                skip_line(&mut self.input)?;
                return Ok(Some(Line { number: self.number, content: Content::TooLong }));
            }
            if self.bytes.last() == Some(&b'\r') {
                self.bytes.pop();
            }
            if self.number == 1 && self.bytes.starts_with(b"\xef\xbb\xbf") {
                self.bytes.drain(..3);
            }
            if !self.bytes.trim_ascii().is_empty() {
                break;
            }
        }
        let content = std::str::from_utf8(&self.bytes).map_or(Content::NotUtf8, Content::Text);
        Ok(Some(Line { number: self.number, content }))
    }

    /// Returns what the first line shows about an input of another format, with advice. Call it after
    /// the first line.
    pub(super) fn foreign_format(&self) -> Option<&'static str> {
        let format = FOREIGN_FORMATS.iter().find(|format| self.bytes.starts_with(format.start));
        format.filter(|_| self.number == 1).map(|format| format.advice)
    }
}

/// Skips the rest of a line.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let part = input.fill_buf()?;
        if part.is_empty() {
            return Ok(());
        }
        let end = part.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(part.len(), |end| end + 1);
        input.consume(length);
        if end.is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// Reads in parts of 3 bytes.
    fn lines(input: &[u8]) -> Vec<String> {
        let mut lines = Lines::with_max_bytes(BufReader::with_capacity(3, input), 5);
        let mut found = Vec::new();
        while let Some(Line { number, content }) = lines.next().unwrap() {
            found.push(format!("{number}: {content:?}"));
        }
        found
    }

    #[test]
    fn line_ends_at_its_break_or_the_end_of_the_input() {
        assert_eq!(
            lines(b"a\n\nb\r\n \r\nc"),
            ["1: Text(\"a\")", "3: Text(\"b\")", "5: Text(\"c\")"]
        );
        assert_eq!(lines(b""), [""; 0]);
        assert_eq!(lines(b"\n\r\n\n"), [""; 0]);
        // A byte order mark is only one at the start.
        let expected = ["1: Text(\"a\")", "2: Text(\"\\u{feff}b\")"];
        assert_eq!(lines("\u{feff}a\n\u{feff}b".as_bytes()), expected);
        assert_eq!(lines("\u{feff}\n".as_bytes()), [""; 0]);
    }

    #[test]
    fn line_that_is_too_long_or_not_text_is_passed_over() {
        let expected = ["1: Text(\"12345\")", "2: TooLong", "3: NotUtf8", "4: TooLong"];
        assert_eq!(lines(b"12345\n1234567890\n\xff\n123456"), expected);
        assert_eq!(lines(b"123456\nabc"), ["1: TooLong", "2: Text(\"abc\")"]);
    }

    fn format(input: &[u8]) -> Option<&'static str> {
        let mut lines = Lines::new(BufReader::with_capacity(1, input));
        lines.next().unwrap();
        lines.foreign_format()
    }

    #[test]
    fn input_in_another_format_is_known_by_its_start() {
        assert!(format(b"\x1f\x8b\x08\n").is_some_and(|advice| advice.contains("gzip -dc")));
        assert!(format(b"\xff\xfe{\x00").is_some_and(|advice| advice.contains("UTF-16")));
        assert!(format(b"event_id,type\n").is_some_and(|advice| advice.contains("CSV")));
        assert_eq!((format(b"{}"), format(b"")), (None, None));
    }
}
