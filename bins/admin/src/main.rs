//! Start of `mercurio-admin`: hands the machine to the library, and its exit code to the machine.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use mercurio_admin::{
    Machine, ask_at_terminal, asked_to_end, run, system_entropy, tell_at_terminal,
};
use mercurio_runtime::system::{SystemClock, UuidV7Ids};

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).collect();
    let machine = Machine {
        clock: &SystemClock,
        ids: &UuidV7Ids,
        entropy: &system_entropy,
        sleep: &std::thread::sleep,
        tell: &tell_at_terminal,
        ask: &ask_at_terminal,
        interrupted: &asked_to_end,
        stdout_is_terminal: io::stdout().is_terminal(),
        setting: &mercurio_config::of_process,
        names: &|| mercurio_config::names_of_process().collect(),
    };
    run(arguments, &machine, &mut io::stdout().lock(), &mut io::stderr().lock()).into()
}
