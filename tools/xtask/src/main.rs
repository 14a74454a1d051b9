//! `cargo run -p xtask -- tidy`: checks the files of the workspace against its rules.
//!
//! Prints every violation as `file:line: message`. Exit codes: 0 without violations, 1 with some, 2 if a check cannot run.

use std::process::ExitCode;

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
}

/// Check layers, import cycles, manifests, and documents against code.
#[derive(argh::FromArgs)]
#[argh(subcommand, name = "tidy")]
struct Tidy {}

fn main() -> ExitCode {
    let Arguments { task: Task::Tidy(Tidy {}) } = argh::from_env();
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
