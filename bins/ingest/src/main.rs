//! `mercurio-ingest`: takes events over HTTP and stores each of them durably, exactly once.

use std::process::ExitCode;

use mercurio_config::Config;
use mercurio_ingest::arguments;
use mercurio_ingest::startup::{StartError, run};
use mercurio_observability::chain;

/// Takes events over HTTP and stores each of them durably, exactly once. All settings come from the environment: see
/// .env.example.
#[derive(argh::FromArgs)]
struct Arguments {
    /// print the version and exit
    #[argh(switch)]
    version: bool,
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
    let config = Config::read(mercurio_config::of_process, mercurio_config::names_of_process());
    match config.map_err(StartError::from).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mercurio-ingest: {}", chain(&error));
            ExitCode::from(error.exit_code())
        }
    }
}
