//! What the program asks of the machine: the time, ids, randomness, settings. An argument, so that tests choose it.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mercurio_domain::Clock;
use mercurio_domain::ids::IdGenerator;
use signal_hook::consts::{SIGINT, SIGTERM};

/// What the program asks of the machine.
pub struct Machine<'a> {
    /// The time.
    pub clock: &'a dyn Clock,
    /// Ids of events.
    pub ids: &'a dyn IdGenerator,
    /// Fills a slice with randomness that nobody can guess.
    pub entropy: &'a dyn Fn(&mut [u8]) -> Result<(), EntropyError>,
    /// The setting of that name, if it is set.
    pub setting: &'a dyn Fn(&str) -> Option<String>,
    /// The names of all settings that are set.
    pub names: &'a dyn Fn() -> Vec<String>,
    /// Waits.
    pub sleep: &'a dyn Fn(Duration),
    /// Tells the person at the terminal something while a command is at work.
    pub tell: &'a dyn Fn(&str),
    /// Asks the person at the terminal; `None` where there is none.
    pub ask: &'a dyn Fn(&str) -> Option<String>,
    /// Whether somebody has asked the program to end, as by Ctrl-C.
    pub interrupted: &'a dyn Fn() -> bool,
    /// Whether a person reads stdout.
    pub stdout_is_terminal: bool,
}

/// The operating system has no randomness to give.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no randomness for a key")]
pub struct EntropyError(#[source] getrandom::Error);

/// Fills `bytes` from the operating system's generator.
///
/// # Errors
/// [`EntropyError`] where there is none, as in a sandbox that forbids it.
pub fn system_entropy(bytes: &mut [u8]) -> Result<(), EntropyError> {
    getrandom::fill(bytes).map_err(EntropyError)
}

/// Tells something on stderr.
pub fn tell_at_terminal(what: &str) {
    // Where nobody reads it, the work goes on all the same.
    writeln!(io::stderr(), "{}: {what}", crate::NAME).ok();
}

/// Asks on stderr and reads a line of stdin. `None` where that is no terminal.
#[must_use]
pub fn ask_at_terminal(question: &str) -> Option<String> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return None;
    }
    write!(io::stderr(), "{question}").ok()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).ok()?;
    Some(answer)
}

/// Whether SIGINT or SIGTERM has come since this was first asked: until then they end the program as they always do, and a second
/// one does so again.
#[must_use]
pub fn asked_to_end() -> bool {
    static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    let asked = ASKED.get_or_init(|| {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // Where these fail, the signal ends the program.
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&asked)).ok();
            signal_hook::flag::register(signal, Arc::clone(&asked)).ok();
        }
        asked
    });
    asked.load(Ordering::Relaxed)
}
