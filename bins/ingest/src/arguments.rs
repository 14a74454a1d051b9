//! The command line. Errors go to stderr, with the exit code of sysexits.h.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use mercurio_domain::hints::nearest;

/// Exit code for wrong usage: `EX_USAGE` of sysexits.h.
const WRONG_USAGE: u8 = 64;

/// Reads the arguments of the process.
///
/// # Errors
/// The exit code: success after `--help`, [`WRONG_USAGE`] after an error message.
pub(crate) fn read<T: argh::TopLevelCommand>() -> Result<T, ExitCode> {
    // No option takes a value, so a replaced byte can only make an unknown option.
    let mut arguments = std::env::args_os().map(|text| text.to_string_lossy().into_owned());
    let program = arguments.next().unwrap_or_default();
    let program = Path::new(&program).file_name().and_then(OsStr::to_str);
    let program = program.unwrap_or(env!("CARGO_PKG_NAME"));
    let arguments: Vec<String> = arguments.collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    T::from_args(&[program], &arguments).map_err(|exit| match exit.status {
        Ok(()) => {
            print(&exit.output);
            ExitCode::SUCCESS
        }
        Err(()) => {
            eprintln!("{program}: {}{}", exit.output.trim_end(), way_out(program, &arguments));
            ExitCode::from(WRONG_USAGE)
        }
    })
}

/// Returns a suggestion for the first unknown argument, and where to look.
fn way_out(program: &str, arguments: &[&str]) -> String {
    const KNOWN: [&str; 3] = ["--healthcheck", "--version", "--help"];
    let unknown = arguments.iter().find(|argument| !KNOWN.contains(argument));
    let meant = unknown.and_then(|unknown| nearest(unknown, KNOWN));
    let suggestion = meant.map(|known| format!(" (did you mean {known}?)")).unwrap_or_default();
    format!(
        "{suggestion}\nSettings come from the environment, such as MERCURIO_ADDR=127.0.0.1:8080; \
         `{program} --help` lists the arguments"
    )
}

/// Prints to stdout. A closed stdout is not an error.
pub(crate) fn print(text: &str) {
    writeln!(std::io::stdout().lock(), "{}", text.trim_end()).ok();
}
