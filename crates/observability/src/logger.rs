//! The root logger: from a logging thread through a bounded queue to one writing thread.
//!
//! ```no_run
//! use mercurio_observability::{LogFormat, LogLevel, LogOutput, LogSettings, logger};
//!
//! fn run() -> u8 {
//!     let (log, _guard) = logger::build(LogSettings::new(LogFormat::Json, LogLevel::Info), LogOutput::Stdout);
//!     slog::info!(log, "listening"; "addr" => "127.0.0.1:8080");
//!     0
//! } // the guard goes last: every line is out
//! ```
//!
//! Logging never blocks: where the queue is full, the line is dropped and counted, and the count is logged as
//! `dropped_lines` (at most once a second, and at the end). A line's `ts` is the time of logging, however late it is
//! written. The lines' keys follow the rules of [`crate::keys`].
//!
//! Not here: a request's key-values ([`crate::context`]), other crates' lines ([`crate::log_bridge`]), settings.

use crate::level::{LogFormat, LogLevel};
use crate::sink::{HERE, Shared, Sink, flush_tag, timestamp};
use slog::{BorrowedKV, Drain, FlushError, Logger, Never, OwnedKVList, Record, RecordStatic, o};
use slog_async::{AsyncCore, AsyncGuard};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The name of the thread that writes.
const WRITER_THREAD: &str = "log-writer";

/// The longest a flush waits for the output.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a flush waits before it tries a full queue again.
const FLUSH_RETRY: Duration = Duration::from_millis(1);

/// What the logger is built from.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LogSettings {
    /// The form of a line.
    pub format: LogFormat,
    /// The least important level that is logged.
    pub level: LogLevel,
    /// Lines that may wait for the writing thread; what comes on top is dropped. Memory is about 1 KiB a line waiting.
    pub queue_lines: usize,
}

impl LogSettings {
    /// Settings with a queue of 4,096 lines.
    #[must_use]
    pub fn new(format: LogFormat, level: LogLevel) -> Self {
        Self { format, level, queue_lines: 4096 }
    }
}

/// Where lines go.
pub enum LogOutput {
    /// The process's standard output; with colours where it is a terminal that has them.
    Stdout,
    /// Anything else, such as a test's buffer. Whole lines are written to it at once, from one thread.
    Writer(Box<dyn Write + Send>),
}

/// Keeps the logger writing: held to the end of `main`.
///
/// Dropping it writes and flushes every line logged before and ends the writing thread; lines logged later are lost.
/// It blocks as long as the output does. `process::exit` and `abort` skip it: use [`Logger::flush`] before them.
#[must_use = "dropping the guard ends the logger"]
pub struct LogGuard {
    _guard: AsyncGuard,
    dropped: DroppedLines,
}

impl LogGuard {
    /// The count of lost lines, for the metrics.
    #[must_use]
    pub fn dropped_lines(&self) -> DroppedLines {
        self.dropped.clone()
    }
}

/// A view of the count of lost lines; clones see the same count.
#[derive(Clone)]
pub struct DroppedLines(Arc<Shared>);

impl DroppedLines {
    /// Lines lost since the start, to a full queue or to an output that failed.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

/// Builds the root logger and starts its writing thread.
///
/// [`Logger::flush`] on it or on any child waits, for at most 2 seconds, until every line this thread logged before is
/// written.
///
/// # Panics
///
/// If the operating system refuses a thread.
pub fn build(settings: LogSettings, output: LogOutput) -> (Logger, LogGuard) {
    let shared = Arc::new(Shared::default());
    let sink = Sink::new(settings.format, output, Arc::clone(&shared));
    let (core, guard) = AsyncCore::custom(sink)
        .chan_size(settings.queue_lines.max(1))
        .blocking(false)
        .thread_name(WRITER_THREAD.to_owned())
        .build_with_guard();
    let front = Front { core, level: settings.level.into(), shared: Arc::clone(&shared) };
    (Logger::root(front, o!()), LogGuard { _guard: guard, dropped: DroppedLines(shared) })
}

/// The logging end: keeps to the level, stamps the time, queues the record or counts it as dropped.
struct Front {
    core: AsyncCore,
    level: slog::Level,
    shared: Arc<Shared>,
}

impl Front {
    /// Queues a flush behind all that is queued; false if the deadline passed or the writer is gone.
    fn queue_flush(&self, ticket: u64, deadline: Instant) -> bool {
        let tag = flush_tag(ticket);
        let marker = RecordStatic { location: &HERE, level: slog::Level::Critical, tag: &tag };
        loop {
            match self.core.log(&Record::new(&marker, &format_args!(""), BorrowedKV(&())), &o!().into()) {
                Ok(()) => return true,
                Err(_) if Instant::now() < deadline && !self.shared.writer_ended() => {
                    std::thread::sleep(FLUSH_RETRY);
                }
                Err(_) => return false,
            }
        }
    }
}

impl Drain for Front {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, logger_values: &OwnedKVList) -> Result<(), Never> {
        if !self.is_enabled(record.level()) {
            return Ok(());
        }
        // slog-async has no place for the time of logging but the tag, which goes along unchanged.
        let ts = timestamp();
        let stamped = RecordStatic { location: record.location(), level: record.level(), tag: &ts };
        let stamped = Record::new(&stamped, record.msg(), record.kv());
        if self.core.log(&stamped, logger_values).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn is_enabled(&self, level: slog::Level) -> bool {
        level.is_at_least(self.level)
    }

    fn flush(&self) -> Result<(), FlushError> {
        if std::thread::current().name() == Some(WRITER_THREAD) {
            return Err(FlushError::NotSupported);
        }
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        let ticket = self.shared.flush_ticket();
        if !self.queue_flush(ticket, deadline) {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if self.shared.wait_for_flush(ticket, left) {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::TimedOut).into())
        }
    }
}
