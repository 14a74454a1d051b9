//! CPU time and memory of other processes, from Linux's `/proc`.

use std::fs;
use std::time::Duration;

/// Ticks per second in `/proc/PID/stat`: `USER_HZ`, 100 on every current Linux.
const TICKS_PER_SECOND: u64 = 100;

/// Returns the user and system CPU time of a process; zero if it has ended.
pub(crate) fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name can contain blanks and parentheses; the numbers follow its last parenthesis.
    let numbers = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    // Fields 14 and 15 of proc(5), utime and stime; the rest begins with field 3.
    let ticks: u64 = numbers
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|text| text.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// Returns the CPU time of all processes with a name.
pub(crate) fn cpu_of_all(name: &str) -> Duration {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Duration::ZERO;
    };
    let pids =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| is_named(*pid, name)).map(cpu).sum()
}

fn is_named(pid: u32, name: &str) -> bool {
    // The kernel cuts names at 15 characters.
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name)
}

/// Returns the peak resident memory of a process, in bytes.
pub(crate) fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    // VmHWM is in kibibytes.
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
