//! The program's environment as one argument: time, ids, random bytes, settings and the terminal.
//! Tests pass their own.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mercurio_domain::Clock;
use mercurio_domain::ids::IdGenerator;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::terminal::Terminal;

/// The environment of one run.
pub struct Machine<'a> {
    /// Current time.
    pub clock: &'a dyn Clock,
    /// Ids for the sample events.
    pub ids: &'a dyn IdGenerator,
    /// Fills a slice with unpredictable bytes, for keys.
    pub entropy: &'a dyn Fn(&mut [u8]) -> Result<(), EntropyError>,
    /// Looks up a setting by its name.
    pub setting: &'a dyn Fn(&str) -> Option<String>,
    /// The user and the machine, for the audit log.
    pub user: &'a str,
    /// Lists the names of all variables that are set, to find misspelled settings.
    pub setting_names: &'a dyn Fn() -> Vec<String>,
    /// Blocks for the given time.
    pub sleep: &'a dyn Fn(Duration),
    /// Writes a message to stderr while a command runs.
    pub notify: &'a dyn Fn(&str),
    /// Whether a person can be asked.
    pub stdin_is_terminal: bool,
    /// Opens standard input.
    pub stdin: &'a dyn Fn() -> Box<dyn Read>,
    /// Asks a question; `None` without an answer.
    pub ask: &'a dyn Fn(&str) -> Option<String>,
    /// Whether SIGINT or SIGTERM asked the program to stop.
    pub interrupted: &'a dyn Fn() -> bool,
    /// The terminal at stdout, for tables; `None`: a pipe or a file.
    pub terminal: Option<Terminal>,
    /// Refuses to make keys that nobody could see.
    pub stdout_is_lost: bool,
}

/// Returns the user and the machine, such as `alice@db1`. With sudo, the user who called it too.
///
/// The name is the one of the user id in `/etc/passwd`, otherwise `uid 1000`: variables such as `USER`
/// can be set to anything.
#[must_use]
pub fn system_user(sudo_user: Option<String>) -> String {
    let uid = rustix::process::getuid().as_raw();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = name_of(uid, &users).unwrap_or_else(|| format!("uid {uid}"));
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    match sudo_user.filter(|_| uid == 0) {
        Some(caller) => format!("{user}@{host} (sudo by {caller})"),
        None => format!("{user}@{host}"),
    }
}

/// Finds a user id among the lines of `/etc/passwd`: name, password, id, separated by colons.
fn name_of(uid: u32, users: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        (parts.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The operating system has no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system provides no random bytes for a key")]
pub struct EntropyError(#[source] getrandom::Error);

/// Fills `bytes` from the operating system's generator.
///
/// # Errors
/// [`EntropyError`] if the generator is unavailable, as in a sandbox that forbids it.
pub fn system_entropy(bytes: &mut [u8]) -> Result<(), EntropyError> {
    getrandom::fill(bytes).map_err(EntropyError)
}

/// Whether SIGINT or SIGTERM arrived since the first call. Before that call a signal ends the
/// program at once, and a second signal always does.
#[must_use]
pub fn interrupted() -> bool {
    static SIGNALLED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    // Relaxed: the flag guards no other data.
    SIGNALLED.get_or_init(signal_flag).load(Ordering::Relaxed)
}

fn signal_flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the first action ends the program if the second has already set the
        // flag. If registering fails, the signal keeps its default and ends the program.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag)).ok();
        signal_hook::flag::register(signal, Arc::clone(&flag)).ok();
    }
    flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_is_named_by_the_system_and_not_by_a_variable() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nalice:x:1000:1000::/srv:\n";
        assert_eq!(name_of(0, users).as_deref(), Some("root"));
        assert_eq!(name_of(1000, users).as_deref(), Some("alice"));
        assert_eq!(name_of(7, users), None);
        let user = system_user(None);
        let (name, host) = user.split_once('@').expect("a user and a machine");
        assert!(!name.is_empty() && !host.is_empty(), "{user}");
    }
}
