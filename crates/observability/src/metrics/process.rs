//! Memory, CPU time, files and threads of this process, from `/proc`. On other systems than Linux nothing is known.
//!
//! Each call reads a few small files: call it per scrape, not per request.

use std::num::NonZeroUsize;

/// The values that Prometheus client libraries report for their process.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProcessReading {
    /// Resident memory.
    pub resident_memory_bytes: u64,
    /// Virtual memory.
    pub virtual_memory_bytes: u64,
    /// Total user and system CPU time.
    pub cpu_seconds: f64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// Maximum open file descriptors; `None` if unlimited.
    pub max_fds: Option<u64>,
    /// Start time of the process, in seconds since 1970.
    pub start_time_seconds: f64,
    /// Threads.
    pub threads: u64,
}

/// Reads all values; `None` without a readable `/proc`.
#[must_use]
#[cfg(target_os = "linux")]
pub fn read() -> Option<ProcessReading> {
    use procfs::WithCurrentSystemInfo;
    use procfs::process::{LimitValue, Process};

    // A hardened container may hide `/proc`.
    let process = Process::myself().ok()?;
    let stat = process.stat().ok()?;
    // CPU times are in clock ticks (proc(5), utime and stime).
    let ticks_per_second = procfs::ticks_per_second() as f64;
    Some(ProcessReading {
        resident_memory_bytes: stat.rss_bytes().get(),
        virtual_memory_bytes: stat.vsize,
        cpu_seconds: (stat.utime + stat.stime) as f64 / ticks_per_second,
        open_fds: process.fd_count().ok()? as u64,
        // The kernel enforces the soft limit (getrlimit(2)).
        max_fds: match process.limits().ok()?.max_open_files.soft_limit {
            LimitValue::Value(files) => Some(files),
            LimitValue::Unlimited => None,
        },
        // The start is in ticks since the boot (proc(5), starttime).
        start_time_seconds: procfs::boot_time_secs().ok()? as f64
            + stat.starttime as f64 / ticks_per_second,
        threads: u64::try_from(stat.num_threads).ok()?,
    })
}

/// Reads all values; `None` without a readable `/proc`.
#[must_use]
#[cfg(not(target_os = "linux"))]
pub fn read() -> Option<ProcessReading> {
    None
}

/// Returns the resident memory of this process.
#[must_use]
pub fn resident_memory_bytes() -> Option<u64> {
    read().map(|reading| reading.resident_memory_bytes)
}

/// Returns the CPUs this process may use, with CPU affinity and container quotas applied.
#[must_use]
pub fn cpu_count() -> Option<usize> {
    std::thread::available_parallelism().ok().map(NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_plausible_values() {
        let reading = read().unwrap();
        assert!(reading.resident_memory_bytes > 100_000, "{reading:?}");
        assert!(reading.virtual_memory_bytes > reading.resident_memory_bytes, "{reading:?}");
        assert!((0.0..3600.0).contains(&reading.cpu_seconds), "{reading:?}");
        assert!(reading.open_fds >= 3, "{reading:?}");
        assert!(reading.max_fds.is_none_or(|max| reading.open_fds <= max), "{reading:?}");
        assert!(reading.threads >= 1, "{reading:?}");
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        // The kernel reports the time of the boot in whole seconds.
        assert!((now - 3600.0..=now + 2.0).contains(&reading.start_time_seconds), "{reading:?}");
        assert!(cpu_count().is_some_and(|count| count > 0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn resident_memory_agrees_with_the_status_file() {
        let resident = resident_memory_bytes().unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kibibytes: u64 = line.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap();
        // The kernel may lag by some pages per CPU, and the other tests allocate in between.
        assert!(resident.abs_diff(kibibytes * 1024) < 64 << 20, "{resident} {line}");
    }
}
