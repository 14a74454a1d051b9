//! The workspace's own commands:
//!
//! - `cargo run -p xtask -- tidy` checks the files of the workspace against its rules, and prints
//!   every violation as `file:line: message`. Exit codes: 0 without violations, 1 with some, 2 if a
//!   check cannot run.
//! - `cargo run -p xtask -- licenses` prints the licences of the packages in the released programs.
//! - `cargo run -p xtask -- manual DATE` prints the manual page of `mercurio-ingest`.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

mod licenses;
mod manual;
mod tidy;

/// Tasks of the workspace.
#[derive(argh::FromArgs)]
struct Arguments {
    #[argh(subcommand)]
    task: Task,
}

#[derive(argh::FromArgs)]
#[argh(subcommand)]
enum Task {
    Tidy(Tidy),
    Licenses(Licenses),
    Manual(Manual),
}

/// Check layers, import cycles, manifests, and documents against code.
#[derive(argh::FromArgs)]
#[argh(subcommand, name = "tidy")]
struct Tidy {}

/// Print the licences of all packages in the released programs.
#[derive(argh::FromArgs)]
#[argh(subcommand, name = "licenses")]
struct Licenses {}

/// Print the manual page mercurio-ingest(8).
#[derive(argh::FromArgs)]
#[argh(subcommand, name = "manual")]
struct Manual {
    /// the day in its footer, such as 2026-11-28
    #[argh(positional)]
    date: String,
}

fn main() -> ExitCode {
    let Arguments { task } = argh::from_env();
    match task {
        Task::Tidy(Tidy {}) => tidy(),
        Task::Licenses(Licenses {}) => print("licenses", licenses::run()),
        Task::Manual(Manual { date }) => print("manual", manual::run(&date)),
    }
}

/// Prints the text of a task, or its error.
fn print(task: &str, text: Result<String, impl Display>) -> ExitCode {
    match text.map(|text| std::io::stdout().write_all(text.as_bytes())) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("{task}: cannot print: {error}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("{task}: {error}");
            ExitCode::from(2)
        }
    }
}

fn tidy() -> ExitCode {
    match tidy::run() {
        Ok(violations) if violations.is_empty() => {
            eprintln!("tidy: no violations");
            ExitCode::SUCCESS
        }
        Ok(violations) => {
            for violation in &violations {
                eprintln!("{violation}");
            }
            eprintln!("tidy: {} violations", violations.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("tidy: {error}");
            ExitCode::from(2)
        }
    }
}
