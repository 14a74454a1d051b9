//! Administers Mercurio's database from the command line. `main.rs` and the tests call [`run`].
//!
//! [`cli`] parses the arguments, [`commands`] does the work, and [`database`] opens the store.
//! Stdout gets only the result: a table on a terminal, JSON otherwise. Messages for people go to
//! stderr. [`error`] defines the exit codes.
//!
//! SQL belongs to the storage crate; the rules for names, keys and events belong to the domain
//! crate.

pub mod cli;
pub mod commands;
mod completion;
pub mod database;
pub mod error;
mod escape;
pub mod machine;
pub mod output;
mod samples;
mod suggest;
pub mod terminal;
mod text;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use mercurio_domain::Timestamp;

use cli::Request;
use cli::grammar::Node;
use cli::manual::{Page, pages};
pub use error::{AdminError, Exit};
pub use machine::Machine;
use output::Output;
use terminal::write_message;

/// Runs the command in `arguments`, which exclude the program's name. Errors go to `err`, one per
/// line.
pub fn run(
    arguments: Vec<OsString>,
    machine: &Machine<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    match try_run(arguments, machine, out, err) {
        Ok(exit) => exit,
        Err(error) => {
            for line in error.lines() {
                write_message(err, &line);
            }
            if let AdminError::CommandLine { usage, .. } = &error {
                // A closed stderr must not stop the command.
                writeln!(err, "\n{usage}").ok();
            }
            error.exit()
        }
    }
}

fn try_run(
    arguments: Vec<OsString>,
    machine: &Machine<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit, AdminError> {
    let arguments = utf8(arguments)?;
    if let Some((first, rest)) = arguments.split_first()
        && first == completion::COMMAND
    {
        completion::answer(&cli::definitions(), rest, machine, out);
        return Ok(Exit::Done);
    }
    let (command, style) = match cli::parse(&arguments)? {
        Request::Print(text) => return print_help(&text, out).map(|()| Exit::Done),
        Request::Manual { folder } => return manual(folder.as_deref(), machine, out),
        Request::Run { command, style } => (command, style),
    };
    let mut output = Output { writer: out, style, terminal: machine.terminal };
    output.check()?;
    let report = commands::perform(&command, machine, database::open, &mut output)?;
    if let Some(result) = &report.result {
        accept_closed_pipe(output.print(result))?;
    }
    // After the result: without a printed key, "store it now" would be wrong.
    for note in &report.notes {
        write_message(err, note);
    }
    Ok(report.exit)
}

/// Prints the manual page of the program, or writes all pages into a folder.
fn manual(
    folder: Option<&Path>,
    machine: &Machine<'_>,
    out: &mut dyn Write,
) -> Result<Exit, AdminError> {
    let definitions = cli::definitions();
    let pages = pages(&Node::program(&definitions), &manual_date(machine));
    match folder {
        None => print_help(&pages[0].text, out)?,
        Some(folder) => {
            for Page { file, text } in pages {
                let path = folder.join(file);
                fs::create_dir_all(folder)
                    .and_then(|()| fs::write(&path, text))
                    .map_err(|source| AdminError::File { path, source })?;
            }
        }
    }
    Ok(Exit::Done)
}

/// The day of a build that others can repeat (reproducible-builds.org), or today.
fn manual_date(machine: &Machine<'_>) -> String {
    let of_build = (machine.setting)("SOURCE_DATE_EPOCH");
    let seconds = of_build.and_then(|text| text.parse::<i64>().ok());
    let day = seconds.and_then(|seconds| Timestamp::from_micros(seconds.checked_mul(1_000_000)?));
    // The first ten characters of RFC 3339.
    day.unwrap_or_else(|| machine.clock.now()).to_string().chars().take(10).collect()
}

/// Names and paths end up in JSON, so every argument must be UTF-8.
fn utf8(arguments: Vec<OsString>) -> Result<Vec<String>, AdminError> {
    let mut texts = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let text = argument.into_string().map_err(|argument| {
            AdminError::Usage(vec![format!("the argument {argument:?} is not valid UTF-8")])
        })?;
        texts.push(text);
    }
    Ok(texts)
}

fn print_help(text: &str, out: &mut dyn Write) -> Result<(), AdminError> {
    let written = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
    accept_closed_pipe(written.map_err(AdminError::Output))
}

/// A reader that closed the pipe has read enough, as in `mercurio-admin tenant list | head -1`. Only a
/// new key must arrive: commands print it themselves.
fn accept_closed_pipe(written: Result<(), AdminError>) -> Result<(), AdminError> {
    match written {
        Err(AdminError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
