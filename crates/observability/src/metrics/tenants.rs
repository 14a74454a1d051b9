//! Events per tenant, for a bounded number of tenants. All later tenants share one series, so that
//! many tenants cannot create many series.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use prometheus::{IntCounter, IntCounterVec, Registry};

use super::registration::counters;
use crate::logging::request_line::EventCounts;

/// The `tenant_id` of all tenants beyond the bound.
const OTHER: &str = "other";

/// Counters by tenant id.
#[derive(Debug)]
pub(super) struct TenantCounters {
    family: IntCounterVec,
    known: RwLock<HashMap<i64, VerdictCounters>>,
    max: usize,
}

#[derive(Clone, Debug)]
struct VerdictCounters {
    accepted: IntCounter,
    duplicate: IntCounter,
    rejected: IntCounter,
}

impl TenantCounters {
    pub(super) fn register(registry: &Registry, max: usize) -> Self {
        let help = "Events by tenant and verdict";
        let family = counters(registry, "tenant_events_total", help, &["tenant_id", "verdict"]);
        Self { family, known: RwLock::default(), max }
    }

    pub(super) fn record(&self, tenant_id: i64, events: EventCounts) {
        // Only the first request of a tenant needs the write lock.
        let known =
            self.known.read().unwrap_or_else(PoisonError::into_inner).get(&tenant_id).cloned();
        let counters = known.unwrap_or_else(|| self.add(tenant_id));
        counters.accepted.inc_by(events.accepted);
        counters.duplicate.inc_by(events.duplicates);
        counters.rejected.inc_by(events.rejected);
    }

    fn add(&self, tenant_id: i64) -> VerdictCounters {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have added the tenant between the two locks.
        if known.len() >= self.max && !known.contains_key(&tenant_id) {
            drop(known);
            return self.counters(OTHER);
        }
        known.entry(tenant_id).or_insert_with(|| self.counters(&tenant_id.to_string())).clone()
    }

    fn counters(&self, tenant_id: &str) -> VerdictCounters {
        VerdictCounters {
            accepted: self.family.with_label_values(&[tenant_id, "accepted"]),
            duplicate: self.family.with_label_values(&[tenant_id, "duplicate"]),
            rejected: self.family.with_label_values(&[tenant_id, "rejected"]),
        }
    }
}
