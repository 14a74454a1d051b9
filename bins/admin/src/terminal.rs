//! Messages and questions for the person at the terminal. They use stderr, because stdout carries
//! the result.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::escape;

/// The program's name: in `--help`, in completions, and at the start of every message.
pub(crate) const PROGRAM: &str = "mercurio-admin";

pub(crate) fn write_message(err: &mut dyn Write, message: &str) {
    // A closed stderr must not stop the command.
    writeln!(err, "{PROGRAM}: {}", escape::message(message)).ok();
}

/// Writes a message to stderr.
pub fn notify(message: &str) {
    write_message(&mut io::stderr(), message);
}

/// Asks on stderr and reads one line from stdin. `None` if stdin is not a terminal.
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
