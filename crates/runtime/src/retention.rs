//! A thread that deletes events older than their retention, and old rejected events: at start, and
//! once a day after midnight (UTC).
//!
//! Of several servers on one database, the holder of the retention lease deletes. A removal is many
//! short transactions with pauses as long as the steps, so it takes at most half of one connection.
//! After an interruption, the next server or the next start continues. The limits define the
//! retention; the domain derives the removals from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use mercurio_domain::limits::Limits;
use mercurio_domain::store::{
    Lease, LeaseKind, Removal, Removed, Store, StoreError, TenantRef, TenantRetention,
    due_removals, rejections_expire_before,
};
use mercurio_domain::tenant::TenantStatus;
use mercurio_domain::{Clock, Timestamp};
use mercurio_observability::metrics::RetentionReading;
use mercurio_observability::{chain, keys};
use slog::{Logger, info, warn};

/// Interval between two checks for due work, and two attempts to get the lease.
const CHECK_EVERY: Duration = Duration::from_secs(60);
/// Maximum pause between two steps.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// Tenants per query.
const PAGE: usize = 1_000;

/// Counters of the thread, for the metrics.
#[derive(Debug, Default)]
pub struct RetentionCounts {
    removed_events: AtomicU64,
    removed_event_keys: AtomicU64,
    removed_rejections: AtomicU64,
    /// Unix time of the last complete run. 0: another server holds the lease.
    last_run_seconds: AtomicU64,
}

impl RetentionCounts {
    /// Returns the current values.
    #[must_use]
    pub fn read(&self) -> RetentionReading {
        let last_run_seconds = self.last_run_seconds.load(Ordering::Relaxed);
        RetentionReading {
            removed_events: self.removed_events.load(Ordering::Relaxed),
            removed_event_keys: self.removed_event_keys.load(Ordering::Relaxed),
            removed_rejections: self.removed_rejections.load(Ordering::Relaxed),
            last_run_seconds: (last_run_seconds > 0).then_some(last_run_seconds),
        }
    }

    fn add_removed(&self, step: &Removed) {
        self.removed_events.fetch_add(step.events, Ordering::Relaxed);
        self.removed_event_keys.fetch_add(step.keys, Ordering::Relaxed);
    }

    fn set_last_run(&self, at: Timestamp) {
        let seconds = at.to_datetime().timestamp().unsigned_abs();
        self.last_run_seconds.store(seconds, Ordering::Relaxed);
    }

    /// Before the first run, the time of the lease counts. A server that loses the lease in a
    /// failed run and gets it again keeps the time of its last complete run, so that the alert for
    /// a stalled retention still fires.
    fn lease_acquired(&self, at: Timestamp) {
        if self.last_run_seconds.load(Ordering::Relaxed) == 0 {
            self.set_last_run(at);
        }
    }

    fn lease_held_elsewhere(&self) {
        self.last_run_seconds.store(0, Ordering::Relaxed);
    }
}

/// A handle of the thread. Dropping it stops the thread and does not wait: each step is one
/// transaction.
pub struct RetentionHandle {
    #[expect(dead_code, reason = "the thread sees the channel close")]
    stop: Sender<()>,
}

/// What is kept for how long.
#[derive(Debug, Clone, Copy)]
pub struct RetentionOptions {
    /// They define the retention of events for tenants without their own.
    pub limits: Limits,
    /// Days rejected events and their counts are kept; 0 keeps none.
    pub rejection_days: u32,
}

/// The thread's state.
pub struct RetentionWorker {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    options: RetentionOptions,
    counts: Arc<RetentionCounts>,
    log: Logger,
    stop: Receiver<()>,
    lease: Option<Box<dyn Lease>>,
}

/// The end of a run that is not complete.
enum Interrupted {
    /// The server stops.
    Stopped,
    /// The store failed. The next run starts again.
    Failed(StoreError),
}

impl From<StoreError> for Interrupted {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl RetentionWorker {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        options: RetentionOptions,
        counts: Arc<RetentionCounts>,
        log: Logger,
    ) -> std::io::Result<RetentionHandle> {
        let (sender, stop) = channel();
        let mut worker = Self { store, clock, options, counts, log, stop, lease: None };
        let builder = std::thread::Builder::new().name("retention".to_owned());
        builder.spawn(move || worker.work())?;
        Ok(RetentionHandle { stop: sender })
    }

    fn work(&mut self) {
        let (mut completed_on, mut is_logged) = (None, false);
        loop {
            let today = self.clock.now().to_datetime().date_naive();
            if completed_on != Some(today) {
                match self.run() {
                    // Done for the day; the lease stays with this server.
                    Ok(true) => (completed_on, is_logged) = (Some(today), false),
                    // Another server holds the lease: ask again after the interval.
                    Ok(false) => {}
                    Err(Interrupted::Stopped) => return,
                    Err(Interrupted::Failed(error)) => {
                        // The connection that held the lease may be gone.
                        self.lease = None;
                        // One line per outage, not one per minute.
                        if !is_logged {
                            warn!(self.log, "retention failed"; keys::ERROR => chain(&error));
                        }
                        is_logged = true;
                    }
                }
            }
            if self.is_stopped_within(CHECK_EVERY) {
                return;
            }
        }
    }

    /// Removes everything due. Returns `false` if another server holds the lease.
    fn run(&mut self) -> Result<bool, Interrupted> {
        if self.lease.is_none() {
            self.lease = self.store.lease(LeaseKind::Retention)?;
            if self.lease.is_some() {
                self.counts.lease_acquired(self.clock.now());
            }
        }
        let Some(lease) = &mut self.lease else {
            self.counts.lease_held_elsewhere();
            return Ok(false);
        };
        // A removal is final, so the earlier one of both clocks counts: a fast clock removes
        // nothing too early.
        let now = self.clock.now();
        let now = lease.hold()?.map_or(now, |theirs| theirs.min(now));
        for removal in due_removals(&self.retention_days()?, now) {
            self.remove(&removal, now)?;
        }
        if let Some(before) = rejections_expire_before(self.options.rejection_days, now) {
            self.expire_rejections(before)?;
        }
        self.counts.set_last_run(self.clock.now());
        Ok(true)
    }

    /// Returns each tenant's retention in days. Tenants under deletion have none: their events go
    /// anyway.
    fn retention_days(&self) -> Result<Vec<TenantRetention>, Interrupted> {
        let (mut days, mut after) = (Vec::new(), None);
        // Pages bound the memory and the time of each query.
        loop {
            let page = self.store.tenants(after, PAGE)?;
            for tenant in page.iter().filter(|tenant| tenant.status != TenantStatus::Deleting) {
                if let Some(found) = self.store.tenant(&TenantRef::Id(tenant.id))? {
                    let limits = found.limits.over(self.options.limits);
                    days.push(TenantRetention {
                        tenant_id: tenant.id,
                        days: limits.retention_days,
                    });
                }
            }
            after = page.last().map(|tenant| tenant.id);
            if page.len() < PAGE {
                return Ok(days);
            }
        }
    }

    fn remove(&self, removal: &Removal, now: Timestamp) -> Result<(), Interrupted> {
        let start = Instant::now();
        let mut total = Removed::default();
        let result = self.remove_in_steps(removal, now, &mut total);
        // Logged also after an interruption: the completed steps are committed.
        if (total.events, total.keys) != (0, 0)
            && let Removal::Received { tenant_id, before } = removal
        {
            info!(self.log, "old events removed";
                keys::TENANT_ID => tenant_id.map(|id| id.to_string()), keys::EVENTS => total.events, keys::EVENT_KEYS => total.keys,
                keys::RECEIVED_BEFORE => before.to_string(), keys::DURATION_MS => start.elapsed().as_secs_f64() * 1e3);
        }
        result
    }

    fn remove_in_steps(
        &self,
        removal: &Removal,
        now: Timestamp,
        total: &mut Removed,
    ) -> Result<(), Interrupted> {
        loop {
            let start = Instant::now();
            let step = self.store.remove_events(removal, now, total.next.as_ref())?;
            self.counts.add_removed(&step);
            *total = Removed {
                events: total.events + step.events,
                keys: total.keys + step.keys,
                rejections: total.rejections + step.rejections,
                next: step.next,
            };
            if total.next.is_none() {
                return Ok(());
            }
            // A pause as long as the step leaves half of a connection to requests.
            if self.is_stopped_within(start.elapsed().min(MAX_PAUSE)) {
                return Err(Interrupted::Stopped);
            }
        }
    }

    fn expire_rejections(&self, before: Timestamp) -> Result<(), Interrupted> {
        let start = Instant::now();
        let mut total = 0;
        let result = self.expire_in_steps(before, &mut total);
        // Logged also after an interruption: the completed steps are committed.
        if total > 0 {
            info!(self.log, "old rejections removed"; keys::EVENTS => total,
                keys::RECEIVED_BEFORE => before.to_string(), keys::DURATION_MS => start.elapsed().as_secs_f64() * 1e3);
        }
        result
    }

    fn expire_in_steps(&self, before: Timestamp, total: &mut u64) -> Result<(), Interrupted> {
        loop {
            let start = Instant::now();
            let step = self.store.expire_rejections(None, before)?;
            self.counts.removed_rejections.fetch_add(step.events, Ordering::Relaxed);
            *total += step.events;
            if !step.has_more {
                return Ok(());
            }
            if self.is_stopped_within(start.elapsed().min(MAX_PAUSE)) {
                return Err(Interrupted::Stopped);
            }
        }
    }

    /// Waits up to `time`. Returns whether the handle was dropped.
    fn is_stopped_within(&self, time: Duration) -> bool {
        // A dropped handle closes the channel, and `recv_timeout` returns at once.
        !matches!(self.stop.recv_timeout(time), Err(RecvTimeoutError::Timeout))
    }
}
