//! What the operating system knows of this process. Linux only; elsewhere the answers are `None`.
//!
//! Used by health checks and metrics. Not here: anything that takes long.

use std::num::NonZeroUsize;

/// Resident memory of this process in bytes. Reads a small file: call it when asked, not for each request.
#[must_use]
pub fn resident_memory_bytes() -> Option<u64> {
    // Not statm: it counts pages, and their size differs between machines.
    resident_bytes(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// Processors this process may use (CPU affinity and container quotas counted in).
#[must_use]
pub fn cpu_count() -> Option<usize> {
    std::thread::available_parallelism().ok().map(NonZeroUsize::get)
}

/// Reads `VmRSS` from the text of `/proc/<pid>/status`; the kernel's "kB" are 1,024 bytes.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        for (status, expected) in [
            ("Name:\tingest\nVmHWM:\t   9000 kB\nVmRSS:\t    8204 kB\n", Some(8204 * 1024)),
            ("VmRSS:\t0 kB", Some(0)),
            ("VmRSS:\t12 MB", None),
            ("VmRSS:\tmany kB", None),
            ("VmRSS:\t18446744073709551615 kB", None),
            ("Name:\tkthread\n", None),
            ("", None),
        ] {
            assert_eq!(resident_bytes(status), expected, "{status:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_a_processor() {
        assert!(resident_memory_bytes().is_some_and(|bytes| bytes > 100_000));
        assert!(cpu_count().is_some_and(|count| count > 0));
    }
}
