//! The buckets of all tenants in this process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use governor::clock::Clock;
use mercurio_domain::TenantId;
use mercurio_domain::limits::Limits;

use crate::buckets::{BucketSizes, TenantBuckets};
use crate::decision::{BucketName, RateLimitDecision, RateLimitExceeded, RateLimitState};

/// Number of tenants above which tenants with full buckets are dropped. Bounds the memory.
pub(crate) const SWEEP_ABOVE: usize = 1_000;

/// Buckets by tenant.
pub(crate) struct LocalBuckets<C: Clock + Clone> {
    clock: C,
    tenants: RwLock<Tenants<C>>,
}

struct Tenants<C: Clock + Clone> {
    buckets: HashMap<TenantId, Arc<TenantBuckets<C>>>,
    /// Number of tenants at which the next sweep is due.
    sweep_at: usize,
}

impl<C: Clock + Clone> LocalBuckets<C> {
    pub(crate) fn with_clock(clock: C) -> Self {
        let tenants = Tenants { buckets: HashMap::new(), sweep_at: SWEEP_ABOVE };
        Self { clock, tenants: RwLock::new(tenants) }
    }

    /// Takes `tokens` from one of the tenant's buckets, or none.
    pub(crate) fn take(
        &self,
        tenant_id: TenantId,
        limits: &Limits,
        bucket: BucketName,
        tokens: u32,
    ) -> RateLimitDecision {
        let Some(buckets) = self.buckets(tenant_id, limits) else {
            return RateLimitDecision { state: RateLimitState::default(), result: Ok(()) };
        };
        let taken = buckets.take(bucket, tokens, &self.clock);
        RateLimitDecision {
            state: buckets.state(),
            result: taken
                .map_err(|retry_after_seconds| RateLimitExceeded { bucket, retry_after_seconds }),
        }
    }

    /// Returns tokens to a tenant's bucket, taken for a request that was refused elsewhere.
    pub(crate) fn give_back(
        &self,
        tenant_id: TenantId,
        limits: &Limits,
        bucket: BucketName,
        tokens: u32,
    ) {
        if let Some(buckets) = self.buckets(tenant_id, limits) {
            buckets.give_back(bucket, tokens);
        }
    }

    /// Returns the levels and takes nothing.
    pub(crate) fn state(&self, tenant_id: TenantId, limits: &Limits) -> RateLimitState {
        self.buckets(tenant_id, limits).map(|buckets| buckets.state()).unwrap_or_default()
    }

    /// Returns the tenant's buckets, or `None` without limits. New limits start with full buckets.
    fn buckets(&self, tenant_id: TenantId, limits: &Limits) -> Option<Arc<TenantBuckets<C>>> {
        let sizes = BucketSizes::of(limits);
        if sizes.is_unlimited() {
            return None;
        }
        // Most tenants have buckets already, so requests share the read lock.
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        let known = tenants.buckets.get(&tenant_id).filter(|known| known.sizes == sizes).cloned();
        drop(tenants);
        known.or_else(|| Some(self.insert(tenant_id, sizes)))
    }

    fn insert(&self, tenant_id: TenantId, sizes: BucketSizes) -> Arc<TenantBuckets<C>> {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        // Another request may have inserted them since the read lock was released.
        if let Some(known) = tenants.buckets.get(&tenant_id).filter(|known| known.sizes == sizes) {
            return Arc::clone(known);
        }
        if tenants.buckets.len() >= tenants.sweep_at {
            // A full bucket equals a new one, so dropping it loses nothing.
            tenants.buckets.retain(|_, buckets| !buckets.are_full());
            // Doubling keeps sweeps rare if most tenants are active.
            tenants.sweep_at = SWEEP_ABOVE.max(2 * tenants.buckets.len());
        }
        let buckets = Arc::new(TenantBuckets::full(sizes, &self.clock));
        tenants.buckets.insert(tenant_id, Arc::clone(&buckets));
        buckets
    }

    #[cfg(test)]
    pub(crate) fn tenants(&self) -> usize {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).buckets.len()
    }
}
