//! Forwards the records of libraries that use the `log` crate (actix, r2d2) to the slog logger.
//!
//! Start-up installs it once. A forwarded line has a `target` and the ids of its request.

use crate::logging::{context, keys};
use log::{Log, Metadata, Record};
use slog::{Logger, b};

/// The most detailed level of library records. Below it, libraries print request heads with keys, paths, query strings and
/// rows, and none of these may be logged.
const MAX_LEVEL: log::LevelFilter = log::LevelFilter::Info;

/// Forwards the `log` crate's records to `logger` until the process ends. Records below `info` are dropped at any log level.
///
/// # Errors
/// If the process already has a `log` logger. Then nothing changes.
pub fn install(logger: Logger) -> Result<(), AlreadyInstalled> {
    log::set_boxed_logger(Box::new(Bridge { logger })).map_err(|_| AlreadyInstalled)?;
    // The macros of `log` compare with this level first, so dropped records cost nothing.
    log::set_max_level(MAX_LEVEL);
    Ok(())
}

/// The process already has a `log` logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a logger for the log crate is already installed")]
pub struct AlreadyInstalled;

struct Bridge {
    logger: Logger,
}

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= MAX_LEVEL
    }

    fn log(&self, record: &Record<'_>) {
        // A library may call the logger without the macros.
        if !self.enabled(record.metadata()) {
            return;
        }
        let location = slog::RecordLocation {
            file: record.file_static().unwrap_or(""),
            line: record.line().unwrap_or(0),
            // Records of the `log` crate have neither column nor function.
            column: 0,
            function: "",
            module: record.module_path_static().unwrap_or(""),
        };
        let line =
            slog::RecordStatic { location: &location, level: slog_level(record.level()), tag: "" };
        // On a request's task, the line has the ids of the request.
        let logger = context::scoped();
        let logger = logger.as_ref().unwrap_or(&self.logger);
        logger.log(&slog::Record::new(&line, record.args(), b!(keys::TARGET => record.target())));
    }

    fn flush(&self) {
        // `log::flush` cannot return an error.
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
