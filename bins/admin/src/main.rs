//! Starts `mercurio-admin` with the real clock, terminal and environment.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use mercurio_admin::machine::{Machine, interrupted, system_entropy, system_user};
use mercurio_admin::output::stdout_is_lost;
use mercurio_admin::run;
use mercurio_admin::terminal::{self, Terminal};
use mercurio_runtime::system::{SystemClock, UuidV7Ids};

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).collect();
    let user = system_user(std::env::var("SUDO_USER").ok());
    let machine = Machine {
        clock: &SystemClock,
        ids: &UuidV7Ids,
        entropy: &system_entropy,
        setting: &mercurio_config::process_env,
        user: &user,
        setting_names: &|| mercurio_config::process_env_names().collect(),
        sleep: &std::thread::sleep,
        notify: &terminal::notify,
        stdin_is_terminal: io::stdin().is_terminal(),
        stdin: &|| Box::new(io::stdin().lock()),
        ask: &terminal::ask,
        interrupted: &interrupted,
        terminal: Terminal::of_stdout(&mercurio_config::process_env),
        stdout_is_lost: stdout_is_lost(),
    };
    // Stderr is not locked: progress is drawn by another thread.
    run(arguments, &machine, &mut io::stdout().lock(), &mut io::stderr()).into()
}
