//! The workspace's own commands:
//!
//! - `cargo run -p xtask -- tidy` checks the files of the workspace against its rules, and prints
//!   every violation as `file:line: message`. Exit codes: 0 without violations, 1 with some, 2 if a
//!   check cannot run.
//! - `cargo run -p xtask -- licenses` prints the licences of the packages in the released programs.

use std::io::Write;
use std::process::ExitCode;

mod licenses;
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
}

/// Check layers, import cycles, manifests, and documents against code.
#[derive(argh::FromArgs)]
#[argh(subcommand, name = "tidy")]
struct Tidy {}

/// Print the licences of all packages in the released programs.
#[derive(argh::FromArgs)]
#[argh(subcommand, name = "licenses")]
struct Licenses {}

fn main() -> ExitCode {
    let Arguments { task } = argh::from_env();
    match task {
        Task::Tidy(Tidy {}) => tidy(),
        Task::Licenses(Licenses {}) => licenses(),
    }
}

fn licenses() -> ExitCode {
    let printed = licenses::run().map(|text| std::io::stdout().write_all(text.as_bytes()));
    match printed {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("licenses: cannot print: {error}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("licenses: {error}");
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
