//! Ends statements that take too long.
//!
//! SQLite has no timeout for statements. It calls a progress handler every few thousand steps, and
//! interrupts the statement if the handler returns non-zero. diesel does not give access to its
//! connections, so the handler is added by an extension that SQLite loads into each of them. A
//! statement runs on the thread of its caller, which therefore holds the deadline.

// The two calls of C, and the two functions it calls.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::Once;
use std::time::{Duration, Instant};

use libsqlite3_sys as ffi;

/// Steps of SQLite's virtual machine between two looks at the clock: less than a millisecond.
const STEPS: c_int = 4_000;

thread_local! {
    /// The deadline of the statements of this thread.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A time limit of the statements of this thread, until it is dropped. They fail with "interrupted"
/// then.
#[must_use = "the limit ends with this value"]
pub(super) struct TimeLimit(());

impl TimeLimit {
    pub(super) fn begin(limit: Duration) -> Self {
        // A limit beyond the clock is none.
        DEADLINE.set(Instant::now().checked_add(limit));
        Self(())
    }
}

impl Drop for TimeLimit {
    fn drop(&mut self) {
        DEADLINE.set(None);
    }
}

/// Adds the progress handler to all connections opened from now on in this process.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    // SAFETY: `add_handler` has the signature of an entry point, and lives as long as the process.
    // Without memory SQLite does not add it, and statements have no limit.
    INSTALLED.call_once(|| unsafe {
        ffi::sqlite3_auto_extension(Some(add_handler));
    });
}

/// The entry point of the extension. Runs at the end of each `sqlite3_open`.
unsafe extern "C" fn add_handler(
    connection: *mut ffi::sqlite3,
    _message: *mut *mut c_char,
    _functions: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite passes the connection it has just opened. The handler needs no data.
    unsafe { ffi::sqlite3_progress_handler(connection, STEPS, Some(is_over), null_mut()) };
    ffi::SQLITE_OK
}

/// The progress handler: 1 interrupts the statement. Must not panic or use the connection.
unsafe extern "C" fn is_over(_data: *mut c_void) -> c_int {
    c_int::from(DEADLINE.get().is_some_and(|deadline| Instant::now() >= deadline))
}
