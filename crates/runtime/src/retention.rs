//! One thread that removes events that are older than they are kept: at the start, and once a day after midnight in UTC.
//!
//! Of several servers on one database one does it, which the store decides. A removal is many short transactions, with
//! pauses between them as long as they were, so that it never takes more than half of what a connection can do; cut off at any
//! point, it goes on with the next server or the next start. Not here: how long events are kept, which are limits, and which
//! removals follow from that, which is the domain's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use mercurio_domain::limits::Limits;
use mercurio_domain::store::{
    Lease, LeaseKind, Removal, Removed, Store, StoreError, TenantRef, TenantRetention, due_removals,
};
use mercurio_domain::tenant::TenantStatus;
use mercurio_domain::{Clock, Timestamp};
use mercurio_observability::metrics::RetentionReading;
use mercurio_observability::{chain, keys};
use slog::{Logger, info, warn};

/// How often the thread looks whether there is something to do, and asks for the right to do it.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The longest pause between two steps.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Tenants that are asked for at once.
const PAGE: usize = 1_000;

/// What the thread has done, for the metrics.
#[derive(Debug, Default)]
pub struct RetentionCounts {
    removed_events: AtomicU64,
    removed_event_keys: AtomicU64,
    /// 0: another server has the duty.
    swept_at_seconds: AtomicU64,
}

impl RetentionCounts {
    /// What is counted now.
    #[must_use]
    pub fn read(&self) -> RetentionReading {
        let swept_at_seconds = self.swept_at_seconds.load(Ordering::Relaxed);
        RetentionReading {
            removed_events: self.removed_events.load(Ordering::Relaxed),
            removed_event_keys: self.removed_event_keys.load(Ordering::Relaxed),
            last_run_seconds: (swept_at_seconds > 0).then_some(swept_at_seconds),
        }
    }

    fn note_removed(&self, step: &Removed) {
        self.removed_events.fetch_add(step.events, Ordering::Relaxed);
        self.removed_event_keys.fetch_add(step.keys, Ordering::Relaxed);
    }

    fn note_swept(&self, at: Timestamp) {
        self.swept_at_seconds.store(at.to_datetime().timestamp().unsigned_abs(), Ordering::Relaxed);
    }

    /// One that fails, and so loses the duty and takes it over again, has not swept.
    fn note_duty(&self, at: Timestamp) {
        if self.swept_at_seconds.load(Ordering::Relaxed) == 0 {
            self.note_swept(at);
        }
    }

    fn note_no_duty(&self) {
        self.swept_at_seconds.store(0, Ordering::Relaxed);
    }
}

/// The thread. Dropping it tells it to end, and does not wait: whatever step it is in is whole or was never begun.
pub struct Retention {
    #[expect(dead_code, reason = "held for its end, of which the thread hears")]
    stop: Sender<()>,
}

struct Keeper {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    counts: Arc<RetentionCounts>,
    log: Logger,
    stop: Receiver<()>,
    lease: Option<Box<dyn Lease>>,
}

/// Why a sweep came to no end.
enum Cut {
    /// The server ends.
    Stopped,
    /// The store failed; the next look begins anew.
    Failed(StoreError),
}

impl From<StoreError> for Cut {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl Retention {
    /// Starts the thread. `limits`: those of tenants that have none of their own.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        limits: Limits,
        counts: Arc<RetentionCounts>,
        log: Logger,
    ) -> std::io::Result<Self> {
        let (sender, stop) = channel();
        let mut keeper = Keeper { store, clock, limits, counts, log, stop, lease: None };
        std::thread::Builder::new().name("retention".to_owned()).spawn(move || keeper.run())?;
        Ok(Self { stop: sender })
    }
}

impl Keeper {
    fn run(&mut self) {
        let (mut done_on, mut has_told) = (None, false);
        loop {
            let today = self.clock.now().to_datetime().date_naive();
            if done_on != Some(today) {
                match self.sweep() {
                    Ok(true) => (done_on, has_told) = (Some(today), false),
                    // Another server does it, today and until it ends.
                    Ok(false) => {}
                    Err(Cut::Stopped) => return,
                    Err(Cut::Failed(error)) => {
                        self.lease = None;
                        if !has_told {
                            warn!(self.log, "old events can't be removed now"; keys::ERROR => chain(&error));
                        }
                        has_told = true;
                    }
                }
            }
            if self.is_stopped_within(LOOK_EVERY) {
                return;
            }
        }
    }

    /// Removes all that is due, where this server may. Returns whether it may.
    fn sweep(&mut self) -> Result<bool, Cut> {
        if self.lease.is_none() {
            self.lease = self.store.lease(LeaseKind::Retention)?;
            if self.lease.is_some() {
                self.counts.note_duty(self.clock.now());
            }
        }
        let Some(lease) = &mut self.lease else {
            self.counts.note_no_duty();
            return Ok(false);
        };
        // What is removed is gone: of two clocks the one counts by which less is old.
        let now = self.clock.now();
        let now = lease.hold()?.map_or(now, |theirs| theirs.min(now));
        for removal in due_removals(&self.kept_days()?, now) {
            self.remove(&removal, now)?;
        }
        self.counts.note_swept(self.clock.now());
        Ok(true)
    }

    /// For how many days each tenant's events are kept. One that is being deleted has none that are kept.
    fn kept_days(&self) -> Result<Vec<TenantRetention>, Cut> {
        let (mut days, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.tenants(after, PAGE)?;
            for tenant in page.iter().filter(|tenant| tenant.status != TenantStatus::Deleting) {
                if let Some(found) = self.store.tenant(&TenantRef::Id(tenant.id))? {
                    let limits = found.limits.over(self.limits);
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

    fn remove(&self, removal: &Removal, now: Timestamp) -> Result<(), Cut> {
        let begun = Instant::now();
        let mut sum = Removed::default();
        let ended = self.remove_by_steps(removal, now, &mut sum);
        // Whether or not it came to its end.
        if (sum.events, sum.keys) != (0, 0)
            && let Removal::Received { tenant_id, before } = removal
        {
            info!(self.log, "old events were removed";
                keys::TENANT_ID => tenant_id.map(|id| id.0), keys::EVENTS => sum.events, "event_keys" => sum.keys,
                "received_before" => before.to_string(), keys::DURATION_MS => begun.elapsed().as_secs_f64() * 1e3);
        }
        ended
    }

    fn remove_by_steps(
        &self,
        removal: &Removal,
        now: Timestamp,
        sum: &mut Removed,
    ) -> Result<(), Cut> {
        loop {
            let begun = Instant::now();
            let step = self.store.remove_events(removal, now, sum.next.as_ref())?;
            self.counts.note_removed(&step);
            *sum = Removed {
                events: sum.events + step.events,
                keys: sum.keys + step.keys,
                next: step.next,
            };
            if sum.next.is_none() {
                return Ok(());
            }
            if self.is_stopped_within(begun.elapsed().min(LONGEST_PAUSE)) {
                return Err(Cut::Stopped);
            }
        }
    }

    fn is_stopped_within(&self, time: Duration) -> bool {
        !matches!(self.stop.recv_timeout(time), Err(RecvTimeoutError::Timeout))
    }
}
