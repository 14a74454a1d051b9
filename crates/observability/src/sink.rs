//! The writing end of the logger: one thread that formats lines, tells how many were lost, and answers a flush.
//!
//! [`crate::logger`] hands records over; each carries in its tag the time at which it was logged. Not here: the queue.

use crate::keys;
use crate::level::{LogFormat, LogLevel};
use crate::logger::LogOutput;
use crate::unique::Unique;
use chrono::{SecondsFormat, Utc};
use slog::{BorrowedKV, Drain, FnValue, Never, OwnedKVList, PushFnValue, Record, RecordStatic, b, o};
use slog_term::{RecordDecorator, ThreadSafeTimestampFn};
use std::cell::Cell;
use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The tag of a record that is no line but asks for a flush starts with this; a ticket follows.
const FLUSH_TAG: &str = "mercurio-flush ";

/// At most one line about lost lines in this time, so that the report does not make the flood worse.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// A line is handed to the output in one write up to this size, in bytes. Both formatters flush after each line.
const LINE_BUFFER: usize = 16 * 1024;

/// What the threads that log and the thread that writes know of each other.
#[derive(Default)]
pub(crate) struct Shared {
    /// Lines that were not written, since the start.
    pub(crate) dropped: AtomicU64,
    flushes_asked: AtomicU64,
    writer: Mutex<Writer>,
    writer_moved_on: Condvar,
}

/// How far the writing thread is.
#[derive(Default)]
struct Writer {
    flushed: u64,
    ended: bool,
}

impl Shared {
    /// Takes a number for a flush. A higher number that is done means that this one is: its marker was queued after
    /// this number was taken, so after every line the taker logged before.
    pub(crate) fn flush_ticket(&self) -> u64 {
        self.flushes_asked.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Waits until a flush is done; false if `timeout` passed or the writer ended first.
    pub(crate) fn wait_for_flush(&self, ticket: u64, timeout: Duration) -> bool {
        let waits = |writer: &mut Writer| writer.flushed < ticket && !writer.ended;
        let waited = self.writer_moved_on.wait_timeout_while(self.writer(), timeout, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.flushed >= ticket
    }

    /// True once the writing thread is at its end. slog-async tells a full queue and an abandoned one by one error.
    pub(crate) fn writer_ended(&self) -> bool {
        self.writer().ended
    }

    fn move_on(&self, step: impl FnOnce(&mut Writer)) {
        step(&mut self.writer());
        self.writer_moved_on.notify_all();
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tag of a record that asks for a flush.
pub(crate) fn flush_tag(ticket: u64) -> String {
    format!("{FLUSH_TAG}{ticket}")
}

/// The time of a line: RFC 3339, UTC, microseconds.
pub(crate) fn timestamp() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)
}

type Formatter = Box<dyn Drain<Ok = (), Err = io::Error> + Send>;

/// Formats records and writes them. A line that cannot be written is counted as lost.
pub(crate) struct Sink {
    formatter: Formatter,
    shared: Arc<Shared>,
    no_values: OwnedKVList,
    reported: Cell<u64>,
    reported_at: Cell<Option<Instant>>,
}

impl Sink {
    pub(crate) fn new(format: LogFormat, output: LogOutput, shared: Arc<Shared>) -> Self {
        let formatter = match (format, output) {
            (LogFormat::Json, LogOutput::Stdout) => json(Box::new(io::stdout())),
            (LogFormat::Json, LogOutput::Writer(writer)) => json(writer),
            (LogFormat::Terminal, LogOutput::Stdout) => terminal(slog_term::TermDecorator::new().stdout().build()),
            (LogFormat::Terminal, LogOutput::Writer(writer)) => {
                terminal(slog_term::PlainDecorator::new(BufWriter::with_capacity(LINE_BUFFER, writer)))
            }
        };
        Self { formatter, shared, no_values: o!().into(), reported: Cell::new(0), reported_at: Cell::new(None) }
    }

    fn write(&self, record: &Record<'_>) {
        if self.formatter.log(record, &self.no_values).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn report_dropped(&self) {
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        let new = dropped - self.reported.get();
        if new == 0 {
            return;
        }
        self.reported.set(dropped);
        self.reported_at.set(Some(Instant::now()));
        let ts = timestamp();
        let line = RecordStatic { location: &HERE, level: slog::Level::Warning, tag: &ts };
        self.write(&Record::new(&line, &format_args!("log lines dropped"), b!(keys::DROPPED_LINES => new)));
    }
}

impl Drain for Sink {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, logger_values: &OwnedKVList) -> Result<(), Never> {
        if let Some(ticket) = record.tag().strip_prefix(FLUSH_TAG).and_then(|ticket| ticket.parse::<u64>().ok()) {
            self.report_dropped();
            self.shared.move_on(|writer| writer.flushed = ticket.max(writer.flushed));
            return Ok(());
        }
        let line = RecordStatic { location: record.location(), level: record.level(), tag: record.tag() };
        let unique = Unique { record, logger_values };
        self.write(&Record::new(&line, record.msg(), BorrowedKV(&unique)));
        if self.reported_at.get().is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
            self.report_dropped();
        }
        Ok(())
    }
}

impl Drop for Sink {
    /// The last lines lost are told too.
    fn drop(&mut self) {
        self.report_dropped();
        self.shared.move_on(|writer| writer.ended = true);
    }
}

/// The place of the logger's own records.
pub(crate) const HERE: slog::RecordLocation =
    slog::RecordLocation { file: file!(), line: line!(), column: 0, function: "", module: module_path!() };

fn json(writer: Box<dyn Write + Send>) -> Formatter {
    let writer = BufWriter::with_capacity(LINE_BUFFER, writer);
    let builder = slog_json::Json::new(writer).set_flush(true);
    Box::new(
        builder
            .add_key_value(o!(keys::TS => PushFnValue(|record: &Record<'_>, value| value.emit(record.tag()))))
            .add_key_value(o!(keys::LEVEL => FnValue(|record: &Record<'_>| LogLevel::from(record.level()).as_str())))
            .add_key_value(o!(keys::MSG => PushFnValue(|record: &Record<'_>, value| value.emit(record.msg()))))
            .build(),
    )
}

fn terminal<D: slog_term::Decorator + Send + 'static>(decorator: D) -> Formatter {
    Box::new(slog_term::FullFormat::new(decorator).use_custom_header_print(terminal_header).build())
}

/// slog-term's own header takes the time of writing and cuts levels to four letters.
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
