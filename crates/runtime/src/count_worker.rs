//! Sums the log of counts once a second, on the server with the lease for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use mercurio_domain::store::{Lease, LeaseKind, Store, StoreError};
use mercurio_domain::{Clock, Timestamp};
use mercurio_observability::{chain, keys};
use slog::{Logger, info, warn};

/// Pause between two sums.
const SUM_EVERY: Duration = Duration::from_secs(1);
/// Pause before a server without the lease, or after a failure, asks for it. Asking opens a
/// connection.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Time of the last sum, for the metrics.
#[derive(Debug, Default)]
pub struct SummedAt(AtomicU64);

impl SummedAt {
    /// Seconds since 1970. `None`: another server holds the lease, or nothing was summed yet.
    #[must_use]
    pub fn seconds(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }

    fn set(&self, at: Option<Timestamp>) {
        let seconds = at.map_or(0, |at| at.to_datetime().timestamp().unsigned_abs());
        self.0.store(seconds, Ordering::Relaxed);
    }
}

/// The thread. Dropping it ends the thread without waiting: a sum is one transaction.
pub struct CountWorker {
    #[expect(dead_code, reason = "the thread notices when this is dropped")]
    stop: Sender<()>,
}

struct SummingThread {
    /// Pause after a failure, and without the lease.
    ask_every: Duration,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    summed_at: Arc<SummedAt>,
    log: Logger,
    stop: Receiver<()>,
    lease: Option<Box<dyn Lease>>,
}

impl CountWorker {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        summed_at: Arc<SummedAt>,
        log: Logger,
    ) -> std::io::Result<Self> {
        let (sender, stop) = channel();
        let ask_every = ASK_EVERY;
        let mut worker =
            SummingThread { ask_every, store, clock, summed_at, log, stop, lease: None };
        std::thread::Builder::new().name("counts".to_owned()).spawn(move || worker.run())?;
        Ok(Self { stop: sender })
    }
}

impl SummingThread {
    fn run(&mut self) {
        let mut is_failing = false;
        loop {
            // A panic, logged by its hook, must not end the sums of this server for ever.
            let summed = catch_unwind(AssertUnwindSafe(|| self.sum()));
            let summed =
                summed.unwrap_or_else(|_| Err(StoreError::Internal("the sum panicked".into())));
            let pause = match summed {
                Ok(is_holder) => {
                    if is_failing {
                        info!(self.log, "counts summed again");
                    }
                    is_failing = false;
                    if is_holder { SUM_EVERY } else { self.ask_every }
                }
                Err(error) => {
                    // Another server may succeed.
                    self.lease = None;
                    if !is_failing {
                        warn!(self.log, "counts not summed"; keys::ERROR => chain(&error));
                    }
                    is_failing = true;
                    self.ask_every
                }
            };
            if !matches!(self.stop.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
                return;
            }
        }
    }

    /// Sums if this server holds the lease. Returns whether it does.
    fn sum(&mut self) -> Result<bool, StoreError> {
        if self.lease.is_none() {
            self.lease = self.store.lease(LeaseKind::Counts)?;
        }
        let Some(lease) = &mut self.lease else {
            self.summed_at.set(None);
            return Ok(false);
        };
        lease.hold()?;
        self.store.sum_counts()?;
        self.summed_at.set(Some(self.clock.now()));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use mercurio_domain::testing::{FixedClock, MemoryStore, at};

    use super::*;

    #[test]
    fn worker_sums_again_and_again_and_notes_the_time() {
        let store = Arc::new(MemoryStore::default());
        store.counts_gate.close();
        let (clock, summed_at) = (FixedClock::at("2026-11-22T10:00:00Z"), Arc::default());
        let worker = CountWorker::start(
            Arc::clone(&store) as Arc<dyn Store>,
            Arc::new(clock),
            Arc::clone(&summed_at),
            Logger::root(slog::Discard, slog::o!()),
        )
        .unwrap();
        store.counts_gate.wait_for_arrivals(1);
        assert_eq!(summed_at.seconds(), None);
        store.counts_gate.let_through(1);
        // The next sum begins after the first was noted.
        store.counts_gate.wait_for_arrivals(2);
        let expected = at("2026-11-22T10:00:00Z").to_datetime().timestamp().unsigned_abs();
        assert_eq!(summed_at.seconds(), Some(expected));
        drop(worker);
        store.counts_gate.open();
    }
    #[test]
    fn worker_goes_on_after_a_panic() {
        let store = Arc::new(MemoryStore::default());
        store.counts_gate.close();
        store.panic_in_next_sum();
        let (stop_sender, stop) = channel();
        let summed_at = Arc::<SummedAt>::default();
        let mut worker = SummingThread {
            ask_every: Duration::from_millis(1),
            store: Arc::clone(&store) as Arc<dyn Store>,
            clock: Arc::new(FixedClock::at("2026-11-22T10:00:00Z")),
            summed_at: Arc::clone(&summed_at),
            log: Logger::root(slog::Discard, slog::o!()),
            stop,
            lease: None,
        };
        let thread = std::thread::spawn(move || worker.run());
        for sum in 1..=3 {
            store.counts_gate.wait_for_arrivals(sum);
            // The first one panics, and the second one sets the time.
            assert_eq!(summed_at.seconds().is_some(), sum == 3);
            store.counts_gate.let_through(1);
        }
        drop(stop_sender);
        store.counts_gate.open();
        thread.join().unwrap();
    }
}
