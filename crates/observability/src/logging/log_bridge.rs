//! The lines of libraries (actix, r2d2), which use the `log` crate, brought into the slog logger.
//!
//! Installed once by a binary's start-up. A line carries `target`, and the ids of the request it was logged in. Not
//! here: which libraries there are.

use crate::logging::{context, keys};
use log::{Log, Metadata, Record};
use slog::{Logger, b};

/// The most a library may tell. Below it, libraries print what never belongs in a log: heads of requests with keys in
/// them, paths, query strings, rows.
const MOST: log::LevelFilter = log::LevelFilter::Info;

/// Sends the `log` crate's records to `logger`, for the rest of the process; the logger keeps to its level.
///
/// Nothing below `info` comes through, whatever that level is: at `debug`, libraries print request heads and queries.
///
/// # Errors
///
/// If the process has a `log` logger already; then nothing changes.
pub fn install(logger: Logger) -> Result<(), AlreadyInstalled> {
    log::set_boxed_logger(Box::new(Bridge { logger })).map_err(|_| AlreadyInstalled)?;
    log::set_max_level(MOST);
    Ok(())
}

/// The process has a `log` logger already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a logger for the log crate is installed already")]
pub struct AlreadyInstalled;

struct Bridge {
    logger: Logger,
}

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= MOST
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
        let line =
            slog::RecordStatic { location: &location, level: slog_level(record.level()), tag: "" };
        let logger = context::scoped();
        let logger = logger.as_ref().unwrap_or(&self.logger);
        logger.log(&slog::Record::new(&line, record.args(), b!(keys::TARGET => record.target())));
    }

    fn flush(&self) {
        // `log` has no way to tell a failure.
        let _ = self.logger.flush();
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
