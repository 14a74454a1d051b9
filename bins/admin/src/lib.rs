//! Tends Mercurio's database from the command line. `main.rs` starts it, tests drive it.
//!
//! [`run`] reads the command line ([`cli`]) and the settings ([`config`]), opens the database ([`database`]), and does one
//! of the [`commands`]. Stdout gets the result, as one JSON object or for people as a table, and nothing else (but for `--help` and `--version`);
//! what is meant for a person goes to stderr. [`error`] has the exit codes.
//!
//! Not here: SQL, which is the storage's, and rules about names, keys and events, which are the domain's.

pub mod cli;
pub mod commands;
pub mod config;
pub mod database;
pub mod error;
mod machine;
mod samples;
mod table;

use std::ffi::OsString;
use std::io::{self, Write};

use mercurio_observability::chain;

use cli::{Command, EventsCommand, Request};
use commands::Done;
pub use error::{AdminError, Exit};
pub use machine::{
    EntropyError, Machine, ask_at_terminal, asked_to_end, system_entropy, tell_at_terminal,
};

/// The program's name, before everything that it says on stderr.
const NAME: &str = "mercurio-admin";

/// Does what `arguments` (without the program's name) ask for.
pub fn run(
    arguments: Vec<OsString>,
    machine: &Machine<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    let said = match texts(arguments).and_then(|arguments| cli::read(&arguments)) {
        Ok(Request::Show(text)) => show(&text, out).map(|()| Exit::Done),
        Ok(Request::Do { command, json }) => {
            let json = json || !machine.stdout_is_terminal;
            perform(&command, machine, json, out, err)
        }
        Err(error) => Err(error),
    };
    match said {
        Ok(exit) => exit,
        Err(error) => {
            for line in error.lines() {
                tell(err, &line);
            }
            error.exit()
        }
    }
}

/// Names and paths end up in JSON, which has no place for what is not UTF-8.
fn texts(arguments: Vec<OsString>) -> Result<Vec<String>, AdminError> {
    let text = |argument: OsString| {
        let fault = |argument: OsString| {
            AdminError::Usage(vec![format!("not UTF-8: {}", argument.to_string_lossy())])
        };
        argument.into_string().map_err(fault)
    };
    arguments.into_iter().map(text).collect()
}

fn perform(
    command: &Command,
    machine: &Machine<'_>,
    json: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit, AdminError> {
    if let Command::Events(EventsCommand::Export { selection, format }) = command {
        let mut out = io::BufWriter::with_capacity(1 << 16, out);
        let notes =
            commands::events::export((selection, *format), machine, database::open, &mut out)?;
        notes.iter().for_each(|note| tell(err, note));
        return Ok(Exit::Done);
    }
    let done = commands::perform(command, machine, database::open)?;
    print(&done, json, out)?;
    for note in &done.notes {
        tell(err, note);
    }
    Ok(done.result.exit())
}

/// Prints the result. A reader that has gone away is a failure: it asked for something, and did not get it.
fn print(done: &Done, json: bool, out: &mut dyn Write) -> Result<(), AdminError> {
    let text = if json {
        serde_json::to_string_pretty(&done.result)
    } else {
        serde_json::to_value(&done.result).map(|result| table::render(&result))
    };
    let text = text.map_err(io::Error::from);
    text.and_then(|text| writeln!(out, "{text}").and_then(|()| out.flush()))
        .map_err(AdminError::Output)
}

/// Prints help or a version. Who reads only the first lines of it has what they wanted.
fn show(text: &str, out: &mut dyn Write) -> Result<(), AdminError> {
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(AdminError::Output(error)),
        _ => Ok(()),
    }
}

/// Says something to the person at the terminal, if one still listens.
fn tell(err: &mut dyn Write, line: &str) {
    let _ = writeln!(err, "{NAME}: {line}");
}
