//! `mercurio-ingest`: takes events over HTTP and stores each of them durably, exactly once.

use std::process::ExitCode;

use mercurio_config::Config;
use mercurio_ingest::arguments;
use mercurio_ingest::startup::{StartError, probe, run};
use mercurio_observability::chain;

/// Takes events over HTTP and stores each of them durably, exactly once. All settings come from the environment: see
/// .env.example.
#[derive(argh::FromArgs)]
struct Arguments {
    /// print the version and exit
    #[argh(switch)]
    version: bool,
    /// ask the server of these settings whether it is ready, and exit with 0 if so and 1 if not
    #[argh(switch)]
    healthcheck: bool,
}

fn main() -> ExitCode {
    let arguments = match arguments::read::<Arguments>() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    if arguments.version {
        arguments::print(&format!("mercurio-ingest {}", env!("CARGO_PKG_VERSION")));
        return ExitCode::SUCCESS;
    }
    let config = Config::read(mercurio_config::process_env, mercurio_config::process_env_names());
    let done = match config.map_err(StartError::from) {
        Ok(config) if arguments.healthcheck => {
            probe(config.addr).map_err(|error| (chain(&error), 1))
        }
        other => other.and_then(run).map_err(|error| (chain(&error), error.exit_code())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((told, code)) => {
            eprintln!("mercurio-ingest: {told}");
            ExitCode::from(code)
        }
    }
}
