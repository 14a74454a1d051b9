//! What the operating system knows of this process. Linux only; elsewhere most answers are `None`.
//!
//! Used by health checks and metrics: call it when asked, not for each request, since it reads small files. Not here:
//! anything that takes long.

use std::num::NonZeroUsize;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, getrlimit};

/// The numbers that the guidelines for Prometheus clients name.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ProcessReading {
    /// Resident memory.
    pub resident_memory_bytes: Option<u64>,
    /// Virtual memory.
    pub virtual_memory_bytes: Option<u64>,
    /// Time of processors so far, of the program and of the system for it.
    pub cpu_seconds: Option<f64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// File descriptors that may be open; `None` also where any number may.
    pub max_fds: Option<u64>,
    /// When the process started, in seconds since 1970.
    pub start_time_seconds: Option<f64>,
    /// Threads.
    pub threads: Option<u64>,
}

/// Asks for all of them.
#[must_use]
pub fn read() -> ProcessReading {
    let ticks = clock_ticks_per_second();
    let stat = std::fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::parse(&text));
    let boot = std::fs::read_to_string("/proc/stat").ok().and_then(|text| boot_time_seconds(&text));
    ProcessReading {
        resident_memory_bytes: resident_memory_bytes(),
        virtual_memory_bytes: stat.map(|stat| stat.virtual_bytes),
        cpu_seconds: stat.map(|stat| stat.cpu_ticks as f64 / ticks as f64),
        // The folder is read through a descriptor of its own.
        open_fds: std::fs::read_dir("/proc/self/fd")
            .ok()
            .map(|folder| (folder.count() as u64).saturating_sub(1)),
        max_fds: getrlimit(Resource::Nofile).current,
        start_time_seconds: boot
            .zip(stat)
            .map(|(boot, stat)| boot as f64 + stat.start_ticks as f64 / ticks as f64),
        threads: stat.map(|stat| stat.threads),
    }
}

/// Resident memory of this process in bytes.
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

/// What is read of `/proc/<pid>/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    /// Since the machine started.
    start_ticks: u64,
    virtual_bytes: u64,
}

impl Stat {
    /// The fields are numbered as in proc(5); the second, a name in parentheses, may hold spaces and parentheses.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)?.checked_add(field(15)?)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
        })
    }
}

/// Reads `btime` from the text of `/proc/stat`.
fn boot_time_seconds(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
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
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 700 33 0 0 20 0 9 0 12345 99000 17";
        let expected =
            Stat { cpu_ticks: 733, threads: 9, start_ticks: 12345, virtual_bytes: 99000 };
        for name in ["mercurio-ingest", "a b", ") S 1 (", ""] {
            assert_eq!(Stat::parse(&format!("42 ({name}) {fields}\n")), Some(expected), "{name}");
        }
        for wrong in ["", "42 (a) S 1", "42 a S"] {
            assert_eq!(Stat::parse(wrong), None, "{wrong}");
        }
        assert_eq!(boot_time_seconds("cpu 1 2\nbtime 1790000000\nctxt 1\n"), Some(1_790_000_000));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_what_every_process_has() {
        let reading = read();
        assert!(reading.resident_memory_bytes.is_some_and(|bytes| bytes > 100_000));
        assert!(reading.virtual_memory_bytes > reading.resident_memory_bytes);
        assert!(reading.cpu_seconds.is_some_and(|seconds| (0.0..3600.0).contains(&seconds)));
        assert!(
            reading
                .open_fds
                .is_some_and(|open| open >= 3 && reading.max_fds.is_none_or(|max| open <= max))
        );
        assert!(reading.threads.is_some_and(|threads| threads >= 1));
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        let started = reading.start_time_seconds.unwrap();
        assert!((now - 3600.0..=now + 2.0).contains(&started), "{started}, now {now}");
        assert!(cpu_count().is_some_and(|count| count > 0));
    }
}
