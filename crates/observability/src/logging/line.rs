//! Formats a record as a line, in the logging thread and in a buffer of that thread.

use crate::logging::keys;
use crate::logging::level::{LogFormat, LogLevel};
use crate::logging::unique::UniqueKeys;
use chrono::{DateTime, Utc};
use slog::{
    BorrowedKV, Drain, KV, Key, Level, OwnedKVList, Record, RecordStatic, Serializer, b, o,
};
use slog_term::{Decorator, RecordDecorator, ThreadSafeTimestampFn};
use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Maximum capacity of a buffer kept for the next line.
const KEPT_BUFFER: usize = 16 * 1024;

/// The format of all lines of a logger.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LineFormat {
    Json,
    Terminal { colours: bool },
}

impl LineFormat {
    /// Colours need a terminal that has them and a user who wants them.
    pub(crate) fn new(format: LogFormat, on_terminal: bool) -> Self {
        match format {
            LogFormat::Json => Self::Json,
            LogFormat::Terminal => {
                // A terminal without a type counts as one without colours.
                let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
                // https://no-color.org
                let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                Self::Terminal { colours: on_terminal && !dumb && !unwanted }
            }
        }
    }
}

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SECOND: RefCell<FormattedSecond> =
        const { RefCell::new(FormattedSecond { second: i64::MIN, text: String::new() }) };
}

/// Calls `take` with the record's line, newline included.
///
/// A value may log while it is formatted: `take` on the cell leaves an empty buffer for that inner line.
///
/// # Errors
/// If a value cannot be formatted.
pub(crate) fn with_line<T>(
    format: LineFormat,
    record: &Record<'_>,
    logger_values: &OwnedKVList,
    take: impl FnOnce(&[u8]) -> T,
) -> io::Result<T> {
    let mut line = BUFFER.take();
    line.clear();
    let printed = print(format, record, logger_values, &mut line);
    let taken = printed.map(|()| take(&line));
    // One long line must not keep its memory in every thread.
    if line.capacity() <= KEPT_BUFFER {
        BUFFER.set(line);
    }
    taken
}

/// Formats the line that reports dropped lines.
pub(crate) fn dropped_lines(
    format: LineFormat,
    dropped: u64,
    take: impl FnOnce(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let line = RecordStatic { location: &HERE, level: Level::Warning, tag: "" };
    let values = b!(keys::DROPPED_LINES => dropped);
    with_line(
        format,
        &Record::new(&line, &format_args!("log lines dropped"), values),
        &o!().into(),
        take,
    )?
}

/// Source position of the logger's own records.
const HERE: slog::RecordLocation = slog::RecordLocation {
    file: file!(),
    line: line!(),
    column: 0,
    function: "",
    module: module_path!(),
};

fn print(
    format: LineFormat,
    record: &Record<'_>,
    logger_values: &OwnedKVList,
    line: &mut Vec<u8>,
) -> io::Result<()> {
    let ts = timestamp();
    // The tag carries the time to `terminal_header`, so the clock is read once.
    let still = RecordStatic { location: record.location(), level: record.level(), tag: &ts };
    let unique = UniqueKeys { record, logger_values };
    // The record has all values, so its logger adds none.
    let nothing = o!().into();
    match format {
        LineFormat::Json => {
            let members = JsonMembers { ts: &ts, record, unique };
            slog_json::Json::new(line)
                .build()
                .log(&Record::new(&still, record.msg(), BorrowedKV(&members)), &nothing)
        }
        LineFormat::Terminal { colours } => {
            let decorator = AnsiDecorator { line: RefCell::new(line), colours };
            let drain = slog_term::FullFormat::new(decorator);
            let drain = drain.use_custom_header_print(terminal_header).build();
            drain.log(&Record::new(&still, record.msg(), BorrowedKV(&unique)), &nothing)
        }
    }
}

/// All members of a JSON line.
struct JsonMembers<'a> {
    ts: &'a str,
    record: &'a Record<'a>,
    unique: UniqueKeys<'a>,
}

impl KV for JsonMembers<'_> {
    fn serialize(&self, record: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        serializer.emit_str(Key::from(keys::TS), self.ts)?;
        serializer
            .emit_str(Key::from(keys::LEVEL), LogLevel::from(self.record.level()).as_str())?;
        // A constant message needs no allocation.
        match self.record.msg().as_str() {
            Some(constant) => serializer.emit_str(Key::from(keys::MSG), constant)?,
            None => serializer.emit_str(Key::from(keys::MSG), &self.record.msg().to_string())?,
        }
        self.unique.serialize(record, serializer)
    }
}

/// A second as text, kept per thread: chrono takes most of the time of a line.
struct FormattedSecond {
    second: i64,
    text: String,
}

impl FormattedSecond {
    fn append_to(&mut self, ts: &mut String, now: DateTime<Utc>) {
        if self.second != now.timestamp() {
            self.second = now.timestamp();
            self.text = now.format("%Y-%m-%dT%H:%M:%S").to_string();
        }
        ts.push_str(&self.text);
    }
}

/// Returns the current time: RFC 3339, UTC, microseconds.
fn timestamp() -> String {
    let now = Utc::now();
    let mut ts = String::with_capacity(32);
    SECOND.with_borrow_mut(|second| second.append_to(&mut ts, now));
    // chrono represents a leap second as more than a million microseconds.
    write!(ts, ".{:06}Z", now.timestamp_subsec_micros().min(999_999)).ok();
    ts
}

/// slog-term's own header reads the clock again and cuts levels to four letters.
fn terminal_header(
    _: &dyn ThreadSafeTimestampFn<Output = io::Result<()>>,
    line: &mut dyn RecordDecorator,
    record: &Record<'_>,
    _: bool,
) -> io::Result<bool> {
    line.start_timestamp()?;
    write!(line, "{}", record.tag())?;
    line.start_whitespace()?;
    write!(line, " ")?;
    line.start_level()?;
    // Eight characters fit the longest level, so messages align.
    write!(line, "{:8}", LogLevel::from(record.level()))?;
    line.start_whitespace()?;
    write!(line, " ")?;
    line.start_msg()?;
    write!(line, "{}", record.msg())?;
    // True makes slog-term write a comma between message and values.
    Ok(true)
}

/// Writes a line into a buffer, with ANSI colours if wanted.
///
/// slog-term's `TermDecorator` can colour only standard output or standard error, each line with its own write. Lines of this
/// logger go into a buffer first.
struct AnsiDecorator<'a> {
    line: RefCell<&'a mut Vec<u8>>,
    colours: bool,
}

impl Decorator for AnsiDecorator<'_> {
    fn with_record<F>(&self, record: &Record<'_>, _: &OwnedKVList, print: F) -> io::Result<()>
    where
        F: FnOnce(&mut dyn RecordDecorator) -> io::Result<()>,
    {
        print(&mut AnsiRecord {
            line: &mut self.line.borrow_mut(),
            level: record.level(),
            colours: self.colours,
        })
    }
}

struct AnsiRecord<'a> {
    line: &'a mut Vec<u8>,
    level: Level,
    colours: bool,
}

impl AnsiRecord<'_> {
    /// Select Graphic Rendition (ECMA-48, section 8.3.117).
    fn render(&mut self, parameter: u8) -> io::Result<()> {
        if self.colours { write!(self.line, "\x1b[{parameter}m") } else { Ok(()) }
    }
}

impl Write for AnsiRecord<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl RecordDecorator for AnsiRecord<'_> {
    fn reset(&mut self) -> io::Result<()> {
        self.render(0)
    }

    fn start_level(&mut self) -> io::Result<()> {
        // 31 is red and 36 is cyan: foreground colours of ECMA-48, section 8.3.117.
        let colour = match self.level {
            Level::Critical => 35,
            Level::Error => 31,
            Level::Warning => 33,
            Level::Info => 32,
            Level::Debug => 36,
            Level::Trace => 34,
        };
        self.render(colour)
    }

    fn start_msg(&mut self) -> io::Result<()> {
        self.start_key()
    }

    fn start_key(&mut self) -> io::Result<()> {
        self.render(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slog::record;

    #[test]
    fn terminal_colours_level_message_and_keys() {
        let mut line = Vec::new();
        print(
            LineFormat::Terminal { colours: true },
            &record!(Level::Error, "", &format_args!("failed"), b!("status" => 500)),
            &o!().into(),
            &mut line,
        )
        .unwrap();
        let text = String::from_utf8(line).unwrap();
        // The time before `Z` differs in each run.
        let (_, rest) = text.split_once("Z").unwrap();
        assert_eq!(
            rest,
            "\x1b[0m \x1b[31merror   \x1b[0m \x1b[1mfailed\x1b[0m, \x1b[1mstatus\x1b[0m:\x1b[0m \x1b[0m500\x1b[0m\n"
        );
    }

    #[test]
    fn timestamp_advances_within_a_second_and_into_the_next() {
        let mut before = timestamp();
        // Longer than a second, so the cached second changes.
        let until = Utc::now() + chrono::TimeDelta::milliseconds(1_100);
        while Utc::now() < until {
            let ts = timestamp();
            let parsed = chrono::DateTime::parse_from_rfc3339(&ts).unwrap();
            assert!((Utc::now() - parsed.to_utc()).num_milliseconds() < 500, "{ts}");
            assert!(ts >= before, "{ts} after {before}");
            before = ts;
        }
    }
}
