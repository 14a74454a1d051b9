//! How much of their monthly quotas tenants have used, for the metrics: of the first so many tenants with a quota that send.
//!
//! Requests note who has one; the database is asked when somebody wants to know, at most every few seconds.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use mercurio_domain::limits::Month;
use mercurio_domain::store::Store;
use mercurio_domain::{TenantId, Timestamp};
use tokio::sync::Mutex;

/// How long an answer of the database is good for.
const LIFETIME: Duration = Duration::from_secs(10);
/// How long the database may take to tell of all tenants.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The tenants that have a quota, and what was last known of it.
pub struct QuotaWatch {
    max_tenants: usize,
    quotas: RwLock<HashMap<TenantId, u64>>,
    last: Mutex<Option<Asked>>,
}

struct Asked {
    at: Instant,
    /// Of each tenant, or of none where the database did not say.
    used: Vec<(i64, f64)>,
}

impl QuotaWatch {
    /// Watches so many tenants.
    #[must_use]
    pub fn new(max_tenants: usize) -> Self {
        Self { max_tenants, quotas: RwLock::default(), last: Mutex::new(None) }
    }

    /// A tenant sends whose quota is so many events a month; 0: it has none.
    pub fn note(&self, tenant_id: TenantId, monthly_events: u64) {
        let quotas = self.quotas.read().unwrap_or_else(PoisonError::into_inner);
        let known = quotas.get(&tenant_id).copied();
        // Each request of a tenant comes here: those that need change nothing do not shut the others out.
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

    /// The share of its quota that each tenant has used in the month of `now`, by id: 0 to 1. Empty where the database does not
    /// say in time.
    pub async fn used(&self, store: &Arc<dyn Store>, now: Timestamp) -> Vec<(i64, f64)> {
        let quotas = self.quotas.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Ok(mut last) = tokio::time::timeout(TIMEOUT, self.last.lock()).await else {
            return Vec::new();
        };
        if quotas.is_empty() {
            return Vec::new();
        }
        let holds = |asked: &Asked| asked.used.is_empty() || asked.used.len() == quotas.len();
        if let Some(asked) =
            last.as_ref().filter(|asked| asked.at.elapsed() < LIFETIME && holds(asked))
        {
            return asked.used.clone();
        }
        let store = Arc::clone(store);
        // It ends at the first question that is not answered.
        let asked = tokio::task::spawn_blocking(move || {
            let used = |(tenant_id, quota): (TenantId, u64)| {
                let used = store.monthly_usage(tenant_id, Month::of(now)).ok()?;
                Some((tenant_id.0, (used as f64 / quota as f64).min(1.0)))
            };
            quotas.into_iter().map(used).collect::<Option<Vec<_>>>()
        });
        let used = tokio::time::timeout(TIMEOUT, asked)
            .await
            .ok()
            .and_then(Result::ok)
            .flatten()
            .unwrap_or_default();
        *last = Some(Asked { at: Instant::now(), used: used.clone() });
        used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tenants_with_a_quota_are_watched_as_long_as_they_have_one() {
        let watch = QuotaWatch::new(2);
        for (tenant, quota) in [(1, 0), (2, 10), (3, 20), (4, 30), (2, 0), (5, 50), (3, 25)] {
            watch.note(TenantId(tenant), quota);
        }
        let quotas = watch.quotas.read().unwrap().clone();
        assert_eq!(quotas, HashMap::from([(TenantId(3), 25), (TenantId(5), 50)]));
    }
}
