//! Signals, users and ports of processes.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::Error;

/// Sends a signal. A process that has just ended is no error.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        kill_process(pid, signal).ok();
    }
}

/// The children of a process, not theirs.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

pub(crate) fn exists(pid: u32) -> bool {
    // A zombie has ended; its parent has not asked yet.
    let state = fs::read_to_string(format!("/proc/{pid}/stat"));
    state.is_ok_and(|state| !state.contains(") Z "))
}

/// A port that is free now, below Linux's range for outgoing connections: one of those could take it
/// while its owner is dead.
pub(crate) fn free_port() -> Result<u16, Error> {
    for _ in 0..100 {
        let port = fastrand::u16(20_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no port between 20000 and 32000 is free".into())
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Result<String, Error> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let Output { status, stdout, stderr } = output;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    if status.success() {
        return Ok(stdout);
    }
    Err(format!("{command:?}: {status}: {stdout}{}", String::from_utf8_lossy(&stderr)).into())
}

/// The user for PostgreSQL, which refuses to run as root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// `postgres` if this program runs as root, otherwise `None`.
    pub(crate) fn of_postgres() -> Result<Option<Self>, Error> {
        let id = |flag| run(Command::new("id").arg(flag).arg("postgres"));
        if !is_root() {
            return Ok(None);
        }
        Ok(Some(Self { uid: id("-u")?.trim().parse()?, gid: id("-g")?.trim().parse()? }))
    }

    pub(crate) fn apply(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    pub(crate) fn own(self, path: &std::path::Path) -> Result<(), Error> {
        Ok(std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))?)
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
