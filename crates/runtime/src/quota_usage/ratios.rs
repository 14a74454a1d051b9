//! The used share of quotas, for the metrics: of the first active tenants with a quota.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mercurio_domain::TenantId;
use mercurio_domain::limits::Month;
use mercurio_domain::store::EventCounts;

/// Maximum wait of a scrape for the store.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Tenants and their quotas.
pub(super) struct Ratios {
    max_tenants: usize,
    quotas: RwLock<HashMap<TenantId, u64>>,
}

impl Ratios {
    pub(super) fn new(max_tenants: usize) -> Self {
        Self { max_tenants, quotas: RwLock::default() }
    }

    pub(super) fn note(&self, tenant_id: TenantId, monthly_events: u64) {
        let quotas = self.quotas.read().unwrap_or_else(PoisonError::into_inner);
        let known = quotas.get(&tenant_id).copied();
        // Every request comes here. Only changes take the exclusive lock.
        if known.unwrap_or(0) == monthly_events
            || (known.is_none() && quotas.len() >= self.max_tenants)
        {
            return;
        }
        drop(quotas);
        let mut quotas = self.quotas.write().unwrap_or_else(PoisonError::into_inner);
        if monthly_events == 0 {
            quotas.remove(&tenant_id);
        } else if known.is_some() || quotas.len() < self.max_tenants {
            quotas.insert(tenant_id, monthly_events);
        }
    }

    pub(super) async fn read(&self, store: &Arc<dyn EventCounts>, month: Month) -> Vec<(i64, f64)> {
        let quotas = self.quotas.read().unwrap_or_else(PoisonError::into_inner).clone();
        if quotas.is_empty() {
            return Vec::new();
        }
        let store = Arc::clone(store);
        let reading = tokio::task::spawn_blocking(move || {
            let tenants: Vec<TenantId> = quotas.keys().copied().collect();
            let used = store.usage(&tenants, month).ok()?;
            let used = tenants.iter().zip(used);
            Some(used.map(|(id, used)| (id.0, used as f64 / quotas[id] as f64)).collect())
        });
        let read = tokio::time::timeout(TIMEOUT, reading).await;
        read.ok().and_then(Result::ok).flatten().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_tenants_are_kept_as_long_as_they_have_a_quota() {
        let ratios = Ratios::new(2);
        for (tenant, quota) in [(1, 0), (2, 10), (3, 20), (4, 30), (2, 0), (5, 50), (3, 25)] {
            ratios.note(TenantId(tenant), quota);
        }
        let quotas = ratios.quotas.read().unwrap().clone();
        assert_eq!(quotas, HashMap::from([(TenantId(3), 25), (TenantId(5), 50)]));
    }
}
