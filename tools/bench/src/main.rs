//! `mercurio-bench`: measures the write path against the raw floor of its database. See docs/benchmarks.md.

use std::process::ExitCode;
use std::time::Duration;

use mercurio_bench::Failure;
use mercurio_bench::run::{Plan, run};

/// Measures the server beside this binary on the PostgreSQL that MERCURIO_TEST_POSTGRES_URL names, and on SQLite. `just bench`
/// starts one.
#[derive(argh::FromArgs)]
struct Arguments {
    /// rounds; what is reported is their median (default: 3)
    #[argh(option, default = "3")]
    rounds: usize,
    /// seconds that each case takes in a round (default: 4)
    #[argh(option, default = "4")]
    seconds: u64,
    /// measure only cases whose name has this text, or with `=` in front, is this text; may be given several times
    #[argh(option)]
    only: Vec<String>,
    /// leave out requests at a rate, which follow some cases
    #[argh(switch)]
    closed: bool,
    /// also measure with so many events stored; may be given several times. 50000000 need 40 GB of disk
    #[argh(option)]
    preload: Vec<u64>,
    /// also write the figures to this file, as JSON
    #[argh(option)]
    json: Option<String>,
}

fn main() -> ExitCode {
    let arguments: Arguments = argh::from_env();
    match measure(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mercurio-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: Arguments) -> Result<(), Failure> {
    let url = std::env::var("MERCURIO_TEST_POSTGRES_URL")
        .map_err(|_| "MERCURIO_TEST_POSTGRES_URL is not set: run `just bench`, or scripts/with-postgres --durable")?;
    let Arguments { rounds, seconds, only, closed, preload, json } = arguments;
    let report =
        run(&Plan { rounds, length: Duration::from_secs(seconds), only, closed, preload }, &url)?;
    // The lint keeps libraries quiet; this program exists to print.
    #[allow(clippy::print_stdout)]
    {
        println!("{}", report.tables());
    }
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}
