//! `mercurio-ingest`: accepts events over HTTP and stores each one durably, exactly once.

mod arguments;
mod startup;

use std::process::ExitCode;

use mercurio_api::healthcheck;
use mercurio_config::Config;
use mercurio_observability::chain;

use startup::StartError;

/// Accept events over HTTP and store each one durably, exactly once. All settings come from the environment: see
/// .env.example.
#[derive(argh::FromArgs)]
#[argh(help_triggers("-h", "--help", "help"))]
struct Arguments {
    /// print version, commit, target and features, and exit
    #[argh(switch, short = 'V')]
    version: bool,
    /// ask the server with these settings whether it is ready; exit with 0 if it is, otherwise with 1
    #[argh(switch)]
    healthcheck: bool,
}

fn main() -> ExitCode {
    let arguments: Arguments = match arguments::read() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    if arguments.version {
        arguments::print(include_str!(concat!(env!("OUT_DIR"), "/version.txt")));
        return ExitCode::SUCCESS;
    }
    let config = Config::read(mercurio_config::process_env, mercurio_config::process_env_names());
    let result = match config.map_err(StartError::from) {
        Ok(config) if arguments.healthcheck => {
            // Docker knows two codes: 0 is healthy, 1 is not.
            healthcheck::check(&config.addr).map_err(|error| (chain(&error), 1))
        }
        config => config.and_then(startup::run).map_err(|error| (chain(&error), error.exit_code())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err((message, code)) => {
            // On stderr too: invalid settings end the program before it has a log.
            eprintln!("mercurio-ingest: {message}");
            ExitCode::from(code)
        }
    }
}
