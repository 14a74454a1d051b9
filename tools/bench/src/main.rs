//! `mercurio-bench`: measures Mercurio's write path against a baseline of the same database, in one run on one machine.
//!
//! A run has rounds ([`mod@run`]). Each round measures every case ([`cases`]), and the baseline ([`baseline`], [`sqlite`]) before
//! and after each: a machine that slows down slows both. The report ([`tables`]) has medians over the rounds, and compares them
//! with the goals ([`goals`]). The server is the release binary in a process of its own ([`server`]). The load comes over HTTP from
//! this process ([`load`]), with fresh ids and times ([`events`]).
//!
//! This is not a test: a missed goal is reported and is no error. See docs/benchmarks.md.

use std::process::ExitCode;
use std::time::Duration;

mod baseline;
mod cases;
mod error;
mod events;
mod goals;
mod inserts;
mod load;
mod preload;
mod process;
mod report;
mod run;
mod server;
mod sqlite;
mod tables;

use error::Error;
use run::{Plan, run};

/// Measures the server next to this binary on the PostgreSQL in MERCURIO_TEST_POSTGRES_URL, and on SQLite. `just bench` starts
/// PostgreSQL.
#[derive(argh::FromArgs)]
struct Arguments {
    /// number of rounds; the report has their medians (default: 3)
    #[argh(option, default = "3")]
    rounds: usize,
    /// duration of each case in a round, in seconds (default: 4)
    #[argh(option, default = "4")]
    seconds: u64,
    /// measure only cases whose name contains this text, or equals the text after `=`; can be repeated
    #[argh(option)]
    only: Vec<String>,
    /// skip the open loops
    #[argh(switch)]
    closed: bool,
    /// also measure with this many events stored; can be repeated. 50000000 need 40 GB of disk
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

fn measure(arguments: Arguments) -> Result<(), Error> {
    let url = std::env::var("MERCURIO_TEST_POSTGRES_URL").map_err(
        |_| "MERCURIO_TEST_POSTGRES_URL is not set: run `just bench`, or scripts/with-postgres --durable",
    )?;
    let Arguments { rounds, seconds, only, closed, preload, json } = arguments;
    let report =
        run(&Plan { rounds, length: Duration::from_secs(seconds), only, closed, preload }, &url)?;
    // The lint keeps libraries quiet; this program exists to print.
    #[allow(clippy::print_stdout)]
    {
        println!("{}", tables::render(&report));
    }
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}
