//! The terminal, and messages and questions for the person at it. They use stderr, because stdout
//! carries the result.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::escape;

/// The program's name: in `--help`, in completions, and at the start of every message.
pub(crate) const PROGRAM: &str = "mercurio-admin";

/// The terminal at stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Columns.
    pub width: usize,
    /// Whether it shows colours, and nobody asked for none.
    pub colours: bool,
}

impl Terminal {
    /// Returns the terminal at stdout; `None` if it is another file.
    #[must_use]
    pub fn of_stdout(setting: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        // Fails for anything but a terminal.
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        let is_set = |name: &str| setting(name).is_some_and(|value| !value.is_empty());
        // https://no-color.org; a dumb terminal obeys no escapes.
        let colours = !is_set("NO_COLOR") && setting("TERM").is_some_and(|term| term != "dumb");
        // A serial line has no size.
        let width = if size.ws_col == 0 { 80 } else { usize::from(size.ws_col) };
        Some(Self { width, colours })
    }
}

pub(crate) fn write_message(err: &mut dyn Write, message: &str) {
    // A closed stderr must not stop the command.
    writeln!(err, "{PROGRAM}: {}", escape::message(message)).ok();
}

/// Writes a message to stderr.
pub fn notify(message: &str) {
    write_message(&mut io::stderr(), message);
}

/// Asks on stderr and reads one line from stdin. `None` if stdin is not a terminal or has ended.
#[must_use]
pub fn ask(question: &str) -> Option<String> {
    let stdin = io::stdin();
    // A pipe could confirm a deletion by accident.
    if !stdin.is_terminal() {
        return None;
    }
    write!(io::stderr(), "{}", escape::message(question)).ok()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).ok()?;
    Some(answer)
}
