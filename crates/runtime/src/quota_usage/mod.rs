//! Monthly quotas at the door: the usage of each tenant with a quota, as last read, plus the events
//! admitted since.
//!
//! One thread reads the usage of all active tenants in one statement, about twice a second. A
//! request waits for a read if the last one of its tenant is more than a second old, or if it is
//! about to be refused on uncertain numbers. So a tenant passes its quota only by the events of
//! other servers between two reads.
//!
//! Not here: the quotas themselves (limits of the tenant) and the counts (kept by the store).

mod month;
mod ratios;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mercurio_domain::limits::{Month, QuotaExceeded};
use mercurio_domain::store::{EventCounts, StoreError};
use mercurio_domain::{TenantId, Timestamp};
use tokio::sync::oneshot;

use month::{Admitted, Fit, MonthUsage};
use ratios::Ratios;

/// Maximum number of reads before a request is refused on uncertain numbers. The first read shows
/// all earlier requests of the same connection; the second, those answered during the first.
const MAX_READS: usize = 2;

/// How usage is read.
#[derive(Debug, Clone)]
pub struct QuotaUsageOptions {
    /// Time from one read of the active tenants to the next.
    pub read_every: Duration,
    /// Maximum age of a read for a decision.
    pub max_age: Duration,
    /// Time after which a silent tenant is forgotten.
    pub forget_after: Duration,
    /// Maximum number of tenants in [`QuotaUsage::used_ratios`].
    pub max_ratios: usize,
}

impl Default for QuotaUsageOptions {
    /// Reads every 500 ms; admits on reads of the last second; forgets after a minute; 100 tenants.
    fn default() -> Self {
        Self {
            read_every: Duration::from_millis(500),
            max_age: Duration::from_secs(1),
            forget_after: Duration::from_secs(60),
            max_ratios: 100,
        }
    }
}

/// Why a submission was not admitted.
#[derive(Debug, Clone)]
pub enum AdmitError {
    /// Its events do not fit into the quota.
    Exceeded(QuotaExceeded),
    /// The usage could not be read.
    Unreadable(Arc<StoreError>),
}

/// A tenant's month.
type TenantMonth = (TenantId, Month);
type ReadResult = Result<(), Arc<StoreError>>;

/// The usage of this server's tenants with a quota. Dropping it ends its thread.
pub struct QuotaUsage {
    shared: Arc<SharedUsage>,
    ratios: Ratios,
}

struct SharedUsage {
    store: Arc<dyn EventCounts>,
    options: QuotaUsageOptions,
    state: Mutex<UsageState>,
    /// A tenant became active, a request waits for a read, or the thread must end.
    changed: Condvar,
}

#[derive(Default)]
struct UsageState {
    tenants: HashMap<TenantMonth, TenantEntry>,
    /// Keys with requests since the start of the last read.
    active: HashSet<TenantMonth>,
    /// A request waits for a read of an active key.
    is_urgent: bool,
    read_at: Option<Instant>,
    forgot_at: Option<Instant>,
    is_stopped: bool,
}

struct TenantEntry {
    usage: MonthUsage,
    /// Start of the last successful read.
    read_at: Option<Instant>,
    sent_at: Instant,
    waiting: Vec<oneshot::Sender<ReadResult>>,
}

impl TenantEntry {
    fn new(now: Instant) -> Self {
        Self { usage: MonthUsage::default(), read_at: None, sent_at: now, waiting: Vec::new() }
    }

    fn is_read_within(&self, max_age: Duration, now: Instant) -> bool {
        self.read_at.is_some_and(|read_at| now.duration_since(read_at) <= max_age)
    }
}

/// A submission on its way to the store. End it by [`Self::settle`]. Dropped instead, its events
/// count as stored until the next read.
#[must_use = "the events count as stored when this is dropped"]
pub struct Admission {
    shared: Arc<SharedUsage>,
    key: TenantMonth,
    admitted: Admitted,
    is_settled: bool,
}

impl QuotaUsage {
    /// Starts the reading thread.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn start(store: Arc<dyn EventCounts>, options: QuotaUsageOptions) -> std::io::Result<Self> {
        let ratios = Ratios::new(options.max_ratios);
        let (state, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(SharedUsage { store, options, state, changed });
        let reader = Arc::clone(&shared);
        std::thread::Builder::new().name("quota-usage".to_owned()).spawn(move || reader.run())?;
        Ok(Self { shared, ratios })
    }

    /// Admits a submission of `events` events if they fit into a quota of `limit` events in
    /// `month`. Waits for a read if the last one is too old, or too uncertain for a refusal.
    ///
    /// # Errors
    /// [`AdmitError`]; nothing is admitted then.
    pub async fn admit(
        &self,
        tenant_id: TenantId,
        month: Month,
        events: u64,
        limit: u64,
    ) -> Result<Admission, AdmitError> {
        let key = (tenant_id, month);
        let mut reads = 0;
        loop {
            let read = match self.try_admit(key, events, limit, reads) {
                Ok(admission) => return Ok(admission),
                Err(Refusal::Exceeded { used }) => {
                    return Err(AdmitError::Exceeded(QuotaExceeded { limit, used, month }));
                }
                Err(Refusal::NeedsRead(read)) => read,
            };
            read.await.unwrap_or_else(|_| Err(stopping())).map_err(AdmitError::Unreadable)?;
            reads += 1;
        }
    }

    /// Decides by the present numbers, after the request has waited for `reads` reads.
    fn try_admit(
        &self,
        key: TenantMonth,
        events: u64,
        limit: u64,
        reads: usize,
    ) -> Result<Admission, Refusal> {
        let now = Instant::now();
        let mut state = self.shared.lock();
        let UsageState { tenants, active, is_urgent, .. } = &mut *state;
        let entry = tenants.entry(key).or_insert_with(|| TenantEntry::new(now));
        entry.sent_at = now;
        let is_news = active.insert(key) && active.len() == 1;
        let is_recent = reads > 0 || entry.is_read_within(self.shared.options.max_age, now);
        let decision = match entry.usage.fit(events, limit) {
            Fit::Fits if is_recent => Ok(Admission {
                shared: Arc::clone(&self.shared),
                key,
                admitted: entry.usage.admit(events),
                is_settled: false,
            }),
            Fit::Exceeds { used } if is_recent => Err(Refusal::Exceeded { used }),
            Fit::Unclear { used } if reads >= MAX_READS => Err(Refusal::Exceeded { used }),
            Fit::Fits | Fit::Exceeds { .. } | Fit::Unclear { .. } => {
                let (sender, receiver) = oneshot::channel();
                entry.waiting.push(sender);
                *is_urgent = true;
                Err(Refusal::NeedsRead(receiver))
            }
        };
        if is_news || *is_urgent {
            self.shared.changed.notify_one();
        }
        decision
    }

    /// Returns the events the tenant has stored in `month`, by a read that starts after the call.
    /// Calls that wait at the same time share a read: any number of them costs one statement at a
    /// time.
    ///
    /// # Errors
    /// The usage could not be read.
    pub async fn used(&self, tenant_id: TenantId, month: Month) -> Result<u64, Arc<StoreError>> {
        let key = (tenant_id, month);
        let read = {
            let now = Instant::now();
            let mut state = self.shared.lock();
            let UsageState { tenants, active, is_urgent, .. } = &mut *state;
            let entry = tenants.entry(key).or_insert_with(|| TenantEntry::new(now));
            entry.sent_at = now;
            let (sender, receiver) = oneshot::channel();
            entry.waiting.push(sender);
            active.insert(key);
            *is_urgent = true;
            self.shared.changed.notify_one();
            receiver
        };
        read.await.unwrap_or_else(|_| Err(stopping()))?;
        let state = self.shared.lock();
        let entry = state.tenants.get(&key);
        debug_assert!(entry.is_some(), "an entry just read is not forgotten");
        Ok(entry.map_or(0, |entry| entry.usage.last_read()))
    }

    /// Notes the quota of an active tenant for [`Self::used_ratios`]; 0: it has none.
    pub fn note(&self, tenant_id: TenantId, monthly_events: u64) {
        self.ratios.note(tenant_id, monthly_events);
    }

    /// Returns the used share of the quotas of the noted tenants in the month of `now`, by tenant
    /// id, read from the store. More than 1 is possible. Empty if the store does not answer in
    /// time.
    pub async fn used_ratios(&self, now: Timestamp) -> Vec<(i64, f64)> {
        self.ratios.read(&self.shared.store, Month::of(now)).await
    }
}

/// Returns the error of a read that the thread did not make any more.
fn stopping() -> Arc<StoreError> {
    Arc::new(StoreError::Unavailable("the server stops".into()))
}

enum Refusal {
    Exceeded { used: u64 },
    NeedsRead(oneshot::Receiver<ReadResult>),
}

impl Drop for QuotaUsage {
    fn drop(&mut self) {
        self.shared.lock().is_stopped = true;
        self.shared.changed.notify_all();
    }
}

impl Admission {
    /// Ends the submission: `stored` of its events were stored, and no others.
    pub fn settle(mut self, stored: u64) {
        self.is_settled = true;
        self.end(|usage, admitted| usage.settle(admitted, stored));
    }

    fn end(&self, settle: impl FnOnce(&mut MonthUsage, Admitted)) {
        let mut state = self.shared.lock();
        let entry = state.tenants.get_mut(&self.key);
        debug_assert!(entry.is_some(), "an entry with submissions in flight is not forgotten");
        if let Some(entry) = entry {
            settle(&mut entry.usage, self.admitted);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if !self.is_settled {
            self.end(MonthUsage::settle_unknown);
        }
    }
}

/// The tenants of one read, and the requests waiting for it.
#[derive(Default)]
struct ReadBatch {
    tenants: Vec<TenantId>,
    waiting: Vec<oneshot::Sender<ReadResult>>,
}

impl SharedUsage {
    fn run(&self) {
        while let Some(batches) = self.next_batches() {
            for (month, batch) in batches {
                self.read(month, batch);
            }
            self.forget();
        }
    }

    /// Waits until a read is due, and starts it for all active tenants. `None`: the thread must
    /// end.
    fn next_batches(&self) -> Option<BTreeMap<Month, ReadBatch>> {
        let mut state = self.lock();
        loop {
            if state.is_stopped {
                return None;
            }
            let since = state.read_at.map_or(Duration::MAX, |read_at| read_at.elapsed());
            let left = self.options.read_every.saturating_sub(since);
            if state.is_urgent || (left.is_zero() && !state.active.is_empty()) {
                break;
            }
            state = if state.active.is_empty() {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            };
        }
        state.is_urgent = false;
        state.read_at = Some(Instant::now());
        let mut batches: BTreeMap<Month, ReadBatch> = BTreeMap::new();
        let UsageState { tenants, active, .. } = &mut *state;
        for key in active.drain() {
            let Some(entry) = tenants.get_mut(&key) else { continue };
            entry.usage.start_read();
            let batch = batches.entry(key.1).or_default();
            batch.tenants.push(key.0);
            batch.waiting.append(&mut entry.waiting);
        }
        Some(batches)
    }

    fn read(&self, month: Month, ReadBatch { tenants, waiting }: ReadBatch) {
        let started = self.lock().read_at;
        let panicked = |_| Err(StoreError::Internal("the store panicked".into()));
        let used = catch_unwind(AssertUnwindSafe(|| self.store.usage(&tenants, month)));
        let result = match used.unwrap_or_else(panicked) {
            Ok(used) => {
                let mut state = self.lock();
                for (tenant_id, used) in tenants.into_iter().zip(used) {
                    if let Some(entry) = state.tenants.get_mut(&(tenant_id, month)) {
                        entry.usage.finish_read(used);
                        entry.read_at = started;
                    }
                }
                Ok(())
            }
            Err(error) => Err(Arc::new(error)),
        };
        for request in waiting {
            // The client may be gone.
            request.send(result.clone()).ok();
        }
    }

    /// Forgets silent tenants.
    fn forget(&self) {
        let mut state = self.lock();
        let forget_after = self.options.forget_after;
        if state.forgot_at.is_some_and(|at| at.elapsed() < forget_after) {
            return;
        }
        state.forgot_at = Some(Instant::now());
        state.tenants.retain(|_, entry| {
            entry.usage.is_in_flight()
                || !entry.waiting.is_empty()
                || entry.sent_at.elapsed() < forget_after
        });
    }

    fn lock(&self) -> MutexGuard<'_, UsageState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
