//! A record becomes a line: in the thread that logs it, in a buffer that the thread keeps.
//!
//! Not here: where lines go ([`crate::logging::queue`]); which values a line has ([`crate::logging::unique`]).

use crate::logging::keys;
use crate::logging::level::{LogFormat, LogLevel};
use crate::logging::unique::Unique;
use chrono::Utc;
use slog::{
    BorrowedKV, Drain, KV, Key, Level, OwnedKVList, Record, RecordStatic, Serializer, b, o,
};
use slog_term::{Decorator, RecordDecorator, ThreadSafeTimestampFn};
use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::io::{self, Write};

/// A buffer that grew beyond this many bytes is not kept.
const KEPT_BUFFER: usize = 16 * 1024;

/// The form of all lines of a logger.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    Json,
    Terminal { colours: bool },
}

impl Form {
    /// `on_terminal`: whether a person looks at the output.
    pub(crate) fn new(format: LogFormat, on_terminal: bool) -> Self {
        match format {
            LogFormat::Json => Self::Json,
            LogFormat::Terminal => {
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
    static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

/// Hands the record's line, newline included, to `take`. A value that logs while it is printed gets a buffer of its own.
///
/// # Errors
/// Of a value that can't be printed.
pub(crate) fn with_line<T>(
    form: Form,
    record: &Record<'_>,
    logger_values: &OwnedKVList,
    take: impl FnOnce(&[u8]) -> T,
) -> io::Result<T> {
    let mut line = BUFFER.take();
    line.clear();
    let printed = print(form, record, logger_values, &mut line);
    let taken = printed.map(|()| take(&line));
    if line.capacity() <= KEPT_BUFFER {
        BUFFER.set(line);
    }
    taken
}

/// The line that tells how many lines were lost.
pub(crate) fn dropped_lines(
    form: Form,
    dropped: u64,
    take: impl FnOnce(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let line = RecordStatic { location: &HERE, level: Level::Warning, tag: "" };
    let values = b!(keys::DROPPED_LINES => dropped);
    with_line(
        form,
        &Record::new(&line, &format_args!("log lines dropped"), values),
        &o!().into(),
        take,
    )?
}

/// The place of the logger's own records.
const HERE: slog::RecordLocation = slog::RecordLocation {
    file: file!(),
    line: line!(),
    column: 0,
    function: "",
    module: module_path!(),
};

fn print(
    form: Form,
    record: &Record<'_>,
    logger_values: &OwnedKVList,
    line: &mut Vec<u8>,
) -> io::Result<()> {
    let ts = timestamp();
    let still = RecordStatic { location: record.location(), level: record.level(), tag: &ts };
    let unique = Unique { record, logger_values };
    let nothing = o!().into();
    match form {
        Form::Json => {
            let whole = Whole { ts: &ts, record, unique };
            slog_json::Json::new(line)
                .build()
                .log(&Record::new(&still, record.msg(), BorrowedKV(&whole)), &nothing)
        }
        Form::Terminal { colours } => {
            let format = slog_term::FullFormat::new(Painter { line: RefCell::new(line), colours });
            let format = format.use_custom_header_print(terminal_header).build();
            format.log(&Record::new(&still, record.msg(), BorrowedKV(&unique)), &nothing)
        }
    }
}

/// All members of a JSON line.
struct Whole<'a> {
    ts: &'a str,
    record: &'a Record<'a>,
    unique: Unique<'a>,
}

impl KV for Whole<'_> {
    fn serialize(&self, record: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        serializer.emit_str(Key::from(keys::TS), self.ts)?;
        serializer
            .emit_str(Key::from(keys::LEVEL), LogLevel::from(self.record.level()).as_str())?;
        match self.record.msg().as_str() {
            Some(constant) => serializer.emit_str(Key::from(keys::MSG), constant)?,
            None => serializer.emit_str(Key::from(keys::MSG), &self.record.msg().to_string())?,
        }
        self.unique.serialize(record, serializer)
    }
}

/// The time of a line: RFC 3339, UTC, microseconds.
fn timestamp() -> String {
    let now = Utc::now();
    let second = now.timestamp();
    let mut ts = String::with_capacity(32);
    SECOND.with_borrow_mut(|(kept, text)| {
        if *kept != second {
            *kept = second;
            *text = now.format("%Y-%m-%dT%H:%M:%S").to_string();
        }
        ts.push_str(text);
    });
    // A leap second is told as a second of more than a million microseconds.
    write!(ts, ".{:06}Z", now.timestamp_subsec_micros().min(999_999)).ok();
    ts
}

/// slog-term's own header takes the time by itself and cuts levels to four letters.
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
    write!(line, "{:8}", LogLevel::from(record.level()))?;
    line.start_whitespace()?;
    write!(line, " ")?;
    line.start_msg()?;
    write!(line, "{}", record.msg())?;
    Ok(true)
}

/// Writes a line into a buffer, in colours if they are wanted. (slog-term's own writes to the terminal itself.)
struct Painter<'a> {
    line: RefCell<&'a mut Vec<u8>>,
    colours: bool,
}

impl Decorator for Painter<'_> {
    fn with_record<F>(&self, record: &Record<'_>, _: &OwnedKVList, print: F) -> io::Result<()>
    where
        F: FnOnce(&mut dyn RecordDecorator) -> io::Result<()>,
    {
        print(&mut Brush {
            line: &mut self.line.borrow_mut(),
            level: record.level(),
            colours: self.colours,
        })
    }
}

struct Brush<'a> {
    line: &'a mut Vec<u8>,
    level: Level,
    colours: bool,
}

impl Brush<'_> {
    /// Select Graphic Rendition (ECMA-48, section 8.3.117).
    fn render(&mut self, parameter: u8) -> io::Result<()> {
        if self.colours { write!(self.line, "\x1b[{parameter}m") } else { Ok(()) }
    }
}

impl Write for Brush<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl RecordDecorator for Brush<'_> {
    fn reset(&mut self) -> io::Result<()> {
        self.render(0)
    }

    fn start_level(&mut self) -> io::Result<()> {
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
    fn a_terminal_with_colours_shows_the_level_and_the_names_by_them() {
        let mut line = Vec::new();
        print(
            Form::Terminal { colours: true },
            &record!(Level::Error, "", &format_args!("failed"), b!("status" => 500)),
            &o!().into(),
            &mut line,
        )
        .unwrap();
        let text = String::from_utf8(line).unwrap();
        let (_, rest) = text.split_once("Z").unwrap();
        assert_eq!(
            rest,
            "\x1b[0m \x1b[31merror   \x1b[0m \x1b[1mfailed\x1b[0m, \x1b[1mstatus\x1b[0m:\x1b[0m \x1b[0m500\x1b[0m\n"
        );
    }

    #[test]
    fn the_time_goes_on_within_a_second_and_into_the_next() {
        let mut before = timestamp();
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
