//! Events of each tenant, for so many tenants: the rest are counted together, so that a flood of tenants makes no flood of
//! series.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::logging::request_line::EventCounts;

/// What stands for the id of a tenant that came too late.
const OTHER: &str = "other";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct TenantLabels {
    tenant_id: String,
    verdict: &'static str,
}

/// The counters of tenants, by id.
#[derive(Debug)]
pub(super) struct Tenants {
    family: Family<TenantLabels, Counter>,
    known: RwLock<HashMap<i64, Verdicts>>,
    max: usize,
}

#[derive(Clone, Debug)]
struct Verdicts {
    accepted: Counter,
    duplicate: Counter,
    rejected: Counter,
}

impl Tenants {
    pub(super) fn new(max: usize) -> Self {
        Self { family: Family::default(), known: RwLock::default(), max }
    }

    pub(super) fn family(&self) -> Family<TenantLabels, Counter> {
        self.family.clone()
    }

    pub(super) fn record(&self, tenant_id: i64, events: EventCounts) {
        let known =
            self.known.read().unwrap_or_else(PoisonError::into_inner).get(&tenant_id).cloned();
        let verdicts = known.unwrap_or_else(|| self.meet(tenant_id));
        verdicts.accepted.inc_by(events.accepted);
        verdicts.duplicate.inc_by(events.duplicates);
        verdicts.rejected.inc_by(events.rejected);
    }

    fn meet(&self, tenant_id: i64) -> Verdicts {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.max && !known.contains_key(&tenant_id) {
            drop(known);
            return self.verdicts(OTHER);
        }
        known.entry(tenant_id).or_insert_with(|| self.verdicts(&tenant_id.to_string())).clone()
    }

    fn verdicts(&self, tenant_id: &str) -> Verdicts {
        let counter = |verdict| {
            self.family
                .get_or_create_owned(&TenantLabels { tenant_id: tenant_id.to_owned(), verdict })
        };
        Verdicts {
            accepted: counter("accepted"),
            duplicate: counter("duplicate"),
            rejected: counter("rejected"),
        }
    }
}
