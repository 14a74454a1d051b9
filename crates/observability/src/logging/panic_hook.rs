//! Logs a panic and flushes the log before the process may end.
//!
//! Start-up installs it once, after the logger. A panic in a writer thread aborts the process; without the flush, the
//! queued lines would be lost.

use crate::logging::keys;
use slog::{Logger, crit};
use std::panic;
use std::thread;

/// Logs the source position and thread of every panic from now on, and flushes the log.
///
/// The panic's message goes to standard error only: it may quote event data, and the log must not.
pub fn install(logger: Logger) {
    let to_stderr = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // The default hook comes first: standard error has the message even if the log hangs.
        to_stderr(info);
        let location = info.location().map(ToString::to_string);
        let thread = thread::current();
        crit!(logger, "panic"; keys::LOCATION => location, keys::THREAD => thread.name());
        // A broken output leaves no way to report its own failure.
        let _ = logger.flush();
    }));
}
