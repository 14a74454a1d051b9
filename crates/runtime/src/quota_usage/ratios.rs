//! The used share of quotas, for the metrics: of the first active tenants with a quota.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use mercurio_domain::TenantId;
use mercurio_domain::limits::Month;
use mercurio_domain::store::EventCounts;
use tokio::sync::Mutex;

/// Maximum wait of a scrape for the store.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Tenants and their quotas.
pub(super) struct Ratios {
    max_tenants: usize,
    quotas: RwLock<HashMap<TenantId, u64>>,
    last: Mutex<Option<LastRead>>,
}

struct LastRead {
    started: Instant,
    month: Month,
    ratios: Vec<(i64, f64)>,
}

impl Ratios {
    pub(super) fn new(max_tenants: usize) -> Self {
        Self { max_tenants, quotas: RwLock::default(), last: Mutex::new(None) }
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

    /// Returns the ratios by a read that starts after the call. Scrapes that wait at the same time
    /// share a read.
    pub(super) async fn read(&self, store: &Arc<dyn EventCounts>, month: Month) -> Vec<(i64, f64)> {
        let called = Instant::now();
        let reading = async {
            // One read at a time: scrapes do not multiply the load of the database.
            let mut last = self.last.lock().await;
            if let Some(last) = &*last
                && last.month == month
                && last.started > called
            {
                return last.ratios.clone();
            }
            let started = Instant::now();
            let ratios = self.read_store(store, month).await;
            *last = Some(LastRead { started, month, ratios: ratios.clone() });
            ratios
        };
        tokio::time::timeout(TIMEOUT, reading).await.unwrap_or_default()
    }

    async fn read_store(&self, store: &Arc<dyn EventCounts>, month: Month) -> Vec<(i64, f64)> {
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
        // A panic of the task counts as no answer.
        reading.await.ok().flatten().unwrap_or_default()
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
