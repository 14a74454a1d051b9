//! The buckets of all tenants in this process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use governor::clock::Clock;
use mercurio_domain::TenantId;
use mercurio_domain::limits::Limits;

use super::buckets::Buckets;
use super::{Answer, RateLimitState};

/// Tenants above which those are looked for that have not sent for so long that their buckets are full again.
pub(super) const SWEEP_ABOVE: usize = 1_000;

/// Buckets by tenant.
pub(super) struct LocalBuckets<C: Clock + Clone> {
    pub(super) clock: C,
    pub(super) tenants: RwLock<Tenants<C>>,
}

pub(super) struct Tenants<C: Clock + Clone> {
    pub(super) buckets: HashMap<TenantId, Arc<Buckets<C>>>,
    /// At how many tenants the next sweep is due.
    sweep_at: usize,
}

impl<C: Clock + Clone> LocalBuckets<C> {
    /// Buckets that fill by another clock.
    pub(super) fn with_clock(clock: C) -> Self {
        Self {
            clock,
            tenants: RwLock::new(Tenants { buckets: HashMap::new(), sweep_at: SWEEP_ABOVE }),
        }
    }

    /// Takes one token from the bucket of requests.
    ///
    /// # Errors
    /// [`Exceeded`]: there is none, and none was taken.
    pub(super) fn take_request(&self, tenant_id: TenantId, limits: &Limits) -> Answer {
        let Some(buckets) = self.buckets(tenant_id, limits) else {
            return (RateLimitState::default(), Ok(()));
        };
        let taken = buckets.requests.take(1, &self.clock);
        (buckets.state(), taken)
    }

    /// Takes as many tokens from the bucket of events.
    ///
    /// # Errors
    /// [`Exceeded`]: there are fewer, and none was taken.
    pub(super) fn take_events(&self, tenant_id: TenantId, limits: &Limits, events: u32) -> Answer {
        let Some(buckets) = self.buckets(tenant_id, limits) else {
            return (RateLimitState::default(), Ok(()));
        };
        let taken = buckets.events.take(events, &self.clock);
        (buckets.state(), taken)
    }

    /// What is left, without taking anything.
    pub(super) fn state(&self, tenant_id: TenantId, limits: &Limits) -> RateLimitState {
        self.buckets(tenant_id, limits).map(|buckets| buckets.state()).unwrap_or_default()
    }

    /// The tenant's buckets; new and full ones where its limits have changed. `None` where it has no limits.
    pub(super) fn buckets(&self, tenant_id: TenantId, limits: &Limits) -> Option<Arc<Buckets<C>>> {
        let sizes = (limits.requests_bucket(), limits.events_bucket());
        if sizes == (None, None) {
            return None;
        }
        let known = self
            .tenants
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .buckets
            .get(&tenant_id)
            .cloned();
        if let Some(known) = known.filter(|known| known.sizes() == sizes) {
            return Some(known);
        }
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        // Another request may have been faster.
        if let Some(known) = tenants.buckets.get(&tenant_id).filter(|known| known.sizes() == sizes)
        {
            return Some(Arc::clone(known));
        }
        if tenants.buckets.len() >= tenants.sweep_at {
            tenants.buckets.retain(|_, buckets| !buckets.are_full());
            tenants.sweep_at = SWEEP_ABOVE.max(2 * tenants.buckets.len());
        }
        let buckets = Arc::new(Buckets::new(sizes, &self.clock));
        tenants.buckets.insert(tenant_id, Arc::clone(&buckets));
        Some(buckets)
    }
}
