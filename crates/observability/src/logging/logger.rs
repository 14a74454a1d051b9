//! The root logger: a line is made where it is logged, and goes through a bounded queue to one writing thread.
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
//! written. The lines' keys follow the rules of [`crate::logging::keys`].
//!
//! Not here: a request's key-values ([`crate::logging::context`]), other crates' lines ([`crate::logging::log_bridge`]), settings.

use crate::logging::level::{LevelSwitch, LogFormat, LogLevel};
use crate::logging::line::{self, Form};
use crate::logging::queue::{Queue, WRITER_THREAD, Writer};
use slog::{Drain, FlushError, Logger, Never, OwnedKVList, Record, o};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The longest a flush waits for the output.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest the end of the logger waits for the output.
const END_TIMEOUT: Duration = Duration::from_secs(5);

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
/// It waits for the output, but no longer than 5 seconds: a pipe that nobody reads keeps no process alive. `process::exit` and `abort` skip it: use [`Logger::flush`] before them.
#[must_use = "dropping the guard ends the logger"]
pub struct LogGuard {
    queue: Arc<Queue>,
    level: LevelSwitch,
    writer: Option<JoinHandle<()>>,
}

impl LogGuard {
    /// The count of lost lines, for the metrics.
    #[must_use]
    pub fn dropped_lines(&self) -> DroppedLines {
        DroppedLines(Arc::clone(&self.queue))
    }

    /// The level, which can be changed while the logger runs.
    #[must_use]
    pub fn level(&self) -> LevelSwitch {
        self.level.clone()
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take()
            && self.queue.wait_for_end(END_TIMEOUT)
        {
            // If it panicked, its message is out, and its lines are lost either way.
            writer.join().ok();
        }
    }
}

/// A view of the count of lost lines; clones see the same count.
#[derive(Clone)]
pub struct DroppedLines(Arc<Queue>);

impl DroppedLines {
    /// Lines lost since the start, to a full queue or to an output that failed.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.dropped()
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
    let queue = Queue::new(settings.queue_lines);
    let (output, on_terminal): (Box<dyn Write + Send>, _) = match output {
        LogOutput::Stdout => (Box::new(io::stdout()), io::stdout().is_terminal()),
        LogOutput::Writer(writer) => (writer, false),
    };
    let form = Form::new(settings.format, on_terminal);
    let writer = Writer::new(Arc::clone(&queue), form, output);
    let thread = thread::Builder::new().name(WRITER_THREAD.to_owned()).spawn(|| writer.run());
    #[allow(clippy::expect_used)] // documented
    let thread = thread.expect("the operating system gives a thread");
    let level = LevelSwitch::at(settings.level);
    let front = Front { queue: Arc::clone(&queue), level: level.clone(), form };
    (Logger::root(front, o!()), LogGuard { queue, level, writer: Some(thread) })
}

/// The logging end: keeps to the level, makes the line, queues it or counts it as dropped.
struct Front {
    queue: Arc<Queue>,
    level: LevelSwitch,
    form: Form,
}

impl Drain for Front {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, logger_values: &OwnedKVList) -> Result<(), Never> {
        if !self.is_enabled(record.level()) {
            return Ok(());
        }
        if line::with_line(self.form, record, logger_values, |line| self.queue.push(line)).is_err()
        {
            self.queue.drop_lines(1);
        }
        Ok(())
    }

    fn is_enabled(&self, level: slog::Level) -> bool {
        level.is_at_least(self.level.level().into())
    }

    fn flush(&self) -> Result<(), FlushError> {
        if thread::current().name() == Some(WRITER_THREAD) {
            return Err(FlushError::NotSupported);
        }
        Ok(self.queue.flush(FLUSH_TIMEOUT)?)
    }
}
