//! How a server lives without Redis, and how it returns to it, without a second burst for a tenant that sends to all servers.
//!
//! While Redis decides, a ledger notes what it said last of a tenant's buckets. When it is away, the server's share of each bucket
//! begins with its part of what was left then. When it is back, the first question of each tenant brings along what it was told last,
//! in case Redis has lost it, and the tokens that passed meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use governor::clock::{Clock, Reference};
use mercurio_domain::TenantId;
use mercurio_domain::limits::{Bucket, Limits};

use super::buckets::Buckets;
use super::local::{LocalBuckets, SWEEP_ABOVE};
use super::{Answer, Level, RateLimitState, share};

/// What Redis said of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// How full it is.
    pub(super) level: Level,
    /// When it will be full again, as Redis counts.
    pub(super) full_at: u64,
    /// Tokens that were ever taken from it.
    pub(super) taken: u64,
}

/// What a server owes to a bucket in Redis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Debt {
    /// When the bucket would be full again, as Redis last said; 0: it said nothing.
    pub(super) full_at: u64,
    /// Tokens that had been taken from the bucket by then.
    pub(super) taken: u64,
    /// Tokens that the server has let pass since then without asking.
    pub(super) passed: u32,
    /// How many of those have not flowed into its share again.
    pub(super) lacking: u32,
}

/// This server's shares of all tenants' buckets.
pub(super) struct Shares<C: Clock + Clone> {
    buckets: LocalBuckets<C>,
    ledgers: RwLock<Ledgers<C>>,
}

struct Ledgers<C: Clock> {
    by_tenant: HashMap<TenantId, Arc<Mutex<Ledger<C>>>>,
    /// At how many tenants the next sweep is due.
    sweep_at: usize,
}

/// What is known of a tenant's buckets: of requests, and of events.
struct Ledger<C: Clock> {
    /// When something was noted last.
    at: C::Instant,
    /// How many servers shared when this one decided alone. A Redis that is back knows at first of fewer.
    servers: u32,
    entries: [Entry; 2],
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    told: Option<Told>,
    /// Tokens that passed since without Redis.
    alone: u32,
    /// Whether the share has begun with its part of what was left.
    is_drained: bool,
}

impl Entry {
    /// What was told of this bucket; nothing where its size was another.
    fn told_of(&self, bucket: Option<Bucket>) -> Option<Told> {
        self.told.filter(|told| Some(told.level.bucket) == bucket)
    }
}

/// Nanoseconds in which what was told of a bucket is out of date, twice over; an hour where nothing was told.
fn lifetime(entry: &Entry) -> u64 {
    let seconds = entry.told.map_or(3_600, |told| 2 * u64::from(told.level.window_seconds()));
    seconds.saturating_mul(1_000_000_000)
}

/// Whether a new ledger would lead to the same.
fn is_settled<C: Clock>(ledger: &Ledger<C>, now: C::Instant) -> bool {
    let elapsed = now.duration_since(ledger.at).as_u64();
    ledger
        .entries
        .iter()
        .all(|entry| (entry.told.is_none() && entry.alone == 0) || elapsed > lifetime(entry))
}

fn sizes(limits: &Limits) -> [Option<Bucket>; 2] {
    [limits.requests_bucket(), limits.events_bucket()]
}

impl<C: Clock + Clone> Shares<C> {
    /// Shares that fill by this clock.
    pub(super) fn with_clock(clock: C) -> Self {
        let ledgers = RwLock::new(Ledgers { by_tenant: HashMap::new(), sweep_at: SWEEP_ABOVE });
        Self { buckets: LocalBuckets::with_clock(clock), ledgers }
    }

    /// What is owed to each bucket in Redis, and from now on is not owed any more: [`Shares::owe`] takes that back.
    pub(super) fn pay(&self, tenant_id: TenantId, limits: &Limits) -> [Debt; 2] {
        self.with(tenant_id, |ledger| {
            let is_alone = ledger.entries.iter().any(|entry| entry.alone > 0);
            let buckets = is_alone
                .then(|| self.buckets.buckets(tenant_id, &share(limits, ledger.servers)))
                .flatten();
            let mut index = 0;
            ledger.entries.each_mut().map(|entry| {
                let told = entry.told_of(sizes(limits)[index]);
                let passed = std::mem::take(&mut entry.alone);
                let missing = |buckets: &Arc<Buckets<C>>| {
                    [&buckets.requests, &buckets.events][index].missing()
                };
                let lacking =
                    if passed > 0 { passed.min(buckets.as_ref().map_or(0, missing)) } else { 0 };
                index += 1;
                let (full_at, taken) = told.map_or((0, 0), |told| (told.full_at, told.taken));
                Debt { full_at, taken, passed, lacking }
            })
        })
    }

    /// Notes that Redis did not hear of what was to be paid.
    pub(super) fn owe(&self, tenant_id: TenantId, debts: [Debt; 2]) {
        self.with(tenant_id, |ledger| {
            for (entry, debt) in ledger.entries.iter_mut().zip(debts) {
                entry.alone = entry.alone.saturating_add(debt.passed);
            }
        });
    }

    /// Notes what Redis said.
    pub(super) fn note(&self, tenant_id: TenantId, told: [Option<Told>; 2]) {
        self.with(tenant_id, |ledger| {
            ledger.at = self.buckets.clock.now();
            for (entry, told) in ledger.entries.iter_mut().zip(told) {
                (entry.told, entry.is_drained) = (told, false);
            }
        });
    }

    /// Takes as many tokens of requests and of events from this server's share, without Redis.
    pub(super) fn take(
        &self,
        tenant_id: TenantId,
        limits: &Limits,
        servers: u32,
        tokens: [u32; 2],
    ) -> Answer {
        self.with(tenant_id, |ledger| {
            let share = self.begin(tenant_id, limits, servers, ledger);
            let answer = self.buckets.take_request(tenant_id, &share);
            if answer.1.is_err() {
                return answer;
            }
            ledger.entries[0].alone = ledger.entries[0].alone.saturating_add(tokens[0]);
            let answer = self.buckets.take_events(tenant_id, &share, tokens[1]);
            if answer.1.is_ok() {
                ledger.at = self.buckets.clock.now();
                ledger.entries[1].alone = ledger.entries[1].alone.saturating_add(tokens[1]);
            }
            answer
        })
    }

    /// What is left of the shares, without taking anything.
    pub(super) fn state(
        &self,
        tenant_id: TenantId,
        limits: &Limits,
        servers: u32,
    ) -> RateLimitState {
        self.with(tenant_id, |ledger| {
            let share = self.begin(tenant_id, limits, servers, ledger);
            self.buckets.state(tenant_id, &share)
        })
    }

    /// Lets the shares begin with their part of what was left when Redis was heard of last, and of what has flowed in since. They
    /// stay shares among as many servers until it is heard of again: of another number they would be others, and full.
    fn begin(
        &self,
        tenant_id: TenantId,
        limits: &Limits,
        servers: u32,
        ledger: &mut Ledger<C>,
    ) -> Limits {
        if !ledger.entries.iter().any(|entry| entry.is_drained) {
            ledger.servers = servers.max(1);
        }
        let share = share(limits, ledger.servers);
        let clock = &self.buckets.clock;
        let since = u128::from(clock.now().duration_since(ledger.at).as_u64());
        let Some(buckets) = self.buckets.buckets(tenant_id, &share) else { return share };
        for ((entry, size), slot) in
            ledger.entries.iter_mut().zip(sizes(limits)).zip([&buckets.requests, &buckets.events])
        {
            let told = entry.told_of(size).filter(|_| !entry.is_drained);
            entry.is_drained = true;
            let Some(Level { bucket, remaining }) = told.map(|told| told.level) else { continue };
            let flowed_in = since * u128::from(bucket.per_second) / 1_000_000_000;
            let missing =
                u128::from(bucket.burst.saturating_sub(remaining)).saturating_sub(flowed_in);
            slot.drain(u32::try_from(missing).unwrap_or(u32::MAX) / ledger.servers, clock);
        }
        share
    }

    /// Does something with the tenant's ledger; with a new one where there is none.
    fn with<T>(&self, tenant_id: TenantId, work: impl FnOnce(&mut Ledger<C>) -> T) -> T {
        let ledger = self.ledger(tenant_id);
        work(&mut ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ledger(&self, tenant_id: TenantId) -> Arc<Mutex<Ledger<C>>> {
        let known = self
            .ledgers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .by_tenant
            .get(&tenant_id)
            .cloned();
        if let Some(known) = known {
            return known;
        }
        let mut ledgers = self.ledgers.write().unwrap_or_else(PoisonError::into_inner);
        let now = self.buckets.clock.now();
        if ledgers.by_tenant.len() >= ledgers.sweep_at {
            ledgers.by_tenant.retain(|_, ledger| {
                !is_settled(&ledger.lock().unwrap_or_else(PoisonError::into_inner), now)
            });
            ledgers.sweep_at = SWEEP_ABOVE.max(2 * ledgers.by_tenant.len());
        }
        let new =
            || Arc::new(Mutex::new(Ledger { at: now, servers: 1, entries: Default::default() }));
        Arc::clone(ledgers.by_tenant.entry(tenant_id).or_insert_with(new))
    }
}
