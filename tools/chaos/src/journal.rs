//! The record of a run: faults with their times, wrong answers, and the longest outage.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Wrong answers printed. All are counted.
const MAX_SHOWN: usize = 50;

/// What happened so far. Shared by all threads.
#[derive(Debug)]
pub(crate) struct Journal {
    start: Instant,
    pages: Mutex<Pages>,
}

#[derive(Debug)]
struct Pages {
    faults: BTreeMap<&'static str, u32>,
    statuses: BTreeMap<u16, u64>,
    last_success: Instant,
    longest_outage: Outage,
    violations: Vec<String>,
}

/// A time without any successful request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outage {
    /// Since the start of the run.
    pub(crate) since: Duration,
    pub(crate) length: Duration,
}

impl Journal {
    pub(crate) fn new() -> Self {
        let start = Instant::now();
        let pages = Pages {
            faults: BTreeMap::new(),
            statuses: BTreeMap::new(),
            last_success: start,
            longest_outage: Outage::default(),
            violations: Vec::new(),
        };
        Self { start, pages: Mutex::new(pages) }
    }

    /// Prints a line with the time since the start.
    pub(crate) fn say(&self, text: impl Display) {
        eprintln!("{:9.3} {text}", self.start.elapsed().as_secs_f64());
    }

    /// Counts and prints a fault.
    pub(crate) fn fault(&self, kind: &'static str, details: impl Display) {
        *self.pages().faults.entry(kind).or_default() += 1;
        self.say(format_args!("{kind}: {details}"));
    }

    /// Records a broken promise that the tables do not show.
    pub(crate) fn violation(&self, text: String) {
        // A broken server may give the same wrong answer a thousand times a second.
        if self.violation_count() < MAX_SHOWN {
            self.say(format_args!("VIOLATION {text}"));
        }
        self.pages().violations.push(text);
    }

    /// Records the status of an answer.
    pub(crate) fn status(&self, status: u16) {
        let mut pages = self.pages();
        *pages.statuses.entry(status).or_default() += 1;
        if status != 200 {
            return;
        }
        let now = Instant::now();
        let length = now - pages.last_success;
        if length > pages.longest_outage.length {
            pages.longest_outage = Outage { since: pages.last_success - self.start, length };
        }
        pages.last_success = now;
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn fault_count(&self) -> u32 {
        self.pages().faults.values().sum()
    }

    pub(crate) fn violation_count(&self) -> usize {
        self.pages().violations.len()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pages = self.pages();
        writeln!(f, "faults: {}", pages.faults.values().sum::<u32>())?;
        for (kind, count) in &pages.faults {
            writeln!(f, "  {count:6} {kind}")?;
        }
        writeln!(f, "answers by status:")?;
        for (status, count) in &pages.statuses {
            writeln!(f, "  {count:8} {status}")?;
        }
        let Outage { since, length } = pages.longest_outage;
        writeln!(
            f,
            "longest time without a success: {:.1} s, from second {:.0}",
            length.as_secs_f64(),
            since.as_secs_f64()
        )?;
        for violation in pages.violations.iter().take(MAX_SHOWN) {
            writeln!(f, "violation: {violation}")?;
        }
        if pages.violations.len() > MAX_SHOWN {
            writeln!(f, "violations in all: {}", pages.violations.len())?;
        }
        Ok(())
    }
}
