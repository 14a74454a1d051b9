//! `mercurio-bench`: measures the write path against the raw floor of its database. See docs/benchmarks.md.

use std::process::ExitCode;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use mercurio_bench::report::{Report, Row, median};
use mercurio_bench::server::Server;
use mercurio_bench::{Failure, cases, floor};

/// Measures the server beside this binary on the PostgreSQL that MERCURIO_TEST_POSTGRES_URL names. `just bench` starts one.
#[derive(argh::FromArgs)]
struct Arguments {
    /// rounds; what is reported is their median (default: 3)
    #[argh(option, default = "3")]
    rounds: usize,
    /// seconds that each case takes in a round (default: 4)
    #[argh(option, default = "4")]
    seconds: u64,
    /// measure only cases whose name has this text
    #[argh(option)]
    only: Option<String>,
    /// also write the figures to this file, as JSON
    #[argh(option)]
    json: Option<String>,
}

fn main() -> ExitCode {
    let arguments: Arguments = argh::from_env();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mercurio-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let url = std::env::var("MERCURIO_TEST_POSTGRES_URL")
        .map_err(|_| "MERCURIO_TEST_POSTGRES_URL is not set: run `just bench`, or scripts/with-postgres --durable")?;
    let (server_url, _) = url.rsplit_once('/').ok_or("the URL names no database")?;
    let length = Duration::from_secs(arguments.seconds);
    let mut admin = PgConnection::establish(&url)?;
    let mut cases = cases::all();
    cases.retain(|case| arguments.only.as_deref().is_none_or(|only| case.name.contains(only)));
    let mut report = Report { floor: Vec::new(), naive: vec![(1, Vec::new()), (50, Vec::new())], rows: Vec::new() };
    let mut rows: Vec<Row> = cases
        .iter()
        .map(|case| Row { name: case.name.to_owned(), ratio: f64::NAN, goal: case.goal, samples: Vec::new() })
        .collect();
    for round in 0..arguments.rounds {
        eprintln!("round {} of {}", round + 1, arguments.rounds);
        let floor = floor::measure(&mut admin, length)?;
        report.floor.push(floor);
        for (case, row) in cases.iter().zip(&mut rows) {
            // An empty database for each case, or the later ones would pay for the earlier.
            admin.batch_execute("DROP DATABASE IF EXISTS bench WITH (FORCE)")?;
            admin.batch_execute("CREATE DATABASE bench")?;
            admin.batch_execute("CHECKPOINT")?;
            let server = Server::start(&format!("{server_url}/bench"), 1)?;
            let sample = cases::measure(case, &server, Some(&mut admin), length)?;
            eprintln!("  {}: {:.0} events/s", case.name, sample.events_per_second);
            row.samples.push(sample);
        }
        for (batch, rates) in &mut report.naive {
            rates.push(floor::naive(&url, 64, *batch, length)?);
        }
    }
    for row in &mut rows {
        let ratios = row.samples.iter().zip(&report.floor).map(|(sample, floor)| sample.events_per_second / floor);
        row.ratio = median(ratios);
    }
    report.rows = rows;
    // The lint keeps libraries quiet; this program exists to print.
    #[allow(clippy::print_stdout)]
    {
        println!("{}", report.table());
    }
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}
