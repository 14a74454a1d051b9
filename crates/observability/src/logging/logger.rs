//! The root logger: the logging thread formats a line, and one thread writes the lines of a bounded queue.
//!
//! ```no_run
//! use mercurio_observability::{LogFormat, LogLevel, LogOutput, LogSettings, logger};
//!
//! fn run() -> u8 {
//!     let (log, _guard) = logger::build(LogSettings::new(LogFormat::Json, LogLevel::Info), LogOutput::Stdout);
//!     slog::info!(log, "listening"; "addr" => "127.0.0.1:8080");
//!     0
//! } // dropping the guard last writes all lines
//! ```
//!
//! Logging never blocks on the output. A full queue drops and counts the line; `log lines dropped` reports the count, at most
//! once per second and at the end. `ts` is the time of the record, not of the write. Keys follow the rules of
//! [`crate::logging::keys`].

use crate::logging::level::{LevelSwitch, LogFormat, LogLevel};
use crate::logging::line::{self, LineFormat};
use crate::logging::queue::{LogQueue, LogWriter, WRITER_THREAD};
use slog::{Drain, FlushError, Logger, Never, OwnedKVList, Record, o};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Maximum wait of a flush for the output.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum wait for the output when the guard is dropped.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of the logger.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LogSettings {
    /// Format of a line.
    pub format: LogFormat,
    /// Minimum level.
    pub level: LogLevel,
    /// Maximum lines in the queue, each of 1 KiB on average. Lines beyond it are dropped.
    pub queue_lines: usize,
}

impl LogSettings {
    /// Returns settings with a queue of 4,096 lines.
    #[must_use]
    pub fn new(format: LogFormat, level: LogLevel) -> Self {
        Self { format, level, queue_lines: 4096 }
    }
}

/// The output of the logger.
pub enum LogOutput {
    /// Standard output, coloured if it is a terminal with colours.
    Stdout,
    /// Any other output. One thread writes whole lines to it.
    Writer(Box<dyn Write + Send>),
}

/// Keeps the logger running. Hold it to the end of `main`.
///
/// Dropping it writes all earlier lines, for at most 5 seconds, and ends the writing thread. A
/// blocked pipe must not keep the process alive. Later lines are lost. `process::exit` and `abort`
/// skip the drop: call [`Logger::flush`] before them.
#[must_use = "dropping the guard ends the logger"]
pub struct LogGuard {
    queue: Arc<LogQueue>,
    level: LevelSwitch,
    writer: Option<JoinHandle<()>>,
}

impl LogGuard {
    /// Returns the count of dropped lines, for the metrics.
    #[must_use]
    pub fn dropped_lines(&self) -> DroppedLines {
        DroppedLines(Arc::clone(&self.queue))
    }

    /// Keeps lines in the queue until the result is dropped, or until a flush: what is written to
    /// the terminal by then comes before them.
    #[must_use]
    pub fn hold(&self) -> HeldLines {
        self.queue.hold(true);
        HeldLines(Arc::clone(&self.queue))
    }

    /// Returns the switch of the level.
    #[must_use]
    pub fn level(&self) -> LevelSwitch {
        self.level.clone()
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        // New lines are dropped from now on, so the writer reaches its end.
        self.queue.close();
        if let Some(writer) = self.writer.take()
            && self.queue.wait_for_end(END_TIMEOUT)
        {
            // A panic of the thread is already reported on standard error.
            writer.join().ok();
        }
    }
}

/// Lines kept in the queue. Dropping it lets them go.
pub struct HeldLines(Arc<LogQueue>);

impl Drop for HeldLines {
    fn drop(&mut self) {
        self.0.hold(false);
    }
}

/// The count of dropped lines. Clones share it.
#[derive(Clone)]
pub struct DroppedLines(Arc<LogQueue>);

impl DroppedLines {
    /// Returns the lines lost since the start, to a full queue or a failed output.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.dropped()
    }
}

/// Builds the root logger and starts its writing thread.
///
/// [`Logger::flush`] on it or a child waits, for at most 2 seconds, until all earlier lines of this
/// thread are written.
///
/// # Panics
/// If the operating system refuses a thread.
pub fn build(settings: LogSettings, output: LogOutput) -> (Logger, LogGuard) {
    let queue = LogQueue::new(settings.queue_lines);
    let (output, on_terminal): (Box<dyn Write + Send>, _) = match output {
        LogOutput::Stdout => (Box::new(io::stdout()), io::stdout().is_terminal()),
        // Another output is no terminal and gets no colours.
        LogOutput::Writer(writer) => (writer, false),
    };
    let format = LineFormat::new(settings.format, on_terminal);
    let writer = LogWriter::new(Arc::clone(&queue), format, output);
    // `flush` recognizes the thread by its name.
    let thread = thread::Builder::new().name(WRITER_THREAD.to_owned()).spawn(|| writer.run());
    let thread = thread.expect("the operating system gives a thread");
    let level = LevelSwitch::at(settings.level);
    let drain = QueueDrain { queue: Arc::clone(&queue), level: level.clone(), format };
    (Logger::root(drain, o!()), LogGuard { queue, level, writer: Some(thread) })
}

/// Formats records of the level and above, and queues their lines.
struct QueueDrain {
    queue: Arc<LogQueue>,
    level: LevelSwitch,
    format: LineFormat,
}

impl Drain for QueueDrain {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, logger_values: &OwnedKVList) -> Result<(), Never> {
        if !self.is_enabled(record.level()) {
            return Ok(());
        }
        let push = |line: &[u8]| self.queue.push(line);
        if line::with_line(self.format, record, logger_values, push).is_err() {
            self.queue.drop_lines(1);
        }
        Ok(())
    }

    fn is_enabled(&self, level: slog::Level) -> bool {
        level.is_at_least(self.level.level().into())
    }

    fn flush(&self) -> Result<(), FlushError> {
        // The writing thread would wait for itself.
        if thread::current().name() == Some(WRITER_THREAD) {
            return Err(FlushError::NotSupported);
        }
        Ok(self.queue.flush(FLUSH_TIMEOUT)?)
    }
}
