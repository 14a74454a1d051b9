//! The lines of libraries (actix, r2d2), which use the `log` crate, brought into the slog logger.
//!
//! Installed once by a binary's start-up. A line carries `target`, and the ids of the request it was logged in. Not
//! here: which libraries there are.

use crate::level::LogLevel;
use crate::{context, keys};
use log::{Log, Metadata, Record};
use slog::{Logger, b};

/// The most a library may tell. Below it, libraries print what never belongs in a log: heads of requests with keys in
/// them, paths, query strings, rows.
const MOST: LogLevel = LogLevel::Info;

/// Sends the `log` crate's records of `level` or above to `logger`, for the rest of the process.
///
/// Nothing below `info` comes through, whatever `level` says: at `debug`, libraries print request heads and queries.
///
/// # Errors
///
/// If the process has a `log` logger already; then nothing changes.
pub fn install(logger: Logger, level: LogLevel) -> Result<(), AlreadyInstalled> {
    let level = level.min(MOST);
    log::set_boxed_logger(Box::new(Bridge { logger, level: filter(level) })).map_err(|_| AlreadyInstalled)?;
    log::set_max_level(filter(level));
    Ok(())
}

/// The process has a `log` logger already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a logger for the log crate is installed already")]
pub struct AlreadyInstalled;

struct Bridge {
    logger: Logger,
    level: log::LevelFilter,
}

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let location = slog::RecordLocation {
            file: record.file_static().unwrap_or(""),
            line: record.line().unwrap_or(0),
            column: 0,
            function: "",
            module: record.module_path_static().unwrap_or(""),
        };
        let line = slog::RecordStatic { location: &location, level: slog_level(record.level()), tag: "" };
        let logger = context::scoped();
        let logger = logger.as_ref().unwrap_or(&self.logger);
        logger.log(&slog::Record::new(&line, record.args(), b!(keys::TARGET => record.target())));
    }

    fn flush(&self) {
        // `log` has no way to tell a failure.
        let _ = self.logger.flush();
    }
}

fn filter(level: LogLevel) -> log::LevelFilter {
    match level {
        LogLevel::Critical | LogLevel::Error => log::LevelFilter::Error,
        LogLevel::Warning => log::LevelFilter::Warn,
        LogLevel::Info => log::LevelFilter::Info,
        LogLevel::Debug => log::LevelFilter::Debug,
        LogLevel::Trace => log::LevelFilter::Trace,
    }
}

fn slog_level(level: log::Level) -> slog::Level {
    match level {
        log::Level::Error => slog::Level::Error,
        log::Level::Warn => slog::Level::Warning,
        log::Level::Info => slog::Level::Info,
        log::Level::Debug => slog::Level::Debug,
        log::Level::Trace => slog::Level::Trace,
    }
}
