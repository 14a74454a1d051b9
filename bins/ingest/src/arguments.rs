//! The command line: what is wrong with it is told on stderr, with the exit code that sysexits.h has for it.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// The exit code of wrong usage: `EX_USAGE` of `sysexits.h`.
pub const WRONG_USAGE: u8 = 64;

/// Reads the process's arguments.
///
/// # Errors
/// The code to exit with: success after `--help`, [`WRONG_USAGE`] after a message of what is wrong.
pub fn read<T: argh::TopLevelCommand>() -> Result<T, ExitCode> {
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let program = words.next().unwrap_or_default();
    let program =
        Path::new(&program).file_name().and_then(OsStr::to_str).unwrap_or(env!("CARGO_PKG_NAME"));
    let words: Vec<String> = words.collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    T::from_args(&[program], &words).map_err(|exit| match exit.status {
        Ok(()) => {
            print(&exit.output);
            ExitCode::SUCCESS
        }
        Err(()) => {
            eprintln!("{program}: {}", exit.output.trim_end());
            ExitCode::from(WRONG_USAGE)
        }
    })
}

/// Prints a line that was asked for. A reader that is gone is no failure.
pub fn print(line: &str) {
    writeln!(std::io::stdout().lock(), "{}", line.trim_end()).ok();
}
