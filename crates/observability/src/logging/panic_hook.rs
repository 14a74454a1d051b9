//! A panic leaves a line in the log before the process goes.
//!
//! Installed once by a binary's start-up, after the logger. Release builds abort on a panic: without this, the lines
//! still queued would be lost with it. Not here: the decision to go on or to end.

use crate::logging::keys;
use slog::{Logger, crit};
use std::panic;
use std::thread;

/// Logs the place and thread of every panic from now on, and flushes the log.
///
/// The panic's message goes to stderr as before, not into the log: it may quote the data at hand.
pub fn install(logger: Logger) {
    let to_stderr = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        to_stderr(info);
        let location = info.location().map(ToString::to_string);
        let thread = thread::current();
        crit!(logger, "panic"; keys::LOCATION => location, keys::THREAD => thread.name());
        // Where the output is gone too, nobody is left to tell.
        let _ = logger.flush();
    }));
}
